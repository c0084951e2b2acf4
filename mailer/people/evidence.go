package people

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign/mailer/message"
	"countersign/mailer/policy"
	"countersign/vault"
	"countersign/vault/book"
	"countersign/vault/contacts"
	"countersign/vault/contacts/keyset"
	"countersign/vault/trust"
)

// Sender is the user's own side: what policy judges, and the identity behind it.
type Sender struct {
	policy.Sender
	Identity vault.Identity
}

// Own is the user as a contact sees them.
func (s Sender) Own() contacts.Own { return contacts.Own{Address: s.Address, Keys: s.Keys} }

// Sender gathers the state of the user's own side.
func (p *People) Sender(ctx context.Context) (s Sender, err error) {
	_, rules, err := p.Settings(ctx)
	s.PolicyFile, s.Limit = err, rules.MessageBytes()
	own, identity, err := p.own(ctx, "", false)
	if err != nil || !own.Keys.Complete() {
		return s, err
	}
	s.take(ctx, p, identity)
	// What was withdrawn, or has run out, leaves no reason to wait for the next key (V7).
	if s.spent() {
		next, err := p.Coming(ctx, s.Address)
		if err == nil && next.ID != "" {
			err = p.Vault.TakeOver(ctx, next.ID)
			if err == nil {
				_, next, err = p.own(ctx, s.Address, false) // no longer to come
			}
			s.take(ctx, p, next)
		}
		if err != nil {
			return s, err
		}
	}
	recovery, err := p.Vault.Recovery(ctx)
	if err != nil {
		return s, err
	}
	s.Recovery = recovery.State == vault.RecoveryReady || recovery.Early
	s.Account = p.HasAccount(ctx, s.Address)
	return s, nil
}

// take makes an identity the sender's.
func (s *Sender) take(ctx context.Context, p *People, i vault.Identity) {
	s.Identity, s.Address, s.Keys = i, i.Address, contacts.KeySet{Sign: i.Signing, Encrypt: i.Encryption}
	s.Sign, s.Encrypt = p.Own(ctx, i, trust.Sign), p.Own(ctx, i, trust.Encrypt)
}

// spent says that a certificate of the sender's has run out or was withdrawn.
func (s Sender) spent() bool {
	return slices.ContainsFunc([]trust.Verdict{s.Sign, s.Encrypt}, func(v trust.Verdict) bool {
		return v.Status == trust.Expired || v.Status == trust.Revoked
	})
}

// Coming is the identity that is to take over for an address, or any where none is
// given. Its ID is empty if there is none.
func (p *People) Coming(ctx context.Context, address string) (vault.Identity, error) {
	_, i, err := p.own(ctx, address, true)
	return i, err
}

// own is the identity in use for an address, or the one that is to take over; for any
// address where none is given. Its keys are incomplete where there is none.
func (p *People) own(ctx context.Context, address string, coming bool) (contacts.Own, vault.Identity, error) {
	all, err := p.Vault.Identities(ctx)
	i := slices.IndexFunc(all, func(i vault.Identity) bool {
		return !i.Retired && i.Coming == coming && i.Signing != nil && i.Encryption != nil && (address == "" || i.Address == address)
	})
	if err != nil || i < 0 {
		return contacts.Own{Address: address}, vault.Identity{}, err
	}
	keys := contacts.KeySet{Sign: all[i].Signing, Encrypt: all[i].Encryption}
	return contacts.Own{Address: all[i].Address, Keys: keys}, all[i], nil
}

// OwnAt is the user's side of a verification at one of their addresses: the keys in use,
// or those that are to take over if they are the ones named (V7).
func (p *People) OwnAt(ctx context.Context, address string, named *contacts.KeyHashes) (contacts.Own, error) {
	own, _, err := p.own(ctx, address, false)
	if err != nil || named == nil || own.Keys.Hashes() == *named {
		return own, err
	}
	next, _, err := p.own(ctx, address, true)
	if err != nil || !next.Keys.Complete() || next.Keys.Hashes() != *named {
		return own, err
	}
	return next, nil
}

// Own judges one certificate of the user's own, as a contact's is judged (K2). Where its authority
// publishes nothing about withdrawal the user would know; others judge for themselves.
func (p *People) Own(ctx context.Context, i vault.Identity, u trust.Usage) trust.Verdict {
	cert := i.Signing
	if u == trust.Encrypt {
		cert = i.Encryption
	}
	return p.Judge(ctx, trust.Question{Certificate: cert, Address: i.Address, Usage: u, Enclosed: i.Chain, Silent: true, Standing: true}, true)
}

