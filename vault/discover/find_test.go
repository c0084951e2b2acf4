package discover

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"countersign/platform/resolver"
	"countersign/platform/resolver/resolvertest"
	"countersign/vault/discover/directory/directorytest"
	"countersign/vault/trust"
)

// paper is one certificate of a situation.
type paper struct {
	name   string // its common name, by which the test knows it
	where  string // dns, dns-domain, ldap0 to ldap2 (with -domain), web, smimea
	domain bool   // bound to the domain, not to the address
	bad    string // expired, revoked, self-made, another's, wildcard, signing, authority, huge
	big    bool   // several times what a UDP packet holds
}

// situation is what lies where, and what is chosen.
type situation struct {
	name    string
	papers  []paper
	servers []string // SRV records: priority weight server; server "down" is none
	want    string   // the name of the certificate chosen; empty: none
	place   Place    // where
	says    string   // within what is said of the last place
}

// situations are the eighteen of the Direct certificate discovery tool, and some of ours.
func situations() []situation {
	one := []string{"0 0 0"}
	return []situation{
		{name: "D1", want: "val", place: DNSAddress, servers: one, papers: []paper{{name: "val", where: "dns"},
			{name: "invB", where: "dns-domain", domain: true, bad: "expired"}, {name: "invC", where: "ldap0", bad: "expired"}, {name: "invD", where: "ldap0-domain", domain: true, bad: "expired"}}},
		{name: "D2", want: "val", place: DNSDomain, servers: one, papers: []paper{{name: "val", where: "dns-domain", domain: true},
			{name: "invC", where: "ldap0", bad: "expired"}, {name: "invD", where: "ldap0-domain", domain: true, bad: "expired"}}},
		{name: "D3", want: "val", place: LDAPAddress, servers: one, papers: []paper{{name: "val", where: "ldap0"}, {name: "invD", where: "ldap0-domain", domain: true, bad: "expired"}}},
		{name: "D4", want: "val", place: LDAPDomain, servers: one, papers: []paper{{name: "val", where: "ldap0-domain", domain: true}}},
		{name: "D5", papers: []paper{{name: "invA", where: "dns", bad: "expired"}}},
		{name: "D6", papers: []paper{{name: "invB", where: "dns-domain", domain: true, bad: "expired"}}},
		{name: "D7", servers: one, papers: []paper{{name: "invC", where: "ldap0", bad: "expired"}}},
		{name: "D8", servers: one, papers: []paper{{name: "invD", where: "ldap0-domain", domain: true, bad: "expired"}}},
		{name: "D9", want: "val", place: DNSAddress, papers: []paper{{name: "invA", where: "dns", bad: "expired"}, {name: "val", where: "dns"}}},
		{name: "D10", want: "val", place: LDAPAddress, servers: []string{"0 0 down", "1 0 1"}, papers: []paper{{name: "val", where: "ldap1"}}},
		{name: "D11", says: "There is none."},
		{name: "D12", servers: []string{"0 0 down"}},
		{name: "D13", servers: one},
		{name: "D14", want: "val", place: DNSAddress, papers: []paper{{name: "val", where: "dns", big: true}}},
		{name: "D15", want: "val", place: LDAPAddress, servers: []string{"1 0 1", "0 0 0"}, papers: []paper{{name: "val", where: "ldap0"}, {name: "invE", where: "ldap1", bad: "expired"}}},
		{name: "D16", want: "val", place: LDAPAddress, servers: []string{"0 0 0", "0 100 2"}, papers: []paper{{name: "val", where: "ldap2"}, {name: "other", where: "ldap0"}}},
		{name: "D17", papers: []paper{{name: "invA", where: "dns", bad: "revoked"}}},
		{name: "D18", want: "val", place: DNSAddress, papers: []paper{{name: "val", where: "dns"}}}, // its authority by caIssuers, as of all here

		{name: "ipkix", want: "val", place: DNSAddress, papers: []paper{{name: "val", where: "web"}}},
		{name: "smimea", want: "val", place: SMIMEA, papers: []paper{{name: "val", where: "smimea"}}},
		{name: "impostor", want: "val", place: DNSDomain, papers: []paper{{name: "forged", where: "dns", bad: "self-made"}, {name: "val", where: "dns-domain", domain: true}}},
		{name: "another", want: "val", place: LDAPAddress, servers: one, papers: []paper{{name: "theirs", where: "dns", bad: "another's"}, {name: "star", where: "dns-domain", bad: "wildcard"}, {name: "val", where: "ldap0"}}},
		{name: "signing", papers: []paper{{name: "half", where: "dns", bad: "signing"}}},
		{name: "authority", papers: []paper{{name: "own", where: "dns", bad: "authority"}}},
		{name: "selfsmimea", papers: []paper{{name: "forged", where: "smimea", bad: "self-made"}}},
	}
}

