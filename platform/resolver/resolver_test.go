package resolver_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/miekg/dns"

	"countersign/platform/resolver"
	"countersign/platform/resolver/resolvertest"
)

func noon() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

// newWorld is a root, test. and what most tests ask about.
func newWorld(t testing.TB) *resolvertest.World {
	w := resolvertest.New(t, noon())
	w.Zone("test.").Add("alias.test. CNAME mail.clinic.test.", "dead.test. CNAME nobody.clinic.test.",
		"moved.test. DNAME clinic.test.", "old.test. DNAME plain.test.", "toplain.test. CNAME mail.plain.test.")
	for name, options := range map[string][]func(*resolvertest.Zone){
		"clinic.test.": nil, "hashed.test.": {resolvertest.NSEC3}, "optout.test.": {resolvertest.OptOut}, "plain.test.": {resolvertest.Unsigned},
	} {
		w.Zone(name, options...).Add(
			name+" MX 20 second."+name, name+" MX 10 mail."+name,
			"mail."+name+" A 192.0.2.1", "mail."+name+" AAAA 2001:db8::1",
			"_ldap._tcp."+name+" SRV 0 1 389 b."+name, "_ldap._tcp."+name+" SRV 0 9 389 a."+name,
			"*.wild."+name+" A 192.0.2.2", "there.wild."+name+" A 192.0.2.3",
			"a.deep.empty."+name+" A 192.0.2.4", "*.walias."+name+" CNAME mail."+name)
	}
	w.Zone("sub.optout.test.", resolvertest.Unsigned).Add("host.sub.optout.test. A 192.0.2.5")
	w.Zone("sub.hashed.test.", resolvertest.Unsigned).Add("host.sub.hashed.test. A 192.0.2.5")
	w.Zone("safe.optout.test.").Add("host.safe.optout.test. A 192.0.2.6")
	return w
}

func newResolver(w *resolvertest.World) *resolver.Resolver {
	return &resolver.Resolver{Servers: []string{"192.0.2.53"}, Anchors: w.Anchors(), Clock: noon, Dial: w.Dial}
}

func TestLookup(t *testing.T) {
	const a, aaaa, mx, srv, tlsa = resolver.TypeA, resolver.TypeAAAA, resolver.TypeMX, resolver.TypeSRV, resolver.TypeTLSA
	for _, test := range []struct {
		name   string
		qtype  resolver.Type
		status resolver.Status
		kind   resolver.Kind
	}{
		{"mail.clinic.test", a, resolver.Secure, resolver.Found},
		{"MAIL.Clinic.Test.", a, resolver.Secure, resolver.Found},
		{"mail.clinic.test", tlsa, resolver.Secure, resolver.NoData},
		{"nobody.clinic.test", a, resolver.Secure, resolver.NoName},
		{"a.b.c.nobody.clinic.test", a, resolver.Secure, resolver.NoName},
		{"x.wild.clinic.test", a, resolver.Secure, resolver.Found},
		{"x.y.wild.clinic.test", a, resolver.Secure, resolver.Found},
		{"x.wild.clinic.test", mx, resolver.Secure, resolver.NoData},
		{"x.there.wild.clinic.test", a, resolver.Secure, resolver.NoName},
		{"x.walias.clinic.test", a, resolver.Secure, resolver.Found},
		{"empty.clinic.test", a, resolver.Secure, resolver.NoData},
		{"deep.empty.clinic.test", a, resolver.Secure, resolver.NoData},
		{"a.deep.empty.clinic.test", a, resolver.Secure, resolver.Found},
		{"alias.test", aaaa, resolver.Secure, resolver.Found},
		{"alias.test", mx, resolver.Secure, resolver.NoData},
		{"dead.test", a, resolver.Secure, resolver.NoName},
		{"mail.moved.test", a, resolver.Secure, resolver.Found},
		{"nobody.moved.test", a, resolver.Secure, resolver.NoName},
		{"clinic.test", mx, resolver.Secure, resolver.Found},
		{"_ldap._tcp.clinic.test", srv, resolver.Secure, resolver.Found},
		{"nothing.at.all", a, resolver.Secure, resolver.NoName},

		{"mail.hashed.test", a, resolver.Secure, resolver.Found},
		{"mail.hashed.test", tlsa, resolver.Secure, resolver.NoData},
		{"nobody.hashed.test", a, resolver.Secure, resolver.NoName},
		{"a.b.c.nobody.hashed.test", a, resolver.Secure, resolver.NoName},
		{"x.wild.hashed.test", a, resolver.Secure, resolver.Found},
		{"x.y.wild.hashed.test", a, resolver.Secure, resolver.Found},
		{"x.wild.hashed.test", mx, resolver.Secure, resolver.NoData},
		{"x.there.wild.hashed.test", a, resolver.Secure, resolver.NoName},
		{"empty.hashed.test", a, resolver.Secure, resolver.NoData},
		{"a.deep.empty.hashed.test", a, resolver.Secure, resolver.Found},
		{"host.sub.hashed.test", a, resolver.Insecure, resolver.Found},

		{"mail.optout.test", a, resolver.Secure, resolver.Found},
		{"mail.optout.test", mx, resolver.Secure, resolver.NoData},
		{"nobody.optout.test", a, resolver.Insecure, resolver.NoName},
		{"x.wild.optout.test", a, resolver.Insecure, resolver.Found},
		{"host.sub.optout.test", a, resolver.Insecure, resolver.Found},
		{"nobody.sub.optout.test", a, resolver.Insecure, resolver.NoName},
		{"host.safe.optout.test", a, resolver.Secure, resolver.Found},

		{"mail.plain.test", a, resolver.Insecure, resolver.Found},
		{"mail.plain.test", tlsa, resolver.Insecure, resolver.NoData},
		{"nobody.plain.test", a, resolver.Insecure, resolver.NoName},
		{"x.wild.plain.test", a, resolver.Insecure, resolver.Found},
		{"toplain.test", a, resolver.Insecure, resolver.Found},
		{"mail.old.test", a, resolver.Insecure, resolver.Found},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := newResolver(newWorld(t)).Lookup(t.Context(), test.name, test.qtype)
			if err != nil {
				t.Fatal(err)
			}
			if got.Status != test.status || got.Kind != test.kind {
				t.Errorf("%v, kind %d (%s); want %v, kind %d", got.Status, got.Kind, got.Reason, test.status, test.kind)
			}
			if (got.Reason == "") != (got.Status == resolver.Secure) {
				t.Errorf("%v for reason %q", got.Status, got.Reason)
			}
			if (len(got.Records) > 0) != (got.Kind == resolver.Found) {
				t.Errorf("kind %d has %d records", got.Kind, len(got.Records))
			}
			if !got.Expires.After(noon()) || got.Expires.After(noon().Add(24*time.Hour)) {
				t.Errorf("expires %v", got.Expires)
			}
		})
	}
}

