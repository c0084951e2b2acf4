package discover

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/mailer/server/servertest"
	"countersign/platform/resolver"
	"countersign/platform/resolver/resolvertest"
	"countersign/vault/trust"
)

// TestPeerSituations plays the situations over BIND, with a zone that its tools signed,
// and three directories of OpenLDAP.
func TestPeerSituations(t *testing.T) {
	for _, program := range []string{"named", "dnssec-keygen", "dnssec-signzone", "slapd", "slapadd"} {
		if _, err := exec.LookPath(program); err != nil {
			servertest.Absent(t, program+" is not installed: make setup installs it")
		}
	}
	all := situations()
	s := newStage(t, all)
	for i, port := range s.ports {
		s.openLDAP(t, i, port)
	}
	s.bind(t)
	s.play(t, all)
}

// TestPeerDirectoryLists fetches an authority's certificate and list from OpenLDAP.
func TestPeerDirectoryLists(t *testing.T) {
	if _, err := exec.LookPath("slapd"); err != nil {
		servertest.Absent(t, "slapd is not installed: make setup installs it")
	}
	s := newStage(t, nil)
	text := func(der []byte) string { return base64.StdEncoding.EncodeToString(der) }
	base := "ldap://127.0.0.1:" + s.ports[0] + "/cn=Issuing,dc=direct,dc=test"
	s.slapd(t, s.ports[0], fmt.Sprintf(`dn: cn=Issuing,dc=direct,dc=test
objectClass: person
objectClass: pkiCA
cn: Issuing
sn: Issuing
cACertificate;binary:: %s
certificateRevocationList;binary:: %s
`, text(s.ca.Raw), text(s.list(s.ca, s.caKey))))
	s.leaf = s.write(situation{name: "ldap"}, paper{})
	s.leaf.IssuingCertificateURL, s.leaf.CRLDistributionPoints = []string{base + "?cACertificate;binary"}, []string{base + "?certificateRevocationList;binary?base?(objectClass=pkiCA)"}
	cert := s.make(s.leaf, s.ca, newKey(t), s.caKey)
	v := s.c.Check(t.Context(), trust.Question{Certificate: cert, Address: "ada@ldap.direct.test", Usage: trust.Encrypt,
		Anchors: []trust.Anchor{{Certificate: s.root}}, At: s.clock}, Rules{Chosen: true, AllowPrivate: true})
	if !v.Good() || v.Checked[0].By != trust.NeedCRL {
		t.Errorf("%s: %s, %+v", v.Status, v.Reason, v.Needs)
	}
}

// openLDAP serves the entries of one directory.
func (s *stage) openLDAP(t *testing.T, i int, port string) {
	t.Helper()
	var ldif strings.Builder
	for _, e := range s.entries[i] {
		cn, _, _ := strings.Cut(strings.TrimPrefix(e.DN, "cn="), ",")
		fmt.Fprintf(&ldif, "dn: %s\nobjectClass: inetOrgPerson\ncn: %s\nsn: %s\nmail: %s\nuserCertificate;binary:: %s\n\n", e.DN, cn, cn,
			e.Attributes["mail"][0], base64.StdEncoding.EncodeToString([]byte(e.Attributes["userCertificate;binary"][0])))
	}
	s.slapd(t, port, ldif.String())
}

// slapd starts OpenLDAP with these entries below dc=direct,dc=test. It answers nobody who
// does not start TLS.
func (s *stage) slapd(t *testing.T, port, ldif string) {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "slapd.conf", fmt.Sprintf(`include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile %[1]s/pid
argsfile %[1]s/args
TLSCertificateFile %[1]s/tls.crt
TLSCertificateKeyFile %[1]s/tls.key
security tls=128
database mdb
suffix "dc=direct,dc=test"
directory %[1]s
`, dir))
	own := newKey(t)
	cert := s.make(&x509.Certificate{Subject: pkix.Name{CommonName: "whoever"}, KeyUsage: x509.KeyUsageDigitalSignature}, nil, own, own)
	key, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "tls.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})))
	write(t, dir, "tls.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	write(t, dir, "entries.ldif", "dn: dc=direct,dc=test\nobjectClass: domain\ndc: direct\n\n"+ldif)
	config := filepath.Join(dir, "slapd.conf")
	if out, err := exec.Command("slapadd", "-f", config, "-l", filepath.Join(dir, "entries.ldif")).CombinedOutput(); err != nil {
		t.Fatalf("slapadd: %v\n%s", err, out)
	}
	running(t, "127.0.0.1:"+port, "slapd", "-f", config, "-h", "ldap://127.0.0.1:"+port, "-d", "0")
}

// bind serves the zone, signed by its own tools.
func (s *stage) bind(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	text := "$TTL 300\n$ORIGIN " + zone + "\n@ SOA ns root 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n" + strings.Join(s.records, "\n") + "\n"
	key := inside(t, dir, "dnssec-keygen", "-q", "-f", "KSK", "-a", "ECDSAP256SHA256", zone)
	public, err := os.ReadFile(filepath.Join(dir, key+".key"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "zone", text+string(public))
	inside(t, dir, "dnssec-signzone", "-z", "-P", "-o", zone, "-f", "signed", "zone", key)
	port := resolvertest.FreePort(t)
	write(t, dir, "named.conf", fmt.Sprintf(`options { directory %q; listen-on port %s { 127.0.0.1; }; listen-on-v6 { none; };
pid-file none; session-keyfile none; recursion no; dnssec-validation no; notify no; };
controls { };
zone %q { type primary; file "signed"; };
`, dir, port, zone))
	running(t, "127.0.0.1:"+port, "named", "-g", "-c", filepath.Join(dir, "named.conf"))
	ds, err := os.ReadFile(filepath.Join(dir, "dsset-"+zone))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(ds), "\n")
	anchor, err := resolver.ParseAnchor(first)
	if err != nil {
		t.Fatal(err)
	}
	s.dns = &resolver.Resolver{Servers: []string{"127.0.0.1:" + port}, Anchors: []resolver.Anchor{anchor}}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for ctx.Err() == nil { // it listens before it has read its zone
		if a, err := s.dns.Lookup(ctx, "ldap."+zone, resolver.TypeA); err == nil && a.Status == resolver.Secure {
			return
		}
	}
	t.Fatal("named does not serve the zone")
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func inside(t *testing.T, dir, program string, arguments ...string) string {
	t.Helper()
	c := exec.Command(program, arguments...)
	c.Dir = dir
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, errs.String())
	}
	return strings.TrimSpace(string(out))
}

// running starts a server for the length of the test and waits until it listens.
func running(t *testing.T, address, program string, arguments ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var log bytes.Buffer
	c := exec.CommandContext(ctx, program, arguments...)
	c.Stdout, c.Stderr = &log, &log
	if err := c.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = c.Wait(); close(ended) }() // killed at the end
	t.Cleanup(func() { cancel(); <-ended })
	for {
		select {
		case <-ended:
			t.Fatalf("%s ended: %s", program, log.String())
		case <-time.After(20 * time.Millisecond):
		}
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return
		}
	}
}
