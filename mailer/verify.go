package mailer

import (
	"context"

	"countersign/mailer/people"
	"countersign/mailer/policy"
	"countersign/vault/contacts"
	"countersign/vault/contacts/form"
	"countersign/vault/trust"
)

// Invite sends the fixed invitation: please answer with a signed message. Somebody
// who is not in the address book enters it.
func (m *Mailer) Invite(ctx context.Context, address string) (Contact, error) {
	sender, err := m.Sender(ctx)
	if err != nil {
		return Contact{}, err
	}
	if refusals := policy.Own(sender.Sender); len(refusals) > 0 {
		return Contact{}, &Refused{refusals}
	}
	c, err := m.AddContact(ctx, NewContact{Address: address})
	if err != nil {
		return Contact{}, err
	}
	f, err := form.New(m.random(), form.Invitation, sender.Address, c.Address)
	if err != nil {
		return Contact{}, err
	}
	form, err := m.sealForm(ctx, f, contacts.KeySet{}, trust.Verdict{}, sender)
	if err != nil {
		return Contact{}, err
	}
	if err := m.acceptForm(ctx, form); err != nil {
		return Contact{}, err
	}
	return m.Contact(ctx, c.Address)
}

// StartTest sends the fixed test message, encrypted to the key set of the candidate
// named (or to the only one there is).
func (m *Mailer) StartTest(ctx context.Context, address, candidate string) (Contact, error) {
	sender, err := m.Sender(ctx)
	if err != nil {
		return Contact{}, err
	}
	return m.step(ctx, address, sender, step{
		keys: func(c contacts.Contact) (contacts.KeySet, error) {
			k, err := c.Candidate(candidate)
			return k.Keys, err
		},
		take: func(c contacts.Contact) (contacts.Contact, contacts.Form, error) {
			return c.SendTest(m.Moment(), sender.Own(), candidate)
		},
	})
}

// Answer answers the test that this person sent to the user.
func (m *Mailer) Answer(ctx context.Context, address string) (Contact, error) {
	sender, err := m.Tested(ctx, address)
	if err != nil {
		return Contact{}, err
	}
	return m.step(ctx, address, sender, step{
		keys: func(c contacts.Contact) (contacts.KeySet, error) {
			if c.Incoming == nil {
				return contacts.KeySet{}, contacts.ErrNoTest
			}
			return c.Incoming.Keys, nil
		},
		take: func(c contacts.Contact) (contacts.Contact, contacts.Form, error) {
			return c.AnswerTest(m.Moment(), sender.Own())
		},
	})
}

// step is one step of a verification that sends an encrypted form.
type step struct {
	keys func(contacts.Contact) (contacts.KeySet, error)                 // to encrypt to
	take func(contacts.Contact) (contacts.Contact, contacts.Form, error) // the transition
}

// step takes a step and sends its form. Where policy refuses the form, or the key that is
// to sign it cannot be used, nothing changes: so the form is sealed first. The contact is
// stored before the form is accepted: a form that then fails to go out is asked for again,
// but none goes out that is not known here.
func (m *Mailer) step(ctx context.Context, address string, sender people.Sender, s step) (Contact, error) {
	c, err := m.Known(ctx, address)
	if err != nil {
		return Contact{}, err
	}
	if refusals := policy.Own(sender.Sender); len(refusals) > 0 {
		return Contact{}, &Refused{refusals}
	}
	keys, err := s.keys(c)
	if err != nil {
		return Contact{}, err
	}
	// The user chose to verify this certificate, so its sources may be asked (I1).
	evidence := m.Judge(ctx, trust.Question{Certificate: keys.Encrypt, Address: c.Address, Usage: trust.Encrypt}, true)
	next, f, err := s.take(c)
	if err != nil {
		return Contact{}, err
	}
	form, err := m.sealForm(ctx, f, keys, evidence, sender)
	if err != nil {
		return Contact{}, err
	}
	_, err = m.Change(ctx, c.Address, func(now contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) {
		now, ok := now.Take(c, next)
		if !ok {
			return now, nil, ErrMeanwhile
		}
		return now, nil, nil
	})
	if err != nil {
		return Contact{}, m.abandon(ctx, form.outgoing, err)
	}
	if err := m.acceptForm(ctx, form); err != nil {
		return Contact{}, err
	}
	return m.Contact(ctx, address)
}

// offered gathers the evidence of now about the certificate that a fixed form was
// encrypted to: the recipient is not verified, so nothing is pinned.
func (m *Mailer) offered(ctx context.Context, e policy.Envelope, people []policy.Recipient) {
	for i := range people {
		people[i].Encrypt = trust.Verdict{}
		for _, k := range people[i].Contact.Candidates {
			if id := k.Keys.ID(); i < len(e.Keys) && e.Keys[i] == id {
				people[i].Encrypt = m.Judge(ctx, trust.Question{Certificate: k.Keys.Encrypt, Address: e.To[i], Usage: trust.Encrypt}, true)
			}
		}
	}
}

// ErrMeanwhile says that a verification moved on while the next step of it was signed.
var ErrMeanwhile = &Problem{Code: "meanwhile", Says: "Something about this person changed at this very moment.", Next: "Look again, and repeat it if it is still right."}
