package dnssec

import (
	"fmt"
	"slices"

	"github.com/miekg/dns"
)

// nsecDenial is RFC 4035, section 5.4.
type nsecDenial []span

// span is an NSEC record: nothing lies between owner and next. The last of a
// zone has the zone itself as next.
type span struct {
	owner, next name
	bits        types
	last        bool
}

func (d *nsecDenial) add(rr *dns.NSEC, owner, zone name) error {
	next, err := parseName(rr.NextDomain)
	if err != nil {
		return err
	}
	if !next.under(zone) {
		return fmt.Errorf("the NSEC of %s leads out of its zone", rr.Hdr.Name)
	}
	*d = append(*d, span{owner, next, rr.TypeBitMap, slices.Compare(next, owner) <= 0})
	return nil
}

func (d nsecDenial) types(n name) (types, bool) {
	for _, s := range d {
		if slices.Equal(s.owner, n) {
			return s.bits, true
		}
	}
	return nil, false
}

// between finds the span that n lies strictly within.
func (d nsecDenial) between(n name) (span, bool) {
	for _, s := range d {
		if slices.Compare(s.owner, n) >= 0 || !s.last && slices.Compare(n, s.next) >= 0 {
			continue
		}
		if n.under(s.owner) && s.bits.blind() {
			continue // RFC 6840, section 4.1; RFC 6672, section 5.3.4.1
		}
		return s, true
	}
	return span{}, false
}

func (d nsecDenial) empty(n name) bool {
	s, ok := d.between(n)
	return ok && s.next.under(n)
}

func (d nsecDenial) absent(n name) (optOut, ok bool) {
	s, ok := d.between(n)
	return false, ok && !s.next.under(n)
}

func (d nsecDenial) encloser(n name) (name, bool) {
	s, ok := d.between(n)
	if !ok {
		return nil, false
	}
	above, below := n.common(s.owner), n.common(s.next)
	if len(above) > len(below) {
		return above, true
	}
	return below, true
}
