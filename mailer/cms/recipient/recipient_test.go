package recipient_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"countersign/mailer/cms/recipient"
)

func TestMatches(t *testing.T) {
	c := &x509.Certificate{RawIssuer: []byte{0x30, 0}, SerialNumber: big.NewInt(5), SubjectKeyId: []byte{7}}
	bare := &x509.Certificate{RawIssuer: []byte{0x30, 0}, SerialNumber: big.NewInt(5)}
	for _, test := range []struct {
		name     string
		id       recipient.Identifier
		c        *x509.Certificate
		expected bool
	}{
		{"issuer and serial number", recipient.Identifier{Issuer: []byte{0x30, 0}, Serial: big.NewInt(5)}, c, true},
		{"another serial number", recipient.Identifier{Issuer: []byte{0x30, 0}, Serial: big.NewInt(6)}, c, false},
		{"another issuer", recipient.Identifier{Issuer: []byte{0x30, 1}, Serial: big.NewInt(5)}, c, false},
		{"key identifier", recipient.Identifier{KeyID: []byte{7}}, c, true},
		{"another key identifier", recipient.Identifier{KeyID: []byte{8}}, c, false},
		{"no key identifier", recipient.Identifier{}, bare, false},
	} {
		if got := test.id.Matches(test.c); got != test.expected {
			t.Errorf("%s: %v", test.name, got)
		}
	}
	id := recipient.Identifier{KeyID: []byte{7}}
	if id.Find([]*x509.Certificate{bare, c}) != c || id.Find(nil) != nil {
		t.Error("found another")
	}
}

func TestIdentifier(t *testing.T) {
	c := &x509.Certificate{RawIssuer: []byte{0x30, 0}, SerialNumber: big.NewInt(-5)}
	var b cryptobyte.Builder
	recipient.AddIssuerAndSerial(&b, cbasn1.SEQUENCE, c)
	s := cryptobyte.String(b.BytesOrPanic())
	if id, ok := recipient.ReadIdentifier(&s); !ok || !s.Empty() || !id.Matches(c) {
		t.Errorf("%+v, %v", id, ok)
	}
	for _, der := range []string{"", "\x30\x00", "\x80\x05", "\x30\x02\x30\x00", "\x30\x08\x30\x00\x02\x01\x05\x02\x01\x05"} {
		s := cryptobyte.String(der)
		if id, ok := recipient.ReadIdentifier(&s); ok {
			t.Errorf("%x: %+v", der, id)
		}
	}
}

// FuzzRead demands a recipient from anything, and a reason from each way that leads nowhere.
func FuzzRead(f *testing.F) {
	key, err := ecdh.X25519().NewPrivateKey(make([]byte, 32))
	if err != nil {
		f.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.PublicKey())
	if err != nil {
		f.Fatal(err)
	}
	c := &x509.Certificate{RawIssuer: []byte{0x30, 0}, SerialNumber: big.NewInt(5), RawSubjectPublicKeyInfo: spki}
	for _, size := range []int{16, 24, 32} {
		list, err := recipient.Write([]*x509.Certificate{c}, make([]byte, size), recipient.Options{Rand: rand.Reader})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(list[0])
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		recipients, ways := recipient.Read(der, []recipient.Key{{Certificate: c, Exchanger: key}})
		if len(ways) > len(recipients) {
			t.Errorf("%d recipients, %d ways", len(recipients), len(ways))
		}
		for _, w := range ways {
			if key, err := w.Unwrap(32, rand.Reader); (err == nil) != (len(key) == 32) {
				t.Errorf("a key of %d octets, %v", len(key), err)
			}
		}
	})
}
