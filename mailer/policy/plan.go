package policy

import (
	"crypto/x509"
	"slices"

	"countersign/vault/contacts"
	"countersign/vault/trust"
)

// maxRecipients bounds one letter.
const maxRecipients = 100

// Letter is what a plan needs to know of what the user wrote. Addresses are
// canonical.
type Letter struct {
	To, Cc, Bcc []string
	Size        int64 // an upper bound, in bytes as it travels
}

// Plan is what may go out, and how. It is made here only.
type Plan struct {
	Envelopes []Envelope
	Encrypted bool      // signed and encrypted; else signed only, which only a form may be
	Copy      *Envelope // the sender's own, to keep; a form leaves none
}

// Envelope is one submission. Its JSON form is what [Again] needs.
type Envelope struct {
	To           []string            `json:"to"`
	Keys         []contacts.Hash     `json:"keys"` // the key set of each, in the order of To
	Form         contacts.FormKind   `json:"form"` // empty: a letter
	Choice       Choice              `json:"choice,omitzero"`
	Certificates []*x509.Certificate `json:"-"` // to encrypt to
}

// PlanLetter decides whether a letter may go. Every recipient must be verified and
// their certificates good now; else nothing goes to anyone, and each refusal names
// one person. People holds a Recipient for each address; an address without one is
// a stranger.
func PlanLetter(l Letter, people []Recipient, s Sender) (Plan, []Refusal) {
	refusals := s.refuse()
	visible := distinct(l.To, l.Cc)
	hidden := slices.DeleteFunc(distinct(l.Bcc), func(a string) bool { return slices.Contains(visible, a) })
	all := slices.Concat(visible, hidden)
	switch {
	case len(all) == 0:
		refusals = append(refusals, Refusal{
			Person: "you", Code: "no-recipients", Reason: "This message is addressed to nobody.",
			Next: "Write an address into the To line.", Link: "/drafts", Button: "Open the draft",
		})
	case len(all) > maxRecipients:
		refusals = append(refusals, Refusal{
			Person: "you", Code: "too-many", Reason: "A message can go to at most 100 people.",
			Next: "Send it in parts.", Link: "/drafts", Button: "Open the draft",
		})
	}
	if l.Size > s.Limit {
		refusals = append(refusals, tooLarge(s.Limit))
	}
	for _, a := range all {
		if r := find(people, a).refuse(); r != nil {
			refusals = append(refusals, *r)
		}
	}
	if len(refusals) > 0 {
		return Plan{}, refusals
	}
	p := Plan{Encrypted: true}
	if len(visible) > 0 {
		p.Envelopes = append(p.Envelopes, envelope(visible, people))
	}
	for _, a := range hidden {
		p.Envelopes = append(p.Envelopes, envelope([]string{a}, people))
	}
	p.Copy = &Envelope{To: []string{s.Address}, Keys: []contacts.Hash{s.Keys.ID()}, Certificates: []*x509.Certificate{s.Keys.Encrypt},
		// Countersign reads it. Wrapped as the others are, it takes no signature of its own.
		Choice: Choice{GCM: true, Derive: true, Direct: p.Envelopes[0].Choice.Direct}}
	return p, nil
}

