package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"countersign/cmd/countersign/plain"
	"countersign/tray/control"
)

func (c *cli) journalCommand() *cobra.Command {
	return c.group("journal", "The record of what was done", c.journalList(), c.journalVerify())
}

func (c *cli) journalList() *cobra.Command {
	var q control.JournalQuery
	cmd := c.command("list", "List what was done, newest first", cobra.NoArgs, func(ctx context.Context, s *control.Service, _ []string) error {
		got, err := s.Journal.List(ctx, q)
		return show(c, got, err, func(all []control.Entry) {
			var rows [][]string
			for _, e := range all {
				rows = append(rows, []string{strconv.FormatInt(e.Seq, 10), plain.Moment(e.Time), e.Kind, e.Person, e.Says})
			}
			c.table(rows...)
		})
	})
	cmd.Flags().IntVar(&q.Limit, "limit", 0, "at most this `many`")
	cmd.Flags().Int64Var(&q.Before, "before", 0, "only entries before this `number`")
	return cmd
}

func (c *cli) journalVerify() *cobra.Command {
	cmd := c.command("verify", "Check that nothing in the journal was changed", cobra.NoArgs, func(ctx context.Context, s *control.Service, _ []string) error {
		got, err := s.Journal.Verify(ctx, control.None{})
		if err := show(c, got, err, func(p control.JournalProof) {
			mark := "✓"
			if !p.OK {
				mark = "✗"
			}
			c.say("%s %s", mark, p.Says)
			c.fields("Entries", strconv.FormatInt(p.Entries, 10), "Proved to", plain.Moment(p.Proved))
		}); err != nil {
			return err
		}
		if !got.OK {
			return quiet(failed)
		}
		return nil
	})
	cmd.Long = "Check that nothing in the journal was changed or taken out. The exit code is 1 if it was."
	return cmd
}
