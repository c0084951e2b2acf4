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
		Reader: "Reader", NeedsLogin: true, Ready: true, Offers: wire.Set(0).With(wire.PKCS1).With(wire.OAEP).With(wire.PSS).With(wire.ECDH).With(wire.MakeRSA),
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

// TestPeerSmallPut: what is put on the token arrives as the standard lays it out on this
// system, and only in a read-write session.
func TestPeerSmallPut(t *testing.T) {
	h := start(t, pkcs11test.Small(t))
	asked := wire.Request{Op: wire.Login, Token: h.name}
	h.fails(wire.NotLoggedIn, asked)
	h.login()
	h.must(asked)
	generate := wire.Request{Op: wire.Generate, Token: h.name, Key: wire.Key{ID: []byte("passing"), Label: "new", Kind: wire.RSA}, Uses: wire.ForSigning, Bits: 2048}
	made := h.must(generate).Made
	if !bytes.Equal(made.ID, wire.KeyID(made.Value)) || made.Label != "new" || len(made.Value) != 256 {
		t.Errorf("made: %+v", made)
	}
	if all := h.found(wire.PrivateKey, made.ID); len(all) != 1 || !bytes.Equal(all[0].Value, made.Value) {
		t.Errorf("the key made is seen as %+v", all)
	}
	parts := [][]byte{bytes.Repeat([]byte{0xc1}, 256), {1, 0, 1}, {3}, {4}, {5}, {6}, {7}, {8}}
	bring := wire.Request{Op: wire.Import, Token: h.name, Key: wire.Key{ID: []byte("brought"), Label: "old", Kind: wire.RSA}, Uses: wire.ForOpening, Parts: parts}
	if h.must(bring).There || !h.must(bring).There {
		t.Error("it was not put there once")
	}
	store := wire.Request{Op: wire.Store, Token: h.name, Key: made.Key, Data: []byte("certificate"), Parts: [][]byte{{1}, {2}, {3}}}
	if h.must(store).There || !h.must(store).There {
		t.Error("the certificate was not stored once")
	}
	if all := h.found(wire.Certificate, made.ID); len(all) != 1 || string(all[0].Value) != "certificate" {
		t.Errorf("the certificate is seen as %+v", all)
	}
	h.fails(wire.HasCertificate, wire.Request{Op: wire.Delete, Token: h.name, Key: made.Key, Data: made.Value})
	h.fails(wire.NoSpace, generate) // four objects are all that it holds
	h.must(wire.Request{Op: wire.Delete, Token: h.name, Key: bring.Key, Data: parts[0]})
	h.must(wire.Request{Op: wire.Delete, Token: h.name, Key: bring.Key, Data: parts[0]}) // gone is gone
	if all := h.found(wire.PrivateKey, bring.Key.ID); len(all) != 0 {
		t.Errorf("still there: %+v", all)
	}
}
