package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign/tray/agent"
	"countersign/tray/control"
	"countersign/tray/demo/authority"
)

// actor is one person of the play with a whole agent of their own.
type actor struct {
	*authority.Person
	number string // as printed in the directory
	agent  *agent.Agent
	svc    *control.Service
	seen   control.Cursor
}

func (a *actor) who() string { return fmt.Sprintf("%s <%s>", a.Name, a.Address) }

// speaks is what the actor reads out when caller rings: their own page has it.
func (a *actor) speaks(ctx context.Context, caller *actor) (*control.Incoming, error) {
	c, err := a.svc.Contacts.Show(ctx, control.ContactQuery{Address: caller.Address})
	if err != nil {
		return nil, err
	}
	if c.Incoming == nil {
		return nil, errNoTest
	}
	return c.Incoming, nil
}

var errNoTest = errors.New("demo: no test message has arrived")

// stage is the play's two people, what lies between them, and what can be made
// to happen. It is the other end of the telephone: control.Simulation.
type stage struct {
	ada, bea *actor
	mallory  *authority.Person // holds a valid certificate for bea's address
	wire     *wire
	deliver  func(from string, to []string, raw []byte) error
	now      func() time.Time
}

// The acts that can be made to happen.
const (
	actCertificate = "certificate"
	actRing        = "ring"
	actLetter      = "letter"
	actUnsecured   = "unsecured"
	actImpostor    = "impostor"
)

// Stage tells who can be called, what to try next, and what can be made to happen.
func (s *stage) Stage(ctx context.Context, _ control.None) (control.Stage, error) {
	next, err := s.next(ctx)
	if err != nil {
		return control.Stage{}, err
	}
	return control.Stage{
		Name: s.bea.Name, Number: s.bea.number, Next: next,
		Acts: []control.Act{
			{Name: actCertificate, Title: s.bea.Name + " sends you her certificate, as a file",
				Done: "Her certificate is on its way to you as a file, in an ordinary message."},
			{Name: actRing, Title: s.bea.Name + " rings you, to confirm you in turn",
				Done: s.bea.Name + " rang you, and you read out both lists of words. You are confirmed in her address book."},
			{Name: actLetter, Title: s.bea.Name + " writes to you", Done: "Her letter is on its way."},
			{Name: actUnsecured, Title: "Somebody sends you an unsecured message", Done: "The message is on its way."},
			{Name: actImpostor, Title: "Somebody with another valid certificate writes as " + s.bea.Name,
				Done: "Somebody else was given a certificate for her address, and writes in her name."},
		},
	}, nil
}

// next is what the user has not tried yet.
func (s *stage) next(ctx context.Context) (string, error) {
	c, err := s.ada.svc.Contacts.Show(ctx, control.ContactQuery{Address: s.bea.Address})
	switch {
	case isNotFound(err):
		return "Write to " + s.bea.Address + ", and see why it cannot be sent.", nil
	case err != nil:
		return "", err
	case c.State == "unknown":
		return "Confirm her, under Contacts. Invite her, or let her send you her certificate as a file.", nil
	case c.State != "verified" && c.Test != nil:
		return "Call her, from her page under Contacts, and type what she reads out.", nil
	case c.State == "mismatch" || c.State == "suspended":
		return "Nothing goes to her now. Her page under Contacts says what can be done.", nil
	case c.State != "verified":
		return "Confirm her, under Contacts. Send her a test message.", nil
	}
	letters, err := s.ada.svc.Mail.List(ctx, control.ListQuery{Folder: "sent"})
	if err != nil {
		return "", err
	}
	hers, err := s.bea.svc.Contacts.Show(ctx, control.ContactQuery{Address: s.ada.Address})
	switch {
	case err != nil:
		return "", err
	case !slices.ContainsFunc(letters, func(m control.Summary) bool { return m.Form == "" }):
		return "Write to her in confidence, with a file if you like.", nil
	case c.Incoming != nil && c.Incoming.Answered.IsZero():
		return "Answer her test message, which is in your inbox. She confirms you before she writes.", nil
	case hers.State != "verified":
		return "Let her ring you, so that she can confirm you and answer your letter.", nil
	}
	return "Let the others write, and see how their messages are shown.", nil
}

// Dial calls a number. She answers on hers, and reads out what she has.
func (s *stage) Dial(ctx context.Context, order control.DialOrder) (control.Conversation, error) {
	if digits(order.Number) != digits(s.bea.number) {
		return control.Conversation{Lines: []string{"(It rings. A stranger answers: \"There is nobody of that name here.\")"}}, nil
	}
	lines := []string{fmt.Sprintf("%q", "North Clinic, "+s.bea.Name+" speaking.")}
	heard, err := s.bea.speaks(ctx, s.ada)
	if errors.Is(err, errNoTest) {
		lines = append(lines, `"I have no test message from you here. Send it first, then call me again."`)
		return control.Conversation{Answered: true, Lines: lines}, nil
	}
	if err != nil {
		return control.Conversation{}, err
	}
	return control.Conversation{Answered: true, Lines: append(lines,
		fmt.Sprintf("%q", "Yes, your test message is here. The four words are: "+spoken(heard.Words)+"."),
		fmt.Sprintf("%q", "And my own safety words are: "+spoken(heard.Mine)+"."),
	)}, nil
}

func spoken(words []string) string { return strings.Join(words, ", ") }

// digits is a telephone number as a telephone compares it.
func digits(number string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, number)
}

