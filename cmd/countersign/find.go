package main

import (
	"context"

	"github.com/spf13/cobra"

	"countersign/cmd/countersign/plain"
	"countersign/tray/control"
)

func (c *cli) contactFind() *cobra.Command {
	cmd := c.command("find ADDRESS", "Look for someone's certificate in DNS and directories", cobra.ExactArgs(1),
		func(ctx context.Context, s *control.Service, args []string) error {
			got, err := s.Contacts.Find(ctx, control.ContactQuery{Address: args[0]})
			if err := show(c, got, err, func(f control.Search) { c.printSearch(args[0], f) }); err != nil {
				return err
			}
			if !got.Found {
				return quiet(failed)
			}
			return nil
		})
	cmd.Long = `Look for someone's certificate where such are published: in DNS, in the directory of their domain, and in
those that your administrator named. The first place with one that can be used ends the search. It is then
a certificate to consider: this never confirms anybody.

The DNS servers on the way, and the directories that are asked, learn that somebody here looks for this
address. It takes a minute at most. The exit code is 1 where nothing was found that can be used.`
	return cmd
}

func (c *cli) printSearch(typed string, f control.Search) {
	for _, l := range f.Looked {
		c.say("%s", l.Where)
		for _, k := range l.Certificates {
			c.say("  A certificate by %s, for %s, until %s", k.Issuer, k.Usage, plain.Day(k.Expires))
			if k.Good {
				c.para("    ", "It can be used.")
			}
			c.para("    ", k.Why)
		}
		c.para("  ", l.Says)
	}
	c.gap()
	switch {
	case f.Contact.State == "verified" && f.Contact.CountsBy != "" && len(f.Looked) > 1:
		c.para("", "The certificate that you confirmed for "+f.Contact.CountsBy+" holds for them too: you can write to them.")
	case f.Contact.State == "verified":
		c.para("", "You have confirmed them already, so nobody was asked.")
	case f.Found:
		c.para("", "There is a certificate that can be used. It is not confirmed: anyone can get one in time.")
		c.say("Send a test message, then call: countersign verify start %s", f.Contact.Address)
	default:
		c.para("", "There is no certificate that can be used.")
		c.say("Ask them for a signed message: countersign contact invite %s", typed)
	}
}
