package algorithm

import (
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
)

// A Transport gets a content key of size octets out of what was encrypted to
// the private key k.
type Transport func(k crypto.Decrypter, encrypted []byte, size int, rand io.Reader) ([]byte, error)

// Transport finds the way in which a carries a content key, and its name for
// people; the way is nil if a is not known.
func (a Identifier) Transport() (name string, t Transport) {
	if a.OID.Equal(oidRSA) {
		return "RSA PKCS#1 v1.5", transportRSA
	}
	return a.OID.String(), nil
}

// transportRSA never says that the padding was wrong (RFC 3218, section 2.3.2). The
// key does not either if it honours SessionKeyLen; else we stand in for it.
func transportRSA(k crypto.Decrypter, encrypted []byte, size int, rand io.Reader) ([]byte, error) {
	random := make([]byte, size)
	if _, err := io.ReadFull(rand, random); err != nil {
		return nil, err
	}
	//lint:ignore SA1019 RFC 8551, section 2.3: other programs still send it
	options := &rsa.PKCS1v15DecryptOptions{SessionKeyLen: size}
	key, err := k.Decrypt(rand, encrypted, options)
	if errors.Is(err, rsa.ErrDecryption) || err == nil && len(key) != size {
		return random, nil
	}
	return key, err
}

// TransportTo encrypts a content key to pub.
func TransportTo(pub *rsa.PublicKey, key []byte, rand io.Reader) (Identifier, []byte, error) {
	if bits := pub.N.BitLen(); bits < minRSA || bits > maxRSA {
		return Identifier{}, nil, fmt.Errorf("%w: an RSA key of %d bits", ErrWeak, bits)
	}
	//lint:ignore SA1019 RFC 8551, section 2.3: the one that every program reads
	encrypted, err := rsa.EncryptPKCS1v15(rand, pub, key)
	return Identifier{OID: oidRSA, Params: null}, encrypted, err
}
