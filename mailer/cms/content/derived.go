package content

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/asn1"
	"fmt"
	"io"

	"golang.org/x/crypto/cryptobyte"

	"countersign/mailer/cms/algorithm"
)

var oidDerived = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 31} // id-alg-cek-hkdf-sha256

// DerivedCapability is what those announce who read derived keys, without parameters.
func DerivedCapability() asn1.ObjectIdentifier { return oidDerived }

// Derived returns a with a key derived from the content key and from a's own
// identifier (RFC 9709). Whoever passes an authenticated content off as one by
// another algorithm, to have its recipient decrypt it without a check, gets
// another key. The parameters of such an algorithm are a's identifier.
func (a *Algorithm) Derived() *Algorithm {
	d := *a
	d.Name, d.oid = a.Name+" with HKDF", oidDerived
	d.start = func(key, params []byte, encrypt bool) (mode, error) {
		inner, err := algorithm.Parse(params, "derived content cipher")
		if err != nil {
			return nil, err
		}
		key, err = hkdf.Key(sha256.New, key, []byte("The Cryptographic Message Syntax"), string(params), a.KeySize)
		if err != nil {
			return nil, err
		}
		return a.start(key, inner.Params, encrypt)
	}
	d.params = func(rand io.Reader) ([]byte, error) {
		inner, err := a.New(rand)
		if err != nil {
			return nil, err
		}
		var b cryptobyte.Builder
		inner.Add(&b)
		return b.Bytes()
	}
	return &d
}

func findDerived(params []byte) (*Algorithm, error) {
	inner, err := algorithm.Parse(params, "derived content cipher")
	if err != nil {
		return nil, err
	}
	if inner.OID.Equal(oidDerived) {
		return nil, fmt.Errorf("%w: a content key derived twice", algorithm.ErrUnsupported)
	}
	a, err := Find(inner)
	if err != nil {
		return nil, err
	}
	return a.Derived(), nil
}