// stage is where situations are played: one zone, three directories, and the web.
type stage struct {
	*world
	ports   [3]string
	down    string
	records []string
	entries [3][]directorytest.Entry
	revoked []*x509.Certificate
	dns     *resolver.Resolver
	asking  string // the address that is judged
}

const zone = "direct.test."

func newStage(t *testing.T, all []situation) *stage {
	t.Helper()
	s := &stage{world: newWorldAt(t, time.Now().Truncate(time.Second)), down: resolvertest.FreePort(t)}
	for i := range s.ports {
		s.ports[i] = resolvertest.FreePort(t)
	}
	s.records = []string{"ldap." + zone + " A 127.0.0.1"}
	for _, c := range all {
		for _, p := range c.papers {
			s.lay(c, p)
		}
		for _, text := range c.servers {
			f := strings.Fields(text)
			port := s.down
			if f[2] != "down" {
				port = s.ports[f[2][0]-'0']
			}
			s.records = append(s.records, fmt.Sprintf("_ldap._tcp.%s.%s SRV %s %s %s ldap.%s", strings.ToLower(c.name), zone, f[0], f[1], port, zone))
		}
	}
	s.shelf.put("/ca.crl", s.list(s.ca, s.caKey, s.revoked...))
	return s
}

func (c situation) domain() string {
	return strings.ToLower(c.name) + "." + strings.TrimSuffix(zone, ".")
}
func (c situation) address() string { return "ada@" + c.domain() }

// lay makes a certificate and puts it where it belongs.
func (s *stage) lay(c situation, p paper) {
	s.t.Helper()
	cert := s.write(c, p)
	b64 := base64.StdEncoding.EncodeToString(cert.Raw)
	place, _, forDomain := strings.Cut(p.where, "-")
	owner, mail := "ada."+c.domain()+".", c.address()
	if forDomain {
		owner, mail = c.domain()+".", c.domain()
	}
	switch place {
	case "dns":
		s.records = append(s.records, owner+" CERT 1 0 0 "+b64)
	case "web":
		s.shelf.put("/"+c.name, cert.Raw)
		s.records = append(s.records, owner+" CERT 4 0 0 "+base64.StdEncoding.EncodeToString([]byte(s.shelf.URL+"/"+c.name)))
	case "smimea":
		name, err := resolver.SMIMEAName("ada", c.domain())
		if err != nil {
			s.t.Fatal(err)
		}
		s.records = append(s.records, name+" SMIMEA 3 0 0 "+hex.EncodeToString(cert.Raw))
	default:
		i := place[4] - '0'
		s.entries[i] = append(s.entries[i], directorytest.Entry{DN: "cn=" + c.name + p.name + ",dc=direct,dc=test",
			Attributes: map[string][]string{"mail": {mail}, "userCertificate;binary": {string(cert.Raw)}}})
	}
}

