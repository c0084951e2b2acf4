package padding

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"math/big"
)

// ErrOptions is the error of options that no RSA key is used with here.
var ErrOptions = errors.New("padding: not with a key of this kind")

// Operation opens a block of the length of the modulus, below it. oaep is nil for PKCS #1
// v1.5. It returns the block as it is after the operation of the key alone (raw), of the same
// length, or what a padding checked by the token holds. A wrong padding is
// [rsa.ErrDecryption]. What it returns is wiped.
type Operation func(block []byte, oaep *rsa.OAEPOptions) (opened []byte, raw bool, err error)

// Decrypt is the method of [crypto.Decrypter], for PKCS #1 v1.5 (nil options too) and OAEP. With
// SessionKeyLen a wrong padding is not told: the result is a key made of random. Otherwise a
// wrong padding is [rsa.ErrDecryption].
func Decrypt(random io.Reader, public *rsa.PublicKey, message []byte, opts crypto.DecrypterOpts, open Operation) ([]byte, error) {
	if len(message) > public.Size() || new(big.Int).SetBytes(message).Cmp(public.N) >= 0 {
		return nil, rsa.ErrDecryption
	}
	block := append(make([]byte, public.Size()-len(message)), message...)
	var session []byte
	oaep, _ := opts.(*rsa.OAEPOptions)
	switch o := opts.(type) {
	case nil:
	//lint:ignore SA1019 RFC 8551, section 2.3: other programs still send it
	case *rsa.PKCS1v15DecryptOptions:
		if o.SessionKeyLen < 0 || o.SessionKeyLen > public.Size()-11 {
			return nil, rsa.ErrDecryption
		}
		session = make([]byte, o.SessionKeyLen)
		if _, err := io.ReadFull(random, session); err != nil {
			return nil, err
		}
	case *rsa.OAEPOptions:
		if !usable(o.Hash) || o.MGFHash != 0 && !usable(o.MGFHash) {
			return nil, fmt.Errorf("%w: hash %v and %v", ErrOptions, o.Hash, o.MGFHash)
		}
	default:
		return nil, fmt.Errorf("%w: options %T", ErrOptions, opts)
	}
	opened, raw, err := open(block, oaep)
	defer clear(opened)
	switch {
	case len(session) > 0:
		if err != nil && !errors.Is(err, rsa.ErrDecryption) {
			return nil, err
		}
		if raw {
			openKey(opened, session)
		} else if err == nil && len(opened) == len(session) {
			copy(session, opened)
		}
		return session, nil
	case err != nil:
		return nil, err
	case !raw:
		return bytes.Clone(opened), nil
	}
	var plain []byte
	if oaep != nil {
		plain, err = openOAEP(opened, oaep)
	} else {
		plain, err = openBlock(opened)
	}
	return bytes.Clone(plain), err
}

// usable hashes are those that a message may name.
func usable(h crypto.Hash) bool { return h >= crypto.SHA1 && h <= crypto.SHA512 }

// SaltLength is how long the salt of a PSS signature is, for a modulus of bits bits.
func SaltLength(o *rsa.PSSOptions, bits int) (int, error) {
	salt := o.SaltLength
	switch salt {
	case rsa.PSSSaltLengthAuto:
		salt = (bits+6)/8 - 2 - o.Hash.Size()
	case rsa.PSSSaltLengthEqualsHash:
		salt = o.Hash.Size()
	}
	if salt < 0 || salt > (bits+7)/8 {
		return 0, ErrLength
	}
	return salt, nil
}
