// Package pkcs10 makes a key and asks an authority for its certificate: a
// certification request (PKCS #10, RFC 2986) for S/MIME.
//
// A request names one e-mail address (rfc822Name in subjectAltName), what the key
// is for (keyUsage) and that it is for mail (extKeyUsage emailProtection), as an
// extensionRequest (RFC 2985, section 5.4.2). It is signed with the key itself,
// which shows the authority that whoever asks has it; so keys that cannot sign
// (X25519) cannot be asked for in this way.
package pkcs10

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
)

// Kind is a kind of key.
type Kind string

// The kinds. RSA is what every authority and every mail program knows.
const (
	RSA2048 Kind = "rsa-2048"
	RSA3072 Kind = "rsa-3072"
	RSA4096 Kind = "rsa-4096"
	P256    Kind = "p-256"
	P384    Kind = "p-384"
)

// Use is what a key is to be certified for.
type Use string

// The uses.
const (
	Both    Use = "both"
	Sign    Use = "sign"
	Encrypt Use = "encrypt"
)

// ErrKind says that a kind of key is none of those above.
var ErrKind = errors.New("pkcs10: no such kind of key")

// NewKey makes a key.
func NewKey(random io.Reader, kind Kind) (crypto.Signer, error) {
	switch kind {
	case RSA2048:
		return rsa.GenerateKey(random, 2048)
	case RSA3072:
		return rsa.GenerateKey(random, 3072)
	case RSA4096:
		return rsa.GenerateKey(random, 4096)
	case P256:
		return ecdsa.GenerateKey(elliptic.P256(), random)
	case P384:
		return ecdsa.GenerateKey(elliptic.P384(), random)
	}
	return nil, ErrKind
}

// New makes a request, in DER, for an address in ASCII. The name becomes the common
// name; where it is empty the address does.
func New(random io.Reader, key crypto.Signer, use Use, address, name string) ([]byte, error) {
	if name == "" {
		name = address
	}
	usage, err := keyUsage(key, use)
	if err != nil {
		return nil, err
	}
	mail, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 4}}) // id-kp-emailProtection
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificateRequest(random, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: name}, EmailAddresses: []string{address},
		ExtraExtensions: []pkix.Extension{
			{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Critical: true, Value: usage},
			{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Value: mail},
		},
	}, key)
	if err != nil {
		return nil, fmt.Errorf("making a certification request: %w", err)
	}
	return der, nil
}

// keyUsage is the KeyUsage BIT STRING: digitalSignature (bit 0), keyEncipherment
// (2) for RSA, keyAgreement (4) for curves (RFC 8550, section 4.4.2).
func keyUsage(key crypto.Signer, use Use) ([]byte, error) {
	const signs, enciphers, agrees = 0x80, 0x20, 0x08
	opens := byte(enciphers)
	if _, ok := key.Public().(*ecdsa.PublicKey); ok {
		opens = agrees
	}
	bits := map[Use]byte{Both: signs | opens, Sign: signs, Encrypt: opens}[use]
	if bits == 0 {
		return nil, fmt.Errorf("pkcs10: no such use: %q", use)
	}
	length := 8
	for b := bits; b&1 == 0; b >>= 1 { // DER: no zero bits at the end
		length--
	}
	return asn1.Marshal(asn1.BitString{Bytes: []byte{bits}, BitLength: length})
}
