package tokens

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"countersign/pkcs11"
	"countersign/tray/control"
	"countersign/vault/tokenkey"
)

// TestStoreKey: a key of the store is opened by its reference, and one that cannot be reached is
// like a card that is out.
func TestStoreKey(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tokens := New(Options{})
	k, err := tokens.Open("cng:"+strings.Repeat("00", 32), key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Signer(t.Context()).Sign(rand.Reader, make([]byte, 32), crypto.SHA256); !errors.Is(err, tokenkey.ErrAbsent) {
		t.Error(err)
	}
	if _, err := tokens.Open("cng:00", key.Public()); !errors.Is(err, tokenkey.ErrAbsent) {
		t.Error(err)
	}
}

// TestStoreTrouble: what a key of the store is not able to do is not taken for a card's fault,
// and what Windows does not find is not taken for a card.
func TestStoreTrouble(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tokens := New(Options{})
	for failure, want := range map[pkcs11.Failure]error{
		pkcs11.NoMechanism: tokenkey.ErrUnable, pkcs11.NoKey: tokenkey.ErrAbsent, pkcs11.Unasked: tokenkey.ErrLocked,
		pkcs11.Cancelled: tokenkey.ErrCancelled, pkcs11.Confused: tokenkey.ErrToken,
	} {
		err := inStore{tokens, make([]byte, 32)}.do(t.Context(), key.Public(), func(tokenkey.Key) error { return &pkcs11.Error{Failure: failure} })
		if !errors.Is(err, want) {
			t.Errorf("%v: %v, want %v", failure, err, want)
		}
	}
}

func TestWithStore(t *testing.T) {
	made := func(name string) *pkcs11.Key {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
			EmailAddresses: []string{"lee@clinic.test"}, KeyUsage: x509.KeyUsageDigitalSignature,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return &pkcs11.Key{Certificate: c, Label: "Mail\n“key”", ID: []byte(name)}
	}
	card, store := made("On a card"), made("In the store")
	unused := func(*x509.Certificate) string { return "" }
	var seen control.TokenKey
	describeCertificate(&seen, card.Certificate, unused)
	seen.Number = 3
	list := []control.Token{{ID: "a", Keys: []control.TokenKey{seen}}}
	if got := withStore(list, []*pkcs11.Key{card}, unused); len(got) != 1 {
		t.Errorf("what the card shows is listed twice: %+v", got)
	}
	got := withStore(list, []*pkcs11.Key{card, store}, unused)
	if len(got) != 2 || len(got[1].Keys) != 1 {
		t.Fatalf("%+v", got)
	}
	k := got[1].Keys[0]
	if k.Number != 4 || k.URI != "cng:496e207468652073746f7265" || k.Name != "In the store" || k.Label != "Mail 'key'" || k.Usage != "signing" || k.Key != "P-256" {
		t.Errorf("%+v", k)
	}
}
