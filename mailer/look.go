package mailer

import (
	"context"
	"time"

	"countersign/mailer/body"
	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/people"
	"countersign/mailer/policy"
	"countersign/mailer/smime"
	"countersign/mailer/store"
	"countersign/mailer/waiting"
	"countersign/vault"
	"countersign/vault/contacts"
	"countersign/vault/contacts/keyset"
)

// look is one message, opened and judged.
type look struct {
	opened  *smime.Opened
	locked  *vault.Problem // the key that opens it cannot be used now, and why
	keys    []cms.Key      // that it was tried with
	facts   policy.Facts
	verdict policy.Verdict
	from    string          // the one address that From shows, canonical; or empty
	signer  *cms.SignerInfo // the valid signature over the content, if there is one
	body    body.Body
	form    contacts.FormKind // recognised; empty otherwise
}

// look opens a stored message and judges it by what is known now, as of the time
// given (zero: its provable receipt, else now).
func (m *Mailer) look(ctx context.Context, src message.Source, r store.Message, at time.Time) (*look, error) {
	l, err := m.unlock(ctx, src, r)
	if err != nil {
		return nil, err
	}
	return m.appraise(ctx, l, src, r, at)
}

// unlock opens a stored message. It is all of looking at it that asks a key.
func (m *Mailer) unlock(ctx context.Context, src message.Source, r store.Message) (*look, error) {
	keys, err := m.Vault.DecryptionKeys(ctx)
	if err != nil {
		return nil, err
	}
	l, err := open(src, keys, m.opening(r))
	if err != nil {
		return nil, err
	}
	l.keys, l.locked = keys, waiting.Why(l.opened)
	if l.locked != nil && ctx.Err() != nil { // nobody refused anything
		return nil, ctx.Err()
	}
	return l, nil
}

func (m *Mailer) opening(r store.Message) smime.Options {
	return smime.Options{ContentKey: r.Key, Identify: r.ID == "" || r.Waits, Rand: m.Rand}
}

// appraise judges a message that was opened.
func (m *Mailer) appraise(ctx context.Context, l *look, src message.Source, r store.Message, at time.Time) (*look, error) {
	l, err := m.again(ctx, l, src, m.opening(r))
	if err != nil {
		return nil, err
	}
	opened := l.opened
	if l.facts, err = m.facts(ctx, opened, r, at); err != nil {
		return nil, err
	}
	l.facts.Locked = vault.WhyToken(opened.Problem) != nil
	l.verdict = policy.Judge(opened, l.facts)
	if signer, outside := policy.Signer(opened, l.facts); !outside {
		l.signer = signer
	}
	return l, nil
}

// again opens a message anew whose signer did not enclose a certificate, with those
// that are at hand for the address in From.
func (m *Mailer) again(ctx context.Context, l *look, src message.Source, o smime.Options) (*look, error) {
	if l.from == "" || !policy.Unnamed(l.opened) {
		return l, nil
	}
	c, err := m.Lookup(ctx, l.from)
	if err != nil {
		return nil, err
	}
	if c.Pin != nil {
		o.Known = append(o.Known, c.Pin.Keys.Sign)
	}
	for _, candidate := range c.Candidates {
		if candidate.Keys.Sign != nil {
			o.Known = append(o.Known, candidate.Keys.Sign)
		}
	}
	if len(o.Known) == 0 {
		return l, nil
	}
	o.ContentKey = l.opened.ContentKey
	named, err := open(src, l.keys, o)
	if err != nil {
		return nil, err
	}
	named.keys, named.locked = l.keys, waiting.Why(named.opened)
	return named, nil
}

// open reads a message. Should a message bring the reading down, which no test has
// done, it counts as damaged: it must not take the agent with it at every start.
func open(src message.Source, keys []cms.Key, o smime.Options) (l *look, err error) {
	defer func() {
		if recover() != nil {
			l, err = &look{opened: &smime.Opened{Problem: smime.ErrDamaged}}, nil
		}
	}()
	opened, err := smime.Open(src, keys, o)
	if err != nil {
		return nil, err
	}
	return &look{opened: opened, from: policy.From(opened), body: body.Read(opened.Payload)}, nil
}

// facts gathers what policy needs to know to judge a message.
func (m *Mailer) facts(ctx context.Context, o *smime.Opened, r store.Message, at time.Time) (policy.Facts, error) {
	return m.Facts(ctx, o, people.Receipt{At: r.Received, Proved: r.Proved, Ours: r.Folder == SentMail, Confirmed: r.Confirmed}, at)
}

// confirmedKey is the key by which the message counts as from a verified contact.
func (l *look) confirmedKey() (h contacts.Hash) {
	c := l.facts.Contact
	if l.signer != nil && c.State == contacts.Verified && l.verdict.Level != policy.Stop && c.Pin.Holder(l.signer.Certificate, l.facts.Here) != nil {
		h = keyset.SPKI(l.signer.Certificate)
	}
	return h
}

// encrypted says that the root layer is an envelope that opened.
func (l *look) encrypted() bool {
	return len(l.opened.Layers) > 0 && l.opened.Layers[0].Kind == smime.Encrypted && l.opened.Payload != nil
}

// formID names the fixed form that the message is, or is empty.
func (l *look) formID() string {
	if l.form == "" {
		return ""
	}
	return l.body.Form.ID
}
