package certstore

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/pkcs11/padding"
	"countersign/pkcs11/wire"
)

// soft is a store whose keys are in memory, with a person at it.
type soft struct {
	key   crypto.PrivateKey
	raw   bool  // offers the bare operation of an RSA key
	fails error // of every operation
	own   []certificate
	above []*x509.Certificate
	asked []access
	open  int // handles
}

func (s *soft) list() ([]certificate, error) { return slices.Clone(s.own), s.fails }

func (s *soft) authorities() ([]*x509.Certificate, error) { return s.above, s.fails }

func (s *soft) acquire(_ [sha256.Size]byte, a access) (handle, error) {
	s.asked = append(s.asked, a)
	s.open++
	return s, nil
}

func (s *soft) close() { s.open-- }

func (s *soft) sign(p pad, digest []byte) ([]byte, error) {
	switch key := s.key.(type) {
	case *rsa.PrivateKey:
		if p.scheme == pss {
			return rsa.SignPSS(rand.Reader, key, p.hash, digest, &rsa.PSSOptions{SaltLength: p.salt})
		}
		return rsa.SignPKCS1v15(nil, key, p.hash, digest)
	case *ecdsa.PrivateKey:
		if s.fails != nil {
			return nil, s.fails
		}
		r, t, err := ecdsa.Sign(rand.Reader, key, digest)
		if err != nil {
			return nil, err
		}
		size := (key.Curve.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), t.FillBytes(make([]byte, size))...), nil
	}
	return nil, nteNotSupported
}

func (s *soft) decrypt(p pad, label, block []byte) ([]byte, error) {
	key := s.key.(*rsa.PrivateKey)
	switch p.scheme {
	case none:
		if s.raw {
			n := new(big.Int).Exp(new(big.Int).SetBytes(block), key.D, key.N)
			return n.FillBytes(make([]byte, key.Size())), nil
		}
	case pkcs1:
		//lint:ignore SA1019 other programs still send it
		if opened, err := rsa.DecryptPKCS1v15(nil, key, block); err == nil {
			return opened, nil
		}
	case oaep:
		if opened, err := rsa.DecryptOAEP(p.hash.New(), nil, key, block, label); err == nil {
			return opened, nil
		}
	}
	return nil, nteInvalidParameter // what Windows says of a wrong padding, and of no padding
}

func (s *soft) agree(peer *ecdh.PublicKey) ([]byte, error) {
	key, err := s.key.(*ecdsa.PrivateKey).ECDH()
	if err != nil {
		return nil, err
	}
	return key.ECDH(peer)
}

func rsaKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func public(key crypto.PrivateKey) crypto.PublicKey { return key.(crypto.Signer).Public() }

// ask is a request for a key of the store.
func (s *soft) ask(r wire.Request) *wire.Reply {
	r.Token, r.Key = wire.StoreName, wire.Key{ID: make([]byte, sha256.Size), Kind: wire.RSA}
	return (&Store{system: s}).Answer(&r)
}

func (s *soft) gives(t *testing.T, what string, r wire.Request) []byte {
	t.Helper()
	reply := s.ask(r)
	if reply.Failure != wire.None || s.open != 0 {
		t.Errorf("%s: %v, %s; %d open", what, reply.Failure, reply.Says, s.open)
	}
	return reply.Data
}

func (s *soft) fail(t *testing.T, what string, want wire.Failure, r wire.Request) {
	t.Helper()
	if reply := s.ask(r); reply.Failure != want || reply.Data != nil || s.open != 0 {
		t.Errorf("%s: %v, %x; %d open", what, reply.Failure, reply.Data, s.open)
	}
}

