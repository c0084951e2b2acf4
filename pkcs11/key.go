package pkcs11

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"

	"countersign/pkcs11/form"
	"countersign/pkcs11/padding"
	"countersign/pkcs11/uri"
	"countersign/pkcs11/wire"
)

// URI names a key on a token (RFC 7512).
type URI = uri.URI

// ParseURI reads a URI. It fails with [uri.ErrURI].
func ParseURI(text string) (URI, error) { return uri.Parse(text) }

// ErrKind is the error of a use that no key of the kind has.
var ErrKind = errors.New("pkcs11: not with a key of this kind")

// Key is a private key on a token, known by its public key.
type Key struct {
	ID          []byte            // CKA_ID; may be empty
	Label       string            // CKA_LABEL; may be empty
	Certificate *x509.Certificate // from the token; may be nil
	Seen        bool              // the token shows the private key
	Always      bool              // it asks for the PIN at each use; told only where Seen

	token      Name
	public     crypto.PublicKey
	library    *Library
	unfinished bool // made for something that is not done yet
}

// Use makes a key of what is remembered of it. Nothing is asked of the token. It fails if
// the URI does not name one token and one key, or the public key is of no kind used here.
func (l *Library) Use(u URI, public crypto.PublicKey) (*Key, error) {
	if u.Token.Serial == "" && u.Token.Label == "" || len(u.ID) == 0 && u.Object == "" {
		return nil, fmt.Errorf("using a key: %s does not name one", u)
	}
	if form.Kind(public) == 0 {
		return nil, fmt.Errorf("using a key: %w", ErrKind)
	}
	return &Key{ID: u.ID, Label: u.Object, token: u.Token, public: public, library: l}, nil
}

// URI is the key's name.
func (k *Key) URI() URI { return URI{Token: k.token, ID: k.ID, Object: k.Label} }

// Token is the token that the key is on.
func (k *Key) Token() Name { return k.token }

// Public is the public key.
func (k *Key) Public() crypto.PublicKey { return k.public }

// Signer lends the key for signing. ctx bounds that and says who may be asked for a PIN.
func (k *Key) Signer(ctx context.Context) crypto.Signer { return lent{ctx, k} }

// Decrypter lends the key for decrypting, or is nil if it is not an RSA key. ctx is as
// for Signer.
func (k *Key) Decrypter(ctx context.Context) crypto.Decrypter {
	if _, ok := k.public.(*rsa.PublicKey); !ok {
		return nil
	}
	return lentDecrypter{lent{ctx, k}}
}

// Exchanger lends the key for agreeing on a secret, or is nil if it is not on P-256,
// P-384 or P-521. ctx is as for Signer.
func (k *Key) Exchanger(ctx context.Context) ecdh.KeyExchanger {
	point := form.Exchange(k.public)
	if point == nil {
		return nil
	}
	return lentExchanger{lent{ctx, k}, point}
}

// lent is a key for one occasion.
type lent struct {
	ctx context.Context // of the operation that the key was lent for
	key *Key
}

// Public returns the public key, without asking the token.
func (l lent) Public() crypto.PublicKey { return l.key.public }

func (k *Key) request(op wire.Op, m wire.Mechanism, data []byte, size int) *request {
	return &request{key: k.Label, Request: wire.Request{
		Op: op, Token: k.token, Key: wire.Key{ID: k.ID, Label: k.Label, Kind: form.Kind(k.public)},
		Mechanism: m, Data: data, Size: uint32(size),
	}}
}

// Sign implements [crypto.Signer]. random is for the salt of a PSS signature that is
// padded here; nil is the system's.
func (l lent) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if random == nil {
		random = rand.Reader
	}
	hash := opts.HashFunc()
	if hash != 0 && len(digest) != hash.Size() {
		return nil, fmt.Errorf("signing: a digest of %d bytes for %v", len(digest), hash)
	}
	var signature []byte
	var err error
	switch public := l.key.public.(type) {
	case *rsa.PublicKey:
		if o, ok := opts.(*rsa.PSSOptions); ok {
			signature, err = l.signPSS(random, public, digest, o)
		} else {
			signature, err = l.signRSA(public, digest, hash)
		}
	case *ecdsa.PublicKey:
		signature, err = l.signECDSA(public, digest)
	case ed25519.PublicKey:
		if o, ok := opts.(*ed25519.Options); hash != 0 || ok && o.Context != "" || len(digest) > wire.MaxData {
			return nil, fmt.Errorf("signing: %w", ErrKind)
		}
		r := l.key.request(wire.Sign, wire.EdDSA, digest, ed25519.SignatureSize)
		r.check = func(s []byte) bool { return len(s) == ed25519.SignatureSize && ed25519.Verify(public, digest, s) }
		signature, err = l.key.library.do(l.ctx, r)
	}
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	return signature, nil
}

// signRSA makes a PKCS #1 v1.5 signature.
func (l lent) signRSA(public *rsa.PublicKey, digest []byte, hash crypto.Hash) ([]byte, error) {
	info, ok := padding.DigestInfo(hash, digest)
	if !ok {
		return nil, fmt.Errorf("%w: hash %v", ErrKind, hash)
	}
	right := func(s []byte) bool { return rsa.VerifyPKCS1v15(public, hash, digest, s) == nil }
	padded := func() ([]byte, error) { return padding.Signature(info, public.Size()) }
	r := l.key.request(wire.Sign, wire.PKCS1, info, public.Size())
	return l.orRaw(r, right, padded)
}

