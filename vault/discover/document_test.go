package discover

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"countersign/mailer/server/servertest"
	"countersign/vault/trust"
)

// TestCircle: authorities that vouch for each other, each naming the other's
// certificate, end in a verdict after a bounded number of requests.
func TestCircle(t *testing.T) {
	w := newWorld(t)
	xKey, yKey := newKey(t), newKey(t)
	ca := func(name, at string) *x509.Certificate {
		return &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: forAuthority,
			IssuingCertificateURL: []string{w.shelf.URL + at}}
	}
	y := w.make(ca("Y", "/x.cer"), ca("X", ""), yKey, xKey)
	x := w.make(ca("X", "/y.cer"), y, xKey, yKey)
	w.shelf.put("/x.cer", x.Raw)
	w.shelf.put("/y.cer", y.Raw)
	w.leaf = w.make(&x509.Certificate{Subject: pkix.Name{CommonName: "Ada"}, EmailAddresses: []string{"ada@harbour.example"},
		IssuingCertificateURL: []string{w.shelf.URL + "/x.cer"}}, x, newKey(t), xKey)
	v := w.ask(Rules{Chosen: true})
	w.want(v, trust.Untrusted, map[string]int{"/x.cer": 1, "/y.cer": 1})
	if v.Reason == "" {
		t.Error("without a reason")
	}
}

// TestRenewedAuthority: where the authority that came along has run out, its
// certificate of today is fetched from where the certificate says.
func TestRenewedAuthority(t *testing.T) {
	w := newWorld(t)
	old := *w.ca
	old.NotBefore, old.NotAfter = today.AddDate(-3, 0, 0), today.AddDate(-1, 0, 0)
	raw, err := x509.CreateCertificate(rand.Reader, &old, w.root, w.caKey.Public(), w.rootKey)
	if err != nil {
		t.Fatal(err)
	}
	expired, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	q := trust.Question{Certificate: w.leaf, Usage: trust.Encrypt, Anchors: []trust.Anchor{{Certificate: w.root}}, At: w.clock,
		Enclosed: []*x509.Certificate{expired}}
	w.want(w.c.Check(t.Context(), q, Rules{Nothing: true}), trust.Expired, map[string]int{"/ca.cer": 0})
	w.want(w.c.Check(t.Context(), q, Rules{AllowPrivate: true}), trust.Trusted, map[string]int{"/ca.cer": 1})
}

// TestDelta: a list that names another which tells what changed since has that one
// fetched too; and where it is missing, the list stands alone.
func TestDelta(t *testing.T) {
	for _, there := range []bool{true, false} {
		w := newWorld(t)
		at := w.shelf.URL + "/delta.crl"
		n := byte(len(at))
		points := append([]byte{0x30, n + 8, 0x30, n + 6, 0xa0, n + 4, 0xa0, n + 2, 0x86, n}, at...)
		full := &x509.RevocationList{Number: big.NewInt(50), ThisUpdate: w.clock.Add(-48 * time.Hour), NextUpdate: w.clock.AddDate(0, 0, 7),
			ExtraExtensions: []pkix.Extension{{Id: []int{2, 5, 29, 46}, Value: points}}}
		delta := &x509.RevocationList{Number: big.NewInt(51), ThisUpdate: w.clock.Add(-time.Hour), NextUpdate: w.clock.AddDate(0, 0, 1),
			ExtraExtensions:           []pkix.Extension{{Id: []int{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 50}}},
			RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: w.leaf.SerialNumber, RevocationTime: w.clock.Add(-2 * time.Hour)}}}
		for path, l := range map[string]*x509.RevocationList{"/ca.crl": full, "/delta.crl": delta} {
			raw, err := x509.CreateRevocationList(rand.Reader, l, w.ca, w.caKey)
			if err != nil {
				t.Fatal(err)
			}
			w.shelf.put(path, raw)
		}
		want := trust.Revoked
		if !there {
			delete(w.shelf.docs, "/delta.crl")
			want = trust.Trusted
		}
		w.want(w.ask(Rules{Chosen: true}), want, map[string]int{"/ca.crl": 1, "/delta.crl": 1})
		w.want(w.ask(Rules{Chosen: true}), want, map[string]int{"/ca.crl": 1, "/delta.crl": 1})
	}
}

// TestCertsOnly: an authority may send its certificates as a CMS message without
// content or signer (RFC 5280, section 4.2.2.1).
func TestCertsOnly(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		servertest.Absent(t, "openssl is not installed: make setup installs it")
	}
	w := newWorld(t)
	in := filepath.Join(t.TempDir(), "in.pem")
	both := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.ca.Raw}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.root.Raw})...)
	if err := os.WriteFile(in, both, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{"DER", "PEM"} {
		out, err := exec.Command("openssl", "crl2pkcs7", "-nocrl", "-certfile", in, "-outform", form).Output()
		if err != nil {
			t.Fatal(err)
		}
		d, err := parse(trust.NeedIssuer, bytes.NewReader(unwrap(trust.NeedIssuer, out)), today)
		if err != nil || len(d.certs) != 2 || !d.certs[0].Equal(w.ca) {
			t.Fatalf("%s: %v", form, err)
		}
	}
}

// TestDocuments is what servers send for a certificate.
func TestDocuments(t *testing.T) {
	w := newWorld(t)
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.ca.Raw})
	both := append(bytes.Clone(asPEM), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.root.Raw})...)
	for name, c := range map[string]struct {
		body []byte
		want int
	}{"DER": {w.ca.Raw, 1}, "PEM": {asPEM, 1}, "several in PEM": {both, 2}} {
		d, err := parse(trust.NeedIssuer, bytes.NewReader(unwrap(trust.NeedIssuer, c.body)), today)
		if err != nil || len(d.certs) != c.want || !d.certs[0].Equal(w.ca) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, body := range map[string][]byte{"nothing": nil, "a page": []byte("<html>"), "a list": w.list(w.ca, w.caKey)} {
		if _, err := parse(trust.NeedIssuer, bytes.NewReader(unwrap(trust.NeedIssuer, body)), today); !errors.Is(err, errDocument) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := parse(trust.NeedCRL, bytes.NewReader(w.ca.Raw), today); !errors.Is(err, errDocument) {
		t.Errorf("a certificate for a list: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	kinds := []trust.NeedKind{trust.NeedCRL, trust.NeedIssuer, trust.NeedOCSP}
	f.Add([]byte("-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n"), uint8(0))
	f.Add([]byte{0x30, 0x80, 0, 0}, uint8(1))
	f.Add([]byte{0x30, 3, 0x0a, 1, 3}, uint8(2))
	f.Fuzz(func(t *testing.T, body []byte, n uint8) {
		kind := kinds[int(n)%len(kinds)]
		d, err := parse(kind, bytes.NewReader(unwrap(kind, body)), today)
		if err == nil && ((d.list == nil) == (kind == trust.NeedCRL) || (d.answer == nil) == (kind == trust.NeedOCSP) || (len(d.certs) == 0) == (kind == trust.NeedIssuer)) {
			t.Fatal("parsed as something else")
		}
	})
}
