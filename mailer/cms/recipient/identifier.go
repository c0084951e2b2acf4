package recipient

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"countersign/mailer/cms/algorithm"
)

// An Identifier names the certificate of a recipient or signer: by issuer and serial number, or by key identifier.
type Identifier struct {
	Issuer []byte // DER of the name
	Serial *big.Int
	KeyID  []byte
}

// Matches reports whether id names c. A certificate that does not say what its key
// identifier is has the one that is usual (RFC 5280, section 4.2.1.2).
func (id Identifier) Matches(c *x509.Certificate) bool {
	if id.Serial == nil {
		own := c.SubjectKeyId
		if len(own) == 0 {
			own = algorithm.Sum(crypto.SHA1, algorithm.KeyBits(c))
		}
		return len(id.KeyID) > 0 && bytes.Equal(id.KeyID, own)
	}
	return id.Serial.Cmp(c.SerialNumber) == 0 && bytes.Equal(id.Issuer, c.RawIssuer)
}

// Find returns the first of certs that id names, or nil.
func (id Identifier) Find(certs []*x509.Certificate) *x509.Certificate {
	for _, c := range certs {
		if id.Matches(c) {
			return c
		}
	}
	return nil
}

// ReadIdentifier reads a SignerIdentifier or RecipientIdentifier.
func ReadIdentifier(s *cryptobyte.String) (id Identifier, ok bool) {
	keyID := cbasn1.Tag(0).ContextSpecific()
	if s.PeekASN1Tag(keyID) {
		var b cryptobyte.String
		ok = s.ReadASN1(&b, keyID)
		return Identifier{KeyID: b}, ok
	}
	var seq cryptobyte.String
	return id, s.ReadASN1(&seq, cbasn1.SEQUENCE) && id.ReadIssuerAndSerial(seq)
}

// ReadIssuerAndSerial reads the contents of an IssuerAndSerialNumber.
func (id *Identifier) ReadIssuerAndSerial(s cryptobyte.String) bool {
	var issuer cryptobyte.String
	id.Serial = new(big.Int)
	ok := s.ReadASN1Element(&issuer, cbasn1.SEQUENCE) && s.ReadASN1Integer(id.Serial) && s.Empty()
	id.Issuer = issuer
	return ok
}

// AddIssuerAndSerial names c by issuer and serial number.
func AddIssuerAndSerial(b *cryptobyte.Builder, t cbasn1.Tag, c *x509.Certificate) {
	b.AddASN1(t, func(b *cryptobyte.Builder) {
		b.AddBytes(c.RawIssuer)
		b.AddASN1BigInt(c.SerialNumber)
	})
}