func (l lent) signPSS(random io.Reader, public *rsa.PublicKey, digest []byte, o *rsa.PSSOptions) ([]byte, error) {
	hash, bits := o.HashFunc(), public.N.BitLen()
	if _, ok := padding.DigestInfo(hash, digest); !ok {
		return nil, fmt.Errorf("%w: hash %v", ErrKind, hash)
	}
	salt, err := padding.SaltLength(o, bits)
	if err != nil {
		return nil, err
	}
	right := func(s []byte) bool {
		return rsa.VerifyPSS(public, hash, digest, s, &rsa.PSSOptions{SaltLength: salt}) == nil
	}
	padded := func() ([]byte, error) { return padding.PSS(hash, digest, bits, salt, random) }
	r := l.key.request(wire.Sign, wire.PSS, digest, public.Size())
	r.Hash, r.Mask, r.Salt = hash, hash, uint32(salt)
	return l.orRaw(r, right, padded)
}

// orRaw signs by the token's own padding if it offers it, else by ours.
func (l lent) orRaw(r *request, right func([]byte) bool, padded func() ([]byte, error)) ([]byte, error) {
	offers, err := l.key.library.offered(l.ctx, l.key.token)
	if err != nil {
		return nil, err
	}
	r.check = right
	if offers.Has(r.Mechanism) || !offers.Has(wire.RawRSA) {
		signature, err := l.key.library.do(l.ctx, r)
		if !is(err, NoMechanism) || !offers.Has(wire.RawRSA) {
			return signature, err
		}
	}
	em, err := padded()
	if err != nil {
		return nil, err
	}
	raw := l.key.request(wire.Sign, wire.RawRSA, em, int(r.Size))
	raw.check = right
	return l.key.library.do(l.ctx, raw)
}

// is tells whether an error is an [Error] with this failure.
func is(err error, f Failure) bool {
	var e *Error
	return errors.As(err, &e) && e.Failure == f
}

// signECDSA returns ECDSA-Sig-Value. The digest is cut here, because not every token does.
func (l lent) signECDSA(public *ecdsa.PublicKey, digest []byte) ([]byte, error) {
	size := (public.Curve.Params().BitSize + 7) / 8
	r := l.key.request(wire.Sign, wire.ECDSA, digest[:min(len(digest), size)], 2*size)
	r.check = func(s []byte) bool {
		der, err := form.Signature(s)
		return err == nil && ecdsa.VerifyASN1(public, digest, der)
	}
	s, err := l.key.library.do(l.ctx, r)
	if err != nil {
		return nil, err
	}
	return form.Signature(s)
}

// lentDecrypter is a key that decrypts.
type lentDecrypter struct{ lent }

// Decrypt implements [crypto.Decrypter] for PKCS #1 v1.5 (nil options too) and OAEP. With
// SessionKeyLen a wrong padding is not told: the result is a random key. random makes that;
// nil is the system's. Otherwise a wrong padding is [rsa.ErrDecryption].
func (l lentDecrypter) Decrypt(random io.Reader, message []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	if random == nil {
		random = rand.Reader
	}
	plain, err := l.decrypt(random, message, opts)
	if err != nil {
		return nil, fmt.Errorf("decrypting: %w", err)
	}
	return plain, nil
}

func (l lentDecrypter) decrypt(random io.Reader, message []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	public := l.key.public.(*rsa.PublicKey)
	return padding.Decrypt(random, public, message, opts, func(block []byte, oaep *rsa.OAEPOptions) ([]byte, bool, error) {
		r := l.key.request(wire.Decrypt, wire.PKCS1, block, public.Size())
		if oaep != nil {
			r.Mechanism, r.Hash, r.Mask, r.Context = wire.OAEP, oaep.Hash, oaep.MGFHash, oaep.Label
			if r.Mask == 0 {
				r.Mask = oaep.Hash
			}
		}
		opened, raw, err := l.open(r)
		if is(err, BadInput) {
			err = rsa.ErrDecryption
		}
		return opened, raw, err
	})
}

// open uses the key, without a padding (raw) if the token offers that.
func (l lentDecrypter) open(r *request) (block []byte, raw bool, err error) {
	offers, err := l.key.library.offered(l.ctx, l.key.token)
	if err != nil {
		return nil, false, err
	}
	if offers.Has(wire.RawRSA) {
		bare := l.key.request(wire.Decrypt, wire.RawRSA, r.Data, int(r.Size))
		em, err := l.key.library.do(l.ctx, bare)
		if !is(err, NoMechanism) {
			if zeros := int(r.Size) - len(em); err == nil && zeros > 0 { // some libraries take them away
				defer clear(em)
				em = slices.Concat(make([]byte, zeros), em)
			}
			return em, true, err
		}
	}
	block, err = l.key.library.do(l.ctx, r)
	return block, false, err
}

// lentExchanger is a key on an elliptic curve.
type lentExchanger struct {
	lent
	point *ecdh.PublicKey
}

// PublicKey implements [ecdh.KeyExchanger], without asking the token.
func (l lentExchanger) PublicKey() *ecdh.PublicKey { return l.point }

// Curve implements [ecdh.KeyExchanger], without asking the token.
func (l lentExchanger) Curve() ecdh.Curve { return l.point.Curve() }

// ECDH implements [ecdh.KeyExchanger].
func (l lentExchanger) ECDH(peer *ecdh.PublicKey) ([]byte, error) {
	if peer.Curve() != l.Curve() {
		return nil, fmt.Errorf("agreeing on a key: %w: another curve", ErrKind)
	}
	r := l.key.request(wire.Derive, 0, peer.Bytes(), (len(peer.Bytes())-1)/2)
	r.check = func(secret []byte) bool { return len(secret) == int(r.Size) }
	secret, err := l.key.library.do(l.ctx, r)
	if err != nil {
		return nil, fmt.Errorf("agreeing on a key: %w", err)
	}
	return secret, nil
}
