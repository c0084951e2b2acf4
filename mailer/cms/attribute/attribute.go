// Package attribute is the signed attributes of a message: what a signer says
// beside the content (RFC 5652, section 11). They are believed once the signature
// over them is, and not before.
//
// Read and written: contentType, messageDigest, signingTime (RFC 5652),
// SMIMECapabilities and SMIMEEncryptionKeyPreference (RFC 8551, sections 2.5.2 and
// 2.5.3), SigningCertificateV2 (RFC 5035), CMSAlgorithmProtection (RFC 6211). Read:
// SigningCertificate (RFC 2634). Others are passed over.
package attribute

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"countersign/mailer/cms/algorithm"
	"countersign/mailer/cms/ber"
	"countersign/mailer/cms/content"
	"countersign/mailer/cms/recipient"
)

var (
	oidContentType     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidCapabilities    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 15} // RFC 8551, section 2.5.2
	oidSigningTime     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
	oidEncryptionKey   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 11} // RFC 8551, section 2.5.3
	oidSigningCert     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 12} // RFC 2634, section 5.4
	oidSigningCertV2   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47} // RFC 5035
	oidAlgorithmGuard  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 52}        // RFC 6211
	tagGuardsSignature = cbasn1.Tag(1).ContextSpecific().Constructed()
)

// maxAttributes is how many one signer may have.
const maxAttributes = 64

var (
	// ErrMismatch says that the attributes contradict the message.
	ErrMismatch = errors.New("cms: the signed attributes do not fit the message")
	// ErrDigest says that the attributes are for other content.
	ErrDigest = errors.New("cms: the content is not what was signed")
	// ErrTooMany is a bound.
	ErrTooMany = fmt.Errorf("%w: more than %d attributes", ber.ErrLimit, maxAttributes)
)

// A List is the attributes of one signer as they came, in their order.
type List []attribute

type attribute struct {
	oid    asn1.ObjectIdentifier
	values cryptobyte.String // of the SET OF values
	der    []byte
}

// alone are the attributes that decide something, none of which may appear twice
// (RFC 5652, section 11).
var alone = []asn1.ObjectIdentifier{
	oidContentType, oidMessageDigest, oidSigningTime, oidCapabilities,
	oidEncryptionKey, oidSigningCert, oidSigningCertV2, oidAlgorithmGuard,
}

// Parse reads the contents of a SET OF Attribute. Its errors are ErrMismatch where one
// of those that are known appears twice, ErrTooMany, and ber.ErrMalformed.
func Parse(s cryptobyte.String) (List, error) {
	var all List
	for !s.Empty() {
		if len(all) == maxAttributes {
			return nil, ErrTooMany
		}
		var a attribute
		var element, body cryptobyte.String
		if !s.ReadASN1Element(&element, cbasn1.SEQUENCE) {
			return nil, fmt.Errorf("%w: no attribute", ber.ErrMalformed)
		}
		a.der = element
		if !element.ReadASN1(&body, cbasn1.SEQUENCE) || !algorithm.ReadOID(&body, &a.oid) ||
			!body.ReadASN1(&a.values, cbasn1.SET) || !body.Empty() {
			return nil, fmt.Errorf("%w: no attribute", ber.ErrMalformed)
		}
		if _, twice := all.get(a.oid); twice && slices.ContainsFunc(alone, a.oid.Equal) {
			return nil, fmt.Errorf("%w: %v appears twice", ErrMismatch, a.oid)
		}
		all = append(all, a)
	}
	return all, nil
}

func (all List) get(oid asn1.ObjectIdentifier) (value cryptobyte.String, ok bool) {
	for _, a := range all {
		if a.oid.Equal(oid) {
			return a.values, true
		}
	}
	return nil, false
}

// Types are what they are, in their order.
func (all List) Types() (types []asn1.ObjectIdentifier) {
	for _, a := range all {
		types = append(types, a.oid)
	}
	return types
}

// Encodings returns what may have been signed: the DER of the SET (RFC 5652, section
// 5.4) and, where it came in another order, that order, which many programs sign as it is.
func (all List) Encodings() [][]byte {
	list := make([][]byte, len(all))
	for i, a := range all {
		list[i] = a.der
	}
	asSent := ber.Nest(ber.Set, list...)
	if sorted := ber.SortedSet(list); !bytes.Equal(sorted, asSent) {
		return [][]byte{sorted, asSent}
	}
	return [][]byte{asSent}
}

// A Message is what attributes came in, and must fit.
type Message struct {
	Type        asn1.ObjectIdentifier // of the content
	Digest      []byte                // of the content
	DigestBy    algorithm.Identifier
	SignedBy    algorithm.Identifier
	Certificate *x509.Certificate // the signer's
}

// Check compares the attributes with the message: ErrMismatch, or ErrDigest.
func (all List) Check(m Message) error {
	if !all.FitsType(m.Type) {
		return fmt.Errorf("%w: content type", ErrMismatch)
	}
	var signed cryptobyte.String
	if v, _ := all.get(oidMessageDigest); !v.ReadASN1(&signed, cbasn1.OCTET_STRING) || !v.Empty() {
		return fmt.Errorf("%w: no message digest", ErrMismatch)
	}
	if !bytes.Equal(signed, m.Digest) {
		return ErrDigest
	}
	if v, ok := all.get(oidAlgorithmGuard); ok && !guards(v, m.DigestBy, m.SignedBy) {
		return fmt.Errorf("%w: its algorithms were exchanged", ErrMismatch)
	}
	sha2 := func(b []byte) []byte { s := sha256.Sum256(b); return s[:] }
	if v, ok := all.get(oidSigningCertV2); ok && !namesCertificate(v, m.Certificate, sha2) {
		return fmt.Errorf("%w: it names another certificate of the signer", ErrMismatch)
	}
	sha := func(b []byte) []byte { s := sha1.Sum(b); return s[:] }
	if v, ok := all.get(oidSigningCert); ok && !namesCertificate(v, m.Certificate, sha) {
		return fmt.Errorf("%w: it names another certificate of the signer", ErrMismatch)
	}
	return nil
}

