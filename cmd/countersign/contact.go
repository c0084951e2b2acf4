package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"countersign/cmd/countersign/plain"
	"countersign/tray/control"
)

// maxCertificates is what a certificate file for a contact may hold, in bytes.
const maxCertificates = 64 << 10

func (c *cli) contactCommand() *cobra.Command {
	return c.group("contact", "The people you write to",
		c.contactAdd(), c.contactFind(), c.contactList(), c.contactShow(), c.contactCheck(), c.contactProfile(),
		c.contactInvite(),
		c.aboutContact("suspend ADDRESS", "Send nothing to someone until they are confirmed anew", func(s *control.Service) aboutContact { return s.Contacts.Suspend }),
		c.contactRemove(), c.contactStartOver())
}

type aboutContact = func(context.Context, control.ContactQuery) (control.Contact, error)

// aboutContact makes a command that does something about one contact and
// prints how the contact then stands.
func (c *cli) aboutContact(use, short string, do func(*control.Service) aboutContact) *cobra.Command {
	return c.command(use, short, cobra.ExactArgs(1), func(ctx context.Context, s *control.Service, args []string) error {
		got, err := do(s)(ctx, control.ContactQuery{Address: args[0]})
		return show(c, got, err, c.printContact)
	})
}

func (c *cli) contactInvite() *cobra.Command {
	return c.command("invite ADDRESS", "Ask someone, in fixed words, for a signed message", cobra.ExactArgs(1), func(ctx context.Context, s *control.Service, args []string) error {
		got, err := s.Contacts.Invite(ctx, control.ContactQuery{Address: args[0]})
		return show(c, got, err, func(p control.Contact) {
			c.say("The invitation to %s is on its way. Their certificate comes with the answer.", plain.Person(p.Name, p.Address))
		})
	})
}

func (c *cli) contactAdd() *cobra.Command {
	var order control.NewContact
	var certificate string
	cmd := c.command("add ADDRESS", "Add someone, or give them a new name, organisation or certificate", cobra.ExactArgs(1),
		func(ctx context.Context, s *control.Service, args []string) error {
			order.Address = args[0]
			if certificate != "" {
				f, err := c.open(certificate)
				if err != nil {
					return err
				}
				defer f.Close()
				if order.Certificates, err = io.ReadAll(io.LimitReader(f, maxCertificates+1)); err != nil {
					return fmt.Errorf("reading %s: %w", certificate, err)
				}
				if len(order.Certificates) > maxCertificates {
					return fmt.Errorf("%s is too large for a certificate file", certificate)
				}
			}
			got, err := s.Contacts.Add(ctx, order)
			return show(c, got, err, c.printContact)
		})
	cmd.Long = "Add someone, or give them a new name, an organisation or a certificate to consider. This never confirms them:\nsee countersign verify."
	cmd.Example = "  countersign contact add bea@clinic.example --name \"Dr Bea Brandt\" --certificate bea.pem"
	cmd.Flags().StringVar(&order.Name, "name", "", "their `name`")
	cmd.Flags().StringVar(&order.Organisation, "organisation", "", "the `organisation` they belong to")
	cmd.Flags().BoolVar(&order.Team, "team", false, "several people read this mailbox")
	cmd.Flags().StringVar(&certificate, "certificate", "", "a `file` with their certificate (PEM, DER, .p7b or .p7c)")
	return cmd
}

func (c *cli) contactList() *cobra.Command {
	var q control.SearchQuery
	cmd := c.command("list [TEXT]", "List the people you know, or those that fit a text", cobra.MaximumNArgs(1),
		func(ctx context.Context, s *control.Service, args []string) error {
			if len(args) > 0 {
				q.Text = args[0]
			}
			got, err := s.Contacts.List(ctx, q)
			if len(got) >= max(1, min(q.Limit, control.MaxList)) {
				c.remark("There may be more people than these %d. Look for somebody by name: countersign contact list NAME", len(got))
			}
			return show(c, got, err, func(all []control.Contact) {
				var rows [][]string
				for _, p := range all {
					rows = append(rows, []string{shape(p.Level), p.Address, p.Name, p.Label})
				}
				c.table(rows...)
			})
		})
	cmd.Flags().IntVar(&q.Limit, "limit", control.MaxList, "at most this `many`")
	return cmd
}

func (c *cli) contactShow() *cobra.Command {
	return c.aboutContact("show ADDRESS", "Show someone, and how far their confirmation has come", func(s *control.Service) aboutContact { return s.Contacts.Show })
}

func (c *cli) contactProfile() *cobra.Command {
	cmd := c.command("profile ADDRESS smime|direct", "Say what kind of mail system someone has", cobra.ExactArgs(2),
		func(ctx context.Context, s *control.Service, args []string) error {
			got, err := s.Contacts.Add(ctx, control.NewContact{Address: args[0], Profile: args[1]})
			return show(c, got, err, c.printContact)
		})
	cmd.Long = "Say what kind of mail system someone has. Letters to direct, a system of the Direct Project, are made as\nsuch systems want them. Most people have smime, which is what counts where nothing was said."
	return cmd
}

