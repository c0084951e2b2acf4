package dnssec

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestUsable(t *testing.T) {
	const p256 = " 13 GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA=="
	for _, test := range []struct {
		what, record string
		want         int
	}{
		{"a zone's key", "257 3" + p256, 1},
		{"without the mark of an entry point", "256 3" + p256, 1},
		{"revoked (RFC 5011)", "385 3" + p256, 0},
		{"not a zone's", "1 3" + p256, 0},
		{"another protocol", "257 2" + p256, 0},
		{"an algorithm that does not count", "257 3 5 AwEAAcFcGsaxxdgi", 0},
	} {
		keys, err := usable([]dns.RR{parsed(t, "example. 3600 IN DNSKEY "+test.record)})
		if err != nil || len(keys) != test.want {
			t.Errorf("%s: %d, %v", test.what, len(keys), err)
		}
	}
	var many []dns.RR
	for i := range maxKeys + 1 {
		many = append(many, parsed(t, fmt.Sprintf("example. 3600 IN DNSKEY 257 3 15 %sA=", strings.Repeat(string(rune('A'+i%26)), 42))))
	}
	if _, err := usable(many); err == nil {
		t.Errorf("%d keys are taken", len(many))
	}
}

// TestOutside: a record that does not lie in the zone is not the zone's, and a set has an end.
func TestOutside(t *testing.T) {
	z := &Zone{Name: "ample.", name: named(t, "ample.")}
	if _, err := z.verify(set{}, named(t, "www.example."), time.Unix(0, 0), new(Effort)); err == nil || !strings.Contains(err.Error(), "not within") {
		t.Error(err)
	}
	if _, err := z.verify(set{records: make([]dns.RR, maxRecords+1)}, named(t, "www.ample."), time.Unix(0, 0), new(Effort)); err == nil || !strings.Contains(err.Error(), "records") {
		t.Error(err)
	}
	d := nsec3Denial{zone: named(t, "example."), hashes: map[string]string{}}
	deep := parsed(t, strings.Replace(published5155["apex"], ".example.", ".sub.example.", 1)).(*dns.NSEC3)
	if err := d.add(deep, named(t, deep.Hdr.Name)); err == nil {
		t.Error("an NSEC3 two labels down is taken")
	}
	var n nsecDenial
	if err := n.add(parsed(t, "a.example. 3600 IN NSEC b.other. A").(*dns.NSEC), named(t, "a.example."), named(t, "example.")); err == nil {
		t.Error("an NSEC that leads out of its zone is taken")
	}
}

// TestLasting is RFC 4035, section 5.3.3.
func TestLasting(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct{ ttl, sigTTL, original, left, want uint32 }{
		{300, 400, 500, 600, 300}, {400, 300, 500, 600, 300}, {500, 400, 300, 600, 300}, {600, 400, 500, 300, 300},
		{1 << 31, 1 << 31, 1 << 31, 1 << 31, 1<<31 - 1},
	} {
		s := set{records: []dns.RR{&dns.A{Hdr: dns.RR_Header{Ttl: test.ttl}}}}
		sig := &dns.RRSIG{Hdr: dns.RR_Header{Ttl: test.sigTTL}, OrigTtl: test.original, Expiration: uint32(at.Unix()) + test.left}
		if got := lasting(s, sig, at).Sub(at); got != time.Duration(test.want)*time.Second {
			t.Errorf("%+v: %v", test, got)
		}
	}
}

// TestSerialTime is RFC 4034, section 3.1.5: times go round in 2106.
func TestSerialTime(t *testing.T) {
	round := time.Unix(1<<32, 0)
	sig := &dns.RRSIG{Inception: 1<<32 - 100, Expiration: 100}
	for seconds, good := range map[int]bool{-101: false, -100: true, 0: true, 100: true, 101: false} {
		if err := timely(sig, round.Add(time.Duration(seconds)*time.Second)); (err == nil) != good {
			t.Errorf("%d: %v", seconds, err)
		}
	}
}
