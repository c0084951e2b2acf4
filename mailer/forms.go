package mailer

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"countersign/mailer/people"
	"countersign/mailer/policy"
	"countersign/mailer/store"
	"countersign/vault/book"
	"countersign/vault/contacts"
	"countersign/vault/contacts/form"
	"countersign/vault/contacts/keyset"
	"countersign/vault/trust"
)

// follow does what an arriving message means for the people in the address book: a
// fixed form moves a verification on, any other message may bear on a test, and
// what is validly signed shows certificates to consider. It never verifies (V1)
// and never suspends (V3). What is locked means nothing yet.
func (m *Mailer) follow(ctx context.Context, l *look, digest [32]byte) error {
	if l.locked != nil || !keyset.Canonical(l.from) || slices.Contains(l.facts.Mine, l.from) {
		return nil
	}
	recognised, err := m.recognise(ctx, l, digest)
	if err != nil {
		return err
	}
	if !recognised {
		if err := m.bearOnTest(ctx, l); err != nil {
			return err
		}
	}
	if err := m.harvest(ctx, l); err != nil {
		return err
	}
	now, err := m.Lookup(ctx, l.from)
	if err != nil {
		return err
	}
	if l.facts.Contact.Pin == nil && now.Pin != nil { // counts by an organisation from this message on
		if l.facts, err = m.facts(ctx, l.opened, store.Message{}, time.Time{}); err != nil {
			return err
		}
	}
	l.facts.Contact = now
	l.verdict = policy.Judge(l.opened, l.facts)
	m.doubtForm(ctx, l)
	return nil
}

// doubtForm says of a message that carries a form which does not count, that it does
// not: its words ask to be obeyed.
func (m *Mailer) doubtForm(ctx context.Context, l *look) {
	switch {
	case l.body.Form == nil || l.form != "":
	case l.body.Form.Kind == contacts.KeyAnnouncement:
		l.verdict.Reasons = append(l.verdict.Reasons, "It announces new keys, but nothing was changed because of it. "+m.whyNot(ctx, l))
	default:
		l.verdict.Reasons = append(l.verdict.Reasons, "It looks like one of the fixed messages of a verification, but does not count as one. Read out nothing from it.")
	}
}

// recognise follows a fixed form, if the message is one by the rules of V4.
func (m *Mailer) recognise(ctx context.Context, l *look, digest [32]byte) (bool, error) {
	if l.body.Form == nil {
		return false, nil
	}
	own, err := m.OwnAt(ctx, l.body.Form.To, l.body.Form.ToKeys)
	if err != nil {
		return false, err
	}
	received := contacts.Received{Form: *l.body.Form, From: l.from, Encrypted: l.encrypted(), Trusted: l.verdict.Chain == string(trust.Trusted)}
	if l.signer != nil && l.verdict.From == "match" { // a signature in another's name is none
		received.Signer = l.signer.Certificate
		received.Encryption = l.prefers(true)
	}
	first, known, err := m.mail.Form(ctx, l.body.Form.ID)
	if err != nil {
		return false, err
	}
	// The same message again, after a stop in between, is not seen before.
	seen := func(string) bool { return known && first != digest }
	if l.body.Form.Kind == contacts.KeyAnnouncement {
		return m.announced(ctx, l, seen)
	}
	if err := m.receive(ctx, received, own, seen); !notAForm(err) {
		l.form = l.body.Form.Kind
		return err == nil, err
	}
	return false, nil
}

// receive hands a form to the state machine of its sender.
func (m *Mailer) receive(ctx context.Context, r contacts.Received, own contacts.Own, seen func(string) bool) error {
	var says, kind string
	c, err := m.Change(ctx, r.From, func(c contacts.Contact) (next contacts.Contact, _ *contacts.RecordDraft, err error) {
		switch r.Form.Kind {
		case contacts.TestForm:
			kind, says = "test-received", "A test message arrived."
			next, err = c.ReceiveTest(m.Moment(), r, own, seen)
		case contacts.AnswerForm:
			kind, says = "answer-received", "The test message was answered."
			if next, err = c.ReceiveAnswer(m.Moment(), r, own, seen); next.Voided != c.Voided && next.Voided != "" {
				says = next.Voided.String()
			}
		default:
			if err = r.Recognise(own, seen); err == nil {
				err = people.ErrUnchanged
			}
		}
		return next, nil, err
	})
	if err != nil || kind == "" {
		return err
	}
	m.Note(ctx, kind, r.From, says)
	if r.Form.Kind == contacts.TestForm {
		m.Tell(ctx, "contact", r.From, c.Who()+" sent you a test message: answer it, and wait for the call.")
	}
	return nil
}

