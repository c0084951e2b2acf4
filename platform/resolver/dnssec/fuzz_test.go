package dnssec_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"countersign/platform/resolver/dnssec"
	"countersign/platform/resolver/resolvertest"
)

// fixed gives a zone a key that is the same in every run, so that seeds stay valid.
func fixed(z *resolvertest.Zone) {
	private := ed25519.NewKeyFromSeed([]byte(strings.Repeat(z.Name[:1], ed25519.SeedSize)))
	record := &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: z.Name, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 3600},
		Flags: dns.ZONE | dns.SEP, Protocol: 3, Algorithm: dns.ED25519,
		PublicKey: base64.StdEncoding.EncodeToString(private.Public().(ed25519.PublicKey)),
	}
	z.Keys = []resolvertest.Key{{Record: record, Private: private}}
}

func moment() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

// smallWorld has test. by NSEC and hashed. by NSEC3, with the same names in both.
func smallWorld(t testing.TB) *resolvertest.World {
	w := resolvertest.New(t, moment())
	for zone, option := range map[string]func(*resolvertest.Zone){"test.": func(*resolvertest.Zone) {}, "hashed.": resolvertest.NSEC3} {
		w.Zone(zone, fixed, option).Add("there."+zone+" A 192.0.2.1", "*.wild."+zone+" A 192.0.2.2", "alias."+zone+" CNAME there."+zone, "moved."+zone+" DNAME else.other.")
		w.Zone("signed."+zone, fixed)
		w.Zone("plain."+zone, resolvertest.Unsigned)
	}
	return w
}

// questions are asked of each zone; truth is all that a reply may prove.
func questions() []struct{ name, truth string } {
	return []struct{ name, truth string }{
		{"there.", "found 192.0.2.1"}, {"x.wild.", "found 192.0.2.2"}, {"alias.", "alias there."}, {"x.moved.", "alias x.else.other."},
		{"nobody.", "no name"}, {"wild.", "no data"},
		{"signed.", "secure"}, {"plain.", "insecure"}, {"none.", "nothing"},
	}
}

func said(z *dnssec.Zone, name string, reply *dns.Msg) string {
	label := strings.TrimSuffix(name, z.Name)
	if label == "signed." || label == "plain." || label == "none." {
		d, err := z.Cut(name, reply, moment(), new(dnssec.Effort))
		if err != nil {
			return ""
		}
		return map[dnssec.Cut]string{dnssec.NoCut: "no cut", dnssec.Nothing: "nothing", dnssec.Insecure: "insecure", dnssec.Secure: "secure"}[d.Cut]
	}
	l, err := z.Judge(dnssec.Question{Name: name, Type: dns.TypeA}, reply, moment(), new(dnssec.Effort))
	if err != nil {
		return ""
	}
	switch l.Kind {
	case dnssec.Found:
		text := "found"
		for _, rr := range l.Records {
			text += " " + rr.(*dns.A).A.String()
		}
		return text
	case dnssec.Alias:
		return "alias " + strings.TrimSuffix(l.Target, z.Name)
	}
	return map[dnssec.Kind]string{dnssec.NoName: "no name", dnssec.NoData: "no data"}[l.Kind]
}