func TestSign(t *testing.T) {
	key := rsaKey(t)
	s := &soft{key: key}
	for _, hash := range hashes {
		h := hash.New()
		h.Write([]byte("letter"))
		digest := h.Sum(nil)
		info, _ := padding.DigestInfo(hash, digest)
		signature := s.gives(t, hash.String(), wire.Request{Op: wire.Sign, Mechanism: wire.PKCS1, Data: info})
		if err := rsa.VerifyPKCS1v15(&key.PublicKey, hash, digest, signature); err != nil {
			t.Errorf("%v: %v", hash, err)
		}
		signature = s.gives(t, hash.String(), wire.Request{Op: wire.Sign, Mechanism: wire.PSS, Hash: hash, Mask: hash, Salt: 17, Data: digest})
		if err := rsa.VerifyPSS(&key.PublicKey, hash, digest, signature, &rsa.PSSOptions{SaltLength: 17}); err != nil {
			t.Errorf("PSS, %v: %v", hash, err)
		}
	}
	digest := sha256.Sum256([]byte("letter"))
	sha224, _ := padding.DigestInfo(crypto.SHA224, digest[:28])
	for name, r := range map[string]wire.Request{
		"SHA-224":            {Mechanism: wire.PKCS1, Data: sha224},
		"no DigestInfo":      {Mechanism: wire.PKCS1, Data: digest[:]},
		"nothing":            {Mechanism: wire.PKCS1},
		"two hashes":         {Mechanism: wire.PSS, Hash: crypto.SHA256, Mask: crypto.SHA1, Data: digest[:]},
		"a digest too short": {Mechanism: wire.PSS, Hash: crypto.SHA256, Mask: crypto.SHA256, Data: digest[1:]},
		"no padding":         {Mechanism: wire.RawRSA, Data: make([]byte, 256)},
	} {
		r.Op = wire.Sign
		s.fail(t, name, wire.NoMechanism, r)
	}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key := ecKey(t, curve)
		b := (&soft{key: key}).gives(t, curve.Params().Name, wire.Request{Op: wire.Sign, Mechanism: wire.ECDSA, Data: digest[:]})
		r, v := new(big.Int).SetBytes(b[:len(b)/2]), new(big.Int).SetBytes(b[len(b)/2:])
		if !ecdsa.Verify(&key.PublicKey, digest[:], r, v) {
			t.Errorf("%v: a wrong signature", curve.Params().Name)
		}
	}
}

func TestDecrypt(t *testing.T) {
	key := rsaKey(t)
	secret := []byte("a content key of 32 bytes .....!")
	//lint:ignore SA1019 other programs still send it
	v15, err1 := rsa.EncryptPKCS1v15(rand.Reader, &key.PublicKey, secret)
	o := &rsa.OAEPOptions{Hash: crypto.SHA256, Label: []byte("label")}
	forSHA2, err2 := rsa.EncryptOAEPWithOptions(rand.Reader, &key.PublicKey, secret, o)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	s := &soft{key: key}
	if plain := s.gives(t, "PKCS #1", wire.Request{Op: wire.Decrypt, Mechanism: wire.PKCS1, Data: v15}); !bytes.Equal(plain, secret) {
		t.Errorf("PKCS #1: %q", plain)
	}
	withOAEP := wire.Request{Op: wire.Decrypt, Mechanism: wire.OAEP, Hash: crypto.SHA256, Mask: crypto.SHA256, Context: o.Label, Data: forSHA2}
	if plain := s.gives(t, "OAEP", withOAEP); !bytes.Equal(plain, secret) {
		t.Errorf("OAEP: %q", plain)
	}
	s.fail(t, "a wrong padding", wire.BadInput, wire.Request{Op: wire.Decrypt, Mechanism: wire.PKCS1, Data: forSHA2})
	withOAEP.Mask = crypto.SHA1
	s.fail(t, "two hashes", wire.NoMechanism, withOAEP)
	s.fail(t, "nothing", wire.NoMechanism, wire.Request{Op: wire.Decrypt, Mechanism: wire.PKCS1})
	s.fail(t, "not for this", wire.NoMechanism, wire.Request{Op: wire.Decrypt, Mechanism: wire.ECDSA, Data: v15})
	bare := wire.Request{Op: wire.Decrypt, Mechanism: wire.RawRSA, Data: v15}
	s.fail(t, "no bare operation", wire.NoMechanism, bare)
	s.raw = true
	if em := s.gives(t, "bare", bare); len(em) != len(v15) || !bytes.HasSuffix(em, secret) {
		t.Errorf("bare: %x", em)
	}
	bare.Data = append([]byte{0}, v15...) // what comes back is shorter, so it is no bare block
	s.fail(t, "a padding taken off", wire.NoMechanism, bare)
}

