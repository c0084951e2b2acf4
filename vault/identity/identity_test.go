package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"reflect"
	"testing"
	"time"

	"countersign/vault/identity"
	"countersign/vault/issued"
	"countersign/vault/keyring"
)

const address = "ada@x.example"

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func certificate(t *testing.T, key *ecdsa.PrivateKey, serial int64) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "Ada Byron"}, EmailAddresses: []string{address},
		NotBefore: noon.Add(-time.Hour), NotAfter: noon.AddDate(int(serial), 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestMarshal(t *testing.T) {
	one, other := certificate(t, newKey(t), 1), certificate(t, newKey(t), 2)
	for name, i := range map[string]identity.Identity{
		"in the keychain": {ID: "1", Address: address, Signing: one, Encryption: one, Added: noon},
		"on a card": {ID: "2", Address: address, Name: "Ada", Signing: one, Encryption: other, Chain: []*x509.Certificate{other}, Added: noon,
			Retired: true, From: noon, Announced: noon, Until: noon, Lost: noon, SigningToken: "pkcs11:serial=1", EncryptionToken: "cng:00", OnlyCopy: true},
		"half": {ID: "3", Address: address, Encryption: other, Added: noon},
	} {
		data, err := i.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := identity.Parse(data); err != nil || !reflect.DeepEqual(back, i) {
			t.Errorf("%s: %+v, %v", name, back, err)
		}
	}
	if _, err := identity.Parse([]byte(`{"signing":"AAAA"}`)); err == nil {
		t.Error("half a certificate was read")
	}
}

func TestPlace(t *testing.T) {
	c := certificate(t, newKey(t), 1)
	const here, there = "pkcs11:token=A", "pkcs11:token=B"
	for want, i := range map[string]identity.Identity{
		"":         {Signing: c, Encryption: c},
		"card “A”": {Signing: c, Encryption: c, SigningToken: here, EncryptionToken: here},
		"card “A” (for signing), card “B” (for opening mail)": {Signing: c, Encryption: c, SigningToken: here, EncryptionToken: there},
		"card “A” (for signing), keychain (for opening mail)": {Signing: c, Encryption: c, SigningToken: here},
		"card “B” (for opening mail), keychain (for signing)": {Signing: c, Encryption: c, EncryptionToken: there},
		"card “B”": {Encryption: c, EncryptionToken: there},
	} {
		if got := i.Place(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestArrange: the half that came joins the half that was there, wherever its key is.
func TestArrange(t *testing.T) {
	key := newKey(t)
	sign, open, renewed := certificate(t, newKey(t), 1), certificate(t, key, 1), certificate(t, key, 2)
	old := identity.Identity{ID: "old", Address: address, Signing: sign, Encryption: open, Added: noon, SigningToken: "pkcs11:id=1", EncryptionToken: "pkcs11:id=2", OnlyCopy: true}
	all := []identity.Identity{old}
	ref, only := identity.OnToken(all, keyring.ID(renewed))
	if ref != "pkcs11:id=2" || !only {
		t.Fatalf("%q, %v", ref, only)
	}
	if ref, only := identity.OnToken(all, keyring.ID(sign)); ref != "pkcs11:id=1" || only {
		t.Errorf("%q, %v", ref, only)
	}
	now, before := identity.Arrange(address, []issued.Own{{Certificate: renewed, Open: true, Token: ref, OnlyCopy: only}}, nil, all, noon.Add(time.Hour))
	if now.ID != "" || len(before) != 1 || now.Signing != sign || now.SigningToken != "pkcs11:id=1" || now.Encryption != renewed || now.EncryptionToken != ref || !now.OnlyCopy {
		t.Errorf("%+v, %d replaced", now, len(before))
	}
	// The same key again in the keychain, by a file: the card is no longer what is used.
	now, before = identity.Arrange(address, []issued.Own{{Certificate: open, Open: true}, {Certificate: sign, Sign: true, Token: "pkcs11:id=1"}}, nil, all, noon.Add(time.Hour))
	if now.ID != "old" || len(before) != 0 || now.EncryptionToken != "" || now.OnlyCopy || now.SigningToken == "" {
		t.Errorf("%+v, %d replaced", now, len(before))
	}
}