func (s *stage) write(c situation, p paper) *x509.Certificate {
	s.t.Helper()
	s.listsMade++
	cert := &x509.Certificate{SerialNumber: big.NewInt(s.listsMade), Subject: pkix.Name{CommonName: p.name}, NotBefore: s.start.AddDate(-1, 0, 0), NotAfter: s.start.AddDate(1, 0, 0),
		EmailAddresses: []string{c.address()}, IssuingCertificateURL: []string{s.shelf.URL + "/ca.cer"}, CRLDistributionPoints: []string{s.shelf.URL + "/ca.crl"}}
	if p.domain {
		cert.EmailAddresses, cert.DNSNames = nil, []string{c.domain()}
	}
	key, parent, by := newKey(s.t), s.ca, s.caKey
	switch p.bad {
	case "expired":
		cert.NotAfter = s.start.AddDate(0, 0, -1)
	case "self-made":
		parent, by = cert, key
	case "another's":
		cert.EmailAddresses = []string{"eve@" + c.domain()}
	case "authority": // as openssl req -x509 makes them
		cert.IsCA, cert.BasicConstraintsValid, parent, by = true, true, cert, key
	case "wildcard":
		cert.EmailAddresses, cert.DNSNames = nil, []string{"*." + strings.TrimSuffix(zone, ".")}
	case "signing":
		cert.KeyUsage = x509.KeyUsageDigitalSignature
	}
	size := map[bool]int{true: 3000}[p.big]
	if p.bad == "huge" {
		size = maxPersonal
	}
	if size > 0 {
		cert.ExtraExtensions = []pkix.Extension{{Id: []int{2, 16, 840, 1, 113730, 1, 13}, Value: make([]byte, size)}}
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, key.Public(), by)
	if err != nil {
		s.t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		s.t.Fatal(err)
	}
	if p.bad == "revoked" {
		s.revoked = append(s.revoked, made)
	}
	return made
}

// embedded plays the stage in this process.
func (s *stage) embedded(t *testing.T) *resolvertest.World {
	t.Helper()
	for i, port := range s.ports {
		d := &directorytest.Server{Contexts: []string{"dc=direct,dc=test"}, Entries: s.entries[i]}
		d.StartAt(t, "127.0.0.1:"+port)
	}
	w := resolvertest.New(t, s.start)
	w.Zone("test.")
	w.Zone(zone).Add(s.records...)
	s.forget(w)
	return w
}

// forget asks a DNS anew, with nothing kept.
func (s *stage) forget(w *resolvertest.World) {
	s.dns = &resolver.Resolver{Servers: []string{"192.0.2.53"}, Anchors: w.Anchors(), Dial: w.Dial, Clock: func() time.Time { return s.clock }}
}

func (s *stage) finder() *Finder {
	return &Finder{Checker: s.c, DNS: s.dns, Private: true,
		Judge: func(ctx context.Context, c *x509.Certificate, u trust.Usage, others []*x509.Certificate) trust.Verdict {
			return s.c.Check(ctx, trust.Question{Certificate: c, Address: s.asking, Usage: u, Enclosed: others,
				Anchors: []trust.Anchor{{Certificate: s.root}}, At: s.clock}, Rules{Chosen: true, AllowPrivate: true})
		}}
}

func (s *stage) find(address string) []Finding {
	s.asking = address
	return s.finder().Find(s.t.Context(), address)
}

// play looks for the certificate of each situation.
func (s *stage) play(t *testing.T, all []situation) {
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			findings := s.find(c.address())
			last, got := findings[len(findings)-1], ""
			for _, cert := range Found(findings) {
				got += cert.Subject.CommonName
			}
			if got != c.want || c.want != "" && last.Place != c.place || !strings.Contains(last.Says, c.says) {
				t.Fatalf("%q in %s, want %q in %s: %+v", got, last.Place, c.want, c.place, findings)
			}
			seen := 0
			for _, f := range findings {
				seen += len(f.Certificates)
				if len(f.Certificates) == 0 && f.Says == "" || f.Where == "" {
					t.Errorf("%s: nothing is said", f.Place)
				}
				for _, j := range f.Certificates {
					if j.Good == (j.Why != "") {
						t.Errorf("%s: %q good: %v, because %q", f.Place, j.Certificate.Subject.CommonName, j.Good, j.Why)
					}
				}
			}
			if c.want == "" && seen != len(c.papers) {
				t.Errorf("%d certificates were seen of %d", seen, len(c.papers))
			}
		})
	}
}

