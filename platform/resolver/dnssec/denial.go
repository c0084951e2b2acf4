package dnssec

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// denial is the proved NSEC or NSEC3 records of one reply, of one zone.
type denial interface {
	// types are those at n itself; ok is false where no record is n's.
	types(n name) (t types, ok bool)
	// absent reports whether n and all under it do not exist; optOut: but for
	// unsigned delegations.
	absent(n name) (optOut, ok bool)
	// encloser is the closest existing name above a name that does not exist.
	encloser(n name) (name, bool)
	// empty reports whether n exists only by what lies under it.
	empty(n name) bool
}

// types is the type bit map of an NSEC or NSEC3 record (RFC 4034, section 4.1.2).
type types []uint16

func (t types) has(x uint16) bool { return slices.Contains(t, x) }

// parental: the record is of the parent's side of a delegation.
func (t types) parental() bool { return t.has(dns.TypeNS) && !t.has(dns.TypeSOA) }

// blind: the record says nothing of what lies under its name.
func (t types) blind() bool { return t.parental() || t.has(dns.TypeDNAME) }

// denies reports whether data of type x is denied at the name itself.
func (t types) denies(x uint16) bool {
	return !t.has(x) && !t.has(dns.TypeCNAME) && !t.parental()
}

// denials proves the denial records of a reply with the zone's keys. Those of
// other zones are passed over; one of this zone that does not hold fails all.
func (z *Zone) denials(reply *dns.Msg, at time.Time, effort *Effort) (denial, time.Time, error) {
	var nsecs nsecDenial
	nsec3s := nsec3Denial{zone: z.name, hashes: map[string]string{}}
	var until time.Time
	var weak error
	seen := map[string]bool{}
	for _, rr := range reply.Ns {
		h := rr.Header()
		if h.Rrtype != dns.TypeNSEC && h.Rrtype != dns.TypeNSEC3 || seen[h.Name] {
			continue
		}
		seen[h.Name] = true
		s := gather(reply.Ns, h.Name, h.Rrtype)
		if !slices.ContainsFunc(s.sigs, func(sig *dns.RRSIG) bool { return sig.SignerName == z.Name }) {
			continue
		}
		owner, err := parseName(h.Name)
		if err != nil {
			return nil, until, err
		}
		p, err := z.verify(s, owner, at, effort)
		switch {
		case err != nil:
			return nil, until, fmt.Errorf("the %s of %s: %w", typeName(h.Rrtype), h.Name, err)
		case p.expanded:
			return nil, until, fmt.Errorf("the %s of %s is from a wildcard", typeName(h.Rrtype), h.Name)
		}
		if until.IsZero() || p.expires.Before(until) {
			until = p.expires
		}
		for _, rr := range s.records {
			switch rr := rr.(type) {
			case *dns.NSEC:
				err = nsecs.add(rr, owner, z.name)
			case *dns.NSEC3:
				err = nsec3s.add(rr, owner)
			}
			if err != nil {
				weak = err
			}
		}
	}
	switch {
	case len(nsecs) > 0:
		return nsecs, until, nil
	case len(nsec3s.records) > 0:
		return nsec3s, until, nil
	case weak != nil:
		return nil, until, weak
	}
	return nil, until, errors.New("nothing signed says that it does not exist")
}

// deny proves that a name has no data of a type, or that the name does not exist.
func deny(d denial, n name, qtype uint16, noName bool) (optOut bool, err error) {
	if t, ok := d.types(n); ok {
		if noName || !t.denies(qtype) {
			return false, errors.New("the signed denial says otherwise")
		}
		return false, nil
	}
	if d.empty(n) {
		if noName {
			return false, errors.New("the signed denial says that names lie under it")
		}
		return false, nil
	}
	closest, ok := d.encloser(n)
	if !ok {
		return false, errors.New("the signed denial does not cover it")
	}
	optOut, ok = d.absent(n[:len(closest)+1])
	if !ok {
		return false, errors.New("the signed denial does not cover it")
	}
	wildcard := closest.wildcard()
	if !noName {
		t, ok := d.types(wildcard)
		if ok && t.denies(qtype) {
			return optOut, nil
		}
		if optOut && !ok { // an empty name above unsigned delegations has no NSEC3 (RFC 5155, erratum 3441)
			return true, nil
		}
		return false, errors.New("the signed denial is of the name, not of its data")
	}
	if _, ok := d.absent(wildcard); !ok {
		return false, errors.New("a wildcard may answer for it")
	}
	return optOut, nil
}
