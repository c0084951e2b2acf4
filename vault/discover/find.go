package discover

import (
	"context"
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"countersign/platform/resolver"
	"countersign/vault/trust"
)

// Bounds of looking for somebody's certificate.
const (
	findTime  = 60 * time.Second // all places together
	placeTime = 8 * time.Second  // one place
	// serverTime is what one of several servers has, so that one which takes the question
	// and never answers does not stand for all.
	serverTime = 3 * time.Second
	// judgeTime is what the certificates of one place have to be judged: each may name
	// servers that are slow on purpose.
	judgeTime = 20 * time.Second
	maxFound  = 8 // certificates of one place
)

// Place is where a certificate is looked for.
type Place string

// The places, in the order of the Direct Project (sections 4.0 and 5.3), and then those
// that it does not know.
const (
	DNSAddress  Place = "dns-address"  // CERT records under the address
	DNSDomain   Place = "dns-domain"   // CERT records of the domain
	LDAPAddress Place = "ldap-address" // the domain's directory, for the address
	LDAPDomain  Place = "ldap-domain"  // the domain's directory, for the whole domain
	SMIMEA      Place = "smimea"       // the SMIMEA record, with DNSSEC
	Directory   Place = "directory"    // a directory that the administrator or the user named
)

// Finding is what one place had.
type Finding struct {
	Place        Place
	Where        string // the place in words
	Certificates []Judged
	Says         string // why there is nothing to use, or what else there is to say
	At           time.Time
}

// Judged is one certificate that was found, and whether it does.
type Judged struct {
	Certificate *x509.Certificate
	Good        bool
	Why         string // it does not, one sentence
}

// Finder looks for certificates. Its fields are set by whoever makes it.
type Finder struct {
	Checker     *Checker
	DNS         *resolver.Resolver
	Directories []string // ldaps://host or ldap://host, each with or without a port
	Own         []string // the same, named by the user; asked after those
	Private     bool     // servers at private and loopback addresses may be asked
	// Judge says whether a certificate does for writing to the address; others were
	// found beside it. The user chose to look, so that its sources may be asked (I1).
	Judge func(ctx context.Context, c *x509.Certificate, u trust.Usage, others []*x509.Certificate) trust.Verdict
	// Roots are whose certificates count for ldaps; nil: those of the system.
	Roots *x509.CertPool

	patience time.Duration // with one server; zero: serverTime
}

// person is whom a certificate is looked for.
type person struct{ address, local, domain string }

// search is one run through the places, with what it has to remember on the way: that
// whoever does not answer is not asked again and again while somebody waits.
type search struct {
	*Finder
	silent  int                    // questions in a row that DNS did not answer
	unasked *harvest               // what the domain's directories said, where none could be asked
	named   []resolver.Association // the proved SMIMEA records
}

// unquoted is a local part without its quotes (RFC 5321, section 4.1.2).
func unquoted(local string) string {
	if len(local) < 2 || local[0] != '"' || local[len(local)-1] != '"' {
		return local
	}
	var b strings.Builder
	for i := 1; i < len(local)-1; i++ {
		if local[i] == '\\' && i < len(local)-2 {
			i++
		}
		b.WriteByte(local[i])
	}
	return b.String()
}

// place is one place to look in.
type place struct {
	Place
	where string
	key   string // under which its answer is kept; none: under the Place
	ask   func(context.Context, person) harvest
}

// Find looks for the certificate of a canonical address, in each place in turn,
// until one has what does: that is then the last Finding, and [Found] returns it.
// What does is a certificate for encryption that is good by the Judge. Nothing is
// changed, and nothing is verified.
func (f *Finder) Find(ctx context.Context, address string) []Finding {
	ctx, cancel := context.WithTimeout(ctx, findTime)
	defer cancel()
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return nil
	}
	who := person{address, unquoted(address[:at]), address[at+1:]}
	s := &search{Finder: f}
	var findings []Finding
	for _, p := range s.places(who) {
		h, asked := harvest{says: "There was no time left to ask."}, f.Checker.clock()
		if ctx.Err() == nil {
			h, asked = s.look(ctx, p, who)
		}
		findings = append(findings, s.judge(ctx, who, p, h, asked))
		if len(Found(findings)) > 0 {
			break
		}
	}
	return findings
}

// Found returns the certificates of the last finding that do, if one of them is for
// encryption.
func Found(findings []Finding) (certs []*x509.Certificate) {
	if len(findings) == 0 {
		return nil
	}
	for _, j := range findings[len(findings)-1].Certificates {
		if j.Good {
			certs = append(certs, j.Certificate)
		}
	}
	if !slices.ContainsFunc(certs, func(c *x509.Certificate) bool { return trust.Allows(c, trust.Encrypt) }) {
		return nil
	}
	return certs
}

func (f *search) places(who person) []place {
	all := []place{
		{DNSAddress, "DNS, under the address", "", f.dnsAddress},
		{DNSDomain, "DNS, under " + who.domain, "", f.dnsDomain},
		{LDAPAddress, "the directory of " + who.domain + ", under the address", "", f.ldapAddress},
		{LDAPDomain, "the directory of " + who.domain + ", for the whole organisation", "", f.ldapDomain},
		{SMIMEA, "DNS, as a signed SMIMEA record", "", f.smimea},
	}
	for i, d := range slices.Concat(f.Directories, f.Own) {
		_, name, _ := strings.Cut(d, "://")
		if own := i >= len(f.Directories); !own || !slices.Contains(f.Directories, d) {
			all = append(all, place{Directory, "the directory " + name, d, f.configured(d, guard(f.Private || !own))})
		}
	}
	return all
}

// look asks a place, unless what it said a short time ago is still good.
func (f *search) look(ctx context.Context, p place, who person) (harvest, time.Time) {
	if h, at, ok := f.Checker.recallFound(ctx, who.address, p); ok {
		return h, at
	}
	once, cancel := context.WithTimeout(ctx, placeTime)
	defer cancel()
	h, now := p.ask(once, who), f.Checker.clock()
	h.until = h.lasts(now)
	f.Checker.keepFound(ctx, who.address, p, h, now)
	return h, now
}

// judge says of each certificate whether it does. One that names somebody else only
// makes us fetch nothing. Authorities' own came along, to judge by.
func (f *search) judge(ctx context.Context, who person, p place, h harvest, at time.Time) Finding {
	ctx, cancel := context.WithTimeout(ctx, judgeTime)
	defer cancel()
	out := Finding{Place: p.Place, Where: p.where, Says: h.says, At: at}
	for _, c := range h.certs {
		j := Judged{Certificate: c}
		theirs := trust.Binds(c, who.address) != trust.BoundNone
		switch {
		case c.IsCA && !theirs:
			continue
		case c.IsCA:
			j.Why = "It is made for an authority, not for a person."
		case !theirs:
			j.Why = "It belongs to somebody else."
		default:
			usage := trust.Encrypt
			if !trust.Allows(c, usage) {
				usage = trust.Sign
			}
			v := f.Judge(ctx, c, usage, h.certs)
			j.Good, j.Why = v.Good(), v.Reason
			if j.Good && !f.fits(c, v.Path) {
				j.Good, j.Why = false, "A signed record of their domain names another certificate."
			}
		}
		out.Certificates = append(out.Certificates, j)
	}
	if len(out.Certificates) == 0 && out.Says == "" {
		out.Says = "There is none."
	}
	return out
}