// Chain is the authorities' certificates to enclose with what an identity signs: those
// that came with it, and those that were found since on the way to an anchor. A card
// often holds none, and not every recipient fetches what is missing.
func (p *People) Chain(ctx context.Context, i vault.Identity) []*x509.Certificate {
	chain := slices.Clone(i.Chain)
	for _, u := range []trust.Usage{trust.Sign, trust.Encrypt} {
		for n, c := range p.Own(ctx, i, u).Path {
			if n > 0 && !bytes.Equal(c.RawIssuer, c.RawSubject) { // whoever trusts a root has it
				chain = append(chain, c)
			}
		}
	}
	return chain
}

// All returns the user's own addresses, and the SPKI of their signing keys, old ones
// too. A key that was given up (K2) speaks for the user only in what was here before,
// by our own clock; zero is now.
func (p *People) All(ctx context.Context, received time.Time) (addresses []string, keys []contacts.Hash, err error) {
	all, err := p.Vault.Identities(ctx)
	for _, i := range all {
		if !slices.Contains(addresses, i.Address) {
			addresses = append(addresses, i.Address)
		}
		if i.Signing != nil && (i.Lost.IsZero() || !received.IsZero() && received.Before(i.Lost)) {
			keys = append(keys, keyset.SPKI(i.Signing))
		}
	}
	return addresses, keys, err
}

// Judge completes a question with what holds for all of them and has it answered.
func (p *People) Judge(ctx context.Context, q trust.Question, chosen bool) trust.Verdict {
	if q.Certificate == nil {
		return trust.Verdict{Status: trust.Untrusted, Bound: trust.BoundNone}
	}
	return p.ask(ctx, q, chosen, func() trust.Verdict { return p.judge(ctx, q, chosen) })
}

func (p *People) judge(ctx context.Context, q trust.Question, chosen bool) trust.Verdict {
	// Errors leave out evidence, and without it a verdict is no better.
	anchors, _ := p.Book.Anchors(ctx)
	for _, a := range anchors {
		q.Anchors = append(q.Anchors, trust.Anchor{Certificate: a.Certificate, For: trust.Purpose(a.For), Domains: a.Domains})
	}
	q.Evidence.Certificates, _ = p.Issuers.List(ctx)
	prefs, rules, err := p.Settings(ctx)
	if err != nil {
		rules.RequireAnchor = true // what cannot be read may ask for it
	}
	q.Now, q.Grace = p.Clock(), time.Duration(prefs.GraceHours)*time.Hour
	if q.At.IsZero() {
		q.At = q.Now
	}
	q.Confirmed = q.Confirmed && !rules.RequireAnchor
	q.Silent = q.Silent || rules.SilentAuthorities
	v := p.Check(ctx, q, chosen)
	for i := 1; i < len(v.Path)-1; i++ {
		if c := v.Path[i]; !slices.ContainsFunc(q.Evidence.Certificates, c.Equal) {
			_ = p.Issuers.Add(ctx, c)
		}
	}
	return v
}

// Lookup returns what the book has of a canonical address, or a contact of which
// nothing is known.
func (p *People) Lookup(ctx context.Context, address string) (contacts.Contact, error) {
	c, err := p.Book.Get(ctx, address)
	if errors.Is(err, book.ErrUnknown) {
		return contacts.Contact{Address: address, State: contacts.Unknown}, nil
	}
	return c, err
}

// Known returns somebody in the address book, by their address as typed, or an
// organisation by its domain.
func (p *People) Known(ctx context.Context, typed string) (contacts.Contact, error) {
	address, err := Canonical(typed)
	if err != nil {
		if c, err := p.Book.Get(ctx, strings.ToLower(strings.TrimSpace(typed))); err == nil && c.Organisation() {
			return c, nil
		}
		return contacts.Contact{}, ErrAddress
	}
	return p.Book.Get(ctx, address)
}

// Organisation returns what the book has of the organisation of an address's domain (V6),
// or a contact of which nothing is known.
func (p *People) Organisation(ctx context.Context, address string) contacts.Contact {
	domain := address[strings.LastIndexByte(address, '@')+1:]
	c, err := p.Lookup(ctx, domain)
	if err != nil {
		return contacts.Contact{Address: domain, State: contacts.Unknown} // as good as not confirmed
	}
	return c
}

