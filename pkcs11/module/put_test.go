package module

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"

	"countersign/pkcs11/pkcs11test"
	"countersign/pkcs11/wire"
)

// writable is every token that something is put on, and which kinds of key it makes and takes.
var writable = map[string]struct {
	set          func(testing.TB) *pkcs11test.Token
	makes, takes string
}{
	"SoftHSM": {pkcs11test.SoftHSM, "RSA P-256 P-384", "RSA P-256 P-384"},
	"NSS": {func(t testing.TB) *pkcs11test.Token {
		k := pkcs11test.NSS(t)
		k.Reserved = strings.Replace(k.Reserved, " flags=readOnly", "", 1)
		return k
	}, "RSA P-256 P-384", "RSA P-256 P-384"},
	"opencryptoki": {pkcs11test.OpenCryptoki, "RSA", "RSA"}, // it takes keys on curves, but has no use for them
	"TPM":          {pkcs11test.TPM, "RSA P-256 P-384", ""},
}

// orders are keys to be made, by the name of their kind.
func orders(t testing.TB) map[string]wire.Request {
	t.Helper()
	curve := func(last ...int) []byte {
		b, err := asn1.Marshal(asn1.ObjectIdentifier(last))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	return map[string]wire.Request{
		"RSA":   {Key: wire.Key{Kind: wire.RSA}, Bits: 2048},
		"P-256": {Key: wire.Key{Kind: wire.EC}, Params: curve(1, 2, 840, 10045, 3, 1, 7)},
		"P-384": {Key: wire.Key{Kind: wire.EC}, Params: curve(1, 3, 132, 0, 34)},
	}
}

func (h *helper) found(class wire.Class, id []byte) (all []wire.Object) {
	h.Helper()
	for _, o := range h.must(wire.Request{Op: wire.Objects, Token: h.name}).Objects {
		if o.Class == class && bytes.Equal(o.ID, id) {
			all = append(all, o)
		}
	}
	return all
}

// sign signs by a key and checks that.
func (h *helper) signs(o wire.Object) {
	h.Helper()
	digest := sha256.Sum256([]byte("what is signed"))
	key := o.Key
	if o.Kind == wire.RSA {
		public := &rsa.PublicKey{N: new(big.Int).SetBytes(o.Value), E: 65537}
		got := h.must(wire.Request{Op: wire.Sign, Token: h.name, Key: key, Mechanism: wire.PKCS1, Data: digest[:], Size: 256}).Data
		if err := rsa.VerifyPKCS1v15(public, 0, digest[:], got); err != nil {
			h.Error(err)
		}
		return
	}
	curve := map[int]elliptic.Curve{65: elliptic.P256(), 97: elliptic.P384()}[len(o.Value)]
	public, err := ecdsa.ParseUncompressedPublicKey(curve, o.Value)
	if err != nil {
		h.Fatal(err)
	}
	got := h.must(wire.Request{Op: wire.Sign, Token: h.name, Key: key, Mechanism: wire.ECDSA, Data: digest[:], Size: 96}).Data
	if !ecdsa.Verify(public, digest[:], new(big.Int).SetBytes(got[:len(got)/2]), new(big.Int).SetBytes(got[len(got)/2:])) {
		h.Error("wrong signature")
	}
}

// TestPeerGenerate: a key made on the token signs, is named as its public key says, and
// goes again while it has no certificate.
func TestPeerGenerate(t *testing.T) {
	for name, token := range writable {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, token.set(t))
			order := orders(t)["RSA"]
			order.Op, order.Token, order.Uses, order.Key.ID, order.Key.Label = wire.Generate, h.name, wire.ForSigning, []byte("passing"), "new"
			h.fails(wire.NotLoggedIn, order)
			h.login()
			for kind, r := range orders(t) {
				r.Op, r.Token, r.Uses, r.Key.ID, r.Key.Label = wire.Generate, h.name, wire.ForSigning|wire.ForOpening, []byte("passing"), "new"
				if !strings.Contains(token.makes, kind) {
					h.fails(wire.NoMechanism, r)
					continue
				}
				made := h.must(r).Made
				if made.Label != "new" || !bytes.Equal(made.ID, wire.KeyID(made.Value)) || r.Key.Kind == wire.RSA && len(made.Value) != 256 {
					t.Errorf("%s: %+v", kind, made)
				}
				h.signs(made)
				if len(h.found(wire.PrivateKey, made.ID)) != 1 || len(h.found(wire.PublicKey, made.ID)) != 1 || len(h.found(wire.PrivateKey, []byte("passing"))) != 0 {
					t.Errorf("%s: it is not to be found", kind)
				}
				h.must(wire.Request{Op: wire.Delete, Token: h.name, Key: made.Key, Data: []byte{4, 1, 2}}) // another's value: left
				h.signs(made)
				store := wire.Request{Op: wire.Store, Token: h.name, Key: made.Key, Data: h.certificate(), Parts: [][]byte{{0x30, 0}, {0x30, 0}, {2, 1, 1}}}
				if kind == "RSA" {
					if h.must(store).There || !h.must(store).There || len(h.found(wire.Certificate, made.ID)) != 1 {
						t.Error("the certificate was not stored once")
					}
					h.fails(wire.HasCertificate, wire.Request{Op: wire.Delete, Token: h.name, Key: made.Key})
					h.signs(made)
					continue
				}
				h.must(wire.Request{Op: wire.Delete, Token: h.name, Key: made.Key, Data: made.Value})
				if len(h.found(wire.PrivateKey, made.ID))+len(h.found(wire.PublicKey, made.ID)) != 0 {
					t.Errorf("%s: it is still there", kind)
				}
				h.fails(wire.NoKey, wire.Request{Op: wire.Sign, Token: h.name, Key: made.Key, Mechanism: wire.ECDSA, Data: []byte{1}, Size: 96})
			}
		})
	}
}