func TestSituations(t *testing.T) {
	all := situations()
	s := newStage(t, all)
	s.embedded(t)
	s.play(t, all)
	if s.shelf.count("/ca.cer") == 0 || s.shelf.count("/ca.crl") == 0 {
		t.Error("neither the authority's certificate nor its list was fetched") // D17, D18
	}
}

// TestCertificatesInAMessage: directories of clinics hold them so, with the authority's
// beside.
func TestCertificatesInAMessage(t *testing.T) {
	c := situation{name: "message", servers: []string{"0 0 0"}, papers: []paper{{name: "val", where: "ldap0"}}}
	s := newStage(t, []situation{c})
	entry := s.entries[0][0].Attributes
	cert := entry["userCertificate;binary"][0]
	long := func(tag byte, parts ...string) string {
		in := strings.Join(parts, "")
		return string([]byte{tag, 0x82, byte(len(in) >> 8), byte(len(in))}) + in
	}
	const data, signedData = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01", "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"
	entry["userSMIMECertificate;binary"] = []string{long(0x30, signedData, long(0xa0, long(0x30, "\x02\x01\x01\x31\x00", long(0x30, data), long(0xa0, cert, string(s.ca.Raw)), "\x31\x00")))}
	delete(entry, "userCertificate;binary")
	s.shelf.put("/ca.cer", nil)
	s.embedded(t)
	findings := s.find(c.address())
	if got := Found(findings); len(got) != 1 || got[0].Subject.CommonName != "val" {
		t.Errorf("%+v", findings)
	}
}

// TestKept: what a place said is not asked again until it runs out, and failures are.
func TestKept(t *testing.T) {
	all := []situation{
		{name: "had", papers: []paper{{name: "val", where: "dns-domain", domain: true}}},
		{name: "nothing"},
		{name: "failing", servers: []string{"0 0 down"}},
	}
	s := newStage(t, all)
	w := s.embedded(t)
	asked := func(c situation, times int) {
		t.Helper()
		s.find(c.address())
		if n := w.Asked("ada."+c.domain()+".", "CERT"); n != times {
			t.Errorf("%s: asked %d times, want %d", c.name, n, times)
		}
	}
	for _, c := range all {
		asked(c, 1)
		asked(c, 1)
	}
	s.again() // what is kept, is kept in the database
	asked(all[0], 1)
	s.clock = s.clock.Add(keepNothing)
	asked(all[1], 2)
	if f := s.find(all[0].address()); len(Found(f)) != 1 || !f[1].At.Equal(s.start) {
		t.Errorf("what was found is asked for again: %+v", f)
	}
	s.clock = s.start.Add(-time.Hour) // a clock set back
	if f := s.find(all[0].address()); f[1].At.Equal(s.start) {
		t.Error("kept from the future")
	}
	s.clock = s.start.Add(time.Minute)
	if f := s.find(all[2].address()); f[2].Says != "The directory could not be asked." || !f[2].At.Equal(s.clock) {
		t.Errorf("a failure is kept: %+v", f)
	}
}

