package vault_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"io"
	"path/filepath"
	"testing"

	"countersign/mailer/cms"
	"countersign/vault"
)

// encrypted makes a message that only the holder of a certificate can read.
func encrypted(t *testing.T, to *x509.Certificate, text string) source {
	t.Helper()
	var b bytes.Buffer
	w, err := cms.NewEnveloped(&b, []*x509.Certificate{to}, cms.EncryptOptions{Size: -1})
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type source []byte

func (s source) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(s)), nil }

// decrypted opens it with the keys of a vault.
func decrypted(t *testing.T, v *vault.Vault, message source) (string, error) {
	t.Helper()
	keys, err := v.DecryptionKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	e, err := cms.ReadEnveloped(message, cms.ReadOptions{Keys: keys})
	if err != nil {
		return "", err
	}
	r, err := e.Open()
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(r)
	return string(text), err
}

// TestModernKeys: an Ed25519 key signs, keys on each curve (X25519: TestVectors) open mail that was encrypted
// to them, also when they are replaced, and from the recovery file.
func TestModernKeys(t *testing.T) {
	_, ed := must2(ed25519.GenerateKey(rand.Reader))
	signing := certificate(t, ed.Public(), usage(x509.KeyUsageDigitalSignature))
	for name, key := range map[string]interface{ Public() crypto.PublicKey }{
		"P-256": ecKey(),
		"P-384": must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
		"P-521": must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)),
	} {
		t.Run(name, func(t *testing.T) {
			dir, kc := t.TempDir(), newMemory()
			v := open(t, dir, kc)
			importFile(t, v, p12(t, ed, signing))
			i := importFile(t, v, p12(t, key, certificate(t, key.Public(), usage(x509.KeyUsageKeyAgreement))))
			if i.Signing == nil || i.Encryption == nil || i.Retired {
				t.Fatalf("%+v", i)
			}
			if err := signs(t, v, i); err != nil {
				t.Error("Ed25519 does not sign:", err)
			}
			message := encrypted(t, i.Encryption, "words")
			if text, err := decrypted(t, v, message); err != nil || text != "words" {
				t.Errorf("%q, %v", text, err)
			}
			// A new certificate, for RSA, takes its place.
			if next := importFile(t, v, p12(t, rsaKey(), certificate(t, rsaKey().Public()))); next.ID == i.ID {
				t.Error("not replaced")
			}
			if text, err := decrypted(t, v, message); err != nil || text != "words" {
				t.Errorf("retired: %q, %v", text, err)
			}
			file := makeRecovery(t, v, false)
			v.Close()
			r, err := vault.OpenRecovery(file.Bytes, file.Words, words())
			if err != nil {
				t.Fatal(err)
			}
			dir, kc = filepath.Join(t.TempDir(), "new"), newMemory()
			if err := r.Restore(t.Context(), dir, kc, ""); err != nil {
				t.Fatal(err)
			}
			if text, err := decrypted(t, open(t, dir, kc), message); err != nil || text != "words" {
				t.Errorf("recovered: %q, %v", text, err)
			}
		})
	}
}

// TestCurves reads mail encrypted to keys on elliptic curves.
func TestCurves(t *testing.T) {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		for name, use := range map[string]x509.KeyUsage{
			"any use": 0, "both": x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement, "agreement": x509.KeyUsageKeyAgreement,
		} {
			key := must(ecdsa.GenerateKey(curve, rand.Reader))
			v := newVault(t)
			i := importFile(t, v, p12(t, key, certificate(t, key.Public(), usage(use))))
			if i.Encryption == nil || !opens(t, v, i.Encryption) {
				t.Errorf("%s, %s: mail does not open", curve.Params().Name, name)
			}
			if (i.Signing == nil) != (use == x509.KeyUsageKeyAgreement) {
				t.Errorf("%s, %s: for signing: %t", curve.Params().Name, name, i.Signing != nil)
			}
		}
	}
}

// TestExpiredKey: a certificate that has run out still opens old mail.
func TestExpiredKey(t *testing.T) {
	v := newVault(t)
	i := importFile(t, v, p12(t, ecKey(), certificate(t, ecKey().Public(), usage(x509.KeyUsageKeyAgreement), func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = noon.AddDate(-2, 0, 0), noon.AddDate(-1, 0, 0)
	})))
	if text, err := decrypted(t, v, encrypted(t, i.Encryption, "old words")); err != nil || text != "old words" || !i.Retired {
		t.Errorf("%q, %v", text, err)
	}
}
