package algorithm

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// A Transport gets a content key of size octets out of what was encrypted to
// the private key k.
type Transport func(k crypto.Decrypter, encrypted []byte, size int, rand io.Reader) ([]byte, error)

// Transport finds the way in which a carries a content key, and its name for people.
// What is malformed or not known is an error, and never taken for another way.
func (a Identifier) Transport() (name string, t Transport, err error) {
	switch {
	case a.OID.Equal(oidRSA):
		return "RSA PKCS#1 v1.5", transportRSA, nil
	case a.OID.Equal(oidOAEP):
		o, err := a.oaep()
		if err != nil {
			return "RSA-OAEP, unreadable", nil, err
		}
		return "RSA-OAEP " + o.Hash.String(), func(k crypto.Decrypter, encrypted []byte, size int, rand io.Reader) ([]byte, error) {
			return orRandom(k, encrypted, size, rand, o)
		}, nil
	}
	return a.Name(), nil, Refuse("key encryption", a.Name())
}

func transportRSA(k crypto.Decrypter, encrypted []byte, size int, rand io.Reader) ([]byte, error) {
	//lint:ignore SA1019 RFC 8551, section 2.3: other programs still send it
	return orRandom(k, encrypted, size, rand, &rsa.PKCS1v15DecryptOptions{SessionKeyLen: size})
}

// orRandom never says that the padding was wrong, but returns a random key
// (RFC 3218, section 2.3.2). A key that honours SessionKeyLen does so itself;
// for others we stand in.
func orRandom(k crypto.Decrypter, encrypted []byte, size int, rand io.Reader, o crypto.DecrypterOpts) ([]byte, error) {
	random := make([]byte, size)
	if _, err := io.ReadFull(rand, random); err != nil {
		return nil, err
	}
	key, err := k.Decrypt(rand, encrypted, o)
	if errors.Is(err, rsa.ErrDecryption) || err == nil && len(key) != size {
		return random, nil
	}
	return key, err
}

// oaep reads RSAES-OAEP-params (RFC 8017, appendix A.2.1).
func (a Identifier) oaep() (*rsa.OAEPOptions, error) {
	var (
		s            = cryptobyte.String(a.Params)
		seq          cryptobyte.String
		digest, mask = Identifier{OID: oidSHA1}, Identifier{OID: oidSHA1}
		o            = &rsa.OAEPOptions{}
		ok           = s.ReadASN1(&seq, cbasn1.SEQUENCE) && s.Empty()
	)
	ok = ok && optional(&seq, 0, func(field *cryptobyte.String) (ok bool) {
		digest, ok = Read(field)
		return ok
	})
	ok = ok && optional(&seq, 1, func(field *cryptobyte.String) (ok bool) {
		mask, ok = readMGF1(field)
		return ok
	})
	ok = ok && optional(&seq, 2, func(field *cryptobyte.String) bool {
		source, ok := Read(field)
		label := cryptobyte.String(source.Params)
		return ok && source.OID.Equal(oidSpecified) && label.ReadASN1Bytes(&o.Label, cbasn1.OCTET_STRING) && label.Empty()
	})
	if !ok || !seq.Empty() {
		return nil, malformed("no RSA-OAEP parameters")
	}
	if o.Hash = digest.Hash(); o.Hash == 0 {
		return nil, digest.UnknownDigest()
	}
	if o.MGFHash = mask.Hash(); o.MGFHash == 0 {
		return nil, mask.UnknownDigest()
	}
	return o, nil
}

// optional gives the field [n], if it is there, to f, which must read all of it.
func optional(s *cryptobyte.String, n uint8, f func(*cryptobyte.String) bool) bool {
	var field cryptobyte.String
	var has bool
	ok := s.ReadOptionalASN1(&field, &has, cbasn1.Tag(n).ContextSpecific().Constructed())
	return ok && (!has || f(&field) && field.Empty())
}

// OAEPCapability is what those announce who read RSA-OAEP as TransportTo writes it
// (RFC 3560, section 5).
func OAEPCapability() Identifier {
	return Identifier{OID: oidOAEP, Params: hashParams(crypto.SHA256, 0)}
}

// ReadsOAEP tells whether a, as a capability, announces that.
func (a Identifier) ReadsOAEP() bool {
	if !a.OID.Equal(oidOAEP) {
		return false
	}
	o, err := a.oaep()
	return err == nil && o.Hash == crypto.SHA256 && o.MGFHash == crypto.SHA256 && len(o.Label) == 0
}

// TransportTo encrypts a content key to the RSA key pub that c certifies: by RSA-OAEP with
// SHA-256 where that is wished for or c is for nothing else, or else by the older way.
func TransportTo(c *x509.Certificate, pub *rsa.PublicKey, key []byte, oaep bool, rand io.Reader) (Identifier, []byte, error) {
	if bits := pub.N.BitLen(); bits < minRSA || bits > maxRSA {
		return Identifier{}, nil, fmt.Errorf("%w: an RSA key of %d bits", ErrWeak, bits)
	}
	a := Identifier{OID: oidRSA, Params: null}
	if oaep || restriction(c).OID.Equal(oidOAEP) {
		a = OAEPCapability()
	}
	if err := a.AllowedBy(c); err != nil {
		return a, nil, err
	}
	if a.OID.Equal(oidOAEP) {
		encrypted, err := rsa.EncryptOAEP(crypto.SHA256.New(), rand, pub, key, nil)
		return a, encrypted, err
	}
	//lint:ignore SA1019 RFC 8551, section 2.3: the one that every program reads
	encrypted, err := rsa.EncryptPKCS1v15(rand, pub, key)
	return a, encrypted, err
}
