package module

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/asn1"
	"math/big"
	"testing"

	"countersign/pkcs11/pkcs11test"
	"countersign/pkcs11/wire"
)

func named(k pkcs11test.Key, kind wire.Kind) wire.Key {
	return wire.Key{ID: k.ID, Label: k.Label, Kind: kind}
}

// tokens is every token that the suite runs on.
var tokens = map[string]func(testing.TB) *pkcs11test.Token{"SoftHSM": pkcs11test.SoftHSM, "NSS": pkcs11test.NSS}

func TestPeerOperations(t *testing.T) {
	for name, set := range tokens {
		t.Run(name, func(t *testing.T) {
			k := set(t)
			h := start(t, k)
			h.fails(wire.NotLoggedIn, wire.Request{Op: wire.Sign, Token: h.name, Key: named(k.Key("rsa"), wire.RSA), Mechanism: wire.PKCS1, Data: []byte{1}, Size: 256})
			h.login()
			h.rsa(k, name)
			for _, curve := range []string{"p256", "p384", "p521"} {
				if k.Key(curve).Cert != nil {
					h.curve(k.Key(curve))
				}
			}
			if key := k.Key("ed25519"); key.Cert != nil {
				message := []byte("signed as it is")
				got := h.must(wire.Request{Op: wire.Sign, Token: h.name, Key: named(key, wire.Edwards), Mechanism: wire.EdDSA, Data: message, Size: 64}).Data
				if !ed25519.Verify(key.Cert.PublicKey.(ed25519.PublicKey), message, got) {
					t.Error("Ed25519: wrong signature")
				}
			}
		})
	}
}

func (h *helper) rsa(k *pkcs11test.Token, name string) {
	h.Helper()
	key := k.Key("rsa")
	public := key.Cert.PublicKey.(*rsa.PublicKey)
	digest := sha256.Sum256([]byte("what is signed"))
	use := wire.Request{Op: wire.Sign, Token: h.name, Key: named(key, wire.RSA), Size: uint32(public.Size())}

	r := use
	r.Mechanism, r.Hash, r.Mask, r.Salt, r.Data = wire.PSS, crypto.SHA256, crypto.SHA256, 32, digest[:]
	if err := rsa.VerifyPSS(public, crypto.SHA256, digest[:], h.must(r).Data, nil); err != nil {
		h.Errorf("PSS: %v", err)
	}
	r = use
	r.Mechanism, r.Data = wire.RawRSA, append(make([]byte, 255), 2)
	two := new(big.Int).Exp(new(big.Int).SetBytes(h.must(r).Data), big.NewInt(int64(public.E)), public.N)
	if two.Int64() != 2 {
		h.Errorf("raw signature: %v", two)
	}
	for mechanism, plain := range map[wire.Mechanism]func() ([]byte, error){
		wire.PKCS1: func() ([]byte, error) {
			//lint:ignore SA1019 RFC 8551, section 2.3: other programs still send it
			return rsa.EncryptPKCS1v15(rand.Reader, public, digest[:])
		},
		wire.OAEP: func() ([]byte, error) { return rsa.EncryptOAEP(sha1.New(), rand.Reader, public, digest[:], nil) },
	} {
		encrypted, err := plain()
		if err != nil {
			h.Fatal(err)
		}
		r = use
		r.Op, r.Mechanism, r.Hash, r.Mask, r.Data = wire.Decrypt, mechanism, crypto.SHA1, crypto.SHA1, encrypted
		if got := h.must(r).Data; !bytes.Equal(got, digest[:]) {
			h.Errorf("mechanism %d: decrypted %x", mechanism, got)
		}
	}
	if name == "NSS" { // which also knows labels and other hashes
		encrypted, err := rsa.EncryptOAEPWithOptions(rand.Reader, public, digest[:], &rsa.OAEPOptions{Hash: crypto.SHA256, MGFHash: crypto.SHA1, Label: []byte("label")})
		if err != nil {
			h.Fatal(err)
		}
		r = use
		r.Op, r.Mechanism, r.Hash, r.Mask, r.Context, r.Data = wire.Decrypt, wire.OAEP, crypto.SHA256, crypto.SHA1, []byte("label"), encrypted
		if got := h.must(r).Data; !bytes.Equal(got, digest[:]) {
			h.Errorf("OAEP with a label: decrypted %x", got)
		}
	}
}

