package dnssec

import (
	"encoding/hex"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func parsed(t testing.TB, text string) dns.RR {
	t.Helper()
	rr, err := dns.NewRR(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return rr
}

func named(t testing.TB, text string) name {
	t.Helper()
	n, err := parseName(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestRootAnchors compares with the keys of the root zone as Debian's dns-root-data has them.
func TestRootAnchors(t *testing.T) {
	for i, text := range []string{
		"AwEAAaz/tAm8yTn4Mfeh5eyI96WSVexTBAvkMgJzkKTOiW1vkIbzxeF3+/4RgWOq7HrxRixHlFlExOLAJr5emLvN7SWXgnLh4+B5xQlNVz8Og8kvArMtNROxVQuCaSnIDdD5LKyWbRd2n9WGe2R8PzgCmr3EgVLrjyBxWezF0jLHwVN8efS3rCj/EWgvIWgb9tarpVUDK/b58Da+sqqls3eNbuv7pr+eoZG+SrDK6nWeL3c6H5Apxz7LjVc1uTIdsIXxuOLYA4/ilBmSVIzuDWfdRUfhHdY6+cn8HFRm+2hM8AnXGXws9555KrUB5qihylGa8subX2Nn6UwNR1AkUTV74bU=",
		"AwEAAa96jeuknZlaeSrvyAJj6ZHv28hhOKkx3rLGXVaC6rXTsDc449/cidltpkyGwCJNnOAlFNKF2jBosZBU5eeHspaQWOmOElZsjICMQMC3aeHbGiShvZsx4wMYSjH8e7Vrhbu6irwCzVBApESjbUdpWWmEnhathWu1jo+siFUiRAAxm9qyJNg/wOZqqzL/dL/q8PkcRU5oUKEpUge71M3ej2/7CPqpdVwuMoTvoB+ZOT4YeGyxMvHmbrxlFzGOHOijtzN+u1TQNatX2XBuzZNQ1K+s2CXkPIZo7s6JgZyvaBevYtxPvYLw4z9mR7K2vaF18UYH9Z9GNUUeayffKC73PYc=",
	} {
		key, ok := parsed(t, ". 3600 IN DNSKEY 257 3 8 "+text).(*dns.DNSKEY)
		if !ok {
			t.Fatal("not a key")
		}
		ds, a := key.ToDS(dns.SHA256), RootAnchors()[i]
		if a.Zone != "." || a.KeyTag != ds.KeyTag || a.Algorithm != ds.Algorithm || a.DigestType != ds.DigestType || hex.EncodeToString(a.Digest) != ds.Digest {
			t.Errorf("anchor %d is %+v, the key's %v", i, a, ds)
		}
	}
}

// TestPublishedSignatures are the examples of RFC 5702, section 6.2, RFC 6605,
// section 6, and RFC 8080, section 6.1 with erratum 4935. That of RFC 5702,
// section 6.1, has an RSA key of 512 bits, which crypto/rsa refuses.
func TestPublishedSignatures(t *testing.T) {
	for _, test := range []struct {
		what, zone, key, record, sig string
		at                           string
	}{
		{"RSASHA512", "example.net.",
			"256 3 10 AwEAAdHoNTOW+et86KuJOWRDp1pndvwb6Y83nSVXXyLA3DLroROUkN6X0O6pnWnjJQujX/AyhqFDxj13tOnD9u/1kTg7cV6rklMrZDtJCQ5PCl/D7QNPsgVsMu1J2Q8gpMpztNFLpPBz1bWXjDtaR7ZQBlZ3PFY12ZTSncorffcGmhOL",
			"www.example.net. 3600 IN A 192.0.2.91",
			"A 10 3 3600 20300101000000 20000101000000 3740 example.net. tsb4wnjRUDnB1BUi+t6TMTXThjVnG+eCkWqjvvjhzQL1d0YRoOe0CbxrVDYd0xDtsuJRaeUw1ep94PzEWzr0iGYgZBWm/zpq+9fOuagYJRfDqfReKBzMweOLDiNa8iP5g9vMhpuv6OPlvpXwm9Sa9ZXIbNl1MBGk0fthPgxdDLw=",
			"2010-08-20T00:00:00Z"},
		{"ECDSAP256SHA256", "example.net.",
			"257 3 13 GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==",
			"www.example.net. 3600 IN A 192.0.2.1",
			"A 13 3 3600 20100909100439 20100812100439 55648 example.net. qx6wLYqmh+l9oCKTN6qIc+bw6ya+KJ8oMz0YP107epXAyGmt+3SNruPFKG7tZoLBLlUzGGus7ZwmwWep666VCw==",
			"2010-08-20T00:00:00Z"},
		{"ECDSAP384SHA384", "example.net.",
			"257 3 14 xKYaNhWdGOfJ+nPrL8/arkwf2EY3MDJ+SErKivBVSum1w/egsXvSADtNJhyem5RCOpgQ6K8X1DRSEkrbYQ+OB+v8/uX45NBwY8rp65F6Glur8I/mlVNgF6W/qTI37m40",
			"www.example.net. 3600 IN A 192.0.2.1",
			"A 14 3 3600 20100909102025 20100812102025 10771 example.net. /L5hDKIvGDyI1fcARX3z65qrmPsVz73QD1Mr5CEqOiLP95hxQouuroGCeZOvzFaxsT8Glr74hbavRKayJNuydCuzWTSSPdz7wnqXL5bdcJzusdnI0RSMROxxwGipWcJm",
			"2010-08-20T00:00:00Z"},
		{"ED25519", "example.com.",
			"257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=",
			"example.com. 3600 IN MX 10 mail.example.com.",
			"MX 15 2 3600 1440021600 1438207200 3613 example.com. oL9krJun7xfBOIWcGHi7mag5/hdZrKWw15jPGrHpjQeRAvTdszaPD+QLs3fx8A4M3e23mRZ9VrbpMngwcrqNAg==",
			"2015-08-10T00:00:00Z"},
	} {
		at, err := time.Parse(time.RFC3339, test.at)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := usable([]dns.RR{parsed(t, test.zone+" 3600 IN DNSKEY "+test.key)})
		if err != nil {
			t.Fatal(err)
		}
		z := &Zone{Name: test.zone, name: named(t, test.zone), keys: keys}
		rr := parsed(t, test.record)
		sig := parsed(t, rr.Header().Name+" 3600 IN RRSIG "+test.sig)
		s := gather([]dns.RR{rr, sig}, rr.Header().Name, rr.Header().Rrtype)
		for years, good := range map[int]bool{0: true, -30: false, 30: false} {
			p, err := z.verify(s, named(t, rr.Header().Name), at.AddDate(years, 0, 0), new(Effort))
			if (err == nil) != good || p.expanded {
				t.Errorf("%s, %d years later: %+v, %v", test.what, years, p, err)
			}
		}
	}
}

// TestCanonicalOrder is RFC 4034, section 6.1.
func TestCanonicalOrder(t *testing.T) {
	var names []name
	for _, text := range []string{"example.", "a.example.", "yljkjljk.a.example.", "Z.a.example.", "zABC.a.EXAMPLE.", "z.example.",
		`\001.z.example.`, "*.z.example.", `\200.z.example.`} {
		names = append(names, named(t, text))
	}
	for i, a := range names {
		for j, b := range names {
			if got := slices.Compare(a, b); got != min(1, max(-1, i-j)) {
				t.Errorf("%s against %s: %d", a, b, got)
			}
		}
	}
}

func TestCanonical(t *testing.T) {
	for text, want := range map[string]string{
		".": ".", "Example.COM": "example.com.", `a\.b.test.`: `a\.b.test.`, `\065.test`: "a.test.", "\xc3\x84.test": `\195\132.test.`, `\`: "", "a..b": "",
	} {
		if got, err := Canonical(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	for _, test := range []struct {
		name, zone string
		want       bool
	}{{"a.test.", "test.", true}, {"test.", "test.", true}, {"atest.", "test.", false}, {`a\.test.`, "test.", false}, {"x.", ".", true}, {"test.", "a.test.", false}} {
		if got := Within(test.name, test.zone); got != test.want {
			t.Errorf("%s within %s: %v", test.name, test.zone, got)
		}
	}
}

// The denials of RFC 4035, appendix B, and of RFC 5155, appendix B.
var (
	published4035 = map[string]string{
		"apex": "example. 3600 IN NSEC a.example. NS SOA MX RRSIG NSEC DNSKEY",
		"b":    "b.example. 3600 IN NSEC ns1.example. NS RRSIG NSEC",
		"ns1":  "ns1.example. 3600 IN NSEC ns2.example. A RRSIG NSEC",
		"xyw":  "x.y.w.example. 3600 IN NSEC xx.example. MX RRSIG NSEC",
		"*w":   "*.w.example. 3600 IN NSEC x.w.example. MX RRSIG NSEC",
		"xx":   "xx.example. 3600 IN NSEC example. A HINFO AAAA RRSIG NSEC",
		"ns2":  "ns2.example. 3600 IN NSEC *.w.example. A RRSIG NSEC",
	}
	published5155 = map[string]string{
		"apex":  "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example. 3600 IN NSEC3 1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr MX DNSKEY NS SOA NSEC3PARAM RRSIG",
		"xw":    "b4um86eghhds6nea196smvmlo4ors995.example. 3600 IN NSEC3 1 1 12 aabbccdd gjeqe526plbf1g8mklp59enfd789njgi MX RRSIG",
		"a":     "35mthgpgcu1qg68fab165klnsnk3dpvl.example. 3600 IN NSEC3 1 1 12 aabbccdd b4um86eghhds6nea196smvmlo4ors995 NS DS RRSIG",
		"ns1":   "2t7b4g4vsa5smi47k61mv5bv1a22bojr.example. 3600 IN NSEC3 1 1 12 aabbccdd 2vptu5timamqttgl4luu9kg21e0aor3s A RRSIG",
		"yw":    "ji6neoaepv8b5o6k4ev33abha8ht9fgc.example. 3600 IN NSEC3 1 1 12 aabbccdd k8udemvp1j2f7eg6jebps17vp3n8i58h",
		"w":     "k8udemvp1j2f7eg6jebps17vp3n8i58h.example. 3600 IN NSEC3 1 1 12 aabbccdd kohar7mbb8dc2ce8a9qvl8hon4k53uhi",
		"ns2":   "q04jkcevqvmu85r014c7dkba38o0ji5r.example. 3600 IN NSEC3 1 1 12 aabbccdd r53bq7cc2uvmubfu5ocmm6pers9tk9en A RRSIG",
		"*w":    "r53bq7cc2uvmubfu5ocmm6pers9tk9en.example. 3600 IN NSEC3 1 1 12 aabbccdd t644ebqk9bibcna874givr6joj62mlhv MX RRSIG",
		"flag":  "35mthgpgcu1qg68fab165klnsnk3dpvl.example. 3600 IN NSEC3 1 2 12 aabbccdd b4um86eghhds6nea196smvmlo4ors995 NS DS RRSIG",
		"salt":  "35mthgpgcu1qg68fab165klnsnk3dpvl.example. 3600 IN NSEC3 1 1 12 aabbccde b4um86eghhds6nea196smvmlo4ors995 NS DS RRSIG",
		"51":    "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example. 3600 IN NSEC3 1 1 51 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr SOA",
		"short": "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example. 3600 IN NSEC3 1 1 12 aabbccdd 2t7b4g4v SOA",
	}
)

// denialOf reads records that need no signature here.
func denialOf(t *testing.T, from map[string]string, names ...string) (denial, error) {
	t.Helper()
	zone := named(t, "example.")
	var nsecs nsecDenial
	nsec3s := nsec3Denial{zone: zone, hashes: map[string]string{}}
	var err error
	for _, n := range names {
		rr := parsed(t, from[n])
		owner := named(t, rr.Header().Name)
		switch rr := rr.(type) {
		case *dns.NSEC:
			err = nsecs.add(rr, owner, zone)
		case *dns.NSEC3:
			err = nsec3s.add(rr, owner)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(nsecs) > 0 {
		return nsecs, nil
	}
	return nsec3s, nil
}

func TestPublishedDenials(t *testing.T) {
	const no, noName, noData, optOut = "no", "NXDOMAIN", "NODATA", " opt-out"
	for _, test := range []struct {
		what    string
		from    map[string]string
		records []string
		name    string
		qtype   uint16
		noName  bool
		want    string
	}{
		{"4035 B.2", published4035, []string{"b", "apex"}, "ml.example.", dns.TypeA, true, noName},
		{"4035 B.2 without the wildcard's", published4035, []string{"b"}, "ml.example.", dns.TypeA, true, no},
		{"4035 B.2 as NODATA", published4035, []string{"b", "apex"}, "ml.example.", dns.TypeA, false, no},
		{"4035 B.2 for a name under the delegation", published4035, []string{"b", "apex"}, "host.b.example.", dns.TypeA, true, no},
		{"4035 B.3", published4035, []string{"ns1"}, "ns1.example.", dns.TypeMX, false, noData},
		{"4035 B.3 for what is there", published4035, []string{"ns1"}, "ns1.example.", dns.TypeA, false, no},
		{"4035 B.5, the parent's, for other than DS", published4035, []string{"b"}, "b.example.", dns.TypeMX, false, no},
		{"4035 B.7", published4035, []string{"xyw", "*w"}, "a.z.w.example.", dns.TypeAAAA, false, noData},
		{"4035 B.7 for what the wildcard has", published4035, []string{"xyw", "*w"}, "a.z.w.example.", dns.TypeMX, false, no},
		{"4035 B.7 as NXDOMAIN", published4035, []string{"xyw", "*w"}, "a.z.w.example.", dns.TypeAAAA, true, no},
		{"4035 an empty name", published4035, []string{"ns2"}, "w.example.", dns.TypeA, false, noData},
		{"4035 an empty name as NXDOMAIN", published4035, []string{"ns2", "apex"}, "w.example.", dns.TypeA, true, no},
		{"4035 after the last name", published4035, []string{"xx", "apex"}, "zz.example.", dns.TypeA, true, noName},
		{"4035 the last does not cover what is before it", published4035, []string{"xx", "apex"}, "x.example.", dns.TypeA, true, no},
		{"5155 B.1", published5155, []string{"apex", "xw", "a"}, "a.c.x.w.example.", dns.TypeA, true, noName + optOut},
		{"5155 B.1 without the encloser", published5155, []string{"apex", "a"}, "a.c.x.w.example.", dns.TypeA, true, no},
		{"5155 B.1 without the wildcard's", published5155, []string{"apex", "xw"}, "a.c.x.w.example.", dns.TypeA, true, no},
		{"5155 B.2", published5155, []string{"ns1"}, "ns1.example.", dns.TypeMX, false, noData},
		{"5155 B.2.1, an empty name", published5155, []string{"yw"}, "y.w.example.", dns.TypeA, false, noData},
		{"5155 B.2.1 as NXDOMAIN", published5155, []string{"yw"}, "y.w.example.", dns.TypeA, true, no},
		{"5155 B.3 an encloser that is delegated", published5155, []string{"a", "apex"}, "x.a.example.", dns.TypeA, true, no},
		{"5155 B.5", published5155, []string{"w", "ns2", "*w"}, "a.z.w.example.", dns.TypeAAAA, false, noData + optOut},
		{"5155 B.5 for what the wildcard has, under opt-out", published5155, []string{"w", "ns2", "*w"}, "a.z.w.example.", dns.TypeMX, false, no},
		{"5155 7.1, an empty name above unsigned delegations", published5155, []string{"w", "ns2"}, "a.z.w.example.", dns.TypeMX, false, noData + optOut},
		{"5155 unknown flags", published5155, []string{"flag"}, "a.example.", dns.TypeDS, false, no},
		{"5155 two salts", published5155, []string{"apex", "salt"}, "a.example.", dns.TypeMX, false, no},
		{"9276 51 iterations", published5155, []string{"51"}, "example.", dns.TypeA, false, no},
		{"5155 a short hash", published5155, []string{"short"}, "example.", dns.TypeA, false, no},
	} {
		got := no
		if d, err := denialOf(t, test.from, test.records...); err == nil {
			if open, err := deny(d, named(t, test.name), test.qtype, test.noName); err == nil {
				got = map[bool]string{true: noName, false: noData}[test.noName] + map[bool]string{true: optOut}[open]
			}
		}
		if got != test.want {
			t.Errorf("%s: %s of %s: %s, want %s", test.what, dns.TypeToString[test.qtype], test.name, got, test.want)
		}
	}
}

// TestPublishedExpansions are RFC 4035, appendix B.6, and RFC 5155, appendix B.4.
func TestPublishedExpansions(t *testing.T) {
	for _, test := range []struct {
		from          map[string]string
		record        string
		nextCloser    string
		absent, opted bool
	}{
		{published4035, "xyw", "z.w.example.", true, false},
		{published4035, "xyw", "y.w.example.", false, false},
		{published4035, "ns1", "z.w.example.", false, false},
		{published5155, "ns2", "z.w.example.", true, true},
		{published5155, "ns2", "w.example.", false, false},
	} {
		d, err := denialOf(t, test.from, test.record)
		if err != nil {
			t.Fatal(err)
		}
		if opted, ok := d.absent(named(t, test.nextCloser)); ok != test.absent || opted != test.opted {
			t.Errorf("%s for %s: absent %v, opt-out %v", test.record, test.nextCloser, ok, opted)
		}
	}
}
