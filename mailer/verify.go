package mailer

import (
	"context"

	"countersign/mailer/policy"
	"countersign/vault/contacts"
	"countersign/vault/contacts/form"
	"countersign/vault/contacts/keyset"
	"countersign/vault/trust"
)

// Invite sends the fixed invitation: please answer with a signed message.
func (m *Mailer) Invite(ctx context.Context, address string) (Contact, error) {
	c, err := m.known(ctx, address)
	if err != nil {
		return Contact{}, err
	}
	sender, err := m.sender(ctx)
	if err != nil {
		return Contact{}, err
	}
	f, err := form.New(m.random(), form.Invitation, sender.Address, c.Address)
	if err != nil && sender.Address != "" {
		return Contact{}, err
	}
	if err := m.SendForm(ctx, f, contacts.KeySet{}, trust.Verdict{}, sender); err != nil {
		return Contact{}, err
	}
	return m.Contact(ctx, address)
}

// StartTest sends the fixed test message, encrypted to the key set of the candidate
// named (or to the only one there is).
func (m *Mailer) StartTest(ctx context.Context, address, candidate string) (Contact, error) {
	sender, err := m.sender(ctx)
	if err != nil {
		return Contact{}, err
	}
	return m.step(ctx, address, sender, step{
		keys: func(c contacts.Contact) (contacts.KeySet, error) {
			k, err := c.Candidate(candidate)
			return k.Keys, err
		},
		take: func(c contacts.Contact) (contacts.Contact, contacts.Form, error) {
			return c.SendTest(m.moment(), sender.own(), candidate)
		},
	})
}

// Answer answers the test that this person sent to the user.
func (m *Mailer) Answer(ctx context.Context, address string) (Contact, error) {
	sender, err := m.sender(ctx)
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
			return c.AnswerTest(m.moment(), sender.own())
		},
	})
}

// step is one step of a verification that sends an encrypted form.
type step struct {
	keys func(contacts.Contact) (contacts.KeySet, error)                 // to encrypt to
	take func(contacts.Contact) (contacts.Contact, contacts.Form, error) // the transition
}

// step takes a step and sends its form. Where policy refuses the form nothing
// changes. The contact is stored before the form is accepted: a form that then
// fails to go out is asked for again, but none goes out that is not known here.
func (m *Mailer) step(ctx context.Context, address string, sender sending, s step) (Contact, error) {
	c, err := m.known(ctx, address)
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
	evidence := m.judge(ctx, trust.Question{Certificate: keys.Encrypt, Address: c.Address, Usage: trust.Encrypt}, true)
	var f contacts.Form
	_, err = m.change(ctx, c.Address, func(c contacts.Contact) (next contacts.Contact, _ *contacts.RecordDraft, err error) {
		if now, err := s.keys(c); err != nil || now.ID() != keys.ID() {
			return c, nil, ErrMeanwhile
		}
		if next, f, err = s.take(c); err != nil {
			return c, nil, err
		}
		if _, refusals := policy.PlanForm(f, keys, evidence, sender.Sender); len(refusals) > 0 {
			return c, nil, &Refused{refusals}
		}
		return next, nil, nil
	})
	if err != nil {
		return Contact{}, err
	}
	if err := m.SendForm(ctx, f, keys, evidence, sender); err != nil {
		return Contact{}, err
	}
	return m.Contact(ctx, address)
}

// ErrMeanwhile says that somebody was changed by something else at the same time.
var ErrMeanwhile = &Problem{Code: "meanwhile", Says: "Something about this person changed at this very moment.", Next: "Look again, and repeat it if it is still right."}

// CallResult says what matched on a call, in words.
type CallResult struct {
	Contact Contact
	Matched bool   // everything in this report matched
	Says    string // never which word was wrong
	Unknown []int  // positions that are not on the list: these cost no try
}

// Call records what was heard on a call that the user placed (V1).
func (m *Mailer) Call(ctx context.Context, address string, r contacts.CallReport) (CallResult, error) {
	c, err := m.known(ctx, address)
	if err != nil {
		return CallResult{}, err
	}
	var o contacts.Outcome
	c, err = m.change(ctx, c.Address, func(c contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) {
		next, outcome, err := c.RecordCall(m.moment(), r)
		o = outcome
		return next, outcome.Record, err
	})
	if err != nil {
		return CallResult{}, err
	}
	m.noteCall(ctx, c, o)
	shown, err := m.Contact(ctx, address)
	return CallResult{Contact: shown, Matched: o.Matched, Says: o.Says, Unknown: append(o.UnknownCode, o.UnknownWords...)}, err
}

func (m *Mailer) noteCall(ctx context.Context, c contacts.Contact, o contacts.Outcome) {
	if o.OtherNumber {
		m.note(ctx, "number", c.Address, "Another telephone number was used than at the verification before.")
	}
	switch {
	case o.Verified:
		m.note(ctx, "verified", c.Address, c.Label(m.Zone)+".")
	case o.Mismatch:
		m.note(ctx, "mismatch", c.Address, "The words heard on a call did not match.")
	case !o.Matched:
		m.note(ctx, "call", c.Address, "Something heard on a call did not match.")
	default:
		m.note(ctx, "call", c.Address, "What was heard on a call matched so far.")
	}
}

// Misheard leaves the state mismatch; a fresh test follows (V5).
func (m *Mailer) Misheard(ctx context.Context, address string) (Contact, error) {
	return m.standing(ctx, address, "misheard", "The user says that the words were misheard.",
		func(c contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) {
			next, err := c.Misheard()
			return next, nil, err
		})
}

// Suspend stops sending to a verified contact until verified anew.
func (m *Mailer) Suspend(ctx context.Context, address string) (Contact, error) {
	return m.standing(ctx, address, "suspended", "The user stopped sending to this person.",
		func(c contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) {
			return c.Suspend(m.moment(), contacts.ByUser)
		})
}

func (m *Mailer) standing(ctx context.Context, address, kind, says string,
	f func(contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error)) (Contact, error) {
	c, err := m.known(ctx, address)
	if err != nil {
		return Contact{}, err
	}
	if _, err := m.change(ctx, c.Address, f); err != nil {
		return Contact{}, err
	}
	m.note(ctx, kind, c.Address, says)
	return m.Contact(ctx, address)
}

// OwnWords is what the user reads out when somebody verifies them.
type OwnWords struct {
	Address      string
	Words        []string
	Fingerprints []string // for callers without Countersign, signing first
}

// Mine returns what the user reads out when somebody verifies them.
func (m *Mailer) Mine(ctx context.Context) (OwnWords, error) {
	sender, err := m.sender(ctx)
	if err != nil {
		return OwnWords{}, err
	}
	if !sender.Keys.Complete() {
		return OwnWords{}, &Refused{policy.Own(sender.Sender)}
	}
	w := OwnWords{Address: sender.Address, Words: m.ownWords(sender.own())}
	for _, cert := range sender.Keys.Certificates() {
		w.Fingerprints = append(w.Fingerprints, keyset.Fingerprint(cert))
	}
	return w, nil
}

// ownWords returns the safety words of one of the user's key sets. They are slow to
// make on purpose, so the last ones are remembered.
func (m *Mailer) ownWords(own contacts.Own) []string {
	m.words.Lock()
	defer m.words.Unlock()
	if id := own.Keys.ID(); m.words.address != own.Address || m.words.id != id {
		words := keyset.SafetyWords(own.Address, own.Keys)
		m.words.address, m.words.id, m.words.six = own.Address, id, words[:]
	}
	return m.words.six
}
