package certstore

import (
	"bytes"
	"context"
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
	"io"
	"math/big"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"countersign/pkcs11/padding"
)

// soft is a store whose keys are in memory, with a person at it.
type soft struct {
	key     crypto.PrivateKey
	raw     bool          // offers the bare operation of an RSA key
	fails   error         // of every operation
	garbles bool          // what it answers is wrong
	begun   chan struct{} // told that it began; may be nil
	waits   chan struct{} // how long it takes; may be nil
	above   []*x509.Certificate
	asked   []access
	uses    int
}

func (s *soft) list() ([]Certificate, error) { return nil, s.fails }

func (s *soft) authorities() ([]*x509.Certificate, error) { return s.above, s.fails }

func (s *soft) acquire(_ [sha256.Size]byte, a access) (handle, error) {
	s.asked = append(s.asked, a)
	return s, nil
}

func (s *soft) answer(b []byte, err error) ([]byte, error) {
	if s.waits != nil {
		s.begun <- struct{}{}
		<-s.waits
	}
	s.uses++
	if s.fails != nil {
		return nil, s.fails
	}
	if s.garbles && len(b) > 0 {
		b[len(b)-1] ^= 1
	}
	return b, err
}

func (s *soft) sign(p pad, digest []byte) ([]byte, error) {
	switch key := s.key.(type) {
	case *rsa.PrivateKey:
		if p.scheme == pss {
			return s.answer(rsa.SignPSS(rand.Reader, key, p.hash, digest, &rsa.PSSOptions{SaltLength: p.salt}))
		}
		return s.answer(rsa.SignPKCS1v15(nil, key, p.hash, digest))
	case *ecdsa.PrivateKey:
		r, t, err := ecdsa.Sign(rand.Reader, key, digest)
		if err != nil {
			return nil, err
		}
		size := (key.Curve.Params().BitSize + 7) / 8
		return s.answer(append(r.FillBytes(make([]byte, size)), t.FillBytes(make([]byte, size))...), nil)
	}
	return nil, nteNotSupported
}

func (s *soft) decrypt(p pad, label, block []byte) ([]byte, error) {
	key := s.key.(*rsa.PrivateKey)
	var plain []byte
	err := error(nteInvalidParameter) // what Windows says of a wrong padding, and of no padding
	switch p.scheme {
	case none:
		if s.raw {
			n := new(big.Int).Exp(new(big.Int).SetBytes(block), key.D, key.N)
			plain, err = n.FillBytes(make([]byte, key.Size())), nil
		}
	case pkcs1:
		//lint:ignore SA1019 other programs still send it
		if opened, e := rsa.DecryptPKCS1v15(nil, key, block); e == nil {
			plain, err = opened, nil
		}
	case oaep:
		if opened, e := rsa.DecryptOAEP(p.hash.New(), nil, key, block, label); e == nil {
			plain, err = opened, nil
		}
	}
	return s.answer(plain, err)
}

func (s *soft) agree(peer *ecdh.PublicKey) ([]byte, error) {
	key, err := s.key.(*ecdsa.PrivateKey).ECDH()
	if err != nil {
		return nil, err
	}
	secret, err := key.ECDH(peer)
	if s.garbles {
		return secret[1:], err
	}
	return s.answer(secret, err)
}

func (s *soft) close() {}

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

