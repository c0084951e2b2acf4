package pkcs10_test

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"countersign/mailer/server/servertest"
	"countersign/vault/pkcs10"
)

const address = "ada.osei@harbour.example"

func request(t *testing.T, kind pkcs10.Kind, use pkcs10.Use, name string) []byte {
	t.Helper()
	key, err := pkcs10.NewKey(rand.Reader, kind)
	if err != nil {
		t.Fatal(err)
	}
	der, err := pkcs10.New(rand.Reader, key, use, address, name)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestNew(t *testing.T) {
	for _, c := range []struct {
		kind  pkcs10.Kind
		use   pkcs10.Use
		usage string // the extension's value
	}{
		{pkcs10.RSA2048, pkcs10.Both, "030205a0"}, {pkcs10.RSA2048, pkcs10.Sign, "03020780"}, {pkcs10.RSA2048, pkcs10.Encrypt, "03020520"},
		{pkcs10.P256, pkcs10.Both, "03020388"}, {pkcs10.P384, pkcs10.Sign, "03020780"}, {pkcs10.P256, pkcs10.Encrypt, "03020308"},
	} {
		r, err := x509.ParseCertificateRequest(request(t, c.kind, c.use, "Dr Ada Osei"))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.CheckSignature(); err != nil {
			t.Errorf("%s %s: %v", c.kind, c.use, err)
		}
		if !slices.Equal(r.EmailAddresses, []string{address}) || r.Subject.CommonName != "Dr Ada Osei" {
			t.Errorf("%s %s: %v %v", c.kind, c.use, r.EmailAddresses, r.Subject)
		}
		got := map[string]string{}
		for _, e := range r.Extensions {
			got[e.Id.String()] = hex.EncodeToString(e.Value)
			if e.Id.String() == "2.5.29.15" && !e.Critical {
				t.Errorf("%s %s: the key usage is not critical", c.kind, c.use)
			}
		}
		if got["2.5.29.15"] != c.usage || got["2.5.29.37"] != "300a06082b06010505070304" {
			t.Errorf("%s %s: %v", c.kind, c.use, got)
		}
	}
}

func TestRefused(t *testing.T) {
	if _, err := pkcs10.NewKey(rand.Reader, "rsa-1024"); err == nil {
		t.Error("a key that is too short was made")
	}
	key, err := pkcs10.NewKey(rand.Reader, pkcs10.P256)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pkcs10.New(rand.Reader, key, "certify", address, ""); err == nil {
		t.Error("another use was asked for")
	}
}

// TestPeerOpenSSL has OpenSSL read a request and check its signature.
func TestPeerOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		servertest.Absent(t, "openssl is not installed: make setup installs it")
	}
	for _, kind := range []pkcs10.Kind{pkcs10.RSA3072, pkcs10.P256} {
		cmd := exec.Command("openssl", "req", "-verify", "-noout", "-text")
		cmd.Stdin = strings.NewReader(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request(t, kind, pkcs10.Both, "")})))
		out, err := cmd.CombinedOutput()
		text := string(out)
		if err != nil || !strings.Contains(text, "verify OK") || !strings.Contains(text, "email:"+address) ||
			!strings.Contains(text, "E-mail Protection") || !strings.Contains(text, "CN = "+address) && !strings.Contains(text, "CN="+address) {
			t.Errorf("%s: %v\n%s", kind, err, text)
		}
	}
}
