package dnssec

import (
	"errors"
	"fmt"
	"time"

	"github.com/miekg/dns"
)

// set is the records of one name and type in a reply, with the signatures that
// came along.
type set struct {
	records []dns.RR
	sigs    []*dns.RRSIG
}

func gather(section []dns.RR, owner string, qtype uint16) set {
	var s set
	for _, rr := range section {
		h := rr.Header()
		if h.Name != owner {
			continue
		}
		if sig, ok := rr.(*dns.RRSIG); ok && sig.TypeCovered == qtype {
			s.sigs = append(s.sigs, sig)
		} else if h.Rrtype == qtype {
			s.records = append(s.records, rr)
		}
	}
	return s
}

// expires is when a set is to be asked for again, by its own TTLs.
func (s set) expires(at time.Time) time.Time {
	ttl := s.records[0].Header().Ttl
	for _, rr := range s.records {
		ttl = min(ttl, rr.Header().Ttl)
	}
	return at.Add(time.Duration(min(ttl, 1<<31-1)) * time.Second)
}

// proof is what a good signature says of a set.
type proof struct {
	expires  time.Time
	expanded bool // from the wildcard under closest
	closest  name
}

// verify finds a signature of the zone that holds for s, whose owner is given
// (RFC 4035, section 5.3).
func (z *Zone) verify(s set, owner name, at time.Time, effort *Effort) (proof, error) {
	if !owner.under(z.name) {
		return proof{}, fmt.Errorf("it is not within %s", z.Name)
	}
	if len(s.records) > maxRecords {
		return proof{}, fmt.Errorf("it has over %d records", maxRecords)
	}
	labels := len(owner)
	if labels > 0 && owner[labels-1] == "*" {
		labels-- // RFC 4034, section 3.1.3
	}
	reason, checks := errors.New("it has no signature of its zone"), 0
	for _, sig := range s.sigs {
		switch {
		case sig.SignerName != z.Name || int(sig.Labels) > labels:
			continue
		case !supported(sig.Algorithm):
			reason = fmt.Errorf("its signature is of algorithm %d", sig.Algorithm)
			continue
		}
		if err := timely(sig, at); err != nil {
			reason = err
			continue
		}
		for _, k := range z.keys {
			if k.tag != sig.KeyTag || k.record.Algorithm != sig.Algorithm {
				continue
			}
			if checks++; checks > maxSetChecks {
				return proof{}, errEffort
			}
			if err := effort.spend(); err != nil {
				return proof{}, err
			}
			if sig.Verify(k.record, s.records) != nil {
				reason = errors.New("its signature does not hold")
				continue
			}
			p := proof{expires: lasting(s, sig, at), expanded: int(sig.Labels) < labels}
			if p.expanded {
				p.closest = owner[:sig.Labels]
			}
			return p, nil
		}
	}
	return proof{}, reason
}

// timely compares in serial number arithmetic (RFC 4034, section 3.1.5).
func timely(sig *dns.RRSIG, at time.Time) error {
	now := uint32(at.Unix())
	switch {
	case int32(sig.Expiration-now) < 0:
		return errors.New("its signature has expired")
	case int32(now-sig.Inception) < 0:
		return errors.New("its signature is not valid yet")
	}
	return nil
}

// lasting is RFC 4035, section 5.3.3: no longer than the TTLs, the original TTL
// and the signature.
func lasting(s set, sig *dns.RRSIG, at time.Time) time.Time {
	seconds := min(sig.OrigTtl, sig.Hdr.Ttl, sig.Expiration-uint32(at.Unix()), 1<<31-1)
	own := at.Add(time.Duration(seconds) * time.Second)
	if e := s.expires(at); e.Before(own) {
		return e
	}
	return own
}

// signer is the deepest zone that owner's signatures in s name and that owner
// may lie in, or "" where there is none.
func (s set) signer(owner string) string {
	deepest := ""
	for _, sig := range s.sigs {
		if Within(owner, sig.SignerName) && (deepest == "" || len(sig.SignerName) > len(deepest)) {
			deepest = sig.SignerName
		}
	}
	return deepest
}

func typeName(t uint16) string {
	if s, ok := dns.TypeToString[t]; ok {
		return s
	}
	return fmt.Sprintf("TYPE%d", t)
}
