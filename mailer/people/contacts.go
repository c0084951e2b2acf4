package people

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"time"

	"countersign/mailer/policy"
	"countersign/vault/book"
	"countersign/vault/contacts"
	"countersign/vault/contacts/keyset"
	"countersign/vault/discover"
	"countersign/vault/trust"
)

// Contact is one person, team or organisation, as faces show them.
type Contact struct {
	contacts.Contact
	Label      string    // the state in words
	Next       string    // what to do next, one sentence
	Expires    time.Time // of the pinned certificates, the earlier
	Incoming   *Incoming
	Candidates []Candidate
	Refusal    *policy.Refusal // why nothing can be sent to them now
}

// Incoming is a test message that somebody sent to the user.
type Incoming struct {
	From     string
	Words    []string // the code to read out when they call
	Mine     []string // the user's own safety words, to read out as well
	Expires  time.Time
	Answered time.Time
	Advice   string
}

// Candidate is a certificate, or a pair of them, seen for a contact.
type Candidate struct {
	ID      string // opaque
	Issuer  string
	Usage   string // "signing and encryption", "signing", "encryption"
	Expires time.Time
	Seen    time.Time
	From    string // "a message of 3 March 2026"
	Chain   string // trusted | untrusted | expired | revoked | unknown
	Pinned  bool
	Of      string // the domain of whose organisation it is, for everybody there; else empty
}

// Contacts finds people by the beginnings of words of their name or address; with
// an empty text it lists all.
func (p *People) Contacts(ctx context.Context, text string, limit int) ([]Contact, error) {
	if limit <= 0 || limit > 1000 {
		limit = 1000
	}
	found, err := p.Book.Search(ctx, text, limit)
	if err != nil {
		return nil, err
	}
	list := make([]Contact, 0, len(found))
	for _, c := range found {
		shown, err := p.show(ctx, c.Address)
		if err != nil {
			return nil, err
		}
		list = append(list, shown)
	}
	return list, nil
}

// Contact returns one person, with current evidence about everything that is known.
func (p *People) Contact(ctx context.Context, typed string) (Contact, error) {
	c, err := p.Known(ctx, typed)
	if err != nil {
		return Contact{}, err
	}
	v, err := p.show(ctx, c.Address)
	for _, k := range v.Contact.Candidates {
		v.Candidates = append(v.Candidates, p.candidate(ctx, v.Contact, k))
	}
	return v, err
}

func (p *People) show(ctx context.Context, address string) (Contact, error) {
	r, err := p.Recipient(ctx, address)
	if err != nil {
		return Contact{}, err
	}
	c := r.Contact
	v := Contact{Contact: c, Label: c.Label(p.Zone), Next: c.Next(p.Zone), Refusal: policy.Check(r)}
	if c.Pin != nil {
		v.Expires = ends(c.Pin.Keys)
	}
	if c.Incoming != nil {
		v.Incoming, err = p.Incoming(ctx, c)
	}
	return v, err
}

// Incoming explains the test that a contact sent.
func (p *People) Incoming(ctx context.Context, c contacts.Contact) (*Incoming, error) {
	in := c.Incoming
	own, _, err := p.tested(ctx, in)
	return &Incoming{
		From: c.Address, Words: in.Code, Mine: p.ownWords(own), Expires: in.Expires, Answered: in.Answered, Advice: c.Advice(),
	}, err
}

func (p *People) candidate(ctx context.Context, c contacts.Contact, k contacts.Candidate) Candidate {
	v := Candidate{
		ID: k.ID, Expires: ends(k.Keys), Seen: k.Seen, From: origin(k, p.Zone),
		Pinned: c.Pin != nil && c.Pin.Keys.ID() == k.Keys.ID(), Of: c.OrganisationOf(k.Keys),
	}
	cert, usage := k.Keys.Sign, trust.Sign
	switch {
	case k.Keys.Complete():
		v.Usage = "signing and encryption"
	case cert != nil:
		v.Usage = "signing"
	default:
		v.Usage, cert, usage = "encryption", k.Keys.Encrypt, trust.Encrypt
	}
	v.Issuer = policy.CleanLine(cert.Issuer.CommonName)
	v.Chain = string(p.Judge(ctx, trust.Question{Certificate: cert, Address: c.Address, Usage: usage}, false).Status)
	return v
}

