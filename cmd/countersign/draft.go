package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"countersign/cmd/countersign/plain"
	"countersign/tray/control"
)

func (c *cli) draftCommand() *cobra.Command {
	return c.group("draft", "Messages that are not sent yet", c.draftAdd(), c.draftDiscard(), c.draftList(), c.draftSend(), c.draftShow())
}

func (c *cli) draftAdd() *cobra.Command {
	var l letter
	cmd := c.command("add", "Keep a message without sending it", cobra.NoArgs, func(ctx context.Context, s *control.Service, _ []string) error {
		got, err := l.write(ctx, c, s)
		return show(c, got, err, func(d control.Draft) { c.say("Kept: countersign draft send %s", d.ID) })
	})
	l.flags(cmd)
	return cmd
}

func (c *cli) draftList() *cobra.Command {
	return c.command("list", "List the drafts", cobra.NoArgs, func(ctx context.Context, s *control.Service, _ []string) error {
		got, err := s.Mail.Drafts(ctx, control.None{})
		return show(c, got, err, func(all []control.Draft) {
			var rows [][]string
			for _, d := range all {
				rows = append(rows, []string{d.ID, plain.Moment(d.Saved), strings.Join(everyone(d), ", "), d.Subject})
			}
			c.table(rows...)
		})
	})
}

func everyone(d control.Draft) []string {
	return append(append(append([]string{}, d.To...), d.Cc...), d.Bcc...)
}

func (c *cli) draftShow() *cobra.Command {
	return c.command("show ID", "Show a draft", cobra.ExactArgs(1), func(ctx context.Context, s *control.Service, args []string) error {
		got, err := s.Mail.Draft(ctx, control.DraftQuery{ID: args[0]})
		return show(c, got, err, func(d control.Draft) {
			c.fields("To", strings.Join(d.To, ", "), "Cc", strings.Join(d.Cc, ", "), "Bcc", strings.Join(d.Bcc, ", "), "Subject", d.Subject, "Saved", plain.Moment(d.Saved))
			c.printFiles(d.Files)
			c.gap()
			c.quote(d.Text)
		})
	})
}

func (c *cli) draftSend() *cobra.Command {
	return c.command("send ID", "Send a draft", cobra.ExactArgs(1), func(ctx context.Context, s *control.Service, args []string) error {
		got, err := s.Mail.Send(ctx, control.DraftQuery{ID: args[0]})
		return show(c, got, err, c.printSent)
	})
}

func (c *cli) draftDiscard() *cobra.Command {
	return c.command("discard ID", "Throw a draft away", cobra.ExactArgs(1), func(ctx context.Context, s *control.Service, args []string) error {
		_, err := s.Mail.DiscardDraft(ctx, control.DraftQuery{ID: args[0]})
		return err
	})
}