// certificate is any: the token does not read it.
func (h *helper) certificate() []byte {
	h.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		h.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		h.Fatal(err)
	}
	return der
}

// TestPeerImport: a private key made elsewhere works on the token, and twice is once.
func TestPeerImport(t *testing.T) {
	for name, token := range writable {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, token.set(t))
			h.login()
			for kind, r := range orders(t) {
				r.Op, r.Token, r.Uses, r.Key.Label, r.Bits = wire.Import, h.name, wire.ForSigning|wire.ForOpening, "brought", 0
				var value []byte
				switch kind {
				case "RSA":
					k, err := rsa.GenerateKey(rand.Reader, 2048)
					if err != nil {
						t.Fatal(err)
					}
					value = k.N.Bytes()
					for _, n := range []*big.Int{k.N, big.NewInt(65537), k.D, k.Primes[0], k.Primes[1], k.Precomputed.Dp, k.Precomputed.Dq, k.Precomputed.Qinv} {
						r.Parts = append(r.Parts, n.Bytes())
					}
				default:
					k, err := ecdsa.GenerateKey(map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384()}[kind], rand.Reader)
					if err != nil {
						t.Fatal(err)
					}
					point, err := k.PublicKey.Bytes()
					if err != nil {
						t.Fatal(err)
					}
					secret, err := k.Bytes()
					if err != nil {
						t.Fatal(err)
					}
					r.Parts, value = [][]byte{secret}, point
				}
				r.Key.ID = wire.KeyID(value)
				if token.takes == "" {
					h.fails(wire.NeedsMaker, r)
				}
				if !strings.Contains(token.takes, kind) {
					continue
				}
				if h.must(r).There || !h.must(r).There {
					t.Errorf("%s: it was not put there once", kind)
				}
				h.signs(wire.Object{Key: r.Key, Value: value})
				h.must(wire.Request{Op: wire.Delete, Token: h.name, Key: r.Key, Data: value})
				if len(h.found(wire.PrivateKey, r.Key.ID)) != 0 {
					t.Errorf("%s: it is still there", kind)
				}
			}
		})
	}
}