// Play makes one of the acts happen, to the end even when whoever asked looks
// elsewhere meanwhile.
func (s *stage) Play(ctx context.Context, act control.ActQuery) (control.None, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	switch act.Name {
	case actCertificate:
		raw, err := s.card()
		if err != nil {
			return control.None{}, err
		}
		return control.None{}, s.deliver(s.bea.Address, []string{s.ada.Address}, raw)
	case actRing:
		return control.None{}, s.ring(ctx, func(string) {})
	case actLetter:
		err := s.bea.write(ctx, s.ada.Address, "Clinic on Thursday",
			"Dear Ada,\n\nThursday's clinic starts at nine. Could you bring Mr L's notes?\n\nBea")
		var refused *control.Refused
		if errors.As(err, &refused) {
			return control.None{}, &control.Error{Code: "too-early", Says: s.bea.Name + " has not confirmed you yet, so her own program refuses to write.",
				Next: "Answer her test message, then let her ring you."}
		}
		return control.None{}, err
	case actUnsecured:
		return control.None{}, s.deliver(strangerAddress, []string{s.ada.Address}, s.plain())
	case actImpostor:
		raw, err := s.forge()
		if err != nil {
			return control.None{}, err
		}
		return control.None{}, s.deliver(s.bea.Address, []string{s.ada.Address}, raw)
	}
	return control.None{}, &control.Error{Code: "not-found", Says: "There is no such act in this demonstration."}
}

// ring plays the colleague's own call: she dials the user on a number that she
// has, the user reads out, and she types what she hears into her own agent.
func (s *stage) ring(ctx context.Context, hear func(string)) error {
	heard, err := s.ada.speaks(ctx, s.bea)
	if errors.Is(err, errNoTest) {
		return &control.Error{Code: "too-early", Says: s.bea.Name + " has not sent you a test message yet. She does when yours arrives."}
	}
	if err != nil {
		return err
	}
	if _, err := s.contact(ctx, s.bea, s.ada, "answered", "verified"); err != nil {
		return &control.Error{Code: "too-early", Says: "Answer her test message first; then she rings."}
	}
	hear(fmt.Sprintf("%s rings Ada on %s and asks for the words.", s.bea.Name, s.ada.number))
	hear(fmt.Sprintf("Ada reads out: %s.", spoken(heard.Words)))
	hear(fmt.Sprintf("Ada reads out her safety words: %s.", spoken(heard.Mine)))
	result, err := s.bea.svc.Contacts.Call(ctx, control.CallReport{
		Address: s.ada.Address, Number: s.ada.number, Source: control.SourceDirectory, Code: heard.Words, Words: heard.Mine,
	})
	if err != nil {
		return err
	}
	if !result.Matched {
		return &control.Error{Code: "no-match", Says: result.Says}
	}
	return nil
}

// write sends a letter from the actor's own agent.
func (a *actor) write(ctx context.Context, to, subject, text string) error {
	return a.reply(ctx, control.Draft{To: []string{to}, Subject: subject, Text: text})
}

func (a *actor) reply(ctx context.Context, d control.Draft) error {
	d.ID = control.NewID()
	if _, err := a.svc.Mail.SaveDraft(ctx, d); err != nil {
		return err
	}
	_, err := a.svc.Mail.Send(ctx, control.DraftQuery{ID: d.ID})
	return err
}

// await looks now and after every event of the actor's agent, until what it
// looks for is there or patience ends.
func await[T any](ctx context.Context, a *actor, what string, look func(context.Context) (T, bool, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	found, ok, err := look(ctx)
	if ok || err != nil {
		return found, err
	}
	errFound := errors.New("found")
	err = a.svc.Events.Watch(ctx, a.seen, func(e control.Event) error {
		a.seen = e.Cursor
		found, ok, err = look(ctx)
		if err == nil && ok {
			return errFound
		}
		return err
	})
	if errors.Is(err, errFound) {
		return found, nil
	}
	if ctx.Err() != nil {
		return found, fmt.Errorf("%s: waited in vain for %s", a.Name, what)
	}
	return found, err
}

// contact waits until about is in one of the states in the actor's address book.
func (s *stage) contact(ctx context.Context, a, about *actor, states ...string) (control.Contact, error) {
	return await(ctx, a, about.Name+" to be "+strings.Join(states, " or "), func(ctx context.Context) (control.Contact, bool, error) {
		c, err := a.svc.Contacts.Show(ctx, control.ContactQuery{Address: about.Address})
		if isNotFound(err) {
			return c, false, nil
		}
		for _, state := range states {
			if c.State == state {
				return c, true, err
			}
		}
		return c, false, err
	})
}

// incoming waits for a test from about.
func (s *stage) incoming(ctx context.Context, a, about *actor) (*control.Incoming, error) {
	return await(ctx, a, "a test message", func(ctx context.Context) (*control.Incoming, bool, error) {
		c, err := a.svc.Contacts.Show(ctx, control.ContactQuery{Address: about.Address})
		return c.Incoming, c.Incoming != nil, err
	})
}

// received waits for a message and opens it.
func (s *stage) received(ctx context.Context, a *actor, wanted func(control.Summary) bool) (control.Message, error) {
	return await(ctx, a, "a message", func(ctx context.Context) (control.Message, bool, error) {
		list, err := a.svc.Mail.List(ctx, control.ListQuery{})
		if err != nil {
			return control.Message{}, false, err
		}
		for _, m := range list {
			if wanted(m) {
				shown, err := a.svc.Mail.Show(ctx, control.MessageQuery{ID: m.ID})
				return shown, err == nil, err
			}
		}
		return control.Message{}, false, nil
	})
}

func isNotFound(err error) bool {
	var e *control.Error
	return errors.As(err, &e) && e.Code == "not-found"
}