func (c *cli) contactRemove() *cobra.Command {
	return c.command("remove ADDRESS", "Forget someone", cobra.ExactArgs(1), func(ctx context.Context, s *control.Service, args []string) error {
		_, err := s.Contacts.Remove(ctx, control.ContactQuery{Address: args[0]})
		return err
	})
}

func (c *cli) contactStartOver() *cobra.Command {
	cmd := c.command("start-over", "Begin the address book's records anew after they were changed from outside", cobra.NoArgs,
		func(ctx context.Context, s *control.Service, _ []string) error {
			_, err := s.Contacts.StartOver(ctx, control.None{})
			return err
		})
	cmd.Long = "Begin the address book's signed records anew, after they were found changed from outside.\nEverybody stays suspended until confirmed anew."
	return cmd
}

func (c *cli) contactCheck() *cobra.Command {
	cmd := c.command("check ADDRESS...", "Tell whether a message could go to these people now", cobra.MinimumNArgs(1),
		func(ctx context.Context, s *control.Service, args []string) error {
			got, err := s.Mail.Check(ctx, control.CheckQuery{Addresses: args})
			if err != nil {
				return err
			}
			if c.json {
				err = c.writeJSON(got)
			} else {
				c.printRecipients(got)
			}
			for _, r := range got {
				if !r.OK {
					return quiet(refused)
				}
			}
			return err
		})
	cmd.Long = "Tell whether a message could go to these people now. The exit code is 3 where one could not."
	return cmd
}

func (c *cli) printRecipients(all []control.RecipientState) {
	for _, r := range all {
		mark := "✓"
		if !r.OK {
			mark = "✗"
		}
		c.say("%s %s  %s", mark, plain.Person(r.Name, r.Address), r.Label)
		if r.Refusal != nil {
			c.para("    ", r.Refusal.Reason+" "+r.Refusal.Next)
			c.para("    ", r.Refusal.Command)
		}
	}
}

// printContact prints someone, and what to do next.
func (c *cli) printContact(p control.Contact) {
	c.say("%s %s", shape(p.Level), plain.Person(p.Name, p.Address))
	c.para("  ", p.Organisation)
	c.para("  ", p.Label)
	if p.CountsBy != "" && p.CountsBy != p.Address {
		c.para("  ", "The certificate is that of "+p.CountsBy+". It holds for everybody there who has it, and does not tell which person writes.")
	}
	if p.Team {
		c.para("  ", "Several people read this mailbox.")
	}
	if p.Profile == "direct" {
		c.para("  ", "Letters are made for a system of the Direct Project.")
	}
	c.para("  ", p.Next)
	c.para("  ", nextCommand(p))
	if t := p.Test; t != nil {
		c.gap()
		c.fields(
			"Test sent", plain.Moment(t.Sent), "Good until", plain.Moment(t.Expires), "Answered", plain.Moment(t.Answered),
			"Number", t.Number, "From", sourceWords(t.Source),
			"The four words matched", plain.Moment(t.CodeMatched), "The safety words matched", plain.Moment(t.WordsMatched),
		)
	}
	if p.Incoming != nil {
		c.printIncoming(*p.Incoming)
	}
	if len(p.Candidates) > 0 {
		c.gap()
		c.say("Certificates")
		var rows [][]string
		for _, k := range p.Candidates {
			mark := ""
			if k.Pinned {
				mark = "confirmed"
			}
			row := []string{"  " + k.ID, k.Usage, mark, k.Chain, "until " + plain.Day(k.Expires), "by " + k.Issuer, "from " + k.From}
			if k.Of != "" {
				row = append(row, "for everybody at "+k.Of)
			}
			rows = append(rows, row)
		}
		c.table(rows...)
	}
}

// nextCommand is the command for what is to be done next about someone, or nothing.
func nextCommand(p control.Contact) string {
	switch {
	case p.CountsBy == p.Address: // an organisation, by its people
		return ""
	case p.Test != nil:
		return "countersign verify call " + p.Address
	case p.State == "unknown":
		return "countersign contact find " + p.Address
	case p.State == "has-certificate", p.State == "suspended":
		return "countersign verify start " + p.Address
	}
	return ""
}

// printIncoming explains a test that somebody sent to the user.
func (c *cli) printIncoming(i control.Incoming) {
	c.gap()
	c.say("%s is confirming you", i.From)
	if !i.Answered.IsZero() {
		c.para("  ", "You answered on "+plain.Moment(i.Answered)+".")
	} else {
		c.para("  ", "Answer with: countersign verify answer "+i.From)
	}
	if len(i.Words) > 0 {
		c.para("  ", "When they call, read out these words, until "+plain.Moment(i.Expires)+":")
		c.numbered(i.Words)
	}
	if len(i.Mine) > 0 {
		c.para("  ", "Then your own safety words:")
		c.numbered(i.Mine)
	}
	c.para("  ", i.Advice)
}

// numbered prints words as they are read out.
func (c *cli) numbered(words []string) {
	for i, w := range words {
		c.say("    %d  %s", i+1, w)
	}
}
