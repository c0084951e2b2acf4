package dnssec

import (
	"fmt"
	"time"

	"github.com/miekg/dns"
)

// Cut is what lies at a name within a zone.
type Cut int

// The kinds of cut.
const (
	NoCut    Cut = iota // no delegation here; there may be one below
	Nothing             // the name does not exist, so that there is none below either
	Insecure            // delegated, and the zone there is not signed for us
	Secure              // delegated and signed
)

// Delegation is the proved answer to a DS question.
type Delegation struct {
	Cut     Cut
	Anchors []Anchor // Secure
	Reason  string   // Insecure
	Expires time.Time
}

// Cut proves from a DS reply whether child, a canonical name under this zone and
// not its own, is delegated (RFC 4035, section 5.2; RFC 5155, sections 8.6 and 8.9).
func (z *Zone) Cut(child string, reply *dns.Msg, at time.Time, effort *Effort) (Delegation, error) {
	asked, err := parseName(child)
	if err != nil {
		return Delegation{}, err
	}
	if len(asked) <= len(z.name) || !asked.under(z.name) {
		return Delegation{}, fmt.Errorf("%s is not below %s", child, z.Name)
	}
	q := Question{child, dns.TypeDS}
	s, kind := pick(q, reply)
	switch kind {
	case Found:
		return z.signedCut(s, asked, at, effort)
	case Alias:
		l, err := z.Judge(q, reply, at, effort)
		d := Delegation{Cut: NoCut, Expires: l.Expires}
		if err == nil && s.records[0].Header().Name != child {
			d.Cut = Nothing // under a DNAME
		}
		return d, err
	}
	proved, until, err := z.denials(reply, at, effort)
	if err != nil {
		return Delegation{}, fmt.Errorf("that %s is not delegated: %w", child, err)
	}
	d := Delegation{Expires: until}
	if t, ok := proved.types(asked); ok {
		switch {
		case t.has(dns.TypeDS) || t.has(dns.TypeSOA): // the latter is the child's own (RFC 6840, section 4.4)
			return d, fmt.Errorf("the denial of %s's DS says otherwise", child)
		case t.has(dns.TypeNS):
			d.Cut, d.Reason = Insecure, fmt.Sprintf("%s is not signed: %s says so", child, z.Name)
		}
		return d, nil
	}
	if proved.empty(asked) {
		return d, nil
	}
	closest, ok := proved.encloser(asked)
	if !ok {
		return d, fmt.Errorf("nothing signed says whether %s is delegated", child)
	}
	optOut, ok := proved.absent(asked[:len(closest)+1])
	switch {
	case !ok:
		return d, fmt.Errorf("nothing signed says whether %s is delegated", child)
	case optOut:
		d.Cut, d.Reason = Insecure, fmt.Sprintf("%s is not signed: %s vouches for signed names only", child, z.Name)
	default:
		d.Cut = Nothing
	}
	return d, nil
}

// signedCut proves a DS set and chooses from it what we can follow.
func (z *Zone) signedCut(s set, child name, at time.Time, effort *Effort) (Delegation, error) {
	p, err := z.verify(s, child, at, effort)
	switch {
	case err != nil:
		return Delegation{}, fmt.Errorf("the DS of %s: %w", child, err)
	case p.expanded:
		return Delegation{}, fmt.Errorf("the DS of %s is from a wildcard", child)
	}
	d := Delegation{Cut: Insecure, Expires: p.expires}
	for _, rr := range s.records {
		if ds, ok := rr.(*dns.DS); ok {
			if a, err := anchorOf(ds); err == nil && a.supported() {
				d.Anchors = append(d.Anchors, a)
			}
		}
	}
	if len(d.Anchors) > 0 {
		d.Cut = Secure
	} else {
		d.Reason = fmt.Sprintf("%s is signed by methods that count for nothing today", child)
	}
	return d, nil
}
