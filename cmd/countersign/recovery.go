package main

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"countersign/cmd/countersign/plain"
	"countersign/tray/control"
)

func (c *cli) recoveryCommand() *cobra.Command {
	return c.group("recovery", "The file that gives you back your keys", c.recoveryBackup(), c.recoveryConfirm(), c.recoveryMake(), c.recoveryStatus())
}

func (c *cli) recoveryMake() *cobra.Command {
	var out string
	cmd := c.command("make", "Make the recovery file and the eight words that open it", cobra.NoArgs,
		func(ctx context.Context, s *control.Service, _ []string) error {
			made, err := s.Identities.MakeRecovery(ctx, control.None{})
			if err != nil {
				return err
			}
			if out == "" {
				out = fileName(made.Name)
			}
			if err := saveTo(out, bytes.NewReader(made.Bytes)); err != nil {
				return err
			}
			made.Name, made.Bytes = out, nil
			return show(c, made, nil, func(r control.RecoveryFile) {
				c.say("The recovery file is %s. Keep it away from this computer.", r.Name)
				c.gap()
				c.say("These eight words open it. Write them down now: they are not shown again.")
				c.numbered(r.Words)
				c.gap()
				c.say("Then type two of them back: countersign recovery confirm")
			})
		})
	cmd.Long = "Make the recovery file, and the eight words that open it. Without it a lost computer is\nlost mail. It counts once two of its words were typed back."
	cmd.Flags().StringVar(&out, "out", "", "the `file` to write; it must not exist")
	return cmd
}

func (c *cli) recoveryBackup() *cobra.Command {
	cmd := c.command("backup FILE", "Copy the database, still encrypted, to a new file", cobra.ExactArgs(1),
		func(ctx context.Context, s *control.Service, args []string) error {
			path, err := filepath.Abs(args[0])
			if err != nil {
				return fmt.Errorf("finding the file: %w", err)
			}
			got, err := s.Identities.Backup(ctx, control.BackupOrder{Path: path})
			return show(c, got, err, func(control.None) {
				c.say("%s holds your mail and contacts as they are now. Only your recovery file opens it.", path)
			})
		})
	cmd.Long = "Copy the database, still encrypted, to a new file. On a new machine the copy and the\nrecovery file bring everything back: countersign-agent --restore FILE --database COPY"
	return cmd
}

func (c *cli) recoveryConfirm() *cobra.Command {
	cmd := c.command("confirm [WORD WORD]", "Type two of the eight words back", cobra.MatchAll(cobra.MaximumNArgs(2), notOne),
		func(ctx context.Context, s *control.Service, args []string) error {
			if len(args) == 0 {
				state, err := s.Identities.Recovery(ctx, control.None{})
				if err != nil {
					return err
				}
				if args, err = c.recoveryWords(state.Ask); err != nil {
					return err
				}
			}
			got, err := s.Identities.ConfirmRecovery(ctx, control.RecoveryCheck{Words: args})
			return show(c, got, err, c.printRecovery)
		})
	cmd.Long = "Type two of the eight words back, in the order that recovery status asks for them. At a\nterminal you are asked."
	return cmd
}

func notOne(_ *cobra.Command, args []string) error {
	if len(args) == 1 {
		return usage("two words are needed, or none to be asked for them")
	}
	return nil
}

func (c *cli) recoveryWords(ask []int) (words []string, err error) {
	if len(ask) == 0 {
		return nil, &control.Error{Code: "no-recovery", Says: "No recovery file waits for its words.", Next: "Make one: countersign recovery make"}
	}
	if c.ask == nil {
		return nil, usage("give word %d and word %d", ask[0], ask[len(ask)-1])
	}
	for _, n := range ask {
		word, err := c.ask.Line(fmt.Sprintf("Word %d: ", n))
		if err != nil {
			return nil, err
		}
		words = append(words, word)
	}
	return words, nil
}

func (c *cli) recoveryStatus() *cobra.Command {
	return c.command("status", "Tell whether the recovery file is made and tested", cobra.NoArgs, func(ctx context.Context, s *control.Service, _ []string) error {
		got, err := s.Identities.Recovery(ctx, control.None{})
		return show(c, got, err, c.printRecovery)
	})
}

func (c *cli) printRecovery(r control.Recovery) {
	switch r.State {
	case "ready":
		c.say("✓ The recovery file of %s was made and tested.", plain.Day(r.Made))
	case "unconfirmed":
		if len(r.Ask) == 0 {
			c.say("! The last recovery file was never confirmed. Make a new one: countersign recovery make")
			break
		}
		c.say("! The recovery file was made but its words were not typed back: countersign recovery confirm")
		if len(r.Ask) > 0 {
			c.say("  It asks for word %d and word %d.", r.Ask[0], r.Ask[len(r.Ask)-1])
		}
	case "outdated":
		c.say("! The recovery file of %s lacks your newest key: countersign recovery make", plain.Day(r.Made))
	default:
		c.say("! There is no recovery file yet: countersign recovery make")
	}
	if r.Path != "" {
		c.fields("  File", r.Path)
	}
}