func TestECDH(t *testing.T) {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		ours, theirs := ecKey(t, curve), ecKey(t, curve)
		mine, err1 := ours.ECDH()
		other, err2 := theirs.ECDH()
		want, err3 := other.ECDH(mine.PublicKey())
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
		if got := (&soft{key: ours}).gives(t, curve.Params().Name, wire.Request{Op: wire.Derive, Data: other.PublicKey().Bytes()}); !bytes.Equal(got, want) {
			t.Errorf("%v: %x", curve.Params().Name, got)
		}
	}
	(&soft{key: ecKey(t, elliptic.P256())}).fail(t, "no point", wire.NoMechanism, wire.Request{Op: wire.Derive, Data: make([]byte, 65)})
}

// TestWhoIsAsked: Windows may ask only in a request that says so, and is told what for (K3).
func TestWhoIsAsked(t *testing.T) {
	s := &soft{key: ecKey(t, elliptic.P256()), fails: code(0x80090022)}
	r := wire.Request{Op: wire.Sign, Mechanism: wire.ECDSA, Data: make([]byte, 32)}
	s.fail(t, "in the background", wire.AsksAlways, r)
	r.Entry, r.Purpose = wire.OnPad, "Sign your letter"
	s.fail(t, "for a person", wire.Confused, r)
	if want := []access{{}, {true, "Sign your letter"}}; !slices.Equal(s.asked, want) {
		t.Errorf("%+v", s.asked)
	}
}

func TestFailures(t *testing.T) {
	for c, want := range map[code]wire.Failure{
		0x8010000c: wire.Removed, 0x80100069: wire.Removed, 0x8010001d: wire.Removed,
		0x8010006b: wire.WrongPIN, 0x8010006c: wire.PINLocked, 0x80090037: wire.PINExpired,
		0x8010006e: wire.Cancelled, 0x80090036: wire.Cancelled, 0x800704c7: wire.Cancelled,
		0x80090022: wire.AsksAlways, 0x8009002e: wire.AsksAlways,
		0x80090016: wire.NoKey, 0x8009200b: wire.NoKey,
		0x80090029: wire.NoMechanism, 0x80090008: wire.NoMechanism, 0x80070057: wire.NoMechanism,
		0x80090005: wire.BadInput, 0x8009002c: wire.BadInput,
		0x8010000b: wire.Busy,
		0x80090020: wire.Confused, 0xc0000005: wire.Confused, 1: wire.Confused,
	} {
		if got := failed(&wire.Request{ID: 7, Op: wire.Sign}, c); got.Failure != want || got.Code != uint32(c) || got.ID != 7 || got.Op != wire.Sign {
			t.Errorf("%#x: %+v", uint32(c), got)
		}
	}
	if got := failed(&wire.Request{}, errors.New(strings.Repeat("x", 300))); got.Failure != wire.Confused || len(got.Says) > wire.MaxText {
		t.Errorf("another error: %+v", got)
	}
}

// TestNothingElse: nothing is put into the store, and no other token is there.
func TestNothingElse(t *testing.T) {
	s := &Store{system: &soft{key: rsaKey(t)}}
	for _, op := range []wire.Op{wire.Login, wire.Watch, wire.Generate, wire.Import, wire.Store, wire.Delete} {
		if reply := s.Answer(&wire.Request{Op: op, Token: wire.StoreName}); reply.Failure != wire.NoMechanism || reply.Op != op {
			t.Errorf("%d: %+v", op, reply)
		}
	}
	for name, r := range map[string]wire.Request{
		"another token": {Op: wire.Objects, Token: wire.Name{Label: "Windows"}},
		"another key":   {Op: wire.Sign, Token: wire.StoreName, Key: wire.Key{ID: []byte{1}}},
	} {
		if reply := s.Answer(&r); reply.Failure != wire.NoKey {
			t.Errorf("%s: %+v", name, reply)
		}
	}
	if reply := s.Answer(&wire.Request{Op: wire.Tokens}); len(reply.Tokens) != 1 || reply.Tokens[0].Name != wire.StoreName || !reply.Tokens[0].Pad || reply.Tokens[0].Makes(wire.RSA) {
		t.Errorf("%+v", reply)
	}
}

