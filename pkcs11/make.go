package pkcs11

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
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"countersign/pkcs11/form"
	"countersign/pkcs11/wire"
)

// Order says what a key that is put on a token is to be.
type Order struct {
	Kind  string // rsa-2048, rsa-3072, rsa-4096, p-256 or p-384; for Generate alone
	Label string
	Sign  bool // it is to sign
	Open  bool // it is to decrypt, or to agree on secrets if it is on a curve
}

var (
	// ErrOrder is an order for a key that is never put on a token.
	ErrOrder = errors.New("pkcs11: no such kind of key is put on a token")
	// ErrFinished is the error of discarding a key that was not made for a request under way.
	ErrFinished = errors.New("pkcs11: this key is in use")
	// ErrCertificate is a certificate that is not of the key.
	ErrCertificate = errors.New("pkcs11: the certificate is not of this key")
)

var (
	moduli = map[string]int{"rsa-2048": 2048, "rsa-3072": 3072, "rsa-4096": 4096}
	curves = map[string]elliptic.Curve{"p-256": elliptic.P256(), "p-384": elliptic.P384()}
)

func (o Order) request(op wire.Op, token Name, key wire.Key) *request {
	key.Label = o.Label
	r := &request{key: o.Label, Request: wire.Request{Op: op, Token: token, Key: key}}
	if o.Sign {
		r.Uses |= wire.ForSigning
	}
	if o.Open {
		r.Uses |= wire.ForOpening
	}
	return r
}

// Unlock logs in to a token, by a PIN that is asked for if none is kept. It asks nothing
// of a token that is unlocked already.
func (l *Library) Unlock(ctx context.Context, token Name) error {
	_, err := l.do(ctx, &request{Request: wire.Request{Op: wire.Login, Token: token}})
	return err
}

// Unlocked tells whether a token works as it is: it wants no PIN, somebody entered it, or it is
// kept. Nobody is asked, nothing is logged in, and a prompt that is open is not waited for.
func (l *Library) Unlocked(ctx context.Context, token Name) (bool, error) {
	if l.line(token).keeps() {
		return true, nil
	}
	_, err := l.look(ctx, wire.Request{Op: wire.Login, Token: token})
	if is(err, wire.NotLoggedIn) {
		return false, nil
	}
	return err == nil, err
}

// Generate makes a key on a token, which it cannot leave: there is no other copy. Nothing
// is left on the token if that fails, as far as the token can still be reached. It is asked
// for a PIN only if it says that it makes such keys.
func (l *Library) Generate(ctx context.Context, token Name, o Order) (*Key, error) {
	key, err := l.generate(ctx, token, o)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return key, nil
}

func (l *Library) generate(ctx context.Context, token Name, o Order) (*Key, error) {
	passing := wire.Key{ID: make([]byte, 20), Kind: wire.RSA}
	if _, err := rand.Read(passing.ID); err != nil {
		return nil, err
	}
	bits, curve := moduli[o.Kind], curves[o.Kind]
	if curve != nil {
		passing.Kind = wire.EC
	} else if bits == 0 {
		return nil, ErrOrder
	}
	r := o.request(wire.Generate, token, passing)
	r.hangs = maxHangs // who waited for so long does not wait again
	r.Bits = uint32(bits)
	if curve != nil {
		r.Params = form.Curve(curve)
	}
	there, err := l.find(ctx, token)
	if err != nil {
		return nil, err
	}
	if there.ReadOnly {
		return nil, fail(wire.ReadOnly, token.Label, nil)
	}
	if !there.Makes(passing.Kind) {
		return nil, noSuch(token.Label, nil)
	}
	_, err = l.do(ctx, r)
	if err == nil {
		made := r.reply.Made
		public := form.Public(made)
		if fits(public, bits, curve) && (bytes.Equal(made.ID, passing.ID) || bytes.Equal(made.ID, wire.KeyID(made.Value))) {
			return &Key{ID: made.ID, Label: o.Label, Seen: true, token: token, public: public, library: l, unfinished: true}, nil
		}
		err = fail(wire.Confused, token.Label, errors.New("the key made is not the one ordered"))
		if bytes.Equal(made.ID, wire.KeyID(made.Value)) {
			passing.ID = made.ID
		}
	}
	if ctx.Err() != nil || is(err, Crashed) || is(err, Hung) || is(err, Lost) || is(err, Confused) {
		l.sweep(ctx, o.request(wire.Delete, token, passing))
	}
	return nil, err
}

// sweep destroys what a failed Generate may have left. Where nobody waits any more it is done
// when the token is free again, and nobody is asked for a PIN.
func (l *Library) sweep(ctx context.Context, r *request) {
	if ctx.Err() == nil {
		_, _ = l.do(ctx, r) // what failed before is what is told
		return
	}
	later, stop := context.WithTimeout(context.WithValue(context.WithoutCancel(ctx), askingKey{}, nil), making)
	go func() {
		defer stop()
		_, _ = l.do(later, r)
	}()
}

// fits tells whether a public key is as ordered.
func fits(public crypto.PublicKey, bits int, curve elliptic.Curve) bool {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() == bits && key.E == 65537
	case *ecdsa.PublicKey:
		return key.Curve == curve
	}
	return false
}

