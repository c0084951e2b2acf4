package mailer

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"countersign/mailer/message"
	"countersign/mailer/policy"
	"countersign/vault"
	"countersign/vault/book"
	"countersign/vault/contacts"
	"countersign/vault/contacts/keyset"
	"countersign/vault/trust"
)

// sending is the user's own side: what policy judges, and the identity behind it.
type sending struct {
	policy.Sender
	identity vault.Identity
}

// own is the user as a contact sees them.
func (s sending) own() contacts.Own { return contacts.Own{Address: s.Address, Keys: s.Keys} }

// sender gathers the state of the user's own side, with current evidence.
func (m *Mailer) sender(ctx context.Context) (sending, error) {
	var s sending
	_, rules, err := m.Settings(ctx)
	s.PolicyFile, s.Limit = err, rules.MessageBytes()
	all, err := m.Vault.Identities(ctx)
	if err != nil {
		return s, err
	}
	i := slices.IndexFunc(all, func(i vault.Identity) bool { return !i.Retired && i.Signing != nil && i.Encryption != nil })
	if i < 0 {
		return s, nil
	}
	s.identity, s.Address = all[i], all[i].Address
	s.Keys = contacts.KeySet{Sign: all[i].Signing, Encrypt: all[i].Encryption}
	s.Sign, s.Encrypt = m.Own(ctx, all[i], trust.Sign), m.Own(ctx, all[i], trust.Encrypt)
	recovery, err := m.Vault.Recovery(ctx)
	if err != nil {
		return s, err
	}
	s.Recovery = recovery.State == vault.RecoveryReady
	s.Account = m.HasAccount(ctx, s.Address)
	return s, nil
}

// Own judges one certificate of the user's own, as a contact's is judged (K2).
func (m *Mailer) Own(ctx context.Context, i vault.Identity, u trust.Usage) trust.Verdict {
	cert := i.Signing
	if u == trust.Encrypt {
		cert = i.Encryption
	}
	return m.judge(ctx, trust.Question{Certificate: cert, Address: i.Address, Usage: u, Enclosed: i.Chain}, true)
}

// judge completes a question with what holds for all of them and has it answered.
// Authorities on the way to an anchor are remembered for the next time.
func (m *Mailer) judge(ctx context.Context, q trust.Question, fetch bool) trust.Verdict {
	if q.Certificate == nil {
		return trust.Verdict{Status: trust.Untrusted, Bound: trust.BoundNone}
	}
	anchors, err := m.Book.Anchors(ctx)
	if err != nil { // without anchors nothing is trusted: the safe side
		anchors = nil
	}
	for _, a := range anchors {
		q.Anchors = append(q.Anchors, trust.Anchor{Certificate: a.Certificate})
	}
	prefs, rules, _ := m.Settings(ctx) // an ill-formed policy file stops sending, not reading
	q.Now, q.Grace = m.Clock(), time.Duration(prefs.GraceHours)*time.Hour
	if q.At.IsZero() {
		q.At = q.Now
	}
	q.Confirmed = q.Confirmed && !rules.RequireAnchor
	// Without what was remembered a verdict is no better: errors are the safe side.
	q.Evidence.Certificates, _ = m.mail.Issuers(ctx)
	v := m.Check(ctx, q, fetch)
	for i := 1; i < len(v.Path)-1; i++ {
		if c := v.Path[i]; !slices.ContainsFunc(q.Evidence.Certificates, c.Equal) {
			_ = m.mail.AddIssuer(ctx, c)
		}
	}
	return v
}

// contact returns what the book has of an address, or a contact of which nothing is
// known.
func (m *Mailer) contact(ctx context.Context, address string) (contacts.Contact, error) {
	c, err := m.Book.Get(ctx, address)
	if errors.Is(err, book.ErrUnknown) {
		return contacts.Contact{Address: address, State: contacts.Unknown}, nil
	}
	return c, err
}

// known returns somebody in the address book, by their address as typed.
func (m *Mailer) known(ctx context.Context, typed string) (contacts.Contact, error) {
	address, err := canonical(typed)
	if err != nil {
		return contacts.Contact{}, ErrAddress
	}
	return m.Book.Get(ctx, address)
}