// Canonical reads an address as typed, with or without a name. More than one line
// is more than one address.
func Canonical(typed string) (string, error) {
	if strings.ContainsAny(strings.TrimSpace(typed), "\r\n") {
		return "", message.ErrAddress
	}
	a, err := message.ParseAddress(typed)
	if err != nil {
		return "", err
	}
	return message.Canonical(a.Addr)
}

// Recipient gathers the state of a contact. What is encrypted to has to have an anchor for
// sending, where policy asks for one; the signing key only has to be in force, since what
// it signs is judged when it comes. A contact is suspended (V3) where no anchor is left
// at all, not where those that there are serve one way only.
func (p *People) Recipient(ctx context.Context, address string) (policy.Recipient, error) {
	c, err := p.Lookup(ctx, address)
	r := policy.Recipient{Contact: c}
	if err != nil || c.Pin == nil && c.Test == nil && c.Incoming == nil {
		return r, err
	}
	var standing trust.Verdict // of the encryption certificate
	if c.Pin != nil {
		r.Sign = p.pinned(ctx, c, c.Pin.Keys.Sign, trust.Sign, true)
		r.Encrypt = p.pinned(ctx, c, c.Pin.Keys.Encrypt, trust.Encrypt, false)
		if standing = r.Encrypt; standing.Status == trust.Untrusted {
			standing = p.pinned(ctx, c, c.Pin.Keys.Encrypt, trust.Encrypt, true)
		}
	}
	fresh, _ := c.Refresh(p.Moment(), r.Sign, standing)
	if fresh.State == c.State && (fresh.Test == nil) == (c.Test == nil) && (fresh.Incoming == nil) == (c.Incoming == nil) {
		return r, nil
	}
	r.Contact, err = p.Change(ctx, address, func(c contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) {
		next, draft := c.Refresh(p.Moment(), r.Sign, standing)
		return next, draft, nil
	})
	if err == nil && c.State == contacts.Verified && r.Contact.State == contacts.Suspended {
		p.Note(ctx, "suspended", cmp.Or(r.Contact.Suspension.Of, address), "Nothing is sent any more: "+r.Contact.Suspension.Reason.String()+".")
	}
	return r, err
}

func (p *People) pinned(ctx context.Context, c contacts.Contact, cert *x509.Certificate, u trust.Usage, standing bool) trust.Verdict {
	return p.Judge(ctx, trust.Question{Certificate: cert, Address: c.Address, Usage: u, Confirmed: true, Standing: standing}, true)
}

// Gather is Recipient for each of several canonical addresses.
func (p *People) Gather(ctx context.Context, addresses []string) ([]policy.Recipient, error) {
	var all []policy.Recipient
	for _, a := range addresses {
		r, err := p.Recipient(ctx, a)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
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
func (p *People) Recipients(ctx context.Context, typed []string) ([]RecipientState, error) {
	var list []RecipientState
	for _, t := range typed {
		address, err := Canonical(t)
		if err != nil {
			r := policy.BadAddress(t)
			list = append(list, RecipientState{Address: r.Person, Label: r.Reason, Refusal: &r})
			continue
		}
		r, err := p.Recipient(ctx, address)
		if err != nil {
			return nil, err
		}
		refusal := policy.Check(r)
		list = append(list, RecipientState{
			Address: address, Name: r.Contact.Name, OK: refusal == nil, Label: p.told(r), Refusal: refusal,
		})
	}
	return list, nil
}

// told is the label of a recipient and, where word about withdrawal is overdue and
// the grace time is in use, of when the last one is.
func (p *People) told(r policy.Recipient) string {
	label := r.Contact.Label(p.Zone)
	var oldest time.Time
	for _, f := range slices.Concat(r.Sign.Checked, r.Encrypt.Checked) {
		if f.InGrace && (oldest.IsZero() || f.ThisUpdate.Before(oldest)) {
			oldest = f.ThisUpdate
		}
	}
	if oldest.IsZero() {
		return label
	}
	zone := p.Zone
	if zone == nil {
		zone = time.UTC
	}
	return fmt.Sprintf("%s. Whether the certificate was withdrawn was last told on %s, and newer word is overdue", label, oldest.In(zone).Format("2 January 2006"))
}