func (h *helper) curve(key pkcs11test.Key) {
	h.Helper()
	public := key.Cert.PublicKey.(*ecdsa.PublicKey)
	digest := sha256.Sum256([]byte("what is signed"))
	size := (public.Curve.Params().BitSize + 7) / 8
	s := h.must(wire.Request{Op: wire.Sign, Token: h.name, Key: named(key, wire.EC), Mechanism: wire.ECDSA, Data: digest[:], Size: uint32(2 * size)}).Data
	signature, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(s[:len(s)/2]), new(big.Int).SetBytes(s[len(s)/2:])})
	if err != nil || !ecdsa.VerifyASN1(public, digest[:], signature) {
		h.Errorf("ECDSA, %d bits: wrong signature (%v)", public.Curve.Params().BitSize, err)
	}
	mine, err := key.Private.(*ecdsa.PrivateKey).ECDH()
	if err != nil {
		h.Fatal(err)
	}
	theirs, err := mine.Curve().GenerateKey(rand.Reader)
	if err != nil {
		h.Fatal(err)
	}
	want, err := mine.ECDH(theirs.Public().(*ecdh.PublicKey))
	if err != nil {
		h.Fatal(err)
	}
	got := h.must(wire.Request{Op: wire.Derive, Token: h.name, Key: named(key, wire.EC), Data: theirs.PublicKey().Bytes(), Size: uint32(size)}).Data
	if !bytes.Equal(got, want) {
		h.Errorf("ECDH, %d bits: %x, want %x", 8*size, got, want)
	}
}

// TestPeerObjects: certificates are to be seen before any PIN, keys after it.
func TestPeerObjects(t *testing.T) {
	for name, set := range tokens {
		t.Run(name, func(t *testing.T) {
			k := set(t)
			h := start(t, k)
			found := func(class wire.Class) map[string]wire.Object {
				all := map[string]wire.Object{}
				for _, o := range h.must(wire.Request{Op: wire.Objects, Token: h.name}).Objects {
					if o.Class == class {
						all[o.Label] = o
					}
				}
				return all
			}
			certs := found(wire.Certificate)
			for _, name := range k.Offered {
				if !bytes.Equal(certs[name].Value, k.Key(name).Cert.Raw) {
					t.Errorf("certificate %s is not listed before login", name)
				}
			}
			h.login()
			keys := found(wire.PrivateKey)
			if rsaKey := keys["rsa"]; !bytes.Equal(rsaKey.Value, k.Key("rsa").Private.Public().(*rsa.PublicKey).N.Bytes()) || rsaKey.Always {
				t.Errorf("RSA key is listed as %+v", rsaKey)
			}
			for _, name := range k.Offered {
				if keys[name].Kind == 0 {
					t.Errorf("key %s is not listed after login", name)
				}
			}
		})
	}
}

func TestPeerLogin(t *testing.T) {
	k := pkcs11test.SoftHSM(t)
	h := start(t, k)
	wrong := wire.Request{Op: wire.Login, Token: h.name, Entry: wire.Typed, PIN: []byte("000000")}
	h.fails(wire.WrongPIN, wrong)
	h.login()
	// The library would say that we are logged in already.
	h.fails(wire.WrongPIN, wrong)
	sign := wire.Request{Op: wire.Sign, Token: h.name, Key: named(k.Key("p256"), wire.EC), Mechanism: wire.ECDSA, Data: make([]byte, 32), Size: 64}
	h.fails(wire.NotLoggedIn, sign)
	h.login()
	h.must(sign)
	// Errors that spoil an operation do not spoil the login.
	bad := wire.Request{Op: wire.Decrypt, Token: h.name, Key: named(k.Key("rsa"), wire.RSA), Mechanism: wire.OAEP, Hash: crypto.SHA256, Mask: crypto.SHA256, Data: make([]byte, 256), Size: 256}
	h.fails(wire.NoMechanism, bad) // SoftHSM knows SHA-1 only
	h.must(sign)
	bad = sign
	bad.Key.ID = []byte("nobody")
	h.fails(wire.Lost, bad) // another key was found, so it may be the session that is bad
	h.login()
	h.fails(wire.NoKey, bad)
	h.must(sign)
	h.fails(wire.Removed, wire.Request{Op: wire.Login, Token: wire.Name{Label: "another"}, Entry: wire.Typed, PIN: []byte("1")})
	h.fails(wire.Malformed, wire.Request{Op: wire.Load, Path: k.Library})
}

func TestNotLoaded(t *testing.T) {
	h := New()
	for _, path := range []string{"", "/nonexistent.so", "/etc/passwd"} {
		if _, err := load(path, ""); failed(&wire.Request{}, err).Failure != wire.NotLoaded {
			t.Errorf("%q: %v", path, err)
		}
	}
	if reply := failed(&wire.Request{}, code(0x80000000)); reply.Failure != wire.Confused || h.lib != nil {
		t.Errorf("a vendor's own code: %v", reply.Failure)
	}
}