func TestRecords(t *testing.T) {
	w := newWorld(t)
	w.Zone("records.test.").Add(
		"records.test. CERT 1 0 8 AQID", "records.test. CERT 4 0 8 aHR0cDovL2NlcnQudGVzdC9h", "records.test. CERT 3 0 8 AQID",
		"records.test. CERT 4 0 8 aHR0cDovL2EgYg==", "_443._tcp.records.test. TLSA 3 1 1 0102", "smimea.records.test. SMIMEA 3 0 0 0304")
	r := newResolver(w)
	for _, test := range []struct {
		name  string
		qtype resolver.Type
		want  []resolver.Record
	}{
		{"clinic.test", resolver.TypeMX, []resolver.Record{
			resolver.Exchanger{Preference: 10, Host: "mail.clinic.test."}, resolver.Exchanger{Preference: 20, Host: "second.clinic.test."}}},
		{"_ldap._tcp.clinic.test", resolver.TypeSRV, []resolver.Record{
			resolver.Service{Weight: 9, Port: 389, Host: "a.clinic.test."}, resolver.Service{Weight: 1, Port: 389, Host: "b.clinic.test."}}},
		{"mail.clinic.test", resolver.TypeA, []resolver.Record{resolver.Address{IP: netip.MustParseAddr("192.0.2.1")}}},
		{"mail.clinic.test", resolver.TypeAAAA, []resolver.Record{resolver.Address{IP: netip.MustParseAddr("2001:db8::1")}}},
		{"records.test", resolver.TypeCERT, []resolver.Record{
			resolver.Certificate{DER: []byte{1, 2, 3}}, resolver.Certificate{URL: "http://cert.test/a"}}},
		{"_443._tcp.records.test", resolver.TypeTLSA, []resolver.Record{resolver.Association{Usage: 3, Selector: 1, Matching: 1, Data: []byte{1, 2}}}},
		{"smimea.records.test", resolver.TypeSMIMEA, []resolver.Record{resolver.Association{Usage: 3, Data: []byte{3, 4}}}},
	} {
		got, err := r.Lookup(t.Context(), test.name, test.qtype)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(test.want, got.Records, cmpopts.EquateComparable(netip.Addr{})); d != "" {
			t.Errorf("%s (%v %s): %s", test.name, got.Status, got.Reason, d)
		}
	}
	host, err := r.Host(t.Context(), "mail.clinic.test")
	if err != nil || len(resolver.All[resolver.Address](host)) != 2 || host.Status != resolver.Secure {
		t.Errorf("Host: %+v, %v", host, err)
	}
	host, err = r.Host(t.Context(), "a.deep.empty.clinic.test")
	if err != nil || len(resolver.All[resolver.Address](host)) != 1 || host.Kind != resolver.Found {
		t.Errorf("Host with IPv4 only: %+v, %v", host, err)
	}
}

