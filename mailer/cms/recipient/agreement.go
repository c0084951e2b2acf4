package recipient

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"io"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"countersign/mailer/cms/algorithm"
)

var (
	oidECKey  = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidX25519 = asn1.ObjectIdentifier{1, 3, 101, 110}
	oidKEM    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 13, 3} // id-ori-kem (RFC 9629)
)

func context(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific().Constructed() }

// readKeyAgreement reads a KeyAgreeRecipientInfo (RFC 5652, section 6.2.2). Only an
// ephemeral key leads anywhere, which is what S/MIME programs send.
func readKeyAgreement(s cryptobyte.String, keys []Key) ([]Recipient, []Way) {
	var (
		version          int
		sender, key, ukm cryptobyte.String
		list, body       cryptobyte.String
		has              bool
		offer            offer
	)
	ok := s.ReadASN1Integer(&version) && s.ReadASN1(&sender, context(0))
	ephemeral := sender.PeekASN1Tag(context(1))
	if ephemeral {
		ok = ok && sender.ReadASN1(&key, context(1))
		fine := false
		offer.kind, fine = algorithm.Read(&key)
		ok = ok && fine && key.ReadASN1BitStringAsBytes(&offer.public)
	}
	ok = ok && s.ReadOptionalASN1(&ukm, &has, context(1))
	ok = ok && (!has || ukm.ReadASN1Bytes(&offer.ukm, cbasn1.OCTET_STRING))
	a, fine := algorithm.Read(&s)
	if !ok || !fine || !s.ReadASN1(&list, cbasn1.SEQUENCE) {
		return unreadable(), nil
	}
	name := a.Name()
	scheme, err := a.Agreement()
	if err == nil {
		name = scheme.Name
	}
	if err == nil && !ephemeral {
		err = fmt.Errorf("%w: a key agreed upon by certificates alone", algorithm.ErrUnsupported)
	}
	var recipients []Recipient
	var ways []Way
	for !list.Empty() {
		var wrapped cryptobyte.String
		if !list.ReadASN1(&body, cbasn1.SEQUENCE) {
			break
		}
		id, ok := readAgreeIdentifier(&body)
		if !ok || !body.ReadASN1(&wrapped, cbasn1.OCTET_STRING) {
			break
		}
		r := Recipient{id, name}
		recipients = append(recipients, r)
		ways = append(ways, r.ways(keys, func(k Key) (Way, bool) {
			if err != nil {
				return closed(err), k.Exchanger != nil
			}
			return Way{Weak: scheme.Weak, Unwrap: func(size int, _ io.Reader) ([]byte, error) {
				return offer.unwrap(scheme, k.Exchanger, wrapped, size)
			}}, k.Exchanger != nil
		})...)
	}
	return recipients, ways
}

// An offer is the sender's half of a key agreement.
type offer struct {
	kind   algorithm.Identifier // of its key
	public []byte
	ukm    []byte // nil where there is none
}

// unwrap returns the content key of size octets that was wrapped for k.
func (o offer) unwrap(scheme *algorithm.Agreement, k ecdh.KeyExchanger, wrapped []byte, size int) ([]byte, error) {
	secret, err := o.agree(k)
	if err != nil {
		return nil, err
	}
	key, err := scheme.Unwrap(secret, o.ukm, wrapped)
	if err == nil && len(key) != size {
		return nil, algorithm.ErrIntegrity
	}
	return key, err
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

// agree checks that the sender's key is one of the same curve and derives the secret.
func (o offer) agree(k ecdh.KeyExchanger) ([]byte, error) {
	peer, err := k.Curve().NewPublicKey(o.public)
	if err != nil || !o.on(k.Curve()) {
		return nil, fmt.Errorf("%w: the sender's key is not on the recipient's curve", algorithm.ErrMalformed)
	}
	if k.Curve() == ecdh.X25519() && isLow(peer) {
		return nil, fmt.Errorf("%w: the sender's key is of low order", algorithm.ErrMalformed)
	}
	secret, err := k.ECDH(peer)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return secret, nil
}

// isLow tells whether a point on Curve25519 is of low order, which leads every key to
// the same secret, zero: that is refused, and must not look like a fault of the key.
func isLow(peer *ecdh.PublicKey) bool {
	anyKey, err := ecdh.X25519().NewPrivateKey(make([]byte, 32))
	if err == nil {
		_, err = anyKey.ECDH(peer)
	}
	return err != nil
}

// on tells whether the sender's key says that it is one of the curve (RFC 5753, section
// 3.1.1; RFC 8418, section 3.1). It need not.
func (o offer) on(curve ecdh.Curve) bool {
	if curve == ecdh.X25519() {
		return o.kind.OID.Equal(oidX25519)
	}
	if !o.kind.OID.Equal(oidECKey) {
		return false
	}
	if len(o.kind.Params) == 0 || bytes.Equal(o.kind.Params, []byte{5, 0}) {
		return true
	}
	params := cryptobyte.String(o.kind.Params)
	var named asn1.ObjectIdentifier
	return algorithm.ReadOID(&params, &named) && slices.ContainsFunc(curves, func(c namedCurve) bool {
		return c.curve == curve && c.oid.Equal(named)
	})
}

type namedCurve struct {
	curve ecdh.Curve
	oid   asn1.ObjectIdentifier
}

var curves = []namedCurve{
	{ecdh.P256(), asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}},
	{ecdh.P384(), asn1.ObjectIdentifier{1, 3, 132, 0, 34}},
	{ecdh.P521(), asn1.ObjectIdentifier{1, 3, 132, 0, 35}},
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
