package padding

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"math/big"
	"testing"
)

// bare is the operation of a key alone.
func bare(key *rsa.PrivateKey, b []byte) []byte {
	n := new(big.Int).Exp(new(big.Int).SetBytes(b), key.D, key.N)
	return n.FillBytes(make([]byte, key.Size()))
}

// block is the operation of a public key alone.
func block(key *rsa.PublicKey, em []byte) []byte {
	n := new(big.Int).Exp(new(big.Int).SetBytes(em), big.NewInt(int64(key.E)), key.N)
	return n.FillBytes(make([]byte, key.Size()))
}

// TestPaddings compares with Go's, also for moduli whose length is odd in each way.
func TestPaddings(t *testing.T) {
	digest := sha256.Sum256([]byte("letter"))
	for _, bits := range []int{1024, 1025, 1026, 1031} {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		for _, salt := range []int{0, 20, 32, (bits+6)/8 - 34} {
			em, err := PSS(crypto.SHA256, digest[:], bits, salt, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			if err := rsa.VerifyPSS(&key.PublicKey, crypto.SHA256, digest[:], bare(key, em), &rsa.PSSOptions{SaltLength: salt}); err != nil {
				t.Errorf("%d bits, PSS with %d bytes of salt: %v", bits, salt, err)
			}
		}
		if _, err := PSS(crypto.SHA256, digest[:], bits, (bits+6)/8-33, rand.Reader); err == nil {
			t.Errorf("%d bits: too much salt was taken", bits)
		}
		info, ok := DigestInfo(crypto.SHA256, digest[:])
		em, err := Signature(info, key.Size())
		if err != nil || !ok || rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], bare(key, em)) != nil {
			t.Errorf("%d bits, PKCS1: %v", bits, err)
		}
		for _, length := range []int{0, 1, 32, key.Size() - 66} {
			o := &rsa.OAEPOptions{Hash: crypto.SHA256, MGFHash: crypto.SHA1, Label: []byte("label")}
			plain := bytes.Repeat([]byte{1}, length)
			encrypted, err := rsa.EncryptOAEPWithOptions(rand.Reader, &key.PublicKey, plain, o)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := openOAEP(bare(key, encrypted), o); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%d bits, OAEP of %d bytes: %x, %v", bits, length, got, err)
			}
		}
	}
}

// TestWrongPaddings: each fault is refused, alike, as Go refuses it.
func TestWrongPaddings(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	o := &rsa.OAEPOptions{Hash: crypto.SHA256}
	encrypted, err := rsa.EncryptOAEPWithOptions(rand.Reader, &key.PublicKey, []byte("secret"), o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 128 {
		em := bare(key, encrypted)
		em[i] ^= 1
		if em[0] == 0 {
			if _, err := rsa.DecryptOAEP(sha256.New(), nil, key, block(&key.PublicKey, em), nil); err == nil {
				t.Errorf("byte %d: Go takes it", i)
			}
		}
		if _, err := openOAEP(em, o); !errors.Is(err, rsa.ErrDecryption) {
			t.Errorf("byte %d: %v", i, err)
		}
	}
	good := append(append([]byte{0, 2}, bytes.Repeat([]byte{9}, 93)...), append([]byte{0}, bytes.Repeat([]byte{7}, 32)...)...)
	for name, c := range map[string]struct {
		at    int
		to    byte
		takes bool
	}{"good": {127, 7, true}, "first": {0, 1, false}, "type": {1, 1, false}, "zero early": {5, 0, false}, "zero in the padding": {50, 0, false}, "no zero": {95, 1, false}} {
		em := bytes.Clone(good)
		em[c.at] = c.to
		session := bytes.Repeat([]byte{1}, 32)
		openKey(em, session)
		if took := bytes.Equal(session, em[96:]); took != c.takes || !took && !bytes.Equal(session, bytes.Repeat([]byte{1}, 32)) {
			t.Errorf("%s: the key is %x", name, session)
		}
		//lint:ignore SA1019 what ours is compared with
		want, wantErr := rsa.DecryptPKCS1v15(nil, key, block(&key.PublicKey, em))
		got, err := openBlock(em)
		if name == "first" { // above the modulus for Go
			wantErr = rsa.ErrDecryption
		}
		if (err == nil) != (wantErr == nil) || err == nil && !bytes.Equal(got, want) {
			t.Errorf("%s: %x, %v; Go has %x, %v", name, got, err, want, wantErr)
		}
	}
	session := []byte("as it was")
	openKey(make([]byte, 12), session)
	if string(session) != "as it was" {
		t.Error("a block too short replaced the key")
	}
}

// TestSaltLength: RFC 8017, section 9.1.1: what is left of a block of bits-1 bits.
func TestSaltLength(t *testing.T) {
	for _, c := range []struct{ salt, bits, want int }{
		{rsa.PSSSaltLengthAuto, 2048, 222}, {rsa.PSSSaltLengthAuto, 2049, 222}, {rsa.PSSSaltLengthAuto, 2050, 223},
		{rsa.PSSSaltLengthEqualsHash, 2048, 32}, {20, 2048, 20}, {-2, 2048, -1}, {300, 2048, -1}, {rsa.PSSSaltLengthAuto, 256, -1},
	} {
		got, err := SaltLength(&rsa.PSSOptions{SaltLength: c.salt, Hash: crypto.SHA256}, c.bits)
		if got != max(c.want, 0) || (err != nil) != (c.want < 0) {
			t.Errorf("%d for %d bits: %d, %v", c.salt, c.bits, got, err)
		}
	}
}

// TestOpenedIsWiped: of what the token opened nothing stays but the result.
func TestOpenedIsWiped(t *testing.T) {
	public := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2047), E: 65537}
	for _, raw := range []bool{false, true} {
		opened := append([]byte{0, 2}, bytes.Repeat([]byte{1}, 254)...)
		opened[100] = 0
		kept := opened
		plain, err := Decrypt(rand.Reader, public, []byte{1}, nil, func([]byte, *rsa.OAEPOptions) ([]byte, bool, error) { return opened, raw, nil })
		if err != nil || len(plain) == 0 || plain[len(plain)-1] != 1 || !bytes.Equal(kept, make([]byte, len(kept))) {
			t.Errorf("raw %v: %x, %v; left: %x", raw, plain, err, kept)
		}
	}
}

// TestAnotherLabel: what was sealed for one label does not open with another.
func TestAnotherLabel(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	sealed := &rsa.OAEPOptions{Hash: crypto.SHA256, Label: []byte("one")}
	block, err := rsa.EncryptOAEPWithOptions(rand.Reader, &key.PublicKey, []byte("key"), sealed)
	if err != nil {
		t.Fatal(err)
	}
	for label, right := range map[string]bool{"one": true, "other": false, "": false} {
		plain, err := openOAEP(bare(key, block), &rsa.OAEPOptions{Hash: crypto.SHA256, Label: []byte(label)})
		if right != (string(plain) == "key") || right != (err == nil) || !right && !errors.Is(err, rsa.ErrDecryption) {
			t.Errorf("label %q: %q, %v", label, plain, err)
		}
	}
}
