package algorithm

import (
	"crypto"
	"crypto/x509"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// PublicKey is the key that c certifies; nil is one of a kind that is not known here. The
// standard library leaves out RSA keys certified for RSA-PSS or RSA-OAEP alone (RFC
// 4055) and keys on Curve25519.
func PublicKey(c *x509.Certificate) crypto.PublicKey {
	if c.PublicKey != nil {
		return c.PublicKey
	}
	if a, bits := certified(c); a.OID.Equal(oidPSS) || a.OID.Equal(oidOAEP) {
		if key, err := x509.ParsePKCS1PublicKey(bits); err == nil {
			return key
		}
		return nil
	}
	key, err := x509.ParsePKIXPublicKey(c.RawSubjectPublicKeyInfo)
	if err != nil {
		return nil
	}
	return key
}

// KeyBits are the octets of the key that c certifies, without what kind it is; nil if
// that can't be read.
func KeyBits(c *x509.Certificate) []byte {
	_, bits := certified(c)
	return bits
}

func certified(c *x509.Certificate) (a Identifier, bits []byte) {
	s := cryptobyte.String(c.RawSubjectPublicKeyInfo)
	var info cryptobyte.String
	if !s.ReadASN1(&info, cbasn1.SEQUENCE) {
		return Identifier{}, nil
	}
	a, ok := Read(&info)
	if !ok || !info.ReadASN1BitStringAsBytes(&bits) {
		return Identifier{}, nil
	}
	return a, bits
}

// restriction is what the key of c is certified for alone: RSA-PSS or RSA-OAEP, perhaps
// with parameters. It has no identifier where nothing of the kind is said.
func restriction(c *x509.Certificate) Identifier {
	if a, _ := certified(c); a.OID.Equal(oidPSS) || a.OID.Equal(oidOAEP) {
		return a
	}
	return Identifier{}
}

// AllowedBy answers with ErrUnsupported where the key of c is certified for another
// algorithm than a, or with other parameters (RFC 4055, sections 3.3 and 4).
func (a Identifier) AllowedBy(c *x509.Certificate) error {
	only := restriction(c)
	if only.OID == nil {
		return nil
	}
	if !only.OID.Equal(a.OID) {
		return fmt.Errorf("%w: %s with a key certified for something else", ErrUnsupported, a.Name())
	}
	if len(only.Params) == 0 || a.Equal(only) {
		return nil
	}
	if a.OID.Equal(oidPSS) {
		have, err := a.pss()
		least, err2 := only.pss()
		if err == nil && err2 == nil && have.hash == least.hash && have.mask == least.mask && have.salt >= least.salt {
			return nil
		}
	}
	return fmt.Errorf("%w: %s with other parameters than its key is certified for", ErrUnsupported, a.Name())
}