func TestUsable(t *testing.T) {
	rsaPublic := public(rsaKey(t))
	for name, test := range map[string]struct {
		certificate x509.Certificate
		usable      bool
	}{
		"mail":      {x509.Certificate{PublicKey: rsaPublic, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageEmailProtection}}, true},
		"any":       {x509.Certificate{PublicKey: rsaPublic, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}, true},
		"unlimited": {x509.Certificate{PublicKey: public(ecKey(t, elliptic.P521()))}, true},
		"log-on":    {x509.Certificate{PublicKey: rsaPublic, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, false},
		"P-224":     {x509.Certificate{PublicKey: public(ecKey(t, elliptic.P224()))}, false},
		"no key":    {x509.Certificate{}, false},
		"too long":  {x509.Certificate{PublicKey: rsaPublic, Raw: make([]byte, wire.MaxValue+1)}, false},
	} {
		if got := (certificate{Certificate: &test.certificate}).usable(); got != test.usable {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func issue(t *testing.T, subject, issuer string, key, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: subject}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, &x509.Certificate{Subject: pkix.Name{CommonName: issuer}}, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestObjects: each certificate comes with its key and the authorities above it, once each. The
// chain is found by signature, not by name alone, and a circle ends.
func TestObjects(t *testing.T) {
	var keys []*ecdsa.PrivateKey
	for range 4 {
		keys = append(keys, ecKey(t, elliptic.P256()))
	}
	person, near, far, stranger := keys[0], keys[1], keys[2], keys[3]
	leaf, middle, top := issue(t, "p", "near", person, near), issue(t, "near", "far", near, far), issue(t, "far", "far", far, far)
	second := issue(t, "q", "near", person, near)
	impostor := issue(t, "near", "far", stranger, stranger)
	s := &soft{own: []certificate{{leaf, "Mail"}, {second, strings.Repeat("ö", 200)}}, above: []*x509.Certificate{impostor, top, leaf, middle}}
	reply := (&Store{system: s}).Answer(&wire.Request{Op: wire.Objects, Token: wire.StoreName})
	digest := sha256.Sum256(leaf.Raw)
	var certificates [][]byte
	for _, o := range reply.Objects {
		if o.Class == wire.Certificate {
			certificates = append(certificates, o.Value)
		}
	}
	if want := [][]byte{leaf.Raw, second.Raw, middle.Raw, top.Raw}; !slices.EqualFunc(certificates, want, bytes.Equal) || reply.More || reply.Failure != wire.None {
		t.Fatalf("%d certificates; %+v", len(certificates), reply)
	}
	if o := reply.Objects[1]; o.Class != wire.PrivateKey || o.Kind != wire.EC || o.Label != "Mail" || !bytes.Equal(o.ID, digest[:]) {
		t.Errorf("%+v", o)
	}
	if err := wire.Write(&bytes.Buffer{}, reply); err != nil {
		t.Error(err)
	}
	one, other := issue(t, "near", "far", near, far), issue(t, "far", "near", far, near)
	if got := chain(leaf, []*x509.Certificate{one, other}); len(got) != maxChain {
		t.Errorf("in a circle: %d authorities", len(got))
	}
	s.fails = code(0x8010006e)
	if reply := (&Store{system: s}).Answer(&wire.Request{Op: wire.Objects, Token: wire.StoreName}); reply.Failure != wire.Cancelled {
		t.Errorf("%+v", reply)
	}
	s.fails, s.own = nil, slices.Repeat(s.own, 100)
	reply = (&Store{system: s}).Answer(&wire.Request{Op: wire.Objects, Token: wire.StoreName})
	if err := wire.Write(&bytes.Buffer{}, reply); err != nil || !reply.More || len(reply.Objects) == 0 {
		t.Errorf("many: %d objects, more: %v, %v", len(reply.Objects), reply.More, err)
	}
}

func TestElsewhere(t *testing.T) {
	if s := New(); (s != nil) != (runtime.GOOS == "windows") {
		t.Errorf("%v", s)
	}
}