// notAForm tells the refusals of V4 from failures of ours.
func notAForm(err error) bool {
	return slices.ContainsFunc([]error{
		form.ErrMalformed, contacts.ErrFormSignature, contacts.ErrFormFrom, contacts.ErrFormTo, contacts.ErrFormKeys,
		contacts.ErrFormClear, contacts.ErrFormSeen, contacts.ErrFormExpired, contacts.ErrFormTest, contacts.ErrFormWaiting, contacts.ErrAddress,
	}, func(known error) bool { return errors.Is(err, known) })
}

// recall recognises again what was recognised when it came.
func (m *Mailer) recall(ctx context.Context, l *look, digest [32]byte) error {
	if l.body.Form == nil {
		return nil
	}
	first, known, err := m.mail.Form(ctx, l.body.Form.ID)
	if known && first == digest {
		l.form = l.body.Form.Kind
	}
	m.doubtForm(ctx, l)
	return err
}

// bearOnTest shows a message that is no form to the test that is out to its sender:
// people without Countersign answer in words, and an unprotected quote of the code
// voids it (V4). An answer that is wrapped comes from a system of the Direct profile,
// unless the user said otherwise (I3).
func (m *Mailer) bearOnTest(ctx context.Context, l *look) error {
	if l.facts.Contact.Test == nil {
		return nil
	}
	reply := contacts.Reply{Encrypted: l.encrypted(), Text: l.opened.Header.Text("Subject") + "\n" + l.body.Text}
	if l.signer != nil && l.verdict.From == "match" {
		reply.Signer, reply.Encryption = l.signer.Certificate, l.prefers(false)
	}
	_, err := m.Change(ctx, l.from, func(c contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) {
		if c.Test == nil {
			return c, nil, people.ErrUnchanged
		}
		next := c.ReceiveReply(m.Moment(), reply)
		if next.Test != nil && next.Test.Answered.After(c.Test.Answered) && reply.Encrypted && policy.Wrapped(l.opened) {
			next.Profile = cmp.Or(c.Profile, contacts.Direct)
		}
		return next, nil, nil
	})
	return err
}

// prefers is the encryption certificate that the signer names, or, if wanted, the
// signer's own where it serves both uses.
func (l *look) prefers(orOwn bool) *x509.Certificate {
	if e := l.signer.EncryptionCertificate; e != nil || !orOwn {
		return e
	}
	if trust.Allows(l.signer.Certificate, trust.Encrypt) {
		return l.signer.Certificate
	}
	return nil
}

// harvest notes the certificates of a validly signed message as candidates (V3). A
// stranger enters the address book only if an authority vouches for the address, or by
// the key of an organisation that the user confirmed (V6).
// The confirmed keys in a new certificate carry the verification over (V7). What the
// signer announces to read is remembered for their key set.
func (m *Mailer) harvest(ctx context.Context, l *look) error {
	announces := l.body.Form != nil && l.body.Form.Kind == contacts.KeyAnnouncement // two key sets at once: see announced
	if l.signer == nil || l.verdict.From != "match" || announces {
		return nil
	}
	known, err := m.Book.Get(ctx, l.from)
	keys := contacts.KeySet{Sign: l.signer.Certificate, Encrypt: l.prefers(true)}
	if errors.Is(err, book.ErrUnknown) && l.verdict.Chain != string(trust.Trusted) && !m.Organisation(ctx, l.from).Pin.Signs(keys) {
		return nil
	}
	sign, encrypt := m.Renewal(ctx, l.from, known.Pin, keys)
	said, announced := policy.Announced(l.opened, l.facts)
	_, err = m.Change(ctx, l.from, func(c contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) {
		next, err := c.AddCandidate(m.Moment(), keys, contacts.FromMessage)
		if err != nil {
			return c, nil, people.ErrUnchanged
		}
		if announced {
			next = next.Hear(m.Moment(), keys, said)
		}
		if pin := c.Pin; pin == nil || pin.Keys.ID() != keys.ID() || pin.Keys.Sign.Equal(keys.Sign) && pin.Keys.Encrypt.Equal(keys.Encrypt) {
			return next, nil, nil
		}
		renewed, draft, err := next.Renew(m.Moment(), keys, sign, encrypt)
		if err != nil {
			return next, nil, nil
		}
		return renewed, draft, nil
	})
	return err
}