// FitsType tells whether there is a content type, and it is typ.
func (all List) FitsType(typ asn1.ObjectIdentifier) bool {
	var oid asn1.ObjectIdentifier
	v, _ := all.get(oidContentType)
	return algorithm.ReadOID(&v, &oid) && v.Empty() && oid.Equal(typ)
}

// Repeats tells whether there are two of a kind.
func (all List) Repeats() bool {
	for i, a := range all {
		if slices.ContainsFunc(all[:i], func(b attribute) bool { return b.oid.Equal(a.oid) }) {
			return true
		}
	}
	return false
}

// HasType tells whether there is a content type at all.
func (all List) HasType() bool {
	_, ok := all.get(oidContentType)
	return ok
}

// guards reports whether a CMSAlgorithmProtection value names these algorithms.
func guards(v cryptobyte.String, digest, signature algorithm.Identifier) bool {
	var seq, sig cryptobyte.String
	if !v.ReadASN1(&seq, cbasn1.SEQUENCE) {
		return false
	}
	d, ok := algorithm.Read(&seq)
	if !ok || !d.Equal(digest) || !seq.ReadASN1(&sig, tagGuardsSignature) {
		return false
	}
	a := algorithm.Identifier{}
	ok = algorithm.ReadOID(&sig, &a.OID)
	a.Params = sig
	return ok && a.Equal(signature)
}

// namesCertificate reports whether the first certificate that a SigningCertificate or
// SigningCertificateV2 value lists is c. Its hash is usual unless the value names one.
func namesCertificate(v cryptobyte.String, c *x509.Certificate, usual func([]byte) []byte) bool {
	var seq, list, first, sum cryptobyte.String
	if !v.ReadASN1(&seq, cbasn1.SEQUENCE) || !seq.ReadASN1(&list, cbasn1.SEQUENCE) || !list.ReadASN1(&first, cbasn1.SEQUENCE) {
		return false
	}
	if first.PeekASN1Tag(cbasn1.SEQUENCE) {
		alg, ok := algorithm.Read(&first)
		h := alg.Hash()
		if !ok || h == 0 {
			return false
		}
		usual = func(b []byte) []byte { return algorithm.Sum(h, b) }
	}
	return first.ReadASN1(&sum, cbasn1.OCTET_STRING) && bytes.Equal(sum, usual(c.Raw))
}

// SigningTime is the zero time where there is not just one that can be read.
func (all List) SigningTime() (t time.Time) {
	v, _ := all.get(oidSigningTime)
	ok := false
	if v.PeekASN1Tag(cbasn1.UTCTime) {
		ok = v.ReadASN1UTCTime(&t)
	} else {
		ok = v.ReadASN1GeneralizedTime(&t)
	}
	// With an offset, the year may be another one in UTC, and one that nobody can write.
	if year := t.UTC().Year(); !ok || !v.Empty() || year < 1 || year > 9999 {
		return time.Time{}
	}
	return t
}

// Capabilities is what a signer announces to read, as far as it is known here.
type Capabilities struct {
	Ciphers []content.Cipher // the preferred first
	Derives bool             // derived keys (RFC 9709)
	OAEP    bool             // RSA-OAEP with SHA-256
}

// Capabilities reads SMIMECapabilities.
func (all List) Capabilities() (c Capabilities) {
	v, _ := all.get(oidCapabilities)
	var list cryptobyte.String
	_ = v.ReadASN1(&list, cbasn1.SEQUENCE) // none is empty
	for len(c.Ciphers) < maxAttributes {
		a, ok := algorithm.Read(&list)
		if !ok {
			break
		}
		c.Derives = c.Derives || a.OID.Equal(content.DerivedCapability())
		c.OAEP = c.OAEP || a.ReadsOAEP()
		if cipher, ok := content.Capable(a.OID); ok && len(a.Params) == 0 {
			c.Ciphers = append(c.Ciphers, cipher)
		}
	}
	return c
}

// EncryptionCertificate is the one among certs that SMIMEEncryptionKeyPreference names.
func (all List) EncryptionCertificate(certs []*x509.Certificate) *x509.Certificate {
	v, _ := all.get(oidEncryptionKey)
	var (
		id   recipient.Identifier
		body cryptobyte.String
		tag  cbasn1.Tag
		ok   bool
	)
	if !v.ReadAnyASN1(&body, &tag) {
		return nil
	}
	switch tag {
	case cbasn1.Tag(0).ContextSpecific().Constructed(): // IssuerAndSerialNumber
		ok = id.ReadIssuerAndSerial(body)
	case cbasn1.Tag(1).ContextSpecific().Constructed(): // RecipientKeyIdentifier
		ok = body.ReadASN1Bytes(&id.KeyID, cbasn1.OCTET_STRING)
	case cbasn1.Tag(2).ContextSpecific(): // SubjectKeyIdentifier
		id.KeyID, ok = body, true
	}
	if !ok {
		return nil
	}
	return id.Find(certs)
}