// open makes a key over a system.
func open(t testing.TB, s system, public crypto.PublicKey) *Key {
	t.Helper()
	k, err := with(s).Open(prefix+strings.Repeat("0a", sha256.Size), public)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func failed(err error, f Failure) bool {
	var e *Error
	return errors.As(err, &e) && e.Failure == f && e.Says != ""
}

func TestSign(t *testing.T) {
	digest := sha256.Sum256([]byte("letter"))
	for name, key := range map[string]crypto.PrivateKey{
		"RSA": rsaKey(t), "P-256": ecKey(t, elliptic.P256()), "P-384": ecKey(t, elliptic.P384()), "P-521": ecKey(t, elliptic.P521()),
	} {
		opts := []crypto.SignerOpts{crypto.SHA256}
		if name == "RSA" {
			opts = append(opts, &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: rsa.PSSSaltLengthEqualsHash}, &rsa.PSSOptions{Hash: crypto.SHA256})
		}
		for _, o := range opts {
			s := &soft{key: key}
			signer := open(t, s, public(key)).Signer(t.Context())
			signature, err := signer.Sign(nil, digest[:], o)
			if err != nil {
				t.Errorf("%s, %v: %v", name, o, err)
				continue
			}
			right := false
			switch p := public(key).(type) {
			case *rsa.PublicKey:
				if _, ok := o.(*rsa.PSSOptions); ok {
					right = rsa.VerifyPSS(p, crypto.SHA256, digest[:], signature, nil) == nil
				} else {
					right = rsa.VerifyPKCS1v15(p, crypto.SHA256, digest[:], signature) == nil
				}
			case *ecdsa.PublicKey:
				right = ecdsa.VerifyASN1(p, digest[:], signature)
			}
			if !right {
				t.Errorf("%s, %v: the signature is wrong", name, o)
			}
			s.garbles = true
			if signature, err := signer.Sign(nil, digest[:], o); signature != nil || !failed(err, Confused) {
				t.Errorf("%s, %v: a wrong signature goes out: %v", name, o, err)
			}
			s.fails = code(0x8010006c)
			if _, err := signer.Sign(nil, digest[:], o); !failed(err, PINLocked) {
				t.Errorf("%s, %v: %v", name, o, err)
			}
		}
	}
	k := open(t, &soft{}, public(rsaKey(t)))
	for _, o := range []crypto.SignerOpts{crypto.SHA512, crypto.MD5, crypto.Hash(0)} {
		if _, err := k.Signer(t.Context()).Sign(nil, digest[:], o); !errors.Is(err, ErrKind) {
			t.Errorf("%v: %v", o, err)
		}
	}
	if k.Exchanger(t.Context()) != nil || open(t, &soft{}, public(ecKey(t, elliptic.P256()))).Decrypter(t.Context()) != nil {
		t.Error("a key is lent for what it cannot do")
	}
}

// TestDecrypt: a message opens whether the provider offers the bare operation or checks the
// padding itself, and a wrong padding is told, or not, alike.
func TestDecrypt(t *testing.T) {
	key := rsaKey(t)
	secret := []byte("a content key of 32 bytes .....!")
	//lint:ignore SA1019 other programs still send it
	v15, err1 := rsa.EncryptPKCS1v15(rand.Reader, &key.PublicKey, secret)
	sha2 := &rsa.OAEPOptions{Hash: crypto.SHA256, Label: []byte("label")}
	mixed := &rsa.OAEPOptions{Hash: crypto.SHA256, MGFHash: crypto.SHA1}
	forSHA2, err2 := rsa.EncryptOAEPWithOptions(rand.Reader, &key.PublicKey, secret, sha2)
	forMixed, err3 := rsa.EncryptOAEPWithOptions(rand.Reader, &key.PublicKey, secret, mixed)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	//lint:ignore SA1019 other programs still send it
	session := &rsa.PKCS1v15DecryptOptions{SessionKeyLen: len(secret)}
	for _, raw := range []bool{true, false} {
		d := open(t, &soft{key: key, raw: raw}, public(key)).Decrypter(t.Context())
		for _, test := range []struct {
			name    string
			message []byte
			opts    crypto.DecrypterOpts
			wants   error
		}{
			{"PKCS #1", v15, nil, nil},
			{"session key", v15, session, nil},
			{"OAEP", forSHA2, sha2, nil},
			{"wrong label", forSHA2, &rsa.OAEPOptions{Hash: crypto.SHA256}, rsa.ErrDecryption},
			{"OAEP for PKCS #1", v15, sha2, rsa.ErrDecryption},
			{"PKCS #1 for OAEP", forSHA2, nil, rsa.ErrDecryption},
			{"too large", bytes.Repeat([]byte{0xff}, key.Size()), nil, rsa.ErrDecryption},
			{"another hash", forSHA2, &rsa.OAEPOptions{Hash: crypto.MD5}, padding.ErrOptions},
		} {
			plain, err := d.Decrypt(nil, test.message, test.opts)
			if !errors.Is(err, test.wants) || err == nil && !bytes.Equal(plain, secret) {
				t.Errorf("raw %v, %s: %q, %v", raw, test.name, plain, err)
			}
		}
		plain, err := d.Decrypt(nil, forMixed, mixed)
		if raw && (err != nil || !bytes.Equal(plain, secret)) || !raw && !failed(err, NoMechanism) {
			t.Errorf("raw %v, two hashes: %q, %v", raw, plain, err)
		}
		// RFC 3218, section 2.3.2: nobody learns that the padding is wrong.
		if plain, err := d.Decrypt(nil, forSHA2, session); err != nil || len(plain) != len(secret) || bytes.Equal(plain, secret) {
			t.Errorf("raw %v, wrong padding of a session key: %q, %v", raw, plain, err)
		}
	}
	d := open(t, &soft{key: key, fails: code(0x8010006e)}, public(key)).Decrypter(t.Context())
	if plain, err := d.Decrypt(nil, v15, session); plain != nil || !failed(err, Cancelled) {
		t.Errorf("cancelled: %q, %v", plain, err)
	}
}

