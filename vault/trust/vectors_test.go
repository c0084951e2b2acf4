package trust

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// vectors is where third-party test files lie, outside the project.
const vectors = "../../../shared/vectors"

// TestBoringSSLLists runs the revocation vectors of Chromium and BoringSSL. The
// keys in them are of 1,024 bits, which Check refuses, so the question is put to
// the list itself.
func TestBoringSSLLists(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(vectors, "boringssl-crl", "*.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skip("the vectors are not there: they lie beside the project in shared/vectors/boringssl-crl")
	}
	// The lists are of 2 March 2017 and good until June.
	at := time.Date(2017, 3, 9, 0, 0, 0, 0, time.UTC)
	other := map[string]Status{
		// Chromium asks for lists of at most a week; RFC 5280 lets nextUpdate decide.
		"bad_thisupdate_too_old": Trusted,
		// Chromium knows no indirect lists; this one is the certificate's own issuer's (RFC 5280, 6.3.3 (b) (1)).
		"bad_idp_indirectcrl": Trusted,
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".pem")
		t.Run(name, func(t *testing.T) {
			want := map[string]Status{"good": Trusted, "revoked": Revoked}[strings.SplitN(name, "_", 2)[0]]
			if want == "" {
				want = Unknown
			}
			if s, ok := other[name]; ok {
				want = s
			}
			if got := askVector(t, file, at); got != want {
				t.Fatalf("got %s, want %s", got, want)
			}
		})
	}
}

func askVector(t *testing.T, file string, at time.Time) Status {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var leaf, issuer *x509.Certificate
	var list []byte
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CRL":
			list = block.Bytes
		case "CERTIFICATE":
			leaf = parse(t, block.Bytes)
		case "CA CERTIFICATE 2": // the key that signed the list
			issuer = parse(t, block.Bytes)
		case "CA CERTIFICATE":
			if issuer == nil {
				issuer = parse(t, block.Bytes)
			}
		}
	}
	l, err := ParseCRL(list)
	if err != nil {
		return Unknown
	}
	q := Question{Certificate: leaf, At: at, Now: at, Evidence: Evidence{CRLs: []*CRL{l}}}
	s := q.lookUp([]*x509.Certificate{leaf, issuer}, 0).Status
	if s == Unpublished {
		return Unknown
	}
	return s
}

func parse(t *testing.T, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRFC9216 judges the sample certificates of RFC 9216.
func TestRFC9216(t *testing.T) {
	read := func(name string) *x509.Certificate {
		data, err := os.ReadFile(filepath.Join(vectors, "rfc9216", name+".pem"))
		if err != nil {
			t.Skip("the vectors are not there: they lie beside the project in shared/vectors/rfc9216")
		}
		block, _ := pem.Decode(data)
		return parse(t, block.Bytes)
	}
	rsaRoot := read("3.1-rsa-certification-authority-root-certificate")
	edRoot := read("6.1-ed25519-certification-authority-root-certificate")
	crossed := []*x509.Certificate{read("3.3-rsa-certification-authority-cross-signed-certificate"),
		read("6.3-ed25519-certification-authority-cross-signed-certificate")}
	for _, c := range []struct {
		file    string
		address string
		usage   Usage
		anchor  *x509.Certificate
		want    Status
	}{
		{"4.1-alice-s-signature-verification-end-entity-certificate", "alice@smime.example", Sign, rsaRoot, Trusted},
		{"4.1-alice-s-signature-verification-end-entity-certificate", "alice@smime.example", Encrypt, rsaRoot, Untrusted},
		{"4.3-alice-s-encryption-end-entity-certificate", "alice@smime.example", Encrypt, rsaRoot, Trusted},
		{"4.3-alice-s-encryption-end-entity-certificate", "alice@smime.example", Sign, rsaRoot, Untrusted},
		{"4.3-alice-s-encryption-end-entity-certificate", "alice@smime.example", Encrypt, edRoot, Trusted},
		{"7.1-carlos-s-signature-verification-end-entity-certificate", "carlos@smime.example", Sign, edRoot, Trusted},
		{"7.1-carlos-s-signature-verification-end-entity-certificate", "carlos@smime.example", Sign, rsaRoot, Trusted},
		{"7.3-carlos-s-encryption-end-entity-certificate", "carlos@smime.example", Encrypt, edRoot, Trusted},
	} {
		v := Check(Question{Certificate: read(c.file), Address: c.address, Usage: c.usage, Enclosed: crossed,
			Anchors: anchors(c.anchor), At: today})
		if v.Status != c.want || v.Bound != BoundAddress {
			t.Errorf("%s for %s under %s: %s, %s, %s", c.file, c.usage, c.anchor.Subject.CommonName, v.Status, v.Bound, v.Reason)
		}
	}
}