// PlanForm decides whether a fixed form may go to the key set given (nil
// certificates for a form that is signed only). The evidence is about the
// encryption certificate: without an anchor it is good enough here, since the words
// come later, but not if it has run out or was withdrawn.
func PlanForm(f contacts.Form, keys contacts.KeySet, evidence trust.Verdict, s Sender) (Plan, []Refusal) {
	refusals := s.refuse()
	person := contacts.Contact{Address: f.To}
	if _, err := f.Marshal(); err != nil || f.From != s.Address {
		refusals = append(refusals, about(person, "not-a-form", "This is not one of the fixed messages that may go to somebody who is not verified.",
			"Verify them first.", verifying))
	}
	switch f.Kind {
	case contacts.Invitation, contacts.KeyAnnouncement, contacts.CourtesyNotice:
		if len(refusals) > 0 {
			return Plan{}, refusals
		}
		return Plan{Envelopes: []Envelope{{To: []string{f.To}, Keys: []contacts.Hash{{}}, Form: f.Kind}}}, nil
	case contacts.TestForm, contacts.AnswerForm, contacts.ReceiptForm:
		if keys.Encrypt == nil {
			refusals = append(refusals, stranger(person))
		} else if r := spent(person, evidence); r != nil {
			refusals = append(refusals, *r)
		} else if r := tooShort(person, keys); r != nil {
			refusals = append(refusals, *r)
		}
		if len(refusals) > 0 {
			return Plan{}, refusals
		}
		return Plan{Encrypted: true, Envelopes: []Envelope{{
			To: []string{f.To}, Keys: []contacts.Hash{keys.ID()}, Form: f.Kind, Certificates: []*x509.Certificate{keys.Encrypt},
		}}}, nil
	}
	return Plan{}, append(refusals, about(person, "not-a-form", "This is not one of the fixed messages.", "Write a letter instead.", verifying))
}

// Again decides whether an accepted envelope may still go, with the evidence of
// now. A letter goes only to the very key sets that it was encrypted to, and only as
// they read it. Of the recipient of an encrypted form, Encrypt is about the
// certificate that it was encrypted to, and zero if that is no longer known.
func Again(e Envelope, people []Recipient, s Sender) []Refusal {
	refusals := s.refuse()
	if e.Form != "" {
		return append(refusals, againForm(e, people)...)
	}
	for i, a := range e.To {
		r := find(people, a)
		switch refusal := r.refuse(); {
		case refusal != nil:
			refusals = append(refusals, *refusal)
		case i >= len(e.Keys) || r.Contact.Pin.Keys.ID() != e.Keys[i]:
			refusals = append(refusals, about(r.Contact, "key-changed", "Their certificate changed after you pressed Send.",
				"Take the message back and send it again.", outbox))
		case !r.reads(e.Choice):
			refusals = append(refusals, about(r.Contact, "cannot-read", r.Contact.Who()+"'s mail program said after you pressed Send that it cannot read a message made like this one.",
				"Take the message back and send it again.", outbox))
		}
	}
	return refusals
}

// againForm is Again for a fixed form. One that is only signed may always go.
func againForm(e Envelope, people []Recipient) (refusals []Refusal) {
	for i, a := range e.To {
		if i < len(e.Keys) && e.Keys[i] == (contacts.Hash{}) {
			continue
		}
		r := find(people, a)
		if r.Encrypt.Status == "" {
			refusals = append(refusals, stranger(r.Contact))
		} else if f := spent(r.Contact, r.Encrypt); f != nil {
			refusals = append(refusals, *f)
		}
	}
	return refusals
}

// Own tells why the user may send nothing at all.
func Own(s Sender) []Refusal { return s.refuse() }

// Check tells why nothing can be sent to one recipient now, or nil.
func Check(r Recipient) *Refusal { return r.refuse() }

func envelope(to []string, people []Recipient) Envelope {
	e := Envelope{To: to}
	var all []Recipient
	for _, a := range to {
		r := find(people, a)
		all = append(all, r)
		e.Keys = append(e.Keys, r.Contact.Pin.Keys.ID())
		e.Certificates = append(e.Certificates, r.Contact.Pin.Keys.Encrypt)
	}
	e.Choice = choose(all)
	return e
}

func find(people []Recipient, address string) Recipient {
	for _, r := range people {
		if r.Contact.Address == address {
			return r
		}
	}
	return Recipient{Contact: contacts.Contact{Address: address, State: contacts.Unknown}}
}

// distinct joins lists, each address once, in the order in which they appear.
func distinct(lists ...[]string) []string {
	var out []string
	for _, a := range slices.Concat(lists...) {
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}
