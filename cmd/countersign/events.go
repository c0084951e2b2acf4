package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"countersign/cmd/countersign/plain"
	"countersign/cmd/countersign/terminal"
	"countersign/tray/control"
)

func (c *cli) eventsCommand() *cobra.Command {
	var after, most int64
	cmd := c.command("events", "Follow what happens, until you press Ctrl-C", cobra.NoArgs, func(ctx context.Context, s *control.Service, _ []string) error {
		enough := errors.New("enough")
		seen := int64(0)
		err := s.Events.Watch(ctx, control.Cursor(after), func(e control.Event) error {
			if err := c.printEvent(e); err != nil {
				return err
			}
			if seen++; seen == most {
				return enough
			}
			return nil
		})
		if errors.Is(err, enough) || ctx.Err() != nil {
			return nil
		}
		return err
	})
	cmd.Long = "Follow what happens, until you press Ctrl-C. With --json each event is one line of JSON."
	cmd.Flags().Int64Var(&after, "after", 0, "begin after the event with this `number`; 0 is the oldest one kept")
	cmd.Flags().Int64Var(&most, "count", 0, "end after this `many`")
	return cmd
}

func (c *cli) printEvent(e control.Event) error {
	if !c.json {
		c.say("%d  %s  %s  %s", e.Cursor, plain.Moment(e.Time), e.Kind, e.Says)
		return nil
	}
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "%s\n", terminal.JSON(data))
	return err
}
