package demo

import (
	"context"
	"errors"
	"strings"

	"countersign/tray/control"
)

// colleague is what the simulated person does at her own agent: she answers
// tests, sends one in turn, and answers letters once she has verified the writer.
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
			if err := c.answerTests(ctx); err != nil {
				return err
			}
			return c.answerLetters(ctx)
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
		if _, err := c.svc.Contacts.Answer(ctx, control.ContactQuery{Address: p.Address}); err != nil {
			return err
		}
		if p.State == "unknown" || p.State == "has-certificate" {
			if _, err := c.svc.Contacts.StartTest(ctx, control.TestOrder{Address: p.Address}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *colleague) answerLetters(ctx context.Context) error {
	list, err := c.svc.Mail.List(ctx, control.ListQuery{})
	if err != nil {
		return err
	}
	for _, m := range list {
		if m.Form != "" || m.Verdict.Level != "good" || c.answered[m.ID] {
			continue
		}
		err := c.reply(ctx, control.Draft{
			To: []string{m.From}, InReplyTo: m.ID, Subject: "Re: " + strings.TrimPrefix(m.Subject, "Re: "),
			Text: "Dear Ada,\n\nThank you, it opened without trouble. I have moved her to Thursday and will\nring you after the clinic.\n\nBea",
		})
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
