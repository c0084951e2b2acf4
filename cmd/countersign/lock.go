package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"countersign/platform"
	"countersign/tray/control"
)

const (
	lockPatience = time.Minute // for an agent that locks, or ends
	lockPause    = 20 * time.Millisecond
)

func (c *cli) lockCommand() *cobra.Command {
	cmd := c.local("lock", "Drop all keys until you unlock", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		dirs, err := platform.FindDirs(c.home)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, lockPatience)
		defer cancel()
		// Not by c.service, which would start an agent to lock it.
		_, err = control.At(dirs.Run).Settings.Lock(ctx, control.None{})
		if errors.Is(err, control.ErrNotRunning) {
			c.remark("It was not running.")
			return nil
		}
		for err == nil {
			now, asked := control.At(dirs.Run).Settings.Status(ctx, control.None{})
			var e *control.Error
			switch {
			case asked == nil && now.Shut:
				c.say("Countersign is locked.")
				return nil
			case errors.As(asked, &e):
				err = asked
			default: // it is ending, and a call is cut off, or it begins anew
				err = c.pause(ctx)
			}
		}
		return err
	})
	cmd.Long = "Drop all keys, and sign the page out, until you unlock: by countersign unlock, or with the\nscreen the next time that it is locked and unlocked. Nothing is lost: what waits to be sent or\nfetched waits."
	return cmd
}

func (c *cli) unlockCommand() *cobra.Command {
	cmd := c.command("unlock", "Open Countersign again after it was locked", cobra.NoArgs, func(ctx context.Context, s *control.Service, _ []string) error {
		_, err := s.Settings.Unlock(ctx, control.None{})
		var e *control.Error
		if errors.As(err, &e) && e.Code == control.CodePassphrase {
			// The passphrase goes to a new agent, through its pipe.
			if _, err = s.Settings.Stop(ctx, control.None{}); err == nil {
				if err = c.ended(ctx); err == nil {
					_, err = s.Settings.Status(ctx, control.None{})
				}
			}
		}
		if err == nil {
			c.say("Countersign is open.")
		}
		return err
	})
	cmd.Long = "Open Countersign again after it was locked. Where the keys are in a file, its passphrase is\nneeded."
	return cmd
}

// ended waits until the agent has let go of its socket.
func (c *cli) ended(ctx context.Context) error {
	dirs, err := platform.FindDirs(c.home)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	for {
		if _, err := control.At(dirs.Run).Settings.Status(ctx, control.None{}); errors.Is(err, control.ErrNotRunning) {
			return nil
		} else if ctx.Err() != nil {
			return err
		}
		if err := c.pause(ctx); err != nil {
			return err
		}
	}
}

// pause is between two looks at an agent that begins or ends.
func (c *cli) pause(ctx context.Context) error {
	select {
	case <-time.After(lockPause):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
