//go:build cgo

package pkcs11

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/ThalesGroup/crypto11"

	"countersign/pkcs11/pkcs11test"
)

// TestPeerCrypto11 uses keys that an independent program made on the token, beside that
// program: both have the same public keys, make the same signature, read the same message.
func TestPeerCrypto11(t *testing.T) {
	k := pkcs11test.SoftHSM(t)
	for _, v := range k.Env {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	theirs, err := crypto11.Configure(&crypto11.Config{Path: k.Library, TokenLabel: k.Label, Pin: pkcs11test.PIN})
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	key, err := theirs.GenerateRSAKeyPairWithLabel([]byte{0x71}, []byte("made by crypto11"), 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := theirs.GenerateECDSAKeyPairWithLabel([]byte{0x72}, []byte("curve by crypto11"), elliptic.P384())
	if err != nil {
		t.Fatal(err)
	}

	l, user := open(t, k, 0), &person{}
	mine := keys(t, l, k)["rsa"]
	digest := sha256.Sum256([]byte("letter"))
	if _, err := mine.Signer(with(t, user)).Sign(nil, digest[:], crypto.SHA256); err != nil { // which logs in
		t.Fatal(err)
	}
	all := keys(t, l, k)
	ours := all["made by crypto11"]
	if ours == nil || !ours.Seen || !key.Public().(*rsa.PublicKey).Equal(ours.Public()) {
		t.Fatalf("crypto11's RSA key is seen as %+v", ours)
	}
	want, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ours.Signer(with(t, user)).Sign(nil, digest[:], crypto.SHA256)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("signature %x, crypto11 has %x (%v)", got, want, err)
	}
	o := &rsa.OAEPOptions{Hash: crypto.SHA1}
	encrypted, err := rsa.EncryptOAEPWithOptions(rand.Reader, ours.Public().(*rsa.PublicKey), digest[:], o)
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range map[string]crypto.Decrypter{"ours": ours.Decrypter(with(t, user)), "crypto11": key} {
		if plain, err := d.Decrypt(rand.Reader, encrypted, o); err != nil || !bytes.Equal(plain, digest[:]) {
			t.Errorf("%s: %x, %v", name, plain, err)
		}
	}
	ec := all["curve by crypto11"]
	if ec == nil || !ec.public.(interface{ Equal(crypto.PublicKey) bool }).Equal(curve.Public()) {
		t.Fatalf("crypto11's key on P-384 is seen as %+v", ec)
	}
	if _, err := ec.Signer(with(t, user)).Sign(nil, digest[:], crypto.SHA256); err != nil { // which checks the signature
		t.Error(err)
	}
	if user.asked() != 1 {
		t.Errorf("%d PINs asked for", user.asked())
	}
}

// BenchmarkSign is one P-256 signature after the other, through the helper and within this
// process by crypto11: the difference is what the helper adds, and our check of the signature.
func BenchmarkSign(b *testing.B) {
	k := pkcs11test.SoftHSM(b)
	for _, v := range k.Env {
		name, value, _ := strings.Cut(v, "=")
		b.Setenv(name, value)
	}
	digest := sha256.Sum256([]byte("letter"))
	sign := func(s crypto.Signer) func(*testing.B) {
		return func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	l := open(b, k, 0)
	b.Run("helper", sign(keys(b, l, k)["p256"].Signer(WithUser(b.Context(), &person{}, "a benchmark"))))
	theirs, err := crypto11.Configure(&crypto11.Config{Path: k.Library, TokenLabel: k.Label, Pin: pkcs11test.PIN})
	if err != nil {
		b.Fatal(err)
	}
	defer theirs.Close()
	key, err := theirs.GenerateECDSAKeyPairWithLabel([]byte{0x72}, []byte("crypto11"), elliptic.P256())
	if err != nil {
		b.Fatal(err)
	}
	b.Run("crypto11", sign(key))
}