// TestLyingDNS: whoever sits between can stop the search, and bring about nothing else.
func TestLyingDNS(t *testing.T) {
	c := situation{name: "victim", papers: []paper{{name: "val", where: "smimea"}, {name: "old", where: "dns", bad: "expired"}}}
	s := newStage(t, []situation{c})
	w := s.embedded(t)
	forged := s.write(c, paper{bad: "self-made"})
	trusted := s.write(c, paper{}) // an authority was taken in
	for _, test := range []struct {
		name  string
		cert  *x509.Certificate
		qtype uint16
		lie   func(rr dns.RR, reply *dns.Msg)
		says  string
		place Place
	}{
		{"a trusted CERT under the old signature", trusted, dns.TypeCERT, nil, saysBogus, DNSAddress},
		{"another SMIMEA under the old signature", trusted, dns.TypeSMIMEA, nil, saysBogus, SMIMEA},
		{"another SMIMEA, unsigned, with AD", trusted, dns.TypeSMIMEA, func(_ dns.RR, m *dns.Msg) { m.Answer, m.AuthenticatedData = m.Answer[:1], true }, saysBogus, SMIMEA},
		{"a CERT of the liar's own making", forged, dns.TypeCERT, func(_ dns.RR, m *dns.Msg) { m.AuthenticatedData = true }, saysBogus, DNSAddress},
	} {
		t.Run(test.name, func(t *testing.T) {
			w.Alter(func(_ string, q, reply *dns.Msg) []*dns.Msg {
				if q.Question[0].Qtype != test.qtype {
					return []*dns.Msg{reply}
				}
				var rr dns.RR = &dns.CERT{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeCERT, Class: dns.ClassINET, Ttl: 60},
					Type: 1, Certificate: base64.StdEncoding.EncodeToString(test.cert.Raw)}
				if test.qtype == dns.TypeSMIMEA {
					rr = &dns.SMIMEA{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeSMIMEA, Class: dns.ClassINET, Ttl: 60}, Usage: 3,
						Certificate: hex.EncodeToString(test.cert.Raw)}
				}
				reply.Rcode, reply.Ns = dns.RcodeSuccess, nil
				kept := slices.DeleteFunc(reply.Answer, func(a dns.RR) bool { return a.Header().Rrtype == test.qtype })
				reply.Answer = append([]dns.RR{rr}, kept...)
				if test.lie != nil {
					test.lie(rr, reply)
				}
				return []*dns.Msg{reply}
			})
			s.open(t.TempDir() + "/db")
			s.forget(w)
			findings := s.find(c.address())
			i := slices.IndexFunc(findings, func(f Finding) bool { return f.Place == test.place })
			if i < 0 || findings[i].Says != test.says || len(findings[i].Certificates) != 0 {
				t.Fatalf("%+v", findings)
			}
		})
	}
}

// TestUnprovedSMIMEA: without DNSSEC such a record is anybody's word, even where an
// authority vouches for the certificate.
func TestUnprovedSMIMEA(t *testing.T) {
	c := situation{name: "plain", papers: []paper{{name: "val", where: "smimea"}}}
	vouched := situation{name: "vouched", papers: []paper{{name: "val", where: "dns"}}}
	s := newStage(t, []situation{c, vouched})
	w := resolvertest.New(t, s.start)
	w.Zone("test.")
	w.Zone(zone, resolvertest.Unsigned).Add(s.records...)
	s.forget(w)
	findings := s.find(c.address())
	if last := findings[len(findings)-1]; len(Found(findings)) != 0 || last.Place != SMIMEA || !strings.Contains(last.Says, "nothing proves") {
		t.Errorf("%+v", findings)
	}
	if findings = s.find(vouched.address()); len(Found(findings)) != 1 {
		t.Errorf("a CERT record needs no proof, since an authority vouches: %+v", findings)
	}
}

// TestNobodyIsAskedAtHome: names that lead to loopback and private addresses are not
// followed, but for a directory that the administrator named.
func TestNobodyIsAskedAtHome(t *testing.T) {
	c := situation{name: "inside", servers: []string{"0 0 0"}, papers: []paper{{name: "val", where: "ldap0"}, {name: "web", where: "web"}}}
	s := newStage(t, []situation{c})
	s.embedded(t)
	f := s.finder()
	s.asking = c.address()
	f.Private = false
	findings := f.Find(t.Context(), c.address())
	if len(Found(findings)) != 0 || s.shelf.count("/inside") != 0 || !strings.Contains(findings[2].Says, "private address") {
		t.Errorf("%+v", findings)
	}
	f.Directories = []string{"ldap://127.0.0.1:" + s.down, "ldap://127.0.0.1/dc=x", "ldap://127.0.0.1:" + s.ports[0]}
	findings = f.Find(t.Context(), c.address())
	if got := Found(findings); len(got) != 1 || findings[len(findings)-1].Place != Directory || len(findings) != 8 {
		t.Errorf("%+v", findings)
	}
	f.Directories, f.Own = nil, []string{"ldap://127.0.0.1:" + s.ports[0]} // the user's is no more than any other
	s.open(t.TempDir() + "/db")
	f.Checker = s.c
	if findings = f.Find(t.Context(), c.address()); len(Found(findings)) != 0 || len(findings) != 6 || !strings.Contains(findings[5].Says, "private address") {
		t.Errorf("%+v", findings)
	}
	f.Private = true
	if findings = f.Find(t.Context(), c.address()); len(Found(findings)) != 1 {
		t.Errorf("%+v", findings)
	}
}