func TestECDH(t *testing.T) {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, other := ecKey(t, curve), ecKey(t, curve)
		s := &soft{key: key}
		e := open(t, s, public(key)).Exchanger(t.Context())
		theirs, err := other.ECDH()
		if err != nil {
			t.Fatal(err)
		}
		want, err := theirs.ECDH(e.PublicKey())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := e.ECDH(theirs.PublicKey()); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %x, %v", curve.Params().Name, got, err)
		}
		s.garbles = true
		if _, err := e.ECDH(theirs.PublicKey()); !failed(err, Confused) {
			t.Errorf("%s: a short secret: %v", curve.Params().Name, err)
		}
		x, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.ECDH(x.PublicKey()); !errors.Is(err, ErrKind) {
			t.Errorf("%s with another curve: %v", curve.Params().Name, err)
		}
	}
}

// TestWhoIsAsked: Windows may ask only in the context of what a person did (K3).
func TestWhoIsAsked(t *testing.T) {
	digest := sha256.Sum256(nil)
	key := ecKey(t, elliptic.P256())
	s := &soft{key: key, fails: code(0x80090022)}
	k := open(t, s, public(key))
	_, err := k.Signer(t.Context()).Sign(nil, digest[:], crypto.SHA256)
	if len(s.asked) != 1 || s.asked[0].asked || !failed(err, Unasked) {
		t.Errorf("in the background: %+v, %v", s.asked, err)
	}
	_, err = k.Signer(WithUser(t.Context(), "sending")).Sign(nil, digest[:], crypto.SHA256)
	if len(s.asked) != 2 || s.asked[1] != (access{true, "sending"}) || !failed(err, Confused) {
		t.Errorf("for a person: %+v, %v", s.asked, err)
	}
}

// TestNoAnswer: a card that hangs holds up nobody for longer than the limit, and those who come
// after it wait their turn.
func TestNoAnswer(t *testing.T) {
	digest := sha256.Sum256(nil)
	key := ecKey(t, elliptic.P256())
	s := &soft{key: key, begun: make(chan struct{}, 2), waits: make(chan struct{})}
	k := open(t, s, public(key))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-s.begun
		cancel()
	}()
	if _, err := k.Signer(ctx).Sign(nil, digest[:], crypto.SHA256); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := k.store.List(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	k.store.limit = time.Millisecond
	if _, err := k.Signer(t.Context()).Sign(nil, digest[:], crypto.SHA256); !failed(err, Hung) {
		t.Error(err)
	}
	close(s.waits)
	k.store.limit = time.Minute
	if _, err := k.Signer(t.Context()).Sign(nil, digest[:], crypto.SHA256); err != nil || s.uses != 2 {
		t.Errorf("after it: %d uses, %v", s.uses, err)
	}
}

