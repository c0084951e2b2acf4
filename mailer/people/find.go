package people

import (
	"context"
	"crypto/x509"
	"strings"
	"time"

	"countersign/mailer/policy"
	"countersign/vault/contacts"
	"countersign/vault/contacts/keyset"
	"countersign/vault/discover"
	"countersign/vault/trust"
)

// The places that are not discover's: what is here already.
const (
	inBook discover.Place = "address-book" // confirmed
	inMail discover.Place = "mail"         // seen in signed mail, or added from a file
)

// ErrNoFinding says that the administrator does not want people to be looked for.
var ErrNoFinding = &Problem{Code: "find-forbidden", Says: "The people who look after your computers do not allow looking for certificates.",
	Next: "Ask for a signed message instead, or for the certificate as a file."}

// Search is what came of looking for somebody's certificate.
type Search struct {
	Contact Contact // as it stands now
	Found   bool    // there is one that can be used
	Looked  []Looked
}

// Looked is one place, in the order they were looked in. Nothing in it has to be read
// out on a call (V5).
type Looked struct {
	Place        string
	Where        string // in words
	Says         string
	At           time.Time // when the place was asked
	Certificates []Seen
}

// Seen is one certificate that a place had.
type Seen struct {
	Issuer, Usage string
	Expires       time.Time
	Good          bool
	Why           string // it does not do
}

// Find looks for somebody's certificate: among what is here already, and then where such
// are published. It does so because the user asked. What is found becomes a candidate,
// to be verified like any other; it never verifies, and changes nothing for somebody
// who is verified already.
func (p *People) Find(ctx context.Context, typed string) (Search, error) {
	address, err := Canonical(typed)
	if err != nil {
		return Search{}, ErrAddress
	}
	_, rules, err := p.Settings(ctx)
	if err != nil {
		return Search{}, err
	}
	if rules.NoFinding || p.Published == nil {
		return Search{}, ErrNoFinding
	}
	r, err := p.Recipient(ctx, address)
	if err != nil {
		return Search{}, err
	}
	s := Search{Contact: Contact{Contact: r.Contact}}
	s.Looked = append(s.Looked, Looked{Place: string(inBook), Where: "your contacts", Says: r.Contact.Label(p.Zone) + ".", At: p.Clock()})
	if r.Contact.State == contacts.Verified {
		s.Found = true
	} else if err := p.search(ctx, &s, address); err != nil {
		return s, err
	}
	if shown, err := p.Contact(ctx, address); err == nil {
		s.Contact = shown // somebody of whom nothing was found may be no contact
	}
	return s, nil
}

// search looks where certificates are published, and then at what is here.
func (p *People) search(ctx context.Context, s *Search, address string) error {
	findings := p.Published(ctx, address, func(ctx context.Context, c *x509.Certificate, u trust.Usage, others []*x509.Certificate) trust.Verdict {
		return p.Judge(ctx, trust.Question{Certificate: c, Address: address, Usage: u, Enclosed: others}, true)
	})
	for _, f := range findings {
		s.Looked = append(s.Looked, looked(f))
	}
	if certs := discover.Found(findings); len(certs) > 0 {
		s.Found = true
		return p.consider(ctx, address, keyset.Pair(certs), contacts.FromDirectory, findings[len(findings)-1].Where)
	}
	if o := p.Organisation(ctx, address); o.State == contacts.Verified {
		house := p.house(ctx, o, address)
		s.Looked = append(s.Looked, looked(house))
		if s.Found = len(discover.Found([]discover.Finding{house})) > 0; s.Found {
			return p.consider(ctx, address, []contacts.KeySet{o.Pin.Keys}, contacts.FromOrganisation, house.Where)
		}
	}
	here := p.seen(ctx, s.Contact.Contact)
	s.Looked = append(s.Looked, looked(here))
	s.Found = len(discover.Found([]discover.Finding{here})) > 0
	p.Note(ctx, "search", address, "A certificate was looked for, and none was found.")
	return nil
}

// house judges the certificate confirmed for somebody's organisation, which holds for
// everybody at its domain of whom no other is published (V6).
func (p *People) house(ctx context.Context, o contacts.Contact, address string) discover.Finding {
	cert := o.Pin.Keys.Encrypt
	v := p.Judge(ctx, trust.Question{Certificate: cert, Address: address, Usage: trust.Encrypt, Confirmed: true}, true)
	return discover.Finding{Place: inBook, Where: "what you confirmed for " + o.Address, At: p.Clock(),
		Certificates: []discover.Judged{{Certificate: cert, Good: v.Good(), Why: v.Reason}}}
}

// consider makes candidates of what was found.
func (p *People) consider(ctx context.Context, address string, found []contacts.KeySet, from contacts.Origin, where string) error {
	_, err := p.Change(ctx, address, func(c contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) {
		for _, keys := range found {
			var err error
			if c, err = c.AddCandidate(p.Moment(), keys, from); err != nil {
				return c, nil, err
			}
		}
		return c, nil, nil
	})
	if err == nil {
		p.Note(ctx, "search", address, "A certificate was looked for, and one was found: "+where+".")
	}
	return err
}

// seen judges the certificates that are here already.
func (p *People) seen(ctx context.Context, c contacts.Contact) discover.Finding {
	f := discover.Finding{Place: inMail, Where: "what you have of them already", At: p.Clock()}
	for _, k := range c.Candidates {
		cert, usage := k.Keys.Encrypt, trust.Encrypt
		if cert == nil {
			cert, usage = k.Keys.Sign, trust.Sign
		}
		v := p.Judge(ctx, trust.Question{Certificate: cert, Address: c.Address, Usage: usage}, true)
		f.Certificates = append(f.Certificates, discover.Judged{Certificate: cert, Good: v.Good(), Why: v.Reason})
	}
	if len(f.Certificates) == 0 {
		f.Says = "There is none."
	}
	return f
}

func looked(f discover.Finding) Looked {
	l := Looked{Place: string(f.Place), Where: f.Where, Says: f.Says, At: f.At}
	for _, j := range f.Certificates {
		usage := "encryption"
		switch {
		case !trust.Allows(j.Certificate, trust.Encrypt):
			usage = "signing"
		case trust.Allows(j.Certificate, trust.Sign):
			usage = "signing and encryption"
		}
		why := policy.CleanLine(j.Why)
		if usage == "signing" {
			why = strings.TrimSpace("It is for signing only. " + why)
		}
		l.Certificates = append(l.Certificates, Seen{
			Issuer: policy.CleanLine(j.Certificate.Issuer.CommonName), Usage: usage, Expires: j.Certificate.NotAfter, Good: j.Good, Why: why,
		})
	}
	return l
}
