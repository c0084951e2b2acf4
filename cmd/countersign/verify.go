package main

import (
	"context"

	"github.com/spf13/cobra"

	"countersign/cmd/countersign/plain"
	"countersign/tray/control"
)

func (c *cli) verifyCommand() *cobra.Command {
	g := c.group("verify", "Confirm who someone is, by a test message and a call",
		c.verifyStart(), c.verifyCall(), c.verifyStatus(), c.verifyWords(),
		c.aboutContact("answer ADDRESS", "Answer the test message that someone sent to you", func(s *control.Service) aboutContact { return s.Contacts.Answer }),
		c.aboutContact("misheard ADDRESS", "Start afresh after words that were only misheard", func(s *control.Service) aboutContact { return s.Contacts.Misheard }))
	g.Long = `Confirm who someone is. You send a test message, encrypted to their certificate; then you
call them, on a number that does not come from the e-mail, and type what they read out.`
	g.Example = `  countersign verify start bea@clinic.example
  countersign verify call bea@clinic.example
  countersign verify status bea@clinic.example`
	return g
}

func (c *cli) verifyStart() *cobra.Command {
	var order control.TestOrder
	cmd := c.command("start ADDRESS", "Send someone a test message", cobra.ExactArgs(1), func(ctx context.Context, s *control.Service, args []string) error {
		order.Address = args[0]
		got, err := s.Contacts.StartTest(ctx, order)
		return show(c, got, err, c.printContact)
	})
	cmd.Flags().StringVar(&order.Candidate, "candidate", "", "the `certificate` to try, as contact show lists them")
	return cmd
}

func (c *cli) verifyStatus() *cobra.Command {
	return c.command("status [ADDRESS]", "Tell how far it has come, with one or with all", cobra.MaximumNArgs(1),
		func(ctx context.Context, s *control.Service, args []string) error {
			if len(args) == 1 {
				got, err := s.Contacts.Show(ctx, control.ContactQuery{Address: args[0]})
				return show(c, got, err, c.printContact)
			}
			all, err := s.Contacts.List(ctx, control.SearchQuery{Limit: control.MaxList})
			if err != nil {
				return err
			}
			if len(all) >= control.MaxList {
				c.remark("Only the first %d people of your address book were looked at. Name the one you mean: countersign verify status ADDRESS", len(all))
			}
			open := []control.Contact{}
			for _, p := range all {
				if p.State != "verified" {
					open = append(open, p)
				}
			}
			return show(c, open, nil, func(open []control.Contact) {
				if len(open) == 0 {
					c.say("Nobody is waiting to be confirmed.")
				}
				for _, p := range open {
					c.say("%s %s  %s", shape(p.Level), plain.Person(p.Name, p.Address), p.Label)
					c.para("    ", p.Next)
				}
			})
		})
}

func (c *cli) verifyWords() *cobra.Command {
	cmd := c.command("words", "Show your own safety words, to read out when you are asked", cobra.NoArgs,
		func(ctx context.Context, s *control.Service, _ []string) error {
			got, err := s.Contacts.Mine(ctx, control.None{})
			return show(c, got, err, func(mine control.OwnWords) {
				c.say("Your safety words, %s", mine.Address)
				c.numbered(mine.Words)
				if len(mine.Fingerprints) > 0 {
					c.gap()
					c.say("For someone without Countersign, the last 24 digits of your certificate's SHA-256")
					for _, f := range mine.Fingerprints {
						c.say("    %s", f)
					}
				}
				if mine.Next != nil {
					c.gap()
					c.say("The words of your new key, which is in use from %s, for those who ask about that", plain.Day(mine.Next.From))
					c.numbered(mine.Next.Words)
				}
			})
		})
	cmd.Long = "Show your own safety words. Read them out only to somebody who asks for them on a call."
	return cmd
}
