package recipient

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"io"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"countersign/mailer/cms/algorithm"
)

var (
	oidECKey  = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidX25519 = asn1.ObjectIdentifier{1, 3, 101, 110}
)

func context(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific().Constructed() }

// readKeyAgreement reads a KeyAgreeRecipientInfo (RFC 5652, section 6.2.2)
// from an ephemeral key, which is the only kind that S/MIME programs send.
func readKeyAgreement(s cryptobyte.String, keys []Key) ([]Recipient, []Way) {
	var (
		version                     int
		originator, key, list, body cryptobyte.String
		public, ukm                 []byte
		has                         bool
	)
	ok := s.ReadASN1Integer(&version) && s.ReadASN1(&originator, context(0)) && originator.ReadASN1(&key, context(1))
	if ok {
		_, ok = algorithm.Read(&key)
	}
	ok = ok && key.ReadASN1BitStringAsBytes(&public) && s.ReadOptionalASN1(&body, &has, context(1))
	ok = ok && (!has || body.ReadASN1Bytes(&ukm, cbasn1.OCTET_STRING))
	a, fine := algorithm.Identifier{}, false
	if ok {
		a, fine = algorithm.Read(&s)
	}
	if !fine || !s.ReadASN1(&list, cbasn1.SEQUENCE) {
		return unreadable(), nil
	}
	name, scheme := a.OID.String(), (*algorithm.Agreement)(nil)
	if known, err := a.Agreement(); err == nil {
		name, scheme = known.Name, known
	}
	var recipients []Recipient
	var ways []Way
	for !list.Empty() {
		var encrypted cryptobyte.String
		if !list.ReadASN1(&body, cbasn1.SEQUENCE) {
			break
		}
		id, ok := readAgreeIdentifier(&body)
		if !ok || !body.ReadASN1(&encrypted, cbasn1.OCTET_STRING) {
			break
		}
		recipients = append(recipients, Recipient{id, name})
		for _, k := range keys {
			if scheme == nil || k.Exchanger == nil || !id.Matches(k.Certificate) {
				continue
			}
			ways = append(ways, Way{k.Certificate, name, func(size int, _ io.Reader) ([]byte, error) {
				secret, err := agree(k.Exchanger, public)
				if err != nil {
					return nil, err
				}
				key, err := scheme.Unwrap(secret, ukm, encrypted)
				if err == nil && len(key) != size {
					return nil, algorithm.ErrIntegrity
				}
				return key, err
			}})
		}
	}
	return recipients, ways
}

// readAgreeIdentifier reads a KeyAgreeRecipientIdentifier.
func readAgreeIdentifier(s *cryptobyte.String) (id Identifier, ok bool) {
	if !s.PeekASN1Tag(context(0)) {
		return ReadIdentifier(s)
	}
	var key cryptobyte.String
	ok = s.ReadASN1(&key, context(0)) && key.ReadASN1Bytes(&id.KeyID, cbasn1.OCTET_STRING)
	return id, ok
}

// agree checks that public is a point of the key's curve and derives the secret.
func agree(k ecdh.KeyExchanger, public []byte) ([]byte, error) {
	peer, err := k.Curve().NewPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("%w: the sender's key is not on the recipient's curve", algorithm.ErrMalformed)
	}
	secret, err := k.ECDH(peer)
	if err != nil {
		return nil, fmt.Errorf("using the private key: %w", err)
	}
	return secret, nil
}

// writeKeyAgreement returns the RecipientInfo that gives key to the holder of c, whose key is pub.
func writeKeyAgreement(c *x509.Certificate, pub *ecdh.PublicKey, key []byte) ([]byte, error) {
	scheme, err := algorithm.AgreementFor(pub.Curve(), len(key))
	if err != nil {
		return nil, err
	}
	ephemeral, err := pub.Curve().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	secret, err := ephemeral.ECDH(pub)
	if err != nil {
		return nil, err
	}
	wrapped, err := scheme.Wrap(secret, nil, key)
	if err != nil {
		return nil, err
	}
	kind := algorithm.Identifier{OID: oidECKey}
	if pub.Curve() == ecdh.X25519() {
		kind.OID = oidX25519
	}
	var b cryptobyte.Builder
	b.AddASN1(context(1), func(b *cryptobyte.Builder) {
		b.AddASN1Int64(3)
		b.AddASN1(context(0), func(b *cryptobyte.Builder) {
			b.AddASN1(context(1), func(b *cryptobyte.Builder) {
				kind.Add(b)
				b.AddASN1BitString(ephemeral.PublicKey().Bytes())
			})
		})
		scheme.Identifier.Add(b)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				AddIssuerAndSerial(b, cbasn1.SEQUENCE, c)
				b.AddASN1OctetString(wrapped)
			})
		})
	})
	return b.Bytes()
}
