package cms

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"countersign/mailer/cms/algorithm"
	"countersign/mailer/cms/ber"
)

var oidData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}

// An identifier names a certificate: by issuer and serial number, or by key identifier.
type identifier struct {
	issuer []byte // DER
	serial *big.Int
	keyID  []byte
}

func (id identifier) matches(c *x509.Certificate) bool {
	if id.serial == nil {
		return len(id.keyID) > 0 && bytes.Equal(id.keyID, c.SubjectKeyId)
	}
	return id.serial.Cmp(c.SerialNumber) == 0 && bytes.Equal(id.issuer, c.RawIssuer)
}

func (id identifier) find(certs []*x509.Certificate) *x509.Certificate {
	for _, c := range certs {
		if id.matches(c) {
			return c
		}
	}
	return nil
}

// readIdentifier reads a SignerIdentifier or RecipientIdentifier.
func readIdentifier(s *cryptobyte.String) (id identifier, ok bool) {
	keyID := cbasn1.Tag(0).ContextSpecific()
	if s.PeekASN1Tag(keyID) {
		var b cryptobyte.String
		ok = s.ReadASN1(&b, keyID)
		return identifier{keyID: b}, ok
	}
	var seq cryptobyte.String
	return id, s.ReadASN1(&seq, cbasn1.SEQUENCE) && id.readIssuerAndSerial(seq)
}

func (id *identifier) readIssuerAndSerial(s cryptobyte.String) bool {
	var issuer cryptobyte.String
	id.serial = new(big.Int)
	ok := s.ReadASN1Element(&issuer, cbasn1.SEQUENCE) && s.ReadASN1Integer(id.serial) && s.Empty()
	id.issuer = issuer
	return ok
}

// addIssuerAndSerial names c by issuer and serial number.
func addIssuerAndSerial(b *cryptobyte.Builder, t cbasn1.Tag, c *x509.Certificate) {
	b.AddASN1(t, func(b *cryptobyte.Builder) {
		b.AddBytes(c.RawIssuer)
		b.AddASN1BigInt(c.SerialNumber)
	})
}

// oid reads the next value, an OBJECT IDENTIFIER.
func readType(r *ber.Reader, what string) (asn1.ObjectIdentifier, error) {
	b, err := r.Value(what)
	if err != nil {
		return nil, err
	}
	var oid asn1.ObjectIdentifier
	if s := cryptobyte.String(b); !algorithm.ReadOID(&s, &oid) {
		return nil, malformed("no " + what)
	}
	return oid, nil
}

// version passes over the next value, an INTEGER: programs disagree about what
// belongs there, and nothing depends on it.
func version(r *ber.Reader) error {
	ok, err := r.At(ber.Integer)
	if err != nil {
		return err
	}
	if !ok {
		return malformed("no version")
	}
	_, err = r.Value("version")
	return err
}