// recipient gathers the state of a contact with current evidence. A contact whose
// pinned certificate has run out or was withdrawn is suspended on the way (V3).
func (m *Mailer) recipient(ctx context.Context, address string) (policy.Recipient, error) {
	c, err := m.contact(ctx, address)
	if err != nil || c.State == contacts.Unknown && c.Pin == nil {
		return policy.Recipient{Contact: c}, err
	}
	r := policy.Recipient{Contact: c}
	if c.Pin != nil {
		r.Sign = m.pinned(ctx, c, c.Pin.Keys.Sign, trust.Sign)
		r.Encrypt = m.pinned(ctx, c, c.Pin.Keys.Encrypt, trust.Encrypt)
	}
	refreshed, _ := c.Refresh(m.moment(), r.Sign, r.Encrypt)
	if refreshed.State == c.State && (refreshed.Test == nil) == (c.Test == nil) && (refreshed.Incoming == nil) == (c.Incoming == nil) {
		return r, nil
	}
	r.Contact, err = m.change(ctx, address, func(c contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) {
		next, draft := c.Refresh(m.moment(), r.Sign, r.Encrypt)
		return next, draft, nil
	})
	if err == nil && r.Contact.State == contacts.Suspended && c.State == contacts.Verified {
		m.note(ctx, "suspended", address, "Nothing is sent any more: "+r.Contact.Suspension.Reason.String()+".")
	}
	return r, err
}

func (m *Mailer) pinned(ctx context.Context, c contacts.Contact, cert *x509.Certificate, u trust.Usage) trust.Verdict {
	return m.judge(ctx, trust.Question{Certificate: cert, Address: c.Address, Usage: u, Confirmed: true}, true)
}

func (m *Mailer) recipients(ctx context.Context, addresses []string) ([]policy.Recipient, error) {
	var people []policy.Recipient
	for _, a := range addresses {
		r, err := m.recipient(ctx, a)
		if err != nil {
			return nil, err
		}
		people = append(people, r)
	}
	return people, nil
}

// RecipientState is one address while a message is being written.
type RecipientState struct {
	Address string
	Name    string
	OK      bool
	Label   string
	Refusal *policy.Refusal
}

// Recipients tells, for each address as typed, whether a letter could go to it now.
func (m *Mailer) Recipients(ctx context.Context, typed []string) ([]RecipientState, error) {
	var list []RecipientState
	for _, t := range typed {
		address, err := canonical(t)
		if err != nil {
			r := badAddress(t)
			list = append(list, RecipientState{Address: policy.CleanLine(t), Label: r.Reason, Refusal: &r})
			continue
		}
		r, err := m.recipient(ctx, address)
		if err != nil {
			return nil, err
		}
		refusal := policy.Check(r)
		list = append(list, RecipientState{
			Address: address, Name: r.Contact.Name, OK: refusal == nil, Label: r.Contact.Label(m.Zone), Refusal: refusal,
		})
	}
	return list, nil
}

// canonical reads an address as typed, with or without a name.
func canonical(typed string) (string, error) {
	a, err := message.ParseAddress(typed)
	if err != nil {
		return "", err
	}
	return message.Canonical(a.Addr)
}

// ErrAddress says that something typed is no address.
var ErrAddress = &Problem{Code: "bad-address", Says: "That is not an e-mail address.", Next: "Check the spelling."}

func badAddress(typed string) policy.Refusal {
	return policy.Refusal{
		Person: policy.CleanLine(typed), Code: "bad-address", Reason: "This is not an e-mail address.", Next: "Check the spelling.",
		Link: "/drafts", Button: "Open the draft",
	}
}

// mine returns the user's own addresses, and the SPKI of their signing keys, old
// ones too.
func (m *Mailer) mine(ctx context.Context) (addresses []string, keys []contacts.Hash, err error) {
	all, err := m.Vault.Identities(ctx)
	for _, i := range all {
		if !slices.Contains(addresses, i.Address) {
			addresses = append(addresses, i.Address)
		}
		if i.Signing != nil {
			keys = append(keys, keyset.SPKI(i.Signing))
		}
	}
	return addresses, keys, err
}

// moment is what the contacts' state machine may use of the world.
func (m *Mailer) moment() contacts.Moment {
	return contacts.Moment{Now: m.Clock(), Rand: m.Rand, CodeKey: m.Vault.CodeKey()}
}

// errUnchanged ends a change that turned out to be none.
var errUnchanged = errors.New("mailer: nothing to change")

// change changes a contact and tells whoever depends on it: the summaries of its
// messages, what is held in the outbox, and the faces.
func (m *Mailer) change(ctx context.Context, address string,
	f func(contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error)) (contacts.Contact, error) {
	var before contacts.State
	c, err := m.Book.Change(ctx, address, func(c contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) {
		before = c.State
		return f(c)
	})
	if errors.Is(err, errUnchanged) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	if c.State != before {
		if err := m.mail.Forget(ctx, address); err != nil {
			return c, err
		}
		if err := m.Outbox.Retry(ctx); err != nil {
			return c, err
		}
	}
	m.emit(ctx, "contact", address, c.Who()+": "+c.Label(m.Zone)+".")
	return c, nil
}

// note writes a line of the journal. A journal that cannot be written stops nothing
// that is already done; its own check tells of the gap.
func (m *Mailer) note(ctx context.Context, kind, person, says string) {
	if err := m.Journal.Append(ctx, kind, person, says); err != nil {
		m.emit(ctx, "status", "", "The activity record could not be written.")
	}
}
