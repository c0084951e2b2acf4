package cms

import (
	"bytes"
	"crypto"
	_ "crypto/sha1" // for old signatures, which are then called weak
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"countersign/mailer/cms/ber"
)

var (
	oidData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}

	oidMD5    = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 5}
	oidSHA1   = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	oidSHA256 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidSHA384 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}
	oidSHA512 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}
)

// hashes are the digests known, by name; SHA-1 only to say that it is weak.
var hashes = []struct {
	oid  asn1.ObjectIdentifier
	hash crypto.Hash
}{
	{oidSHA256, crypto.SHA256}, {oidSHA384, crypto.SHA384}, {oidSHA512, crypto.SHA512}, {oidSHA1, crypto.SHA1},
}

// An algorithm is an AlgorithmIdentifier. Parameters are DER, empty when absent.
type algorithm struct {
	oid    asn1.ObjectIdentifier
	params []byte
}

var null = []byte{5, 0}

func readAlgorithm(s *cryptobyte.String) (a algorithm, ok bool) {
	var seq cryptobyte.String
	if !s.ReadASN1(&seq, cbasn1.SEQUENCE) || !readOID(&seq, &a.oid) {
		return a, false
	}
	a.params = seq
	return a, true
}

// readOID bounds what it reads, because it may end up in an error.
func readOID(s *cryptobyte.String, oid *asn1.ObjectIdentifier) bool {
	return s.ReadASN1ObjectIdentifier(oid) && len(*oid) <= 32
}

// parseAlgorithm is readAlgorithm for one that stands alone.
func parseAlgorithm(der []byte, what string) (algorithm, error) {
	s := cryptobyte.String(der)
	a, ok := readAlgorithm(&s)
	if !ok || !s.Empty() {
		return a, malformed("no " + what)
	}
	return a, nil
}

func (a algorithm) add(b *cryptobyte.Builder) { a.addTagged(b, cbasn1.SEQUENCE) }

func (a algorithm) addTagged(b *cryptobyte.Builder, t cbasn1.Tag) {
	b.AddASN1(t, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(a.oid)
		b.AddBytes(a.params)
	})
}

// equal takes absent parameters and NULL for the same, as programs differ about them.
func (a algorithm) equal(b algorithm) bool {
	plain := func(p []byte) []byte {
		if bytes.Equal(p, null) {
			return nil
		}
		return p
	}
	return a.oid.Equal(b.oid) && bytes.Equal(plain(a.params), plain(b.params))
}

// hash returns the digest algorithm that a names; 0 is none that is known.
func (a algorithm) hash() crypto.Hash {
	for _, known := range hashes {
		if known.oid.Equal(a.oid) {
			return known.hash
		}
	}
	return 0
}

// digestAlgorithm names h with absent parameters (RFC 5754, section 2).
func digestAlgorithm(h crypto.Hash) (algorithm, error) {
	for _, known := range hashes {
		if known.hash == h && h != crypto.SHA1 {
			return algorithm{oid: known.oid}, nil
		}
	}
	return algorithm{}, fmt.Errorf("%w: signing with %v", ErrUnsupported, h)
}

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
	if s := cryptobyte.String(b); !readOID(&s, &oid) {
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