// FuzzReply: whatever is done to signed replies, nothing is proved but the truth.
func FuzzReply(f *testing.F) {
	w := smallWorld(f)
	var zones []*dnssec.Zone
	for _, name := range []string{"test.", "hashed."} {
		reply := w.Honest(name, dns.TypeDNSKEY)
		z, err := dnssec.Open(name, w.Find(name).Anchors(), reply, moment(), new(dnssec.Effort))
		if err != nil {
			f.Fatal(err)
		}
		zones = append(zones, z)
		for i, q := range questions() {
			qtype := dns.TypeA
			if i >= 6 {
				qtype = dns.TypeDS
			}
			honest := w.Honest(q.name+name, qtype)
			if got := said(z, q.name+name, honest); got != q.truth {
				f.Fatalf("of %s%s it is said %q, and %q is true", q.name, name, got, q.truth)
			}
			honest.Compress = true
			packed, err := honest.Pack()
			if err != nil {
				f.Fatal(err)
			}
			for j := range questions() { // each reply to each question
				f.Add(uint8(j), packed)
			}
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, wire []byte) {
		q := questions()[int(which)%len(questions())]
		for _, z := range zones {
			reply, err := dnssec.Parse(wire)
			if err != nil {
				return
			}
			name := q.name + z.Name
			got := said(z, name, reply)
			// A record that comes twice is one (RFC 2181, section 5).
			words := strings.Fields(got)
			got = strings.Join(slices.Compact(words), " ")
			truth := got == q.truth || got == ""
			if !truth {
				t.Errorf("of %s it is proved %q, and %q is true", name, got, q.truth)
			}
			dnssec.Signer(dnssec.Question{Name: name, Type: dns.TypeA}, reply)
			if l, err := dnssec.Unsigned(dnssec.Question{Name: name, Type: dns.TypeA}, reply, moment()); err == nil && l.Kind == dnssec.Found && len(l.Records) == 0 {
				t.Error("found nothing")
			}
			if _, err := dnssec.Open(z.Name, w.Find(z.Name).Anchors(), reply, moment(), new(dnssec.Effort)); err == nil && len(reply.Answer) == 0 {
				t.Error("keys of nothing")
			}
		}
	})
}

// pool is every signed record of the small world, each once.
func pool(w *resolvertest.World) []dns.RR {
	seen := map[string]bool{}
	var all []dns.RR
	for _, zone := range []string{"test.", "hashed."} {
		for _, name := range []string{"", "there.", "x.wild.", "*.wild.", "wild.", "alias.", "moved.", "x.moved.", "nobody.", "a.nobody.", "zz.", "signed.", "x.signed.", "plain.", "none."} {
			for _, qtype := range []uint16{dns.TypeA, dns.TypeMX, dns.TypeDS, dns.TypeDNSKEY} {
				m := w.Honest(name+zone, qtype)
				for _, rr := range append(m.Answer, m.Ns...) {
					if !seen[rr.String()] {
						seen[rr.String()] = true
						all = append(all, rr)
					}
				}
			}
		}
	}
	return all
}

// splice makes a reply of true records: of each pair of octets, the first is a
// record, and the second where it goes and under whose name.
func splice(records []dns.RR, name string, rcode uint8, recipe []byte) *dns.Msg {
	m := new(dns.Msg)
	m.Rcode = int(rcode % 4)
	for ; len(recipe) >= 2; recipe = recipe[2:] {
		rr := dns.Copy(records[int(recipe[0])%len(records)])
		switch recipe[1] >> 1 & 3 {
		case 1:
			rr.Header().Name = name
		case 2:
			rr.Header().Name = "x." + rr.Header().Name
		}
		if recipe[1]&1 == 0 {
			m.Answer = append(m.Answer, rr)
		} else {
			m.Ns = append(m.Ns, rr)
		}
	}
	return m
}

// FuzzSplice: true records, mixed and moved to other names, prove the truth only.
func FuzzSplice(f *testing.F) {
	w := smallWorld(f)
	records := pool(w)
	if len(records) > 256 {
		f.Fatalf("%d records are too many for an octet", len(records))
	}
	var zones []*dnssec.Zone
	for _, name := range []string{"test.", "hashed."} {
		z, err := dnssec.Open(name, w.Find(name).Anchors(), w.Honest(name, dns.TypeDNSKEY), moment(), new(dnssec.Effort))
		if err != nil {
			f.Fatal(err)
		}
		zones = append(zones, z)
	}
	for which := range questions() { // all of the records in one reply, as they are and renamed
		for place := range 6 {
			var recipe []byte
			for i := range records {
				recipe = append(recipe, byte(i), byte(place))
			}
			f.Add(uint8(which), uint8(0), recipe)
			f.Add(uint8(which), uint8(3), recipe)
		}
	}
	f.Fuzz(func(t *testing.T, which, rcode uint8, recipe []byte) {
		q := questions()[int(which)%len(questions())]
		for _, z := range zones {
			got := said(z, q.name+z.Name, splice(records, q.name+z.Name, rcode, recipe))
			got = strings.Join(slices.Compact(strings.Fields(got)), " ")
			if got != "" && got != q.truth {
				t.Errorf("of %s%s it is proved %q, and %q is true: %s", q.name, z.Name, got, q.truth, splice(records, q.name+z.Name, rcode, recipe))
			}
		}
	})
}
