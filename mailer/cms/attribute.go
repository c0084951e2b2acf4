package cms

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
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
	tagAttributes      = cbasn1.Tag(0).ContextSpecific().Constructed()
	tagGuardsSignature = cbasn1.Tag(1).ContextSpecific().Constructed()
)

// attributes are the signed attributes of one signer as they came, in their order.
type attributes []attribute

type attribute struct {
	oid    asn1.ObjectIdentifier
	values cryptobyte.String // of the SET OF values
	der    []byte
}

// parseAttributes reads the contents of a SET OF Attribute. RFC 5652, section
// 11: none of those that matter here may appear twice.
func parseAttributes(s cryptobyte.String) (attributes, error) {
	var all attributes
	for !s.Empty() {
		if len(all) == maxAttributes {
			return nil, ErrTooManyAttributes
		}
		var a attribute
		var element, body cryptobyte.String
		if !s.ReadASN1Element(&element, cbasn1.SEQUENCE) {
			return nil, malformed("no attribute")
		}
		a.der = element
		if !element.ReadASN1(&body, cbasn1.SEQUENCE) || !algorithm.ReadOID(&body, &a.oid) ||
			!body.ReadASN1(&a.values, cbasn1.SET) || !body.Empty() {
			return nil, malformed("no attribute")
		}
		if _, twice := all.get(a.oid); twice {
			return nil, fmt.Errorf("%w: %v appears twice", ErrAttributes, a.oid)
		}
		all = append(all, a)
	}
	return all, nil
}

func (all attributes) get(oid asn1.ObjectIdentifier) (value cryptobyte.String, ok bool) {
	for _, a := range all {
		if a.oid.Equal(oid) {
			return a.values, true
		}
	}
	return nil, false
}

// encodings returns what may have been signed: the DER of the SET (RFC 5652, section
// 5.4) and, where it came in another order, that order, which many programs sign as it is.
func (all attributes) encodings() [][]byte {
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

// check compares the attributes with the message that they came in.
func (all attributes) check(si *signerInfo, typ asn1.ObjectIdentifier, digest []byte) error {
	var oid asn1.ObjectIdentifier
	if v, _ := all.get(oidContentType); !algorithm.ReadOID(&v, &oid) || !v.Empty() || !oid.Equal(typ) {
		return fmt.Errorf("%w: content type", ErrAttributes)
	}
	var signed cryptobyte.String
	if v, _ := all.get(oidMessageDigest); !v.ReadASN1(&signed, cbasn1.OCTET_STRING) || !v.Empty() {
		return fmt.Errorf("%w: no message digest", ErrAttributes)
	}
	if !bytes.Equal(signed, digest) {
		return ErrDigest
	}
	if v, ok := all.get(oidAlgorithmGuard); ok && !guards(v, si.digest, si.method) {
		return fmt.Errorf("%w: its algorithms were exchanged", ErrAttributes)
	}
	sha2 := func(b []byte) []byte { s := sha256.Sum256(b); return s[:] }
	if v, ok := all.get(oidSigningCertV2); ok && !namesCertificate(v, si.cert, sha2) {
		return fmt.Errorf("%w: it names another certificate of the signer", ErrAttributes)
	}
	sha := func(b []byte) []byte { s := sha1.Sum(b); return s[:] }
	if v, ok := all.get(oidSigningCert); ok && !namesCertificate(v, si.cert, sha) {
		return fmt.Errorf("%w: it names another certificate of the signer", ErrAttributes)
	}
	return nil
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

// signingTime is the zero time where there is none that can be read.
func (all attributes) signingTime() (t time.Time) {
	v, _ := all.get(oidSigningTime)
	if v.PeekASN1Tag(cbasn1.UTCTime) {
		v.ReadASN1UTCTime(&t)
	} else {
		v.ReadASN1GeneralizedTime(&t)
	}
	return t
}

// capabilities notes of the signer what SMIMECapabilities announces, as far as it is
// known, the preferred cipher first.
func (all attributes) capabilities(si *SignerInfo) {
	v, _ := all.get(oidCapabilities)
	var list cryptobyte.String
	si.Announces = v.ReadASN1(&list, cbasn1.SEQUENCE)
	for len(si.Capabilities) < maxAttributes {
		a, ok := algorithm.Read(&list)
		if !ok {
			return
		}
		si.Derives = si.Derives || a.OID.Equal(content.DerivedCapability())
		si.OAEP = si.OAEP || a.ReadsOAEP()
		if c, ok := content.Capable(a.OID); ok && len(a.Params) == 0 {
			si.Capabilities = append(si.Capabilities, c)
		}
	}
}

// encryptionCertificate is the one among certs that SMIMEEncryptionKeyPreference names.
func (all attributes) encryptionCertificate(certs []*x509.Certificate) *x509.Certificate {
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

// An attributeWriter collects attributes to be signed.
type attributeWriter struct {
	list [][]byte
	err  error
}

func (w *attributeWriter) add(oid asn1.ObjectIdentifier, value func(*cryptobyte.Builder)) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddASN1(cbasn1.SET, value)
	})
	der, err := b.Bytes()
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("writing attribute %v: %w", oid, err)
	}
	w.list = append(w.list, der)
}

// addTime writes signingTime: UTCTime until 2049 (RFC 5652, section 11.3).
func (w *attributeWriter) addTime(t time.Time) {
	t = t.UTC().Truncate(time.Second)
	w.add(oidSigningTime, func(b *cryptobyte.Builder) {
		if year := t.Year(); year >= 1950 && year < 2050 {
			b.AddASN1UTCTime(t)
		} else {
			b.AddASN1GeneralizedTime(t)
		}
	})
}

// addCapabilities writes SMIMECapabilities.
func (w *attributeWriter) addCapabilities(o SignOptions) {
	w.add(oidCapabilities, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			announce := func(oid asn1.ObjectIdentifier) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oid) })
			}
			for _, c := range o.Capabilities {
				oid, err := content.Capability(c)
				if err != nil {
					b.SetError(err)
					return
				}
				announce(oid)
			}
			if o.Derives {
				announce(content.DerivedCapability())
			}
			if o.OAEP {
				algorithm.OAEPCapability().Add(b)
			}
		})
	})
}

// addGuard writes CMSAlgorithmProtection, which binds the algorithms to the signature.
func (w *attributeWriter) addGuard(digest, signature algorithm.Identifier) {
	w.add(oidAlgorithmGuard, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			digest.Add(b)
			signature.AddTagged(b, tagGuardsSignature)
		})
	})
}

// addSigningCertificate writes SigningCertificateV2, which binds the certificate
// itself and not only its key. SHA-256 is the default and not named.
func (w *attributeWriter) addSigningCertificate(c *x509.Certificate) {
	sum := sha256.Sum256(c.Raw)
	w.add(oidSigningCertV2, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1OctetString(sum[:]) })
			})
		})
	})
}

// addEncryptionKey writes SMIMEEncryptionKeyPreference: the certificate to answer to.
func (w *attributeWriter) addEncryptionKey(c *x509.Certificate) {
	w.add(oidEncryptionKey, func(b *cryptobyte.Builder) {
		recipient.AddIssuerAndSerial(b, cbasn1.Tag(0).ContextSpecific().Constructed(), c)
	})
}
