package keys

import (
	"crypto/x509"
	"math/big"
	"slices"
	"strings"
	"testing"

	"countersign/vault"
)

// TestShown: a certificate that goes on in another identity is not retired with the one
// before.
func TestShown(t *testing.T) {
	cert := func(n byte) *x509.Certificate {
		return &x509.Certificate{Raw: []byte{n}, SerialNumber: big.NewInt(int64(n))}
	}
	rsa, x25519, next := cert(1), cert(2), cert(3)
	both := vault.Identity{ID: "both", Signing: rsa, Encryption: rsa, Retired: true}
	mixed := vault.Identity{ID: "mixed", Signing: rsa, Encryption: x25519}
	for _, c := range []struct {
		name string
		of   vault.Identity
		all  []vault.Identity
		want string
	}{
		{"the one that signs goes on", both, []vault.Identity{mixed, both}, "encryption"},
		{"in use", mixed, []vault.Identity{mixed, both}, "signing encryption"},
		{"both were replaced", both, []vault.Identity{{Signing: next, Encryption: next}, both}, "signing encryption"},
		{"all are retired", both, []vault.Identity{both}, "signing encryption"},
		{"encryption alone", vault.Identity{Encryption: x25519}, nil, "encryption"},
	} {
		var got []string
		for _, h := range shown(c.of, c.all) {
			got = append(got, h.name)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q", c.name, got)
		}
	}
	list := ownCertificates(mixed)
	if len(list) != 2 || list[0].Usage != "signing" || list[1].Usage != "encryption" || list[1].Serial != "02" {
		t.Errorf("%+v", list)
	}
	if list := ownCertificates(both); len(list) != 1 || list[0].Usage != "signing and encryption" || !slices.Contains([]string{"01"}, list[0].Serial) {
		t.Errorf("%+v", list)
	}
}

// TestRecoverable: a key that is on a card alone is not said to go into a recovery file.
func TestRecoverable(t *testing.T) {
	cert := &x509.Certificate{Raw: []byte{1}}
	here := []vault.Identity{{Signing: cert, Encryption: cert}}
	moved := []vault.Identity{{Signing: cert, Encryption: cert, EncryptionToken: "pkcs11:"}}
	alone := []vault.Identity{{Signing: cert, Encryption: cert, EncryptionToken: "pkcs11:", OnlyCopy: true}}
	for _, c := range []struct {
		name string
		file vault.RecoveryState
		now  []vault.Identity
		want string
	}{
		{"here", vault.RecoveryOutdated, here, "so that the new key is in it"},
		{"here, and in the file", vault.RecoveryReady, here, ""},
		{"on a card, and in the file", vault.RecoveryReady, moved, ""},
		{"on a card, without a file", vault.RecoveryMissing, moved, "Make a recovery file, for"},
		{"on a card alone", vault.RecoveryReady, alone, "if the card dies, this mail is lost"},
		{"on a card alone, without a file", vault.RecoveryMissing, alone, "lost. Make a recovery file, for"},
	} {
		got := strings.Join(recoverable(c.file, c.now), " ")
		if !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}
