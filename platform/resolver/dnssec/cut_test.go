package dnssec_test

import (
	"strings"
	"testing"

	"github.com/miekg/dns"

	"countersign/platform/resolver/dnssec"
	"countersign/platform/resolver/resolvertest"
)

func signedText(t *testing.T, z *resolvertest.Zone, records ...string) []dns.RR {
	t.Helper()
	var set []dns.RR
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		set = append(set, rr)
	}
	return append(set, z.Sign(set)...)
}

// TestCut: what a zone may say of a name below it.
func TestCut(t *testing.T) {
	w := smallWorld(t)
	parent := w.Find("test.")
	z, err := dnssec.Open("test.", parent.Anchors(), w.Honest("test.", dns.TypeDNSKEY), moment(), new(dnssec.Effort))
	if err != nil {
		t.Fatal(err)
	}
	digest := strings.Repeat("ab", 32)
	for _, test := range []struct {
		what, name     string
		answer, denial []string
		cut            dnssec.Cut
		anchors        int
		reason         string // of what is bogus
	}{
		{what: "delegated, not signed", name: "a.test.", denial: []string{"a.test. 60 IN NSEC b.test. NS RRSIG NSEC"}, cut: dnssec.Insecure},
		{what: "a host", name: "a.test.", denial: []string{"a.test. 60 IN NSEC b.test. A RRSIG NSEC"}, cut: dnssec.NoCut},
		{what: "an empty name", name: "a.test.", denial: []string{"0.test. 60 IN NSEC b.a.test. A RRSIG NSEC"}, cut: dnssec.NoCut},
		{what: "nothing", name: "a.test.", denial: []string{"0.test. 60 IN NSEC b.test. A RRSIG NSEC"}, cut: dnssec.Nothing},
		{what: "under a delegation", name: "x.a.test.", denial: []string{"a.test. 60 IN NSEC b.test. NS RRSIG NSEC"}, reason: "nothing signed says"},
		{what: "elsewhere", name: "z.test.", denial: []string{"a.test. 60 IN NSEC b.test. A RRSIG NSEC"}, reason: "nothing signed says"},
		{what: "DS is there", name: "a.test.", denial: []string{"a.test. 60 IN NSEC b.test. NS DS RRSIG NSEC"}, reason: "otherwise"},
		{what: "the child's own (RFC 6840, section 4.4)", name: "a.test.", denial: []string{"a.test. 60 IN NSEC b.test. NS SOA RRSIG NSEC"}, reason: "otherwise"},
		{what: "out of the zone", name: "a.test.", denial: []string{"a.test. 60 IN NSEC b.other. NS RRSIG NSEC"}, reason: "leads out"},
		{what: "an alias", name: "a.test.", answer: []string{"a.test. 60 IN CNAME b.other."}, cut: dnssec.NoCut},
		{what: "two aliases", name: "a.test.", answer: []string{"a.test. 60 IN CNAME b.other.", "a.test. 60 IN CNAME c.other."}, reason: "several"},
		{what: "under a DNAME", name: "x.a.test.", answer: []string{"a.test. 60 IN DNAME b.other."}, cut: dnssec.Nothing},
		{what: "signed", name: "a.test.", answer: []string{"a.test. 60 IN DS 1 13 2 " + digest}, cut: dnssec.Secure, anchors: 1},
		{what: "signed in two ways, one of them old", name: "a.test.", answer: []string{"a.test. 60 IN DS 1 13 2 " + digest, "a.test. 60 IN DS 1 5 1 " + digest[:40]}, cut: dnssec.Secure, anchors: 1},
		{what: "signed in unknown ways only", name: "a.test.", answer: []string{"a.test. 60 IN DS 1 13 99 " + digest, "a.test. 60 IN DS 1 99 2 " + digest}, cut: dnssec.Insecure},
		{what: "another zone's", name: "a.hashed.", denial: []string{"a.test. 60 IN NSEC b.test. NS RRSIG NSEC"}, reason: "not below"},
		{what: "the zone itself", name: "test.", denial: []string{"a.test. 60 IN NSEC test. NS RRSIG NSEC"}, reason: "not below"},
		{what: "no word of it", name: "a.test.", reason: "nothing signed says"},
	} {
		m := new(dns.Msg)
		if test.answer != nil {
			m.Answer = signedText(t, parent, test.answer...)
		}
		if test.denial != nil {
			m.Ns = signedText(t, parent, test.denial...)
		}
		d, err := z.Cut(test.name, m, moment(), new(dnssec.Effort))
		switch {
		case test.reason != "" && (err == nil || !strings.Contains(err.Error(), test.reason)):
			t.Errorf("%s: %+v, %v; want %q", test.what, d, err, test.reason)
		case test.reason == "" && (err != nil || d.Cut != test.cut || len(d.Anchors) != test.anchors || (d.Reason == "") == (d.Cut == dnssec.Insecure)):
			t.Errorf("%s: %+v, %v", test.what, d, err)
		}
	}
}

// TestOpen: which anchors prove keys.
func TestOpen(t *testing.T) {
	w := smallWorld(t)
	good := w.Find("test.").Anchors()[0]
	with := func(change func(a *dnssec.Anchor)) dnssec.Anchor {
		a := good
		a.Digest = append([]byte(nil), good.Digest...)
		change(&a)
		return a
	}
	wrong := with(func(a *dnssec.Anchor) { a.Digest[0]++ })
	var many []dnssec.Anchor
	for range 65 {
		many = append(many, wrong)
	}
	for _, test := range []struct {
		what    string
		anchors []dnssec.Anchor
		reason  string
	}{
		{"the right one", []dnssec.Anchor{good}, ""},
		{"after others", []dnssec.Anchor{wrong, with(func(a *dnssec.Anchor) { a.KeyTag++ }), with(func(a *dnssec.Anchor) { a.Zone = "." }), good}, ""},
		{"none", nil, "vouched"},
		{"a wrong digest", []dnssec.Anchor{wrong}, "vouched"},
		{"another zone's", []dnssec.Anchor{with(func(a *dnssec.Anchor) { a.Zone = "hashed." })}, "vouched"},
		{"a digest by SHA-1", []dnssec.Anchor{with(func(a *dnssec.Anchor) { a.DigestType = dns.SHA1 })}, "vouched"},
		{"too many", append(many, good), "too many"},
	} {
		z, err := dnssec.Open("test.", test.anchors, w.Honest("test.", dns.TypeDNSKEY), moment(), new(dnssec.Effort))
		if (err == nil) != (test.reason == "") || err == nil && z.Name != "test." || err != nil && !strings.Contains(err.Error(), test.reason) {
			t.Errorf("%s: %v", test.what, err)
		}
	}
	if _, err := dnssec.Open("test.", []dnssec.Anchor{good}, new(dns.Msg), moment(), new(dnssec.Effort)); err == nil {
		t.Error("keys of nothing are proved")
	}
}
