package attribute

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
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

// A Writer collects attributes to be signed.
type Writer struct {
	list [][]byte
	err  error
}

func (w *Writer) add(oid asn1.ObjectIdentifier, value func(*cryptobyte.Builder)) {
	b := cryptobyte.NewBuilder(make([]byte, 0, 128)) // mostly enough
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

// Time writes signingTime: UTCTime until 2049 (RFC 5652, section 11.3).
func (w *Writer) Time(t time.Time) {
	t = t.UTC().Truncate(time.Second)
	w.add(oidSigningTime, func(b *cryptobyte.Builder) {
		if year := t.Year(); year >= 1950 && year < 2050 {
			b.AddASN1UTCTime(t)
		} else {
			b.AddASN1GeneralizedTime(t)
		}
	})
}

// Capabilities writes SMIMECapabilities.
func (w *Writer) Capabilities(c Capabilities) {
	w.add(oidCapabilities, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			announce := func(oid asn1.ObjectIdentifier) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oid) })
			}
			for _, cipher := range c.Ciphers {
				oid, err := content.Capability(cipher)
				if err != nil {
					b.SetError(err)
					return
				}
				announce(oid)
			}
			if c.Derives {
				announce(content.DerivedCapability())
			}
			if c.OAEP {
				algorithm.OAEPCapability().Add(b)
			}
		})
	})
}

// Protection writes CMSAlgorithmProtection, which binds the algorithms to the signature.
func (w *Writer) Protection(digest, signature algorithm.Identifier) {
	w.add(oidAlgorithmGuard, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			digest.Add(b)
			signature.AddTagged(b, tagGuardsSignature)
		})
	})
}

// SigningCertificate writes SigningCertificateV2, which binds the certificate
// itself and not only its key. SHA-256 is the default and not named.
func (w *Writer) SigningCertificate(c *x509.Certificate) {
	sum := sha256.Sum256(c.Raw)
	w.add(oidSigningCertV2, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1OctetString(sum[:]) })
			})
		})
	})
}

// EncryptionCertificate writes SMIMEEncryptionKeyPreference: the certificate to answer to.
func (w *Writer) EncryptionCertificate(c *x509.Certificate) {
	w.add(oidEncryptionKey, func(b *cryptobyte.Builder) {
		recipient.AddIssuerAndSerial(b, cbasn1.Tag(0).ContextSpecific().Constructed(), c)
	})
}

// Type writes contentType, which there must be.
func (w *Writer) Type(typ asn1.ObjectIdentifier) {
	w.add(oidContentType, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(typ) })
}

// Set returns the SET of what was written and of messageDigest, as it is signed. It may be
// asked for again, for another content.
func (w Writer) Set(digest []byte) ([]byte, error) {
	w.list = slices.Clip(w.list)
	w.add(oidMessageDigest, func(b *cryptobyte.Builder) { b.AddASN1OctetString(digest) })
	return ber.SortedSet(w.list), w.err
}
