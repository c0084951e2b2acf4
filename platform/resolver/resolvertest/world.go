// Package resolvertest gives tests a DNS of their own: signed zones from a root
// down, and the recursive server that people would ask. It is written from the
// servers' side (RFC 4035, section 3; RFC 5155, section 7) and shares nothing with
// what validates, so that one mistake is not made twice.
//
//	w := resolvertest.New(t, at)
//	w.Zone("test.")
//	w.Zone("clinic.test.", resolvertest.NSEC3).Add("clinic.test. MX 10 mail.clinic.test.")
//	r := &resolver.Resolver{Servers: []string{"192.0.2.53"}, Anchors: w.Anchors(), Dial: w.Dial, Clock: ...}
//
// [World.Alter] makes the server lie, and [World.Serve] puts it on real sockets of
// the loopback interface.
package resolvertest

import (
	"crypto"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"countersign/platform/resolver"
)

// World is a tree of zones and the server that answers for all of them. It may
// be asked from several goroutines; zones are added before.
type World struct {
	t     testing.TB
	at    time.Time
	zones map[string]*Zone

	mu    sync.Mutex
	asked map[string]int
	alter func(network string, query, reply *dns.Msg) []*dns.Msg
}

// New makes a world with a signed root. Signatures are valid for a day around at.
func New(t testing.TB, at time.Time) *World {
	w := &World{t: t, at: at, zones: map[string]*Zone{}, asked: map[string]int{}}
	w.Zone(".")
	return w
}

// Alter lets tests lie: what change returns is sent instead of reply, one packet
// each; nothing at all is silence. A nil change is the truth again.
func (w *World) Alter(change func(network string, query, reply *dns.Msg) []*dns.Msg) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.alter = change
}

// Asked counts the questions for a name and a type ("MX") so far.
func (w *World) Asked(name, qtype string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[name+" "+qtype]
}

// Anchors are those of the root.
func (w *World) Anchors() []resolver.Anchor { return w.zones["."].Anchors() }

// Zone is one zone. Its fields may be changed until it is first asked.
type Zone struct {
	Name                  string
	Unsigned              bool // no keys, no DS at the parent
	Hashed                bool // NSEC3 instead of NSEC
	OptOut                bool // with Hashed
	Iterations            uint16
	Digest                uint8 // of the DS at the parent
	Inception, Expiration time.Time
	Keys                  []Key // all of them sign everything

	t    testing.TB
	sets map[string][]dns.RR // by "owner TYPE"
	sigs map[string][]dns.RR
}

// Key is a key of a zone.
type Key struct {
	Record  *dns.DNSKEY
	Private crypto.Signer // nil: it signs nothing
}

// NSEC3 is an option for [World.Zone].
func NSEC3(z *Zone) { z.Hashed = true }

// OptOut is NSEC3 that leaves unsigned delegations out.
func OptOut(z *Zone) { z.Hashed, z.OptOut = true, true }

// Unsigned is a zone without DNSSEC.
func Unsigned(z *Zone) { z.Unsigned = true }

// Algorithm is an option that signs with an algorithm's number instead of 13.
func Algorithm(algorithm uint8, bits int) func(*Zone) {
	return func(z *Zone) { z.Keys = []Key{NewKey(z.t, z.Name, algorithm, bits)} }
}

// Zone adds a zone under those that are there.
func (w *World) Zone(name string, options ...func(*Zone)) *Zone {
	w.t.Helper()
	z := &Zone{
		Name: name, t: w.t, Digest: dns.SHA256, sets: map[string][]dns.RR{}, sigs: map[string][]dns.RR{},
		Inception: w.at.Add(-12 * time.Hour), Expiration: w.at.Add(12 * time.Hour),
	}
	for _, o := range options {
		o(z)
	}
	if len(z.Keys) == 0 && !z.Unsigned {
		z.Keys = []Key{NewKey(w.t, name, dns.ECDSAP256SHA256, 256)}
	}
	z.Add(name+" SOA ns.test. root.test. 1 2 3 4 300", name+" NS ns.test.")
	w.zones[name] = z
	return z
}

