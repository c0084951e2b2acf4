package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"countersign/cmd/countersign/plain"
	"countersign/tray/control"
)

func (c *cli) statusCommand() *cobra.Command {
	return c.command("status", "How things stand, and what is still to be done", cobra.NoArgs, func(ctx context.Context, s *control.Service, _ []string) error {
		got, err := s.Settings.Status(ctx, control.None{})
		return show(c, got, err, c.printStatus)
	})
}

func (c *cli) printStatus(s control.Status) {
	if s.Shut {
		c.say("Countersign is locked: it has no keys and reads nothing until it is unlocked.")
		c.para("  ", s.Problem)
		c.para("  ", "countersign unlock")
		return
	}
	if s.Address != "" {
		c.say("%s", plain.Person(s.Name, s.Address))
	}
	if s.Problem != "" {
		c.say("! %s", s.Problem)
	}
	if a := s.AddressBook; a != nil {
		c.say("! %s", a.Reason)
		c.para("  ", a.Next)
		c.para("  ", a.Command)
	}
	for _, r := range []*control.Refusal{s.Certificate, s.Announcement} {
		if r != nil {
			c.say("! %s", r.Reason)
			c.para("  ", r.Next)
			c.para("  ", r.Command)
		}
	}
	for _, says := range s.Cards {
		c.say("! %s", says)
	}
	for _, step := range s.Setup {
		if !step.Done {
			c.say("! To do: %s", step.Title)
			c.para("  ", step.Why)
			c.para("  ", step.Command)
		}
	}
	c.fields(
		"Unread", plain.Some(s.Unread, "message"), "To confirm", plain.Some(s.Waiting, "contact"), "On their way", plain.Some(s.Outbox, "message"), "Locked", plain.Some(s.Locked, "message"),
		"Fetched", plain.Moment(s.LastFetch), "Keys", strings.TrimLeft(strings.TrimPrefix(s.Keys, "Keys"), ": "), "Version", s.Version,
	)
	if s.Demo {
		c.say("This is the demo: nothing leaves this computer.")
	}
}