func origin(k contacts.Candidate, zone *time.Location) string {
	if zone == nil {
		zone = time.UTC
	}
	day := k.Seen.In(zone).Format("2 January 2006")
	switch k.From {
	case contacts.FromFile:
		return "a file that you added on " + day
	case contacts.FromDirectory:
		return "a directory that was searched on " + day
	case contacts.FromOrganisation:
		return "what you had confirmed for their organisation, on " + day
	case contacts.FromTest:
		return "their test message of " + day
	case contacts.FromAnswer:
		return "an answer of " + day + " that used other keys"
	}
	return "a message of " + day
}

func ends(k contacts.KeySet) time.Time {
	var first time.Time
	for _, c := range k.Certificates() {
		if first.IsZero() || c.NotAfter.Before(first) {
			first = c.NotAfter
		}
	}
	return first
}

// maxCertificates bounds a file of certificates to consider, in bytes.
const maxCertificates = 64 << 10

// ErrCertificate says that a file holds no certificate.
var ErrCertificate = &Problem{Code: "not-a-certificate", Says: "There is no certificate in this file.", Next: "Ask for a file that ends in .cer, .crt or .pem."}

// ErrProfile says that a profile is none of those known.
var ErrProfile = &Problem{Code: "bad-profile", Says: "There is no such kind of mail system.", Next: "Say smime, or direct for a system of the Direct Project."}

// NewContact is somebody to add, or what to change of somebody who is there.
type NewContact struct {
	Address      string // as typed
	Name         string
	Team         bool
	Certificates []byte // PEM or DER, one after the other, or a certs-only message (.p7b, .p7c)
	Profile      string // how letters to them are made: smime or direct; empty: as before
	Organisation string // that they belong to; empty: as before
}

// AddContact makes a contact, or gives an existing one a new name, a profile or a
// certificate to consider. It never verifies.
func (p *People) AddContact(ctx context.Context, n NewContact) (Contact, error) {
	address, err := Canonical(n.Address)
	if err != nil {
		return Contact{}, ErrAddress
	}
	profile := contacts.Profile(n.Profile)
	if profile != "" && profile != contacts.SMIME && profile != contacts.Direct {
		return Contact{}, ErrProfile
	}
	certs, err := parseCertificates(n.Certificates)
	if err != nil {
		return Contact{}, err
	}
	for _, c := range certs { // what came along with them is remembered on the way
		p.Judge(ctx, trust.Question{Certificate: c, Address: address, Usage: trust.Sign, Enclosed: certs}, false)
	}
	_, err = p.Book.Get(ctx, address)
	fresh := errors.Is(err, book.ErrUnknown)
	_, err = p.Change(ctx, address, func(c contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) {
		if name := policy.CleanLine(n.Name); name != "" {
			c.Name = name
		}
		if org := policy.CleanLine(n.Organisation); org != "" {
			c.Org = org
		}
		c.Team, c.Profile = c.Team || n.Team, cmp.Or(profile, c.Profile)
		for _, keys := range keyset.Pair(certs) {
			var err error
			if c, err = c.AddCandidate(p.Moment(), keys, contacts.FromFile); err != nil {
				return c, nil, err
			}
		}
		return c, nil, nil
	})
	if err != nil {
		return Contact{}, err
	}
	if fresh {
		p.Note(ctx, "contact", address, "A contact was added.")
	}
	return p.Contact(ctx, address)
}

func parseCertificates(data []byte) (certs []*x509.Certificate, err error) {
	if len(data) == 0 {
		return nil, nil
	}
	if len(data) > maxCertificates {
		return nil, ErrCertificate
	}
	if certs, err = discover.Certificates(data); err != nil {
		return nil, ErrCertificate
	}
	return certs, nil
}

// RemoveContact takes somebody out of the address book. Their messages stay.
func (p *People) RemoveContact(ctx context.Context, address string) error {
	c, err := p.Known(ctx, address)
	if err != nil {
		return err
	}
	if err := p.Book.Remove(ctx, c.Address); err != nil {
		return err
	}
	p.Note(ctx, "contact", c.Address, "A contact was removed.")
	if p.Moved == nil {
		return nil
	}
	return p.Moved(ctx, c.Address)
}