// NewKey makes a key for a zone.
func NewKey(t testing.TB, zone string, algorithm uint8, bits int) Key {
	t.Helper()
	k := &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: zone, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 3600},
		Flags: dns.ZONE | dns.SEP, Protocol: 3, Algorithm: algorithm,
	}
	for {
		private, err := k.Generate(bits)
		if err != nil {
			t.Fatal(err)
		}
		if k.KeyTag() != 0 { // a tag as any other, which the library takes for none
			return Key{k, private.(crypto.Signer)}
		}
	}
}

// Add adds records in presentation form, with absolute names and without a class; the TTL is 3600.
func (z *Zone) Add(records ...string) *Zone {
	z.t.Helper()
	for _, text := range records {
		owner, rest, _ := strings.Cut(text, " ")
		rr, err := dns.NewRR(owner + " 3600 IN " + rest)
		if err != nil {
			z.t.Fatalf("%q: %v", text, err)
		}
		key := rr.Header().Name + " " + dns.TypeToString[rr.Header().Rrtype]
		z.sets[key] = append(z.sets[key], rr)
	}
	return z
}

// Anchors are the digests of the zone's keys.
func (z *Zone) Anchors() []resolver.Anchor {
	var anchors []resolver.Anchor
	for _, rr := range z.ds() {
		a, err := resolver.ParseAnchor(rr.String())
		if err != nil {
			z.t.Fatal(err)
		}
		anchors = append(anchors, a)
	}
	return anchors
}

func (z *Zone) ds() []dns.RR {
	var set []dns.RR
	for _, k := range z.Keys {
		set = append(set, k.Record.ToDS(z.Digest))
	}
	return set
}

// signed returns a set with its signatures, as copies.
func (z *Zone) signed(set []dns.RR) []dns.RR {
	h := set[0].Header()
	key := fmt.Sprint(h.Name, " ", h.Rrtype)
	if z.sigs[key] == nil && !z.Unsigned {
		z.sigs[key] = z.Sign(set)
	}
	var out []dns.RR
	for _, rr := range slices.Concat(set, z.sigs[key]) {
		out = append(out, dns.Copy(rr))
	}
	return out
}

// Sign signs a set with all keys.
func (z *Zone) Sign(set []dns.RR) []dns.RR {
	z.t.Helper()
	var sigs []dns.RR
	for _, k := range z.Keys {
		if k.Private == nil {
			continue
		}
		sig := &dns.RRSIG{
			Hdr:       dns.RR_Header{Ttl: set[0].Header().Ttl},
			Inception: uint32(z.Inception.Unix()), Expiration: uint32(z.Expiration.Unix()),
			KeyTag: k.Record.KeyTag(), SignerName: z.Name, Algorithm: k.Record.Algorithm,
		}
		if err := sig.Sign(k.Private, set); err != nil {
			z.t.Fatal(err)
		}
		sig.Hdr.Class = dns.ClassINET
		sigs = append(sigs, sig)
	}
	return sigs
}

// SameTag makes a key for a zone, and n-1 more DNSKEY records of its tag that nobody has
// the private key of: the tag is a sum over pairs of octets, whatever their order.
func SameTag(z *Zone, n int) []Key {
	first := NewKey(z.t, z.Name, dns.ECDSAP256SHA256, 256)
	keys := []Key{first}
	octets, err := base64.StdEncoding.DecodeString(first.Record.PublicKey)
	if err != nil {
		z.t.Fatal(err)
	}
	for range n - 1 {
		octets = slices.Concat(octets[2:], octets[:2])
		k := dns.Copy(first.Record).(*dns.DNSKEY)
		k.PublicKey = base64.StdEncoding.EncodeToString(octets)
		keys = append(keys, Key{Record: k})
	}
	return keys
}

// Find returns a zone by name.
func (w *World) Find(name string) *Zone { return w.zones[name] }

// Honest is the true reply to another question, for use while a reply is altered.
func (w *World) Honest(name string, qtype uint16) *dns.Msg {
	return w.reply(new(dns.Msg).SetQuestion(name, qtype))
}
