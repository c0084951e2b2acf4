// Package dnssec judges what DNS servers say by the signatures in it (RFC 4033
// to 4035, with the corrections of RFC 6840). It is pure: replies and the time
// come in, a verdict goes out, and asking is platform/resolver's.
//
// # The chain
//
// [Open] makes a [Zone] of a zone's DNSKEY reply and of the digests that its
// parent signed, or that are [Anchor]s. A Zone judges two things with its keys:
//
//   - [Zone.Cut]: whether a name below is delegated, signed or not (the DS reply);
//   - [Zone.Judge]: one link of an answer: data, an alias, or a denial.
//
// An error from any of them is the verdict "bogus" with its reason. Of a reply's
// header only the response code is read, as a claim to be proved: AD counts for nothing.
//
// # What counts
//
// Signatures: RSASHA256, RSASHA512, ECDSAP256SHA256, ECDSAP384SHA384, ED25519
// (RFC 8624). Digests: SHA-256, SHA-384. A delegation that offers only others
// (SHA-1 among them) is insecure (RFC 4035, section 5.2), by a proof that its
// parent signed. One good path is enough (RFC 6840, section 5.11).
//
// A set expanded from a wildcard needs the proof that nothing nearer exists
// (RFC 4035, section 5.3.4; RFC 5155, section 8.8). NSEC, NSEC3, DS, DNSKEY and
// DNAME are never taken as expansions: a forger could else move a true denial to
// another name. NSEC and NSEC3 of the parent's side deny nothing but DS, and
// nothing under a delegation or a DNAME (RFC 6840, section 4.1).
//
// NSEC3 with over 50 iterations proves nothing, so that what rests on it is
// bogus: RFC 9276, section 3.2, lets us choose, and "insecure" is for what a
// zone's own parent signed. Where NSEC3 says opt-out, a denial is
// [Link.OptOut]: true of signed names only (RFC 5155, section 9.2).
//
// Negative trust anchors, RFC 5011 and NXNAME (RFC 9824) are not done: the last
// reads as "no such data".
//
// # Bounds
//
// Against KeyTrap: 4 keys of one tag, 16 signature checks a set, 64 checks of
// signatures and digests an [Effort], 64 keys a zone, 500 records a set.
package dnssec

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	maxSameTag    = 4   // keys of one tag and algorithm in a zone
	maxSetChecks  = 16  // signature checks for one set
	maxChecks     = 64  // signature and digest checks for one answer
	maxKeys       = 64  // DNSKEY records of a zone
	maxRecords    = 500 // of a set, which are sorted for each check
	maxIterations = 50  // of NSEC3 (RFC 9276)
)

var errEffort = errors.New("it takes too many signature checks")

// Effort is what may still be spent on one answer. The zero Effort is whole.
type Effort struct{ checks int }

func (e *Effort) spend() error {
	if e.checks >= maxChecks {
		return errEffort
	}
	e.checks++
	return nil
}

// Anchor is the digest of a zone's key (RFC 4034, section 5), from the parent zone
// or believed from the start.
type Anchor struct {
	Zone       string // canonical
	KeyTag     uint16
	Algorithm  uint8
	DigestType uint8
	Digest     []byte
}

// RootAnchors returns the keys of the root zone from 2017 and from 2024, as
// IANA publishes them in root-anchors.xml (RFC 9718).
func RootAnchors() []Anchor {
	return []Anchor{
		{".", 20326, dns.RSASHA256, dns.SHA256, []byte("\xe0\x6d\x44\xb8\x0b\x8f\x1d\x39\xa9\x5c\x0b\x0d\x7c\x65\xd0\x84\x58\xe8\x80\x40\x9b\xbc\x68\x34\x57\x10\x42\x37\xc7\xf8\xec\x8d")},
		{".", 38696, dns.RSASHA256, dns.SHA256, []byte("\x68\x3d\x2d\x0a\xcb\x8c\x9b\x71\x2a\x19\x48\xb2\x7f\x74\x12\x19\x29\x8d\x0a\x45\x0d\x61\x2c\x48\x3a\xf4\x44\xa4\xc0\xfb\x2b\x16")},
	}
}

// ParseAnchor reads an anchor from a DS record in presentation form, as zone files
// and root-anchors have them: ". IN DS 20326 8 2 E06D...". It fails for what would
// not be followed.
func ParseAnchor(text string) (Anchor, error) {
	rr, err := dns.NewRR(text)
	if err != nil {
		return Anchor{}, fmt.Errorf("reading a trust anchor: %w", err)
	}
	ds, ok := rr.(*dns.DS)
	if !ok {
		return Anchor{}, errors.New("reading a trust anchor: it is no DS record")
	}
	a, err := anchorOf(ds)
	switch size := digestSize(a.DigestType); {
	case err != nil:
	case !a.supported():
		err = fmt.Errorf("algorithm %d with digest %d is not followed", a.Algorithm, a.DigestType)
	case len(a.Digest) != size: // else no key would ever be the one
		err = fmt.Errorf("its digest has %d octets, not %d", len(a.Digest), size)
	}
	if err != nil {
		return Anchor{}, fmt.Errorf("reading a trust anchor: %w", err)
	}
	return a, nil
}

