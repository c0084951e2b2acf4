package recipient_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"countersign/mailer/cms/algorithm"
	"countersign/mailer/cms/ber"
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

// lent is a key that is not in memory.
type lent struct{ ecdh.KeyExchanger }

// TestLowOrder: a point that leads every key to the same secret is the message's fault,
// wherever the key is, and is not tried again.
func TestLowOrder(t *testing.T) {
	key, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{7}, 32))
	must(t, err)
	scheme := algorithm.Identifier{OID: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 19}, Params: ber.Nest(ber.Sequence, oid(wrapOID(16)))}
	for _, point := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	} {
		spki := unhex(t, "300506032b656e032100"+point)
		_, ways := recipient.Read(agreed(nobody(), ber.Nest(ber.Context+1, spki), scheme, nil, make([]byte, 24)), []recipient.Key{{Certificate: nobody(), Exchanger: lent{key}}})
		if len(ways) != 1 {
			t.Fatalf("%d ways", len(ways))
		}
		if _, err := ways[0].Unwrap(16, rand.Reader); !errors.Is(err, algorithm.ErrMalformed) || errors.Is(err, recipient.ErrKey) {
			t.Errorf("%s: %v", point, err)
		}
	}
}

// TestTransportToACurve: what is encrypted as to an RSA key, but named for another kind,
// is no way, and asks no token for anything.
func TestTransportToACurve(t *testing.T) {
	key, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{7}, 32))
	must(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	named := ber.Nest(ber.Sequence, []byte{0x30, 0, 2, 1, 5})
	der := ber.Nest(ber.Sequence, []byte{2, 1, 0}, named, ber.Nest(ber.Sequence, oid(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}), []byte{5, 0}), octets(make([]byte, 256)))
	for want, k := range []recipient.Key{{Certificate: nobody(), Exchanger: key, Decrypter: rsaKey}, {Certificate: nobody(), Decrypter: rsaKey}} {
		if _, ways := recipient.Read(der, []recipient.Key{k}); len(ways) != want {
			t.Errorf("%d ways, want %d", len(ways), want)
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
