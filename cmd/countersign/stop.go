package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"countersign/platform"
	"countersign/tray/control"
)

func (c *cli) stopCommand() *cobra.Command {
	return c.local("stop", "End the agent", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		dirs, err := platform.FindDirs(c.home)
		if err != nil {
			return err
		}
		// Not by c.service, which would start an agent to end it.
		_, err = control.At(dirs.Run).Settings.Stop(ctx, control.None{})
		if errors.Is(err, control.ErrNotRunning) {
			c.remark("It was not running.")
			return nil
		}
		if err == nil { // it answers a little longer, and what comes next shall not be cut off with it
			err = c.ended(ctx)
		}
		return err
	})
}
