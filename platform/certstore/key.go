package certstore

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"

	"countersign/pkcs11/padding"
)

// ErrKind is the error of a use that no key of the kind has.
var ErrKind = errors.New("certstore: not with a key of this kind")

// Key is a private key that Windows keeps or reaches, known by its certificate.
type Key struct {
	store  *Store
	digest [sha256.Size]byte
	public crypto.PublicKey
}

// Public is the public key.
func (k *Key) Public() crypto.PublicKey { return k.public }

// Signer lends the key for signing. ctx bounds that and says whether a person may be asked.
func (k *Key) Signer(ctx context.Context) crypto.Signer { return lent{ctx, k} }

// Decrypter lends the key for decrypting, or is nil if it is not an RSA key. ctx is as for
// Signer.
func (k *Key) Decrypter(ctx context.Context) crypto.Decrypter {
	if _, ok := k.public.(*rsa.PublicKey); !ok {
		return nil
	}
	return lentDecrypter{lent{ctx, k}}
}

// Exchanger lends the key for agreeing on a secret, or is nil if it is not on a curve. ctx is
// as for Signer.
func (k *Key) Exchanger(ctx context.Context) ecdh.KeyExchanger {
	public, ok := k.public.(*ecdsa.PublicKey)
	if !ok {
		return nil
	}
	point, err := public.ECDH()
	if err != nil {
		return nil
	}
	return lentExchanger{lent{ctx, k}, point}
}

// lent is a key for one occasion.
type lent struct {
	ctx context.Context // of the operation that the key was lent for
	key *Key
}

// Public returns the public key, without asking Windows.
func (l lent) Public() crypto.PublicKey { return l.key.public }

func (l lent) use(do func(handle) ([]byte, error)) ([]byte, error) {
	return run(l.ctx, l.key.store, func(a access) ([]byte, error) {
		h, err := l.key.store.system.acquire(l.key.digest, a)
		if err != nil {
			return nil, err
		}
		defer h.close()
		return do(h)
	})
}

// Sign implements [crypto.Signer]. Windows makes the salt of a PSS signature.
func (l lent) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	signature, err := l.sign(digest, opts)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	return signature, nil
}

func (l lent) sign(digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	hash := opts.HashFunc()
	if !named(hash) || len(digest) != hash.Size() {
		return nil, fmt.Errorf("%w: a digest of %d bytes for %v", ErrKind, len(digest), hash)
	}
	p := pad{scheme: pkcs1, hash: hash}
	var right func([]byte) bool
	cut := digest
	switch public := l.key.public.(type) {
	case *rsa.PublicKey:
		right = func(s []byte) bool { return rsa.VerifyPKCS1v15(public, hash, digest, s) == nil }
		if o, ok := opts.(*rsa.PSSOptions); ok {
			salt, err := padding.SaltLength(o, public.N.BitLen())
			if err != nil {
				return nil, err
			}
			p = pad{pss, hash, salt}
			right = func(s []byte) bool {
				return rsa.VerifyPSS(public, hash, digest, s, &rsa.PSSOptions{SaltLength: salt}) == nil
			}
		}
	case *ecdsa.PublicKey:
		size := (public.Curve.Params().BitSize + 7) / 8
		p, cut = pad{}, digest[:min(len(digest), size)] // not every card's software cuts
		right = func(s []byte) bool { return ecdsa.VerifyASN1(public, digest, s) }
	}
	signature, err := l.use(func(h handle) ([]byte, error) { return h.sign(p, cut) })
	if err == nil && p.scheme == none {
		signature, err = sigValue(signature)
	}
	if err == nil && !right(signature) {
		err = fail(Confused, errors.New("the signature is not right"))
	}
	if err != nil {
		return nil, err
	}
	return signature, nil
}

// named tells whether CNG has a name for a hash.
func named(h crypto.Hash) bool {
	return h == crypto.SHA1 || h == crypto.SHA256 || h == crypto.SHA384 || h == crypto.SHA512
}

// sigValue is r and s, side by side, as ECDSA-Sig-Value.
func sigValue(s []byte) ([]byte, error) {
	if len(s) == 0 || len(s)%2 != 0 {
		return nil, fail(Confused, errors.New("not a signature"))
	}
	half := len(s) / 2
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(s[:half]), new(big.Int).SetBytes(s[half:])})
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
	plain, err := padding.Decrypt(random, l.key.public.(*rsa.PublicKey), message, opts, l.open)
	if err != nil {
		return nil, fmt.Errorf("decrypting: %w", err)
	}
	return plain, nil
}

// open uses the key without a padding if the provider offers that. Anything but a block of
// full length is not that, whatever the provider says.
func (l lentDecrypter) open(block []byte, o *rsa.OAEPOptions) ([]byte, bool, error) {
	opened, err := l.use(func(h handle) ([]byte, error) {
		em, err := h.decrypt(pad{}, nil, block)
		switch {
		case err == nil && len(em) == len(block):
			return em, nil
		case err == nil:
			clear(em)
		case !lacking(err):
			return nil, err
		}
		p, label := pad{scheme: pkcs1}, []byte(nil)
		if o != nil {
			if !named(o.Hash) || o.MGFHash != 0 && o.MGFHash != o.Hash {
				return nil, nteNotSupported
			}
			p, label = pad{scheme: oaep, hash: o.Hash}, o.Label
		}
		plain, err := h.decrypt(p, label, block)
		switch {
		case wrongPadding(err):
			return nil, rsa.ErrDecryption
		case err == nil && len(plain) > len(block)-11:
			clear(plain)
			return nil, fail(Confused, errors.New("more than a block holds"))
		}
		return plain, err
	})
	return opened, len(opened) == len(block), err
}

// lentExchanger is a key on an elliptic curve.
type lentExchanger struct {
	lent
	point *ecdh.PublicKey
}

// PublicKey implements [ecdh.KeyExchanger], without asking Windows.
func (l lentExchanger) PublicKey() *ecdh.PublicKey { return l.point }

// Curve implements [ecdh.KeyExchanger], without asking Windows.
func (l lentExchanger) Curve() ecdh.Curve { return l.point.Curve() }

// ECDH implements [ecdh.KeyExchanger].
func (l lentExchanger) ECDH(peer *ecdh.PublicKey) ([]byte, error) {
	if peer.Curve() != l.Curve() {
		return nil, fmt.Errorf("agreeing on a key: %w: another curve", ErrKind)
	}
	secret, err := l.use(func(h handle) ([]byte, error) { return h.agree(peer) })
	if err == nil && len(secret) != (len(peer.Bytes())-1)/2 {
		clear(secret)
		err = fail(Confused, errors.New("not a secret of this curve"))
	}
	if err != nil {
		return nil, fmt.Errorf("agreeing on a key: %w", err)
	}
	return secret, nil
}
