package module

import (
	"bytes"
	"crypto"
	"testing"

	"countersign/pkcs11/pkcs11test"
	"countersign/pkcs11/wire"
)

// TestPeerSmall: parameters arrive as the standard lays them out on this system (the
// library takes them in no other form), wrong PINs are counted, and the third locks. It
// runs on Windows too, where words have 4 bytes and structs are packed.
func TestPeerSmall(t *testing.T) {
	k := pkcs11test.Small(t)
	h := start(t, k)
	key := wire.Key{ID: []byte{1, 2, 3}, Label: "small key", Kind: wire.RSA}
	data, reversed := []byte("what is signed"), []byte("dengis si tahw")
	sign := wire.Request{Op: wire.Sign, Token: h.name, Key: key, Mechanism: wire.PKCS1, Data: data, Size: 128}

	h.fails(wire.NotLoggedIn, sign)
	tokens := h.must(wire.Request{Op: wire.Tokens}).Tokens
	want := wire.Token{
		Name:   wire.Name{Manufacturer: "Countersign", Model: "Test", Serial: "0001", Label: "Small token"},
		Reader: "Reader", NeedsLogin: true, Ready: true, Offers: wire.Set(0).With(wire.PKCS1).With(wire.OAEP).With(wire.PSS).With(wire.ECDH),
	}
	if len(tokens) != 1 || tokens[0] != want {
		t.Fatalf("listed as %+v", tokens)
	}
	wrong := wire.Request{Op: wire.Login, Token: h.name, Entry: wire.Typed, PIN: []byte("000000")}
	if r := h.fails(wire.WrongPIN, wrong); r.Tries != wire.TriesFewer {
		t.Errorf("tries after one wrong PIN: %d", r.Tries)
	}
	h.login()
	if o := h.must(wire.Request{Op: wire.Objects, Token: h.name}).Objects; len(o) != 1 || o[0].Label != "small key" || len(o[0].Value) != 128 {
		t.Errorf("objects: %+v", o)
	}
	for name, r := range map[string]wire.Request{
		"PKCS1":           {Op: wire.Sign, Mechanism: wire.PKCS1},
		"PSS":             {Op: wire.Sign, Mechanism: wire.PSS, Hash: crypto.SHA256, Mask: crypto.SHA1, Salt: 20},
		"PKCS1 decrypted": {Op: wire.Decrypt, Mechanism: wire.PKCS1},
		"OAEP":            {Op: wire.Decrypt, Mechanism: wire.OAEP, Hash: crypto.SHA512, Mask: crypto.SHA256, Context: []byte("label")},
	} {
		r.Token, r.Key, r.Data, r.Size = h.name, key, data, 128
		if got := h.must(r).Data; !bytes.Equal(got, reversed) {
			t.Errorf("%s: %q", name, got)
		}
	}
	point := append([]byte{4}, bytes.Repeat([]byte{7}, 31)...)
	if got := h.must(wire.Request{Op: wire.Derive, Token: h.name, Key: key, Data: point, Size: 32}).Data; !bytes.Equal(got, point) {
		t.Errorf("ECDH: %x", got)
	}
	h.fails(wire.NoMechanism, wire.Request{Op: wire.Sign, Token: h.name, Key: key, Mechanism: wire.RawRSA, Data: data, Size: 128})
	h.must(sign) // the login outlived that

	h.fails(wire.WrongPIN, wrong)
	if r := h.fails(wire.WrongPIN, wrong); r.Tries != wire.TriesLast {
		t.Errorf("tries after two: %d", r.Tries)
	}
	kept := wire.Request{Op: wire.Login, Token: h.name, Entry: wire.Kept, PIN: []byte(pkcs11test.PIN)}
	h.fails(wire.LastTry, kept)
	h.login()
	h.fails(wire.WrongPIN, wrong)
	h.fails(wire.WrongPIN, wrong)
	if r := h.fails(wire.PINLocked, wrong); r.Tries != wire.TriesNone {
		t.Errorf("tries after three: %d", r.Tries)
	}
	kept.Entry = wire.Typed
	h.fails(wire.PINLocked, kept)
}
