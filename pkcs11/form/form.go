// Package form turns public keys as tokens write them into Go's, and back (RSA, P-256, P-384,
// P-521 and Ed25519), signatures on curves into those of X.509, and labels into parts of
// sentences. What a token says of itself is hostile input; a point must lie on its curve, and a
// modulus have a length that somebody could use. The room is pure.
package form

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"math/big"
	"strings"
	"unicode"

	"countersign/pkcs11/wire"
)

// names are the object identifiers of the curves (RFC 5480, section 2.1.1.1).
var names = map[elliptic.Curve]asn1.ObjectIdentifier{
	elliptic.P256(): {1, 2, 840, 10045, 3, 1, 7}, elliptic.P384(): {1, 3, 132, 0, 34}, elliptic.P521(): {1, 3, 132, 0, 35},
}

// Kind is the kind of a public key, or 0 for one that no token here has.
func Kind(public crypto.PublicKey) wire.Kind {
	switch public.(type) {
	case *rsa.PublicKey:
		return wire.RSA
	case *ecdsa.PublicKey:
		return wire.EC
	case ed25519.PublicKey:
		return wire.Edwards
	}
	return 0
}

// Public is the public key that an object shows, or nil.
func Public(o wire.Object) crypto.PublicKey {
	switch o.Kind {
	case wire.RSA:
		n, e := new(big.Int).SetBytes(o.Value), new(big.Int).SetBytes(o.Params)
		if n.BitLen() >= 1024 && n.BitLen() <= 8*wire.MaxResult && e.IsInt64() && e.Int64() > 1 && e.Int64() < 1<<31 {
			return &rsa.PublicKey{N: n, E: int(e.Int64())}
		}
	case wire.EC:
		var oid asn1.ObjectIdentifier
		if rest, err := asn1.Unmarshal(o.Params, &oid); err != nil || len(rest) > 0 {
			return nil
		}
		for curve, name := range names {
			if !name.Equal(oid) {
				continue
			}
			if key, err := ecdsa.ParseUncompressedPublicKey(curve, o.Value); err == nil {
				return key
			}
		}
	case wire.Edwards:
		if len(o.Value) == ed25519.PublicKeySize {
			return ed25519.PublicKey(o.Value)
		}
	}
	return nil
}

// Value is the modulus or the point of a public key, or nil.
func Value(public crypto.PublicKey) []byte {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return key.N.Bytes()
	case *ecdsa.PublicKey:
		if point, err := key.Bytes(); err == nil {
			return point
		}
	}
	return nil
}

// Curve is a curve as CKA_EC_PARAMS, or nil for one that is not used here.
func Curve(curve elliptic.Curve) []byte {
	name, ok := names[curve]
	if !ok {
		return nil
	}
	der, err := asn1.Marshal(name)
	if err != nil {
		panic(err) // the names above can be written
	}
	return der
}

// Signature is a token's r and s, side by side and of one length, as ECDSA-Sig-Value
// (RFC 3279, section 2.2.3).
func Signature(s []byte) ([]byte, error) {
	if len(s) == 0 || len(s)%2 != 0 {
		return nil, errors.New("pkcs11 form: not a signature")
	}
	half := len(s) / 2
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(s[:half]), new(big.Int).SetBytes(s[half:])})
}

// Exchange is a public key as one to agree on secrets with, or nil.
func Exchange(public crypto.PublicKey) *ecdh.PublicKey {
	key, ok := public.(*ecdsa.PublicKey)
	if !ok {
		return nil
	}
	point, err := key.ECDH()
	if err != nil {
		return nil
	}
	return point
}

// longest is how many characters of what a token calls itself stand in a sentence.
const longest = 64

// Label makes of what a token calls itself, which may be anything, a part of a sentence
// that does not end it, hide it or turn it round.
func Label(label string) string {
	label = strings.Map(func(r rune) rune {
		switch {
		case r == '“' || r == '”':
			return '\''
		case !unicode.IsPrint(r):
			return ' '
		}
		return r
	}, label)
	label = strings.Join(strings.Fields(label), " ")
	if runes := []rune(label); len(runes) > longest {
		label = string(runes[:longest]) + "…"
	}
	return label
}
