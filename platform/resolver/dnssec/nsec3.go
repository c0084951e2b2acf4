package dnssec

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// nsec3Denial is RFC 5155, section 8.
type nsec3Denial struct {
	zone    name
	records []hashed
	salt    string
	rounds  uint16
	hashes  map[string]string // by presentation form
}

// hashed is an NSEC3 record: no name's hash lies between owner and next. The last
// of a zone has the first as next.
type hashed struct {
	owner, next string // base32hex in upper case, 32 characters: their order is that of the hashes
	bits        types
	optOut      bool
}

// add passes over what RFC 5155, section 8.2, says to ignore.
func (d *nsec3Denial) add(rr *dns.NSEC3, owner name) error {
	switch {
	case rr.Hash != dns.SHA1 || rr.Flags&^1 != 0:
		return fmt.Errorf("an NSEC3 has hash %d and flags %d", rr.Hash, rr.Flags)
	case rr.Iterations > maxIterations:
		return fmt.Errorf("an NSEC3 has %d iterations (RFC 9276)", rr.Iterations)
	case len(owner) != len(d.zone)+1:
		return fmt.Errorf("an NSEC3 lies at %s", owner)
	case len(d.records) > 0 && (rr.Salt != d.salt || rr.Iterations != d.rounds):
		return fmt.Errorf("the NSEC3 records are of several chains")
	}
	h := hashed{
		owner: strings.ToUpper(owner[len(owner)-1]), next: strings.ToUpper(rr.NextDomain),
		bits: rr.TypeBitMap, optOut: rr.Flags&1 != 0,
	}
	if len(h.owner) != 32 || len(h.next) != 32 {
		return fmt.Errorf("an NSEC3 has a hash of another length")
	}
	d.salt, d.rounds = rr.Salt, rr.Iterations
	d.records = append(d.records, h)
	return nil
}

func (d nsec3Denial) hash(n name) string {
	s := n.String()
	if _, ok := d.hashes[s]; !ok {
		d.hashes[s] = dns.HashName(s, dns.SHA1, d.rounds, d.salt)
	}
	return d.hashes[s]
}

func (d nsec3Denial) types(n name) (types, bool) {
	x := d.hash(n)
	for _, h := range d.records {
		if h.owner == x {
			return h.bits, true
		}
	}
	return nil, false
}

// empty: an empty name has an NSEC3 of its own, without types.
func (d nsec3Denial) empty(name) bool { return false }

func (d nsec3Denial) absent(n name) (optOut, ok bool) {
	x := d.hash(n)
	for _, h := range d.records {
		if h.owner < x && (x < h.next || h.next <= h.owner) || h.next <= h.owner && x < h.next {
			return h.optOut, true
		}
	}
	return false, false
}

// encloser is the first half of section 8.3: the longest name above n that has
// an NSEC3, which must not be blind.
func (d nsec3Denial) encloser(n name) (name, bool) {
	for i := len(n) - 1; i >= len(d.zone); i-- {
		if t, ok := d.types(n[:i]); ok {
			return n[:i], !t.blind()
		}
	}
	return nil, false
}