// TestInLine: who waits while somebody enters a PIN is not told that the card hangs.
func TestInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &soft{key: ecKey(t, elliptic.P256()), begun: make(chan struct{}, 2), waits: make(chan struct{})}
		k := open(t, s, s.key.(*ecdsa.PrivateKey).Public())
		digest := sha256.Sum256(nil)
		results := make(chan error)
		sign := func(ctx context.Context) {
			_, err := k.Signer(ctx).Sign(nil, digest[:], crypto.SHA256)
			results <- err
		}
		go sign(WithUser(t.Context(), "sending"))
		<-s.begun
		go sign(t.Context())
		time.Sleep(k.store.patient - time.Second)
		close(s.waits)
		for range 2 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestFailures(t *testing.T) {
	for c, want := range map[code]Failure{
		0x8010000c: Removed, 0x80100069: Removed, 0x8010001d: Removed,
		0x8010006b: WrongPIN, 0x8010006c: PINLocked, 0x80090037: PINExpired,
		0x8010006e: Cancelled, 0x80090036: Cancelled, 0x800704c7: Cancelled,
		0x80090022: Unasked, 0x8009002e: Unasked,
		0x80090016: NoKey, 0x8009200b: NoKey,
		0x80090029: NoMechanism, 0x80090008: NoMechanism, 0x80070057: NoMechanism,
		0x80090005: BadInput, 0x8009002c: BadInput,
		0x8010000b: Busy,
		0x80090020: Confused, 0xc0000005: Confused, 1: Confused,
	} {
		if got := explain(c, access{}); !failed(got, want) || !errors.Is(got, c) {
			t.Errorf("%#x: %v", uint32(c), got)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	good := prefix + strings.Repeat("0A", sha256.Size)
	p224 := ecKey(t, elliptic.P224())
	for ref, key := range map[string]crypto.PublicKey{
		good[4:]: public(rsaKey(t)), "pkcs11:id=1": public(rsaKey(t)), good + "00": public(rsaKey(t)), prefix: public(rsaKey(t)), good: &p224.PublicKey,
	} {
		if k, err := New().Open(ref, key); !failed(err, NoKey) {
			t.Errorf("%q: %+v, %v", ref, k, err)
		}
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
		"no key":    {x509.Certificate{}, false},
	} {
		if got := (Certificate{Certificate: &test.certificate}).usable(); got != test.usable {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestAuthorities: the chain is found by signature, not by name alone, and a circle ends.
func TestAuthorities(t *testing.T) {
	issue := func(subject, issuer string, key, by *ecdsa.PrivateKey) *x509.Certificate {
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
	var keys []*ecdsa.PrivateKey
	for range 4 {
		keys = append(keys, ecKey(t, elliptic.P256()))
	}
	person, near, far, stranger := keys[0], keys[1], keys[2], keys[3]
	leaf, middle, top := issue("p", "near", person, near), issue("near", "far", near, far), issue("far", "far", far, far)
	impostor := issue("near", "far", stranger, stranger)
	s := with(&soft{above: []*x509.Certificate{impostor, top, leaf, middle}})
	chain, err := s.Authorities(t.Context(), leaf)
	if err != nil || len(chain) != 2 || !chain[0].Equal(middle) || !chain[1].Equal(top) {
		t.Errorf("%d authorities, %v", len(chain), err)
	}
	one, other := issue("near", "far", near, far), issue("far", "near", far, near)
	s = with(&soft{above: []*x509.Certificate{one, other}})
	if chain, err := s.Authorities(t.Context(), leaf); err != nil || len(chain) != maxChain {
		t.Errorf("in a circle: %d authorities, %v", len(chain), err)
	}
	s = with(&soft{fails: code(0x8010006e)})
	if _, err := s.Authorities(t.Context(), leaf); !failed(err, Cancelled) {
		t.Error(err)
	}
}

func TestElsewhere(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("this is Windows")
	}
	all, err := New().List(t.Context())
	if len(all) != 0 || err != nil {
		t.Errorf("%v, %v", all, err)
	}
	key := ecKey(t, elliptic.P256())
	k, err := New().Open(prefix+strings.Repeat("0a", sha256.Size), key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Signer(t.Context()).Sign(io.Reader(nil), make([]byte, 32), crypto.SHA256); !failed(err, NoKey) {
		t.Error(err)
	}
}
