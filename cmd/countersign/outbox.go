package main

import (
	"context"

	"github.com/spf13/cobra"

	"countersign/cmd/countersign/plain"
	"countersign/tray/control"
)

func (c *cli) outboxCommand() *cobra.Command {
	return c.group("outbox", "Messages on their way", c.outboxList(), c.outboxWithdraw())
}

func (c *cli) outboxList() *cobra.Command {
	return c.command("list", "List what was accepted, and where it stands", cobra.NoArgs, func(ctx context.Context, s *control.Service, _ []string) error {
		got, err := s.Mail.Outbox(ctx, control.None{})
		return show(c, got, err, func(all []control.Outgoing) {
			if len(all) == 0 {
				c.say("Nothing is on its way.")
			}
			for _, o := range all {
				c.printOutgoing(o)
			}
		})
	})
}

func (c *cli) printOutgoing(o control.Outgoing) {
	subject := o.Subject
	if o.Form != "" {
		subject = o.Form
	}
	c.say("%s  %s  %s  %s", o.ID, plain.Moment(o.Accepted), o.State, subject)
	var rows [][]string
	for _, d := range o.Recipient {
		rows = append(rows, []string{"    " + d.Address, d.State, plain.Moment(d.At), d.Problem})
	}
	c.table(rows...)
	c.para("    ", o.Problem)
	if !o.Next.IsZero() {
		c.para("    ", "Next try: "+plain.Moment(o.Next))
	}
	for _, f := range o.Refusals {
		c.para("    ", f.Reason+" "+f.Next)
		c.para("    ", f.Command)
	}
}

func (c *cli) outboxWithdraw() *cobra.Command {
	return c.command("withdraw ID", "Take back a message that no server has taken", cobra.ExactArgs(1), func(ctx context.Context, s *control.Service, args []string) error {
		_, err := s.Mail.Withdraw(ctx, control.OutgoingQuery{ID: args[0]})
		return err
	})
}
