package smime_test

import (
	"bytes"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"countersign/mailer/message"
	"countersign/mailer/server/servertest"
	"countersign/mailer/smime"
)

// openssl runs it and returns what it prints.
func openssl(t testing.TB, in []byte, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		servertest.Absent(t, "openssl is not installed: make setup installs it")
	}
	cmd := exec.Command(path, args...)
	var said bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, said.String())
	}
	return out
}

// files writes a person's certificates and keys for OpenSSL and returns their paths.
func (p *person) files(t testing.TB) map[string]string {
	t.Helper()
	dir, paths := t.TempDir(), map[string]string{}
	for name, block := range map[string]*pem.Block{
		"sign.crt": {Type: "CERTIFICATE", Bytes: p.sign.Raw}, "sign.key": {Type: "PRIVATE KEY", Bytes: p.signDER},
		"enc.crt": {Type: "CERTIFICATE", Bytes: p.encrypt.Raw}, "enc.key": {Type: "PRIVATE KEY", Bytes: p.encDER},
	} {
		paths[name] = filepath.Join(dir, name)
		if err := os.WriteFile(paths[name], pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

// TestOpenSSLReads: OpenSSL decrypts and verifies what Seal writes, and finds the
// payload under it.
func TestOpenSSLReads(t *testing.T) {
	alice, bob := people()["alice"], people()["bob"]
	a, b := alice.files(t), bob.files(t)
	raw := seal(t, letter(), alice, bob, alice)
	inside := openssl(t, raw, "cms", "-decrypt", "-binary", "-recip", b["enc.crt"], "-inkey", b["enc.key"])
	payload := openssl(t, inside, "cms", "-verify", "-CAfile", a["sign.crt"], "-purpose", "any", "-no_check_time")
	o := open(t, raw, bob.opens())
	if string(payload) != read(t, o.Payload.Entity()) {
		t.Errorf("OpenSSL finds another payload:\n%.600s", payload)
	}
	signed := signedForm(t)
	openssl(t, []byte(signed), "cms", "-verify", "-CAfile", a["sign.crt"], "-purpose", "any", "-no_check_time")
}

// TestOpenSSLWrites: Open reads what OpenSSL writes, in each of its habits.
func TestOpenSSLWrites(t *testing.T) {
	alice, bob := people()["alice"], people()["bob"]
	a, b := alice.files(t), bob.files(t)
	text := []byte(textPart("Guten Tag\n"))
	sign := []string{"-sign", "-signer", a["sign.crt"], "-inkey", a["sign.key"], "-md", "sha256"}
	for _, c := range []struct {
		name   string
		steps  [][]string
		layers string
	}{
		{"cms clear", [][]string{append([]string{"cms"}, sign...)}, "signed(valid)"},
		{"smime clear", [][]string{append([]string{"smime"}, sign...)}, "signed(valid)"},
		{"cms opaque", [][]string{append([]string{"cms", "-nodetach"}, sign...)}, "signed(valid)"},
		{"cms opaque, streamed", [][]string{append([]string{"cms", "-nodetach", "-stream"}, sign...)}, "signed(valid)"},
		{"sha512", [][]string{append([]string{"cms"}, append(sign[:len(sign)-1:len(sign)-1], "sha512")...)}, "signed(valid)"},
		{"encrypted AES-128", [][]string{{"cms", "-encrypt", "-aes128", b["enc.crt"]}}, "encrypted"},
		{"encrypted AES-256, streamed", [][]string{{"smime", "-encrypt", "-aes256", "-stream", b["enc.crt"]}}, "encrypted"},
		{"signed and encrypted", [][]string{append([]string{"cms"}, sign...), {"cms", "-encrypt", "-aes256", b["enc.crt"]}}, "encrypted signed(valid)"},
		{"encrypted and signed", [][]string{{"cms", "-encrypt", "-aes256", b["enc.crt"]}, append([]string{"cms"}, sign...)}, "signed(valid) encrypted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := text
			for _, step := range c.steps {
				raw = openssl(t, raw, step...)
			}
			o := open(t, message.Bytes(append([]byte("From: alice@clinic.example\n"), raw...)), bob.opens())
			if o.Problem != nil || layers(o) != c.layers || strings.TrimSpace(shown(t, o)) != "Guten Tag" {
				t.Errorf("%s %q, %v", layers(o), shown(t, o), o.Problem)
			}
		})
	}
}

// TestCertificatesOnly: a message that only carries certificates has no text, and
// says which certificates.
func TestCertificatesOnly(t *testing.T) {
	alice := people()["alice"]
	der := openssl(t, nil, "crl2pkcs7", "-nocrl", "-certfile", alice.files(t)["sign.crt"], "-outform", "DER")
	o := open(t, message.Bytes(outer("alice@clinic.example", entity("application/pkcs7-mime; smime-type=certs-only; name=smime.p7c", string(der)))), nil)
	if !errors.Is(o.Problem, smime.ErrNoContent) || len(o.Layers) != 1 || o.Layers[0].Form != "certs-only" {
		t.Fatal(o.Problem, layers(o))
	}
	if certs := o.Layers[0].Signed.Certificates; len(certs) != 1 || !certs[0].Equal(alice.sign) {
		t.Error(len(certs))
	}
}

// TestKindsNotRead: what neither signs nor encrypts is not said to.
func TestKindsNotRead(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		kind smime.Kind
		form string
		err  error
	}{
		"data":      {[]string{"-data_create"}, smime.Other, "data", smime.ErrUnsupported},
		"digested":  {[]string{"-digest_create"}, smime.Other, "digested-data", smime.ErrUnsupported},
		"encrypted": {[]string{"-EncryptedData_encrypt", "-secretkey", "000102030405060708090a0b0c0d0e0f", "-aes128"}, smime.Encrypted, "encrypted-data", smime.ErrNoKey},
	} {
		der := openssl(t, []byte(textPart("x")), append([]string{"cms", "-binary", "-outform", "DER"}, c.args...)...)
		for _, called := range []string{"enveloped-data", "signed-data"} {
			o := open(t, message.Bytes(outer("alice@clinic.example", entity("application/pkcs7-mime; smime-type="+called+"; name=smime.p7m", string(der)))), nil)
			if len(o.Layers) != 1 || o.Layers[0].Kind != c.kind || o.Layers[0].Form != c.form || !errors.Is(o.Problem, c.err) || o.Payload != nil {
				t.Errorf("%s: %v, %v", name, layers(o), o.Problem)
			}
		}
	}
}

// TestOpenSSLFindsDamage: what was changed on the way is refused by OpenSSL and by us.
func TestOpenSSLFindsDamage(t *testing.T) {
	path, err := exec.LookPath("openssl")
	if err != nil {
		servertest.Absent(t, "openssl is not installed: make setup installs it")
	}
	alice := people()["alice"]
	raw := strings.Replace(signedForm(t), "would like", "would hate", 1)
	cmd := exec.Command(path, "cms", "-verify", "-CAfile", alice.files(t)["sign.crt"], "-purpose", "any", "-no_check_time")
	cmd.Stdin = strings.NewReader(raw)
	if cmd.Run() == nil {
		t.Error("OpenSSL believes a changed message")
	}
	if o := open(t, message.Bytes(raw), nil); layers(o) != "signed(invalid)" {
		t.Error(layers(o))
	}
}
