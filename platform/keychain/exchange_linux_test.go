package keychain

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"math/big"
	"testing"
)

func TestExchange(t *testing.T) {
	if !group().ProbablyPrime(20) || !new(big.Int).Rsh(group(), 1).ProbablyPrime(20) {
		t.Fatal("the group's prime is not safe")
	}
	for range 20 { // now and then a number is shorter than the group
		a, err := newExchange()
		if err != nil {
			t.Fatal(err)
		}
		b, err := newExchange()
		if err != nil {
			t.Fatal(err)
		}
		ka, err1 := a.key(b.public())
		kb, err2 := b.key(bytes.TrimLeft(a.public(), "\x00"))
		if err1 != nil || err2 != nil || !bytes.Equal(ka, kb) || len(ka) != 16 {
			t.Fatalf("keys of %d and %d bytes, equal %v; %v, %v", len(ka), len(kb), bytes.Equal(ka, kb), err1, err2)
		}
	}
}

func TestExchangeRefusesPublicKeys(t *testing.T) {
	e, err := newExchange()
	if err != nil {
		t.Fatal(err)
	}
	p := group()
	near := func(d int64) []byte { return new(big.Int).Add(p, big.NewInt(d)).Bytes() }
	for name, public := range map[string][]byte{
		"none": nil, "0": {0}, "1": {1}, "p-1": near(-1), "p": near(0), "p+1": near(1), "p+2": near(2),
		"too long": append([]byte{0}, near(-2)...),
	} {
		if _, err := e.key(public); !errors.Is(err, errExchange) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, public := range map[string][]byte{"2": {2}, "p-2": near(-2)} {
		if _, err := e.key(public); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSessionKeyIsSecret(t *testing.T) {
	k := sessionKey("0123456789abcdef")
	for _, verb := range []string{"%v", "%s", "%+v", "%#v", "%x"} {
		if got := fmt.Sprintf(verb, k); got != "[secret]" && got != "5b7365637265745d" {
			t.Errorf("%s prints %s", verb, got)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	k := sessionKey("0123456789abcdef")
	iv := make([]byte, 16)
	// sealed without padding of its own, so that any padding can be tried
	raw := func(plain ...byte) []byte {
		block, err := aes.NewCipher(k)
		if err != nil {
			t.Fatal(err)
		}
		cipher.NewCBCEncrypter(block, iv).CryptBlocks(plain, plain)
		return plain
	}
	end := func(tail ...byte) []byte { return append(make([]byte, 32-len(tail)), tail...) }
	good := raw(end(3, 3, 3)...)
	if plain, err := k.open(iv, good); err != nil || len(plain) != 29 {
		t.Fatalf("a good one: %d bytes, %v", len(plain), err)
	}
	for name, c := range map[string]struct{ iv, sealed []byte }{
		"nothing":              {iv, nil},
		"half a block":         {iv, good[:24]},
		"no vector":            {nil, good},
		"a short vector":       {iv[:15], good},
		"a long vector":        {make([]byte, 17), good},
		"padding of none":      {iv, raw(end(0)...)},
		"padding of 17":        {iv, raw(bytes.Repeat([]byte{17}, 32)...)},
		"padding of 255":       {iv, raw(end(255)...)},
		"padding that differs": {iv, raw(end(3, 2, 3)...)},
	} {
		if _, err := k.open(c.iv, c.sealed); !errors.Is(err, errSecret) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte("0123456789abcdef"), []byte("0123456789abcdef"))
	f.Add([]byte{}, []byte{})
	k := sessionKey("0123456789abcdef")
	f.Fuzz(func(t *testing.T, iv, data []byte) {
		k.open(iv, data) // whatever it is, no panic
		iv, sealed, err := k.seal(data)
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := k.open(iv, sealed); err != nil || !bytes.Equal(plain, data) {
			t.Errorf("%x came back as %x, %v", data, plain, err)
		}
	})
}