// TestTime: a directory that never answers does not stand for the next one, and what
// there was no time for is said.
func TestTime(t *testing.T) {
	c := situation{name: "slow", servers: []string{"0 0 0", "1 0 1"}, papers: []paper{{name: "val", where: "ldap1"}}}
	s := newStage(t, []situation{c})
	(&directorytest.Server{Silent: true}).StartAt(t, "127.0.0.1:"+s.ports[0])
	(&directorytest.Server{Entries: s.entries[1]}).StartAt(t, "127.0.0.1:"+s.ports[1])
	w := resolvertest.New(t, s.start)
	w.Zone("test.")
	w.Zone(zone).Add(s.records...)
	s.forget(w)
	f := s.finder()
	s.asking, f.patience = c.address(), 200*time.Millisecond
	if findings := f.Find(t.Context(), c.address()); len(Found(findings)) != 1 {
		t.Errorf("%+v", findings)
	}
	over, end := context.WithCancel(t.Context())
	end()
	findings := f.Find(over, c.address())
	for _, f := range findings {
		if f.Says != "There was no time left to ask." {
			t.Errorf("%s: %s", f.Place, f.Says)
		}
	}
	if len(findings) != 5 {
		t.Errorf("%d places", len(findings))
	}
}

// TestHostileFindings: what is no certificate, or too many of them, is said to be so.
func TestHostileFindings(t *testing.T) {
	c := situation{name: "odd"}
	s := newStage(t, []situation{c})
	s.records = append(s.records, "ada."+c.domain()+". CERT 1 0 0 AQID", c.domain()+". CERT 4 0 0 "+base64.StdEncoding.EncodeToString([]byte("file:///etc/passwd")))
	for range 20 {
		s.lay(c, paper{name: "theirs", where: "dns", bad: "another's"})
	}
	large := situation{name: "large"}
	s.lay(large, paper{name: "huge", where: "dns", bad: "huge"})
	s.embedded(t)
	findings := s.find(c.address())
	if f := findings[0]; len(f.Certificates) > maxFound || f.Says != "There is something that cannot be read as a certificate." && len(f.Certificates) < maxFound {
		t.Errorf("%d certificates, %q", len(f.Certificates), f.Says)
	}
	if s.shelf.count("/ca.cer") != 0 {
		t.Error("certificates of somebody else were looked into")
	}
	if !strings.Contains(findings[1].Says, "could not be fetched") {
		t.Errorf("%+v", findings[1])
	}
	if f := s.find(large.address()); len(f[0].Certificates) != 0 || f[0].Says != "There is a certificate larger than any honest one." {
		t.Errorf("%+v", f[0])
	}
	if f := s.find("no address"); f != nil {
		t.Errorf("%+v", f)
	}
	gone, dials := s.finder(), 0
	gone.DNS = &resolver.Resolver{Servers: []string{"192.0.2.53"}, Dial: func(context.Context, string, string) (net.Conn, error) {
		dials++
		return nil, net.ErrClosed
	}}
	for _, f := range gone.Find(t.Context(), "bea@elsewhere.test") {
		if f.Says != saysNoDNS {
			t.Errorf("%s: %q", f.Place, f.Says)
		}
	}
	all := dials
	if _, err := gone.DNS.Lookup(t.Context(), "elsewhere.test", resolver.TypeCERT); err == nil || all != maxSilent*(dials-all) {
		t.Errorf("a DNS that does not answer was called %d times, and %d times for one name", all, dials-all)
	}
	for quoted, want := range map[string]string{`ada`: "ada", `"a b"`: "a b", `"a\"b\\"`: `a"b\`, `"`: `"`, `""`: "", `"a\"`: `a\`} {
		if got := unquoted(quoted); got != want {
			t.Errorf("%s: %s", quoted, got)
		}
	}
}
