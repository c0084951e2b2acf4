package demo

import (
	"context"
	"errors"
	"strings"

	"countersign/tray/control"
)

// colleague is what the simulated person does at her own agent: she answers
// tests and sends one in turn, answers an invitation with a test, which is a signed
// message, and answers letters once she has verified the writer.
type colleague struct {
	*actor
	answered map[string]bool // letters, by ID
}

// live acts on every event until ctx ends. What she may not do yet (write to
// somebody unverified) is refused by her own agent, and she tries again later.
func (c *colleague) live(ctx context.Context) error {
	err := c.svc.Events.Watch(ctx, 0, func(e control.Event) error {
		switch e.Kind {
		case "contact", "mail":
			return errors.Join(c.answerTests(ctx), c.answerMail(ctx))
		}
		return nil
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (c *colleague) answerTests(ctx context.Context) error {
	people, err := c.svc.Contacts.List(ctx, control.SearchQuery{})
	if err != nil {
		return err
	}
	for _, p := range people {
		if p.Incoming == nil || !p.Incoming.Answered.IsZero() {
			continue
		}
		_, err := c.svc.Contacts.Answer(ctx, control.ContactQuery{Address: p.Address})
		var problem *control.Error
		if errors.As(err, &problem) && problem.Code == "meanwhile" { // another test came: that is an event
			continue
		}
		if err != nil {
			return err
		}
		if err := c.test(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// test sends a test message to somebody who had none from her.
func (c *colleague) test(ctx context.Context, p control.Contact) error {
	if p.Test != nil || p.State == "verified" {
		return nil
	}
	_, err := c.svc.Contacts.StartTest(ctx, control.TestOrder{Address: p.Address})
	return err
}

func (c *colleague) answerMail(ctx context.Context) error {
	list, err := c.svc.Mail.List(ctx, control.ListQuery{})
	if err != nil {
		return err
	}
	for _, m := range list {
		if c.answered[m.ID] {
			continue
		}
		switch {
		case m.Form == "invitation":
			err = c.answerInvitation(ctx, m)
		case m.Form == "" && m.Verdict.Level == "good":
			err = c.reply(ctx, control.Draft{
				To: []string{m.From}, InReplyTo: m.ID, Subject: "Re: " + strings.TrimPrefix(m.Subject, "Re: "),
				Text: "Dear Ada,\n\nThank you, it opened without trouble. I have moved her to Thursday and will\nring you after the clinic.\n\nBea",
			})
		default:
			continue
		}
		var refused *control.Refused
		if errors.As(err, &refused) {
			continue
		}
		if err != nil {
			return err
		}
		c.answered[m.ID] = true
	}
	return nil
}

func (c *colleague) answerInvitation(ctx context.Context, m control.Summary) error {
	p, err := c.svc.Contacts.Show(ctx, control.ContactQuery{Address: m.From})
	if err != nil {
		return err
	}
	return c.test(ctx, p)
}