func TestNames(t *testing.T) {
	long := strings.Repeat("a", 64)
	for _, test := range []struct {
		what string
		make func() (string, error)
		want string // "": refused
	}{
		{"the address of RFC 7929, section 3", func() (string, error) { return resolver.SMIMEAName("hugh", "example.com") },
			"c93f1e400f26708f98cb19d936620da35eec8f72e57f9eec01c1afd6._smimecert.example.com."},
		{"capitals are others", func() (string, error) { return resolver.SMIMEAName("Hugh", "example.com") },
			"7063a398942ba5c6125429518d0608563f3974bb48013ddf58fb01d4._smimecert.example.com."},
		{"dots stay", func() (string, error) { return resolver.CertificateName("john.doe", "Direct.Example.com") }, "john.doe.direct.example.com."},
		{"what is special is escaped", func() (string, error) { return resolver.CertificateName(`a\b`, "example.com") }, `a\\b.example.com.`},
		{"two dots", func() (string, error) { return resolver.CertificateName("a..b", "example.com") }, ""},
		{"a label too long", func() (string, error) { return resolver.CertificateName(long, "example.com") }, ""},
		{"a service", func() (string, error) { return resolver.ServiceName("ldap", "tcp", "example.com") }, "_ldap._tcp.example.com."},
		{"a port", func() (string, error) { return resolver.TLSAName(25, "mx.example.com") }, "_25._tcp.mx.example.com."},
	} {
		got, err := test.make()
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%s: %q, %v; want %q", test.what, got, err, test.want)
		}
	}
}

func TestWrongQuestions(t *testing.T) {
	r := newResolver(newWorld(t))
	for _, test := range []struct {
		name  string
		qtype resolver.Type
		want  error
	}{
		{"a..b", resolver.TypeA, resolver.ErrName},
		{strings.Repeat("a", 64) + ".test", resolver.TypeA, resolver.ErrName},
		{strings.Repeat("abc.", 64), resolver.TypeA, resolver.ErrName},
		{"clinic.test", resolver.Type(dns.TypeANY), resolver.ErrType},
		{"clinic.test", resolver.Type(dns.TypeDS), resolver.ErrType},
	} {
		if a, err := r.Lookup(t.Context(), test.name, test.qtype); !isError(err, test.want) {
			t.Errorf("%s: %+v, %v", test.name, a, err)
		}
	}
	r.Servers = []string{"dns.example"}
	if _, err := r.Lookup(t.Context(), "clinic.test", resolver.TypeA); err == nil {
		t.Error("a server by name is taken")
	}
}

func TestKeeping(t *testing.T) {
	w, now := newWorld(t), noon()
	r := newResolver(w)
	r.Clock = func() time.Time { return now }
	ask := func(name string) {
		t.Helper()
		if a, err := r.Lookup(context.Background(), name, resolver.TypeA); err != nil || a.Status != resolver.Secure {
			t.Fatalf("%s: %+v, %v", name, a, err)
		}
	}
	ask("mail.clinic.test")
	ask("mail.clinic.test")
	ask("nobody.clinic.test")
	ask("nobody.clinic.test")
	for _, name := range []string{"mail.clinic.test. A", "nobody.clinic.test. A", "clinic.test. DS", "clinic.test. DNSKEY", "test. DS", ". DNSKEY"} {
		owner, qtype, _ := strings.Cut(name, " ")
		if n := w.Asked(owner, qtype); n != 1 {
			t.Errorf("%s is asked %d times", name, n)
		}
	}
	now = now.Add(6 * time.Minute) // denials have a TTL of 300 seconds here
	ask("mail.clinic.test")
	ask("nobody.clinic.test")
	if a, b := w.Asked("mail.clinic.test.", "A"), w.Asked("nobody.clinic.test.", "A"); a != 1 || b != 2 {
		t.Errorf("after six minutes: data asked %d times, its denial %d", a, b)
	}
	now = now.Add(time.Hour)
	ask("mail.clinic.test")
	if n := w.Asked("mail.clinic.test.", "A"); n != 2 {
		t.Errorf("after an hour it is asked %d times", n)
	}
	now = now.Add(12 * time.Hour)
	if a, err := r.Lookup(t.Context(), "mail.clinic.test", resolver.TypeA); err != nil || a.Status != resolver.Bogus || !strings.Contains(a.Reason, "expired") {
		t.Errorf("kept beyond its signature: %+v, %v", a, err)
	}
}
