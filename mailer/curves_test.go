package mailer_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/mailer"
	"countersign/mailer/policy"
	"countersign/mailer/server/servertest"
	"countersign/vault/contacts"
)

// joinCurve is join for somebody whose one key is on an elliptic curve.
func (w *world) joinCurve(name, address string, curve elliptic.Curve) (*person, *ecdsa.PrivateKey) {
	w.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		w.Fatal(err)
	}
	who, err := w.ca.Certify(name, address, key, x509.KeyUsageDigitalSignature|x509.KeyUsageKeyAgreement)
	if err != nil {
		w.Fatal(err)
	}
	return w.enter(who), key
}

// TestCurves: people with keys on elliptic curves write to each other and to others.
func TestCurves(t *testing.T) {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		t.Run(curve.Params().Name, func(t *testing.T) {
			w := newWorld(t)
			ada, _ := w.joinCurve("Ada", adaAddress, curve)
			bea := w.join("Bea", beaAddress)
			ada.verifies(bea)
			bea.verifies(ada)
			for _, way := range [][2]*person{{ada, bea}, {bea, ada}} {
				if _, err := way[0].write(mailer.Draft{To: []string{way[1].address}, Subject: "Mrs K", Text: "the words"}); err != nil {
					t.Fatal(err)
				}
				w.post()
				if m := way[1].last(); m.Verdict.Level != policy.Good || !strings.Contains(m.Text, "the words") {
					t.Errorf("from %s: %q, %+v", way[0].address, m.Text, m.Verdict)
				}
			}
			if got := travelled(w.submitted(ada)); !strings.HasPrefix(got, "AES-256-GCM with HKDF, ECDH") {
				t.Error(got)
			}
			if m := ada.newest(mailer.SentMail); !strings.Contains(m.Text, "the words") {
				t.Errorf("her own copy: %q", m.Problem)
			}
		})
	}
}

// TestEd25519: a key that signs so, and one apart that opens mail.
func TestEd25519(t *testing.T) {
	w := newWorld(t)
	_, signing, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signs, err := w.ca.Certify("Ada", adaAddress, signing, x509.KeyUsageDigitalSignature)
	if err != nil {
		t.Fatal(err)
	}
	opening, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	opens, err := w.ca.Certify("Ada", adaAddress, opening, x509.KeyUsageKeyAgreement)
	if err != nil {
		t.Fatal(err)
	}
	ada, bea := w.enter(signs, opens), w.join("Bea", beaAddress)
	ada.verifies(bea)
	bea.verifies(ada)
	for _, way := range [][2]*person{{ada, bea}, {bea, ada}} {
		if _, err := way[0].write(mailer.Draft{To: []string{way[1].address}, Subject: "Mrs K", Text: "the words"}); err != nil {
			t.Fatal(err)
		}
		w.post()
		if m := way[1].last(); m.Verdict.Level != policy.Good || !strings.Contains(m.Text, "the words") {
			t.Errorf("from %s: %q, %+v", way[0].address, m.Text, m.Verdict)
		}
	}
}

// TestPeerCurves: what is encrypted to such a key OpenSSL opens, and the other way round.
func TestPeerCurves(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		servertest.Absent(t, "openssl is not installed: make setup installs it")
	}
	w, dir := newWorld(t), t.TempDir()
	ada, key := w.joinCurve("Ada", adaAddress, elliptic.P384())
	bea := w.join("Bea", beaAddress)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"ada.pem": ada.who.PEM(), "ada.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		"bea.pem": bea.who.PEM(), "bea.key": bea.who.KeyPEM(), "root.pem": w.ca.RootPEM(),
		"issuing.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.ca.Issuing.Raw}),
		"inner.txt":   []byte("thank you, says OpenSSL\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	openssl := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "openssl", append([]string{"cms"}, args...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
	}

	// OpenSSL writes to Ada, who has confirmed Bea.
	ada.verifies(bea)
	openssl("-sign", "-in", "inner.txt", "-text", "-md", "sha256", "-signer", "bea.pem", "-inkey", "bea.key", "-certfile", "issuing.pem", "-out", "signed.eml")
	openssl("-encrypt", "-in", "signed.eml", "-aes256", "-from", beaAddress, "-to", adaAddress, "-subject", "s", "-out", "to-ada.eml", "-recip", "ada.pem", "-keyopt", "ecdh_kdf_md:sha256")
	deliver := func(file, to string) {
		t.Helper()
		raw, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		raw = bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))
		w.deliver(to, bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n")))
	}
	w.now = w.now.Add(time.Hour) // OpenSSL signs by the clock on the wall
	deliver("to-ada.eml", adaAddress)
	if m := ada.last(); !strings.Contains(m.Text, "thank you, says OpenSSL") || m.Verdict.Level != policy.Good {
		t.Errorf("%q, %+v", m.Text, m.Verdict)
	}

	// Bea writes to Ada, who uses OpenSSL now as well: it opens the letter with Ada's key.
	ctx := t.Context()
	bea.knows(ada)
	if _, err := bea.StartTest(ctx, adaAddress, ""); err != nil {
		t.Fatal(err)
	}
	w.post()
	heard := ada.reads(bea)
	if r, err := bea.Call(ctx, adaAddress, contacts.CallReport{Number: number, Source: contacts.SourceDirectory, Code: heard.Words, Words: heard.Mine}); err != nil || !r.Matched {
		t.Fatal(r.Says, err)
	}
	openssl("-sign", "-in", "inner.txt", "-text", "-md", "sha256", "-signer", "ada.pem", "-inkey", "ada.key", "-certfile", "issuing.pem",
		"-from", adaAddress, "-to", beaAddress, "-subject", "s", "-out", "by-ada.eml")
	deliver("by-ada.eml", beaAddress)
	if _, err := bea.write(mailer.Draft{To: []string{adaAddress}, Subject: "Mrs K", Text: "the words"}); err != nil {
		t.Fatal(err)
	}
	w.post()
	if err := os.WriteFile(filepath.Join(dir, "letter.eml"), w.wire[len(w.wire)-1].raw, 0o600); err != nil {
		t.Fatal(err)
	}
	openssl("-decrypt", "-in", "letter.eml", "-recip", "ada.pem", "-inkey", "ada.key", "-out", "opened.eml")
	openssl("-verify", "-in", "opened.eml", "-CAfile", "root.pem", "-certfile", "issuing.pem", "-purpose", "any", "-out", "plain.txt")
	if plain, err := os.ReadFile(filepath.Join(dir, "plain.txt")); err != nil || !bytes.Contains(plain, []byte("the words")) {
		t.Errorf("%v: %s", err, plain)
	}
}
