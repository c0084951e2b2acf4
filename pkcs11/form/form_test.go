package form

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"testing"

	"countersign/pkcs11/wire"
)

// TestRefused: a point must be on its curve, a curve one that we use.
func TestRefused(t *testing.T) {
	off := append([]byte{4}, bytes.Repeat([]byte{1}, 64)...)
	for name, o := range map[string]wire.Object{
		"off the curve": {Key: wire.Key{Kind: wire.EC}, Value: off, Params: Curve(elliptic.P256())},
		"no curve":      {Key: wire.Key{Kind: wire.EC}, Value: off, Params: []byte{6, 1}},
		"small curve":   {Key: wire.Key{Kind: wire.EC}, Value: off, Params: []byte{6, 5, 0x2b, 0x81, 4, 0, 0x21}}, // P-224
		"short Ed25519": {Key: wire.Key{Kind: wire.Edwards}, Value: make([]byte, 31)},
		"small RSA":     {Key: wire.Key{Kind: wire.RSA}, Value: []byte{0xff}, Params: []byte{3}},
		"exponent of 1": {Key: wire.Key{Kind: wire.RSA}, Value: bytes.Repeat([]byte{0xff}, 128), Params: []byte{1}},
		"nothing":       {},
	} {
		if key := Public(o); key != nil {
			t.Errorf("%s: %v", name, key)
		}
	}
	if Curve(elliptic.P224()) != nil || Kind("text") != 0 || Value("text") != nil || Exchange(ed25519.PublicKey{}) != nil {
		t.Error("what no token has was given a form")
	}
}

// TestThereAndBack: what is written is read as the same key.
func TestThereAndBack(t *testing.T) {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		same(t, key.Public(), Curve(curve))
		if x := Exchange(key.Public()); x == nil || !bytes.Equal(x.Bytes(), Value(key.Public())) {
			t.Errorf("%s: agrees by another point", curve.Params().Name)
		}
	}
	same(t, &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(3), 2046), E: 65537}, []byte{1, 0, 1})
}

func same(t *testing.T, public crypto.PublicKey, params []byte) {
	t.Helper()
	got := Public(wire.Object{Key: wire.Key{Kind: Kind(public)}, Value: Value(public), Params: params})
	if key, ok := got.(interface{ Equal(crypto.PublicKey) bool }); !ok || !key.Equal(public) {
		t.Errorf("%v is read as %v", public, got)
	}
}

// TestSignature: numbers of the token's own width become minimal ones.
func TestSignature(t *testing.T) {
	der, err := Signature([]byte{0, 0x80, 0, 1})
	if want := []byte{0x30, 7, 2, 2, 0, 0x80, 2, 1, 1}; err != nil || !bytes.Equal(der, want) {
		t.Errorf("%x, %v", der, err)
	}
	for _, not := range [][]byte{nil, {1}, {1, 2, 3}} {
		if der, err := Signature(not); err == nil {
			t.Errorf("%x becomes %x", not, der)
		}
	}
}