// Import puts a private key on a token (RSA of two primes, or on P-256, P-384 or P-521), in
// such a way that it does not leave it again, and has it sign or open something there before it
// returns. A key that is there already is tried only. The caller's copy is the caller's to wipe.
func (l *Library) Import(ctx context.Context, token Name, private crypto.Signer, o Order) (*Key, error) {
	key, err := l.bring(ctx, token, private, o)
	if err != nil {
		return nil, fmt.Errorf("putting a key on the card: %w", err)
	}
	return key, nil
}

func (l *Library) bring(ctx context.Context, token Name, private crypto.Signer, o Order) (*Key, error) {
	public := private.Public()
	r := o.request(wire.Import, token, wire.Key{ID: wire.KeyID(form.Value(public)), Kind: form.Kind(public)})
	defer r.Wipe()
	switch key := private.(type) {
	case *rsa.PrivateKey:
		if len(key.Primes) != 2 || key.Precomputed.Dp == nil {
			return nil, ErrOrder
		}
		c := key.Precomputed
		for _, n := range []*big.Int{key.N, big.NewInt(int64(key.E)), key.D, key.Primes[0], key.Primes[1], c.Dp, c.Dq, c.Qinv} {
			r.Parts = append(r.Parts, n.Bytes())
		}
	case *ecdsa.PrivateKey:
		secret, err := key.Bytes()
		if err != nil || form.Curve(key.Curve) == nil {
			return nil, ErrOrder
		}
		r.Params, r.Parts = form.Curve(key.Curve), [][]byte{secret}
	default:
		return nil, ErrOrder
	}
	there, err := l.find(ctx, token)
	if err != nil {
		return nil, err
	}
	if there.ReadOnly {
		return nil, fail(wire.ReadOnly, token.Label, nil)
	}
	if _, err := l.do(ctx, r); err != nil {
		return nil, err
	}
	// An earlier try of the same request may have put it there, and had no answer.
	ours := !r.reply.There || r.crashes+r.hangs+r.lost+r.confused > 0
	key := &Key{ID: r.Key.ID, Label: o.Label, Seen: true, token: token, public: public, library: l, unfinished: ours}
	if err := key.try(ctx, o.Open); err != nil {
		if ours {
			_ = key.Discard(ctx) // what failed before is what is told
		}
		return nil, err
	}
	return key, nil
}

// try has a key do what it is for. A signature is checked wherever one is made.
func (k *Key) try(ctx context.Context, open bool) error {
	secret := sha256.Sum256(k.ID)
	var got, want []byte
	var err error
	public, isRSA := k.public.(*rsa.PublicKey)
	switch {
	case !open:
		_, err = k.Signer(ctx).Sign(nil, secret[:], crypto.SHA256)
	case isRSA:
		var block []byte
		//lint:ignore SA1019 it is the padding that every token knows, and no secret is in it
		if block, err = rsa.EncryptPKCS1v15(rand.Reader, public, secret[:]); err == nil {
			want = secret[:]
			got, err = k.Decrypter(ctx).Decrypt(nil, block, nil)
		}
	default:
		x := k.Exchanger(ctx)
		var other *ecdh.PrivateKey
		if other, err = x.Curve().GenerateKey(rand.Reader); err == nil {
			got, err = x.ECDH(other.PublicKey())
		}
		if err == nil {
			want, err = other.ECDH(form.Exchange(k.public))
		}
	}
	if err == nil && !bytes.Equal(got, want) {
		err = fail(wire.Confused, k.token.Label, errors.New("the key on the token is another"))
	}
	return err
}

// Store puts the certificate of a key beside it on the token. If it is there, it is left.
func (k *Key) Store(ctx context.Context, cert *x509.Certificate) error {
	public, ok := k.public.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(cert.PublicKey) || len(k.ID) == 0 {
		return ErrCertificate
	}
	serial, err := asn1.Marshal(cert.SerialNumber)
	if err != nil {
		return ErrCertificate
	}
	r := k.request(wire.Store, 0, cert.Raw, 0)
	r.Parts = [][]byte{cert.RawSubject, cert.RawIssuer, serial}
	if _, err := k.library.do(ctx, r); err != nil {
		return fmt.Errorf("putting a certificate on the card: %w", err)
	}
	return nil
}

// Unfinished is [Library.Use] for a key that was made by Generate or Import for a request that
// is still under way: it alone can be discarded. Whoever kept the request says so.
func (l *Library) Unfinished(u URI, public crypto.PublicKey) (*Key, error) {
	key, err := l.Use(u, public)
	if err == nil {
		key.unfinished = true
	}
	return key, err
}

// Discard destroys the key of a request that came to nothing. It fails with [ErrFinished] for
// any other key, and with [HasCertificate] if the token holds a certificate for it. A key that
// is not there any more is as good as discarded.
func (k *Key) Discard(ctx context.Context) error {
	if !k.unfinished || len(k.ID) == 0 {
		return ErrFinished
	}
	if _, err := k.library.do(ctx, k.request(wire.Delete, 0, form.Value(k.public), 0)); err != nil {
		return fmt.Errorf("discarding a key on the card: %w", err)
	}
	return nil
}
