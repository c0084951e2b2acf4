package mailer

import (
	"context"
	"encoding/json"
	"errors"

	"countersign/mailer/outbox"
	"countersign/mailer/people"
	"countersign/mailer/policy"
	"countersign/vault/contacts"
	"countersign/vault/trust"
)

// Sent says what was accepted.
type Sent struct {
	ID        string // the draft's
	MessageID string
	To        []string
	Again     bool // it had been accepted before
}

// SendLetter accepts a draft: when it returns, every envelope is committed to the
// outbox and the draft is gone. Asking twice is accepted once. What policy does not
// allow is an error of type [*Refused], and nothing goes to anyone.
func (m *Mailer) SendLetter(ctx context.Context, draft string) (Sent, error) {
	if sent, err := m.accepted(ctx, draft); !errors.Is(err, outbox.ErrUnknown) {
		return sent, err
	}
	d, err := m.Drafts.Get(ctx, draft)
	if err != nil {
		return Sent{}, err
	}
	to, err := addressed(d)
	if err != nil {
		return Sent{}, err
	}
	sender, err := m.Sender(ctx)
	if err != nil {
		return Sent{}, err
	}
	people, err := m.Gather(ctx, to.all())
	if err != nil {
		return Sent{}, err
	}
	plan, refusals := policy.PlanLetter(policy.Letter{To: to.To, Cc: to.Cc, Bcc: to.Bcc, Size: travels(d)}, people, sender.Sender)
	if len(refusals) > 0 {
		return Sent{}, &Refused{refusals}
	}
	letter, err := m.compose(ctx, d, to, sender)
	if err != nil {
		return Sent{}, err
	}
	out, err := m.seal(ctx, letter, plan, sender)
	if err != nil {
		return Sent{}, err
	}
	return m.accept(ctx, d, letter, to, out)
}

// sealForm plans and seals a fixed form, to the key set given, for acceptForm. It leaves no
// copy (V5).
func (m *Mailer) sealForm(ctx context.Context, f contacts.Form, keys contacts.KeySet, evidence trust.Verdict, s people.Sender) (outgoingForm, error) {
	plan, refusals := policy.PlanForm(f, keys, evidence, s.Sender)
	if len(refusals) > 0 {
		return outgoingForm{}, &Refused{refusals}
	}
	letter, err := m.composeForm(f, s)
	if err != nil {
		return outgoingForm{}, err
	}
	out, err := m.seal(ctx, letter, plan, s)
	return outgoingForm{out, f, letter}, err
}

// Again answers the outbox, which asks it immediately before each submission.
func (m *Mailer) Again(ctx context.Context, waiting []outbox.Envelope) (json.RawMessage, error) {
	sender, err := m.Sender(ctx)
	if err != nil {
		return nil, err
	}
	var refusals []policy.Refusal
	for _, w := range waiting {
		var e policy.Envelope
		if err := json.Unmarshal(w.Plan, &e); err != nil {
			return nil, err
		}
		people, err := m.Gather(ctx, e.To)
		if err != nil {
			return nil, err
		}
		if e.Form != "" {
			m.offered(ctx, e, people)
		}
		refusals = append(refusals, policy.Again(e, people, sender.Sender)...)
	}
	if len(refusals) == 0 {
		return nil, nil
	}
	return json.Marshal(refusals)
}
