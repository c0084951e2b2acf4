package mailer

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"

	"countersign/mailer/cms"
	"countersign/mailer/outbox"
	"countersign/mailer/people"
	"countersign/mailer/policy"
	"countersign/mailer/smime"
	"countersign/mailer/store"
	"countersign/vault"
	"countersign/vault/contacts"
	"countersign/vault/sealed"
)

// outgoing is what was sealed and not yet accepted.
type outgoing struct {
	envelopes []outbox.Envelope
	copy      sealed.Blob
	key       cms.ContentKey // of the copy
}

// seal fixes the bytes of every envelope of a plan, and of the sender's own copy. The
// signing key is asked once for all that are of one form.
func (m *Mailer) seal(ctx context.Context, l smime.Letter, plan policy.Plan, s people.Sender) (out outgoing, err error) {
	keys, err := m.keysOf(ctx, s.Identity)
	if err != nil {
		return out, err
	}
	return m.sealWith(ctx, l, plan, s.Address, keys)
}

// keysOf is what an identity signs with.
func (m *Mailer) keysOf(ctx context.Context, i vault.Identity) (smime.Keys, error) {
	key, err := m.Vault.Signer(ctx, i.ID)
	return smime.Keys{Signer: cms.Signer{Key: key, Certificate: i.Signing}, Encryption: i.Encryption, Chain: m.Chain(ctx, i)}, err
}

func (m *Mailer) sealWith(ctx context.Context, l smime.Letter, plan policy.Plan, from string, keys smime.Keys) (out outgoing, err error) {
	sealer := smime.NewSealer(l, keys)
	write := func(e policy.Envelope, keep func(cms.ContentKey)) (sealed.Blob, error) {
		return m.write(ctx, func(w io.Writer) error {
			if !plan.Encrypted {
				return smime.Sign(w, l, keys, m.Rand)
			}
			return sealer.Seal(w, smime.Envelope{
				To: e.Certificates, Cipher: e.Choice.Cipher(), OAEP: e.Choice.OAEP, Derive: e.Choice.Derive, Direct: e.Choice.Direct, Keep: keep, Rand: m.Rand,
			})
		})
	}
	for _, e := range plan.Envelopes {
		stored, err := json.Marshal(e)
		if err != nil {
			return out, m.abandon(ctx, out, err)
		}
		blob, err := write(e, nil)
		if err != nil {
			return out, m.abandon(ctx, out, err)
		}
		out.envelopes = append(out.envelopes, outbox.Envelope{From: from, To: e.To, Plan: stored, Blob: blob.ID, Size: blob.Size})
	}
	if plan.Copy != nil {
		if out.copy, err = write(*plan.Copy, func(k cms.ContentKey) { out.key = k }); err != nil {
			return out, m.abandon(ctx, out, err)
		}
	}
	return out, nil
}

// write streams what a sealing function makes into a blob.
func (m *Mailer) write(ctx context.Context, seal func(io.Writer) error) (sealed.Blob, error) {
	r, w := io.Pipe()
	go func() { w.CloseWithError(seal(w)) }()
	blob, err := m.DB.WriteBlob(ctx, r)
	r.CloseWithError(err) // frees the writer if the reader stopped first
	return blob, err
}

// abandon drops what was sealed and returns why.
func (m *Mailer) abandon(ctx context.Context, out outgoing, why error) error {
	return errors.Join(why, m.DB.Update(context.WithoutCancel(ctx), func(tx *sql.Tx) error { return m.drop(tx, out) }))
}

func (m *Mailer) drop(tx *sql.Tx, out outgoing) error {
	for _, e := range out.envelopes {
		if err := m.DB.Drop(tx, e.Blob); err != nil {
			return err
		}
	}
	if out.copy.ID == 0 {
		return nil
	}
	return m.DB.Drop(tx, out.copy.ID)
}

// accept commits a letter: its envelopes, the sender's own copy, and the end of the
// draft, all or nothing.
func (m *Mailer) accept(ctx context.Context, d Draft, l smime.Letter, to addressees, out outgoing) (Sent, error) {
	r := store.Message{ID: d.ID, Folder: SentMail, Blob: out.copy.ID, Digest: out.copy.SHA256, Received: m.Clock(), Read: true}
	var err error
	if m.keepsKeys(ctx) {
		r.Key = out.key // the card is not asked for what was just written
	}
	if r.Line, err = m.line(ctx, sentSummary(l, to)); err != nil {
		return Sent{}, m.abandon(ctx, out, err)
	}
	fresh := false
	err = m.DB.Update(ctx, func(tx *sql.Tx) error {
		fresh, err = m.Outbox.Accept(ctx, tx, outbox.Acceptance{ID: d.ID, MessageID: l.MessageID, Subject: l.Subject, Envelopes: out.envelopes})
		if err != nil {
			return err
		}
		if !fresh {
			return m.drop(tx, out)
		}
		if err := m.mail.File(ctx, tx, r); err != nil {
			return err
		}
		return m.Drafts.Take(ctx, tx, d)
	})
	if err != nil {
		return Sent{}, m.abandon(ctx, out, err)
	}
	if !fresh {
		return m.accepted(ctx, d.ID)
	}
	m.Outbox.Wake()
	for _, address := range to.all() { // a line each: the journal's lines are short
		m.Note(ctx, "sent", address, "A letter was accepted for sending.")
	}
	return Sent{ID: d.ID, MessageID: l.MessageID, To: to.all()}, nil
}

// outgoingForm is a fixed form that was sealed and not yet accepted.
type outgoingForm struct {
	outgoing
	form   contacts.Form
	letter smime.Letter
}

func (m *Mailer) acceptForm(ctx context.Context, o outgoingForm) error {
	err := m.DB.Update(ctx, func(tx *sql.Tx) error {
		_, err := m.Outbox.Accept(ctx, tx, outbox.Acceptance{
			ID: o.form.ID, MessageID: o.letter.MessageID, Subject: o.letter.Subject, Form: string(o.form.Kind), Envelopes: o.envelopes,
		})
		return err
	})
	if err != nil {
		return m.abandon(ctx, o.outgoing, err)
	}
	m.Outbox.Wake()
	m.Note(ctx, string(o.form.Kind), o.form.To, "A fixed message was accepted for sending.")
	return nil
}

func (m *Mailer) accepted(ctx context.Context, id string) (Sent, error) {
	o, err := m.Outbox.Get(ctx, id)
	s := Sent{ID: id, MessageID: o.MessageID, Again: true}
	for _, d := range o.Deliveries {
		s.To = append(s.To, d.Address)
	}
	return s, err
}