func anchorOf(ds *dns.DS) (Anchor, error) {
	zone, err := Canonical(ds.Hdr.Name)
	if err != nil {
		return Anchor{}, err
	}
	digest, err := hex.DecodeString(ds.Digest)
	return Anchor{zone, ds.KeyTag, ds.Algorithm, ds.DigestType, digest}, err
}

// supported reports whether the anchor's algorithm and digest are ones that we follow.
func (a Anchor) supported() bool {
	return supported(a.Algorithm) && digestSize(a.DigestType) > 0
}

// digestSize is what a digest of a type that we follow has, in octets; else 0.
func digestSize(digestType uint8) int {
	switch digestType {
	case dns.SHA256:
		return sha256.Size
	case dns.SHA384:
		return sha512.Size384
	}
	return 0
}

func supported(algorithm uint8) bool {
	switch algorithm {
	case dns.RSASHA256, dns.RSASHA512, dns.ECDSAP256SHA256, dns.ECDSAP384SHA384, dns.ED25519:
		return true
	}
	return false
}

// Parse reads a reply of at most 65,535 octets and puts its names in lower case.
// What is not of class IN is left out.
func Parse(wire []byte) (*dns.Msg, error) {
	m := new(dns.Msg)
	if err := m.Unpack(wire); err != nil {
		return nil, fmt.Errorf("reading a DNS message: %w", err)
	}
	m.Answer, m.Ns = inClass(m.Answer), inClass(m.Ns)
	return m, nil
}

func inClass(section []dns.RR) []dns.RR {
	section = slices.DeleteFunc(section, func(rr dns.RR) bool { return rr.Header().Class != dns.ClassINET })
	for _, rr := range section {
		rr.Header().Name = dns.CanonicalName(rr.Header().Name)
		if sig, ok := rr.(*dns.RRSIG); ok {
			sig.SignerName = dns.CanonicalName(sig.SignerName)
		}
	}
	return section
}

// Zone is a zone whose keys are proved. It is never changed.
type Zone struct {
	Name    string
	Expires time.Time // of the proof
	name    name
	keys    []key
}

type key struct {
	tag    uint16
	record *dns.DNSKEY
}

// Open proves a zone's keys: reply is its DNSKEY reply, anchors are what vouches
// for them. Anchors of other zones are passed over.
func Open(zone string, anchors []Anchor, reply *dns.Msg, at time.Time, effort *Effort) (*Zone, error) {
	z := &Zone{Name: zone}
	var err error
	if z.name, err = parseName(zone); err != nil {
		return nil, err
	}
	offered := gather(reply.Answer, zone, dns.TypeDNSKEY)
	if len(offered.records) == 0 {
		return nil, fmt.Errorf("%s gives no keys", zone)
	}
	if z.keys, err = usable(offered.records); err != nil {
		return nil, fmt.Errorf("%s: %w", zone, err)
	}
	reason := errors.New("no key of it is the one that is vouched for")
	for _, a := range anchors {
		if a.Zone != zone || !a.supported() {
			continue
		}
		for _, k := range z.keys {
			if k.tag != a.KeyTag || k.record.Algorithm != a.Algorithm {
				continue
			}
			if err := effort.spend(); err != nil {
				return nil, fmt.Errorf("%s: %w", zone, err)
			}
			if ds := k.record.ToDS(a.DigestType); ds == nil || ds.Digest != hex.EncodeToString(a.Digest) {
				continue
			}
			alone := &Zone{Name: zone, name: z.name, keys: []key{k}}
			proof, err := alone.verify(offered, z.name, at, effort)
			switch {
			case errors.Is(err, errEffort):
				return nil, fmt.Errorf("the keys of %s: %w", zone, err)
			case err != nil:
				reason = err
				continue
			case proof.expanded:
				return nil, fmt.Errorf("the keys of %s are from a wildcard", zone)
			}
			z.Expires = proof.expires
			return z, nil
		}
	}
	return nil, fmt.Errorf("the keys of %s: %w", zone, reason)
}

// usable picks the keys that may sign zone data (RFC 4034, section 2.1) and are
// not revoked (RFC 5011, section 2.1).
func usable(records []dns.RR) ([]key, error) {
	if len(records) > maxKeys {
		return nil, fmt.Errorf("over %d keys", maxKeys)
	}
	var keys []key
	same := map[[2]uint16]int{}
	for _, rr := range records {
		k, ok := rr.(*dns.DNSKEY)
		if !ok || k.Protocol != 3 || k.Flags&dns.ZONE == 0 || k.Flags&dns.REVOKE != 0 || !supported(k.Algorithm) {
			continue
		}
		tag := k.KeyTag()
		id := [2]uint16{tag, uint16(k.Algorithm)}
		if same[id]++; same[id] > maxSameTag {
			return nil, fmt.Errorf("over %d keys of tag %d", maxSameTag, tag)
		}
		keys = append(keys, key{tag, k})
	}
	return keys, nil
}

// Canonical returns a name in presentation form, absolute and in lower case, with
// escapes as this package compares them. It fails for what is not a domain name
// of at most 255 octets.
func Canonical(s string) (string, error) {
	n, err := parseName(s)
	if err != nil {
		return "", err
	}
	return n.String(), nil
}

// Within reports whether a canonical name is zone or lies under it.
func Within(s, zone string) bool {
	return strings.HasSuffix(s, zone) && dns.IsSubDomain(zone, s)
}
