// Package algorithm is what the algorithm identifiers in a cryptographic message
// mean: digests and signatures, and how a content key is given to a recipient.
//
// It works on values in memory only. Keys are crypto.Signer and crypto.Decrypter
// and may live on a token. Digests and signatures are the standard library's.
//
// RFC 5754 (SHA-2 with RSA and ECDSA), RFC 4056 (RSA-PSS), RFC 4055 (keys certified for
// it), RFC 8419 (Ed25519), RFC 3370, RFC 3218, RFC 3560 and RFC 8017 (RSA key
// transport), RFC 5753, RFC 8418, RFC 3394 and RFC 3217 (key agreement). What is refused
// has a name too, for the reason why.
package algorithm

import (
	"errors"
	"fmt"

	"countersign/mailer/cms/ber"
)

var (
	// ErrMalformed says that an algorithm's parameters are not what they should be.
	ErrMalformed = ber.ErrMalformed
	// ErrUnsupported names an algorithm that is not known, or is refused outright.
	ErrUnsupported = errors.New("cms: not supported")
	// ErrObsolete is ErrUnsupported: the method is refused because it is no longer safe.
	ErrObsolete = fmt.Errorf("%w, because it is no longer safe", ErrUnsupported)
	// ErrWeak says of a signature that it is valid as far as mathematics goes,
	// and of a key that it should not be used.
	ErrWeak = errors.New("cms: too weak")
	// ErrSHA1 and ErrShortKey are ErrWeak: a signature made with SHA-1, which proves
	// something where it is known to be old; and one by an RSA key under 2,048 bits,
	// which never does.
	ErrSHA1     = fmt.Errorf("%w: signed with SHA-1", ErrWeak)
	ErrShortKey = fmt.Errorf("%w: an RSA key under %d bits", ErrWeak, minRSA)
	// ErrSignature says that the key did not make the signature.
	ErrSignature = errors.New("cms: the signature is not valid")
	// ErrIntegrity says that encrypted content or its wrapped key was damaged or
	// changed, or that the key is another one.
	ErrIntegrity = errors.New("cms: the content was damaged or changed")
)

func malformed(what string) error { return fmt.Errorf("%w: %s", ErrMalformed, what) }

// RSA keys outside these sizes are weak, or slow enough to be an attack.
const (
	minRSA = 2048
	maxRSA = 8192
)

// MaxKey is the length in octets of the longest encrypted content key and signature.
const MaxKey = maxRSA / 8
