package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/rogpeppe/go-internal/testscript"

	"countersign/platform/resolver"
	"countersign/platform/resolver/resolvertest"
	"countersign/tray/control"
	"countersign/tray/demo/authority"
)

// storyDNS is the DNS that a story brings along for its agents, or nil.
func storyDNS() *resolver.Resolver {
	server := os.Getenv("STORY_DNS")
	if server == "" {
		return nil
	}
	a, err := resolver.ParseAnchor(os.Getenv("STORY_ANCHOR"))
	if err != nil {
		panic(err)
	}
	return &resolver.Resolver{Servers: []string{server}, Anchors: []resolver.Anchor{a}}
}

// TestFindStories runs testdata/find/*.txtar: people looked for in a signed DNS, whose
// certificates are by an authority whose own lies on the web.
func TestFindStories(t *testing.T) {
	long(t)
	files, err := filepath.Glob("testdata/find/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(err, "no stories")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			p := stories(func(ca *authority.Authority) (office, error) { return openEmbedded(ca) })
			publication := publish(t)
			around := p.Setup
			p.Setup = func(env *testscript.Env) error {
				env.Vars = append(env.Vars, "STORY_DNS="+publication.server, "STORY_ANCHOR="+publication.anchor)
				if err := os.WriteFile(filepath.Join(env.WorkDir, "clinics.pem"), publication.root, 0o600); err != nil {
					return err
				}
				return around(env)
			}
			p.Cmds["lie"] = publication.lie
			p.Cmds["fetched"] = publication.fetched
			p.Files = []string{file}
			testscript.Run(t, p)
		})
	}
}

// publication is what lies in DNS and on the web in these stories.
type publication struct {
	dns            *resolvertest.World
	web            *httptest.Server
	server, anchor string
	root           []byte // PEM
	forged         []byte // a certificate that nobody vouches for

	mu   sync.Mutex
	hits map[string]int
}

func publish(t *testing.T) *publication {
	t.Helper()
	p := &publication{hits: map[string]int{}}
	docs := map[string][]byte{}
	p.web = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.hits[r.URL.Path]++
		p.mu.Unlock()
		w.Write(docs[r.URL.Path])
	}))
	t.Cleanup(p.web.Close)
	root, rootKey := p.certify(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Clinics' Root"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}, nil, nil)
	ca, caKey := p.certify(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Clinics' Authority"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		CRLDistributionPoints: []string{p.web.URL + "/root.crl"}}, root, rootKey)
	leaf := func(c *x509.Certificate) []byte {
		c.IssuingCertificateURL, c.CRLDistributionPoints = []string{p.web.URL + "/ca.cer"}, []string{p.web.URL + "/ca.crl"}
		made, _ := p.certify(t, c, ca, caKey)
		return made.Raw
	}
	domain := leaf(&x509.Certificate{Subject: pkix.Name{CommonName: "Hill Practice"}, DNSNames: []string{"hillpractice.example"}})
	person := leaf(&x509.Certificate{Subject: pkix.Name{CommonName: "Dr Oldtown"}, EmailAddresses: []string{"dr@oldtown.example"}})
	forged, _ := p.certify(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Dr Oldtown"}, EmailAddresses: []string{"dr@oldtown.example", "eve@hillpractice.example"}}, nil, nil)
	p.forged, p.root = forged.Raw, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw})
	docs["/ca.cer"], docs["/root.crl"], docs["/ca.crl"] = ca.Raw, list(t, root, rootKey), list(t, ca, caKey)

	p.dns = resolvertest.New(t, time.Now())
	p.dns.Zone("example.")
	name, err := resolver.SMIMEAName("dr", "oldtown.example")
	if err != nil {
		t.Fatal(err)
	}
	p.dns.Zone("hillpractice.example.").Add("hillpractice.example. CERT 1 0 0 "+base64.StdEncoding.EncodeToString(domain),
		"eve.hillpractice.example. CERT 1 0 0 "+base64.StdEncoding.EncodeToString(forged.Raw))
	p.dns.Zone("oldtown.example.").Add(name + " SMIMEA 3 0 0 " + hex.EncodeToString(person))
	p.server = p.dns.Serve()
	for _, k := range p.dns.Find(".").Keys {
		p.anchor = k.Record.ToDS(dns.SHA256).String()
	}
	return p
}

func (p *publication) certify(t *testing.T, c, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if parent == nil {
		parent, by = c, key
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.BasicConstraintsValid = serial, true
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0)
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made, key
}

func list(t *testing.T, by *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().AddDate(0, 0, 7)}, by, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// lie makes DNS give a forged certificate in every SMIMEA record, and say that it was
// checked; ! lie makes it honest again.
func (p *publication) lie(_ *testscript.TestScript, neg bool, _ []string) {
	if neg {
		p.dns.Alter(nil)
		return
	}
	p.dns.Alter(func(_ string, _, reply *dns.Msg) []*dns.Msg {
		reply.AuthenticatedData = true
		for _, rr := range reply.Answer {
			if s, ok := rr.(*dns.SMIMEA); ok {
				s.Certificate = hex.EncodeToString(p.forged)
			}
		}
		return []*dns.Msg{reply}
	})
}

// fetched PATH fails unless that was fetched from the web; ! fetched if it was.
func (p *publication) fetched(ts *testscript.TestScript, neg bool, args []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(args) != 1 || (p.hits[args[0]] > 0) == neg {
		ts.Fatalf("fetched so far: %v", p.hits)
	}
}

// TestContactFind: what is printed, and the exit code.
func TestContactFind(t *testing.T) {
	seen := control.Seen{Issuer: "Clinics' Authority", Usage: "encryption", Expires: time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC), Why: "It ran out."}
	looked := []control.Looked{{Place: "dns-address", Where: "DNS, under the address", Says: "There is none."}, {Place: "ldap-address", Where: "the directory of x.example", Certificates: []control.Seen{seen}}}
	for name, c := range map[string]struct {
		answer control.Search
		code   int
		want   []string
	}{
		"nothing":   {control.Search{Looked: looked}, 1, []string{"DNS, under the address", "There is none.", "A certificate by Clinics' Authority", "It ran out.", "countersign contact invite bea@x.example"}},
		"found":     {control.Search{Found: true, Looked: looked, Contact: control.Contact{Address: "bea@x.example"}}, 0, []string{"not confirmed", "countersign verify start bea@x.example"}},
		"confirmed": {control.Search{Found: true, Contact: control.Contact{State: "verified"}}, 0, []string{"nobody was asked"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, &fake{answers: map[string]any{"Contacts.Find": c.answer}}, nil, "contact", "find", "bea@x.example")
			for _, want := range c.want {
				if !strings.Contains(got.out, want) {
					t.Errorf("%q is missing in:\n%s", want, got.out)
				}
			}
			if got.code != c.code {
				t.Errorf("exit code %d, want %d", got.code, c.code)
			}
		})
	}
}
