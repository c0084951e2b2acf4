package cms

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"io"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"countersign/mailer/cms/algorithm"
)

// readRecipient reads one RecipientInfo (RFC 5652, section 6.2): who it is
// for, and the ways in which one of the keys gets the content key from it. One that can't be
// read is listed as such: the message may still have another for us.
func readRecipient(der []byte, keys []Key) ([]Recipient, []candidate) {
	s := cryptobyte.String(der)
	var body cryptobyte.String
	var t cbasn1.Tag
	if !s.ReadAnyASN1(&body, &t) {
		return []Recipient{{Algorithm: "unreadable"}}, nil
	}
	switch t {
	case cbasn1.SEQUENCE:
		return readKeyTransport(body, keys)
	case context(1):
		return readKeyAgreement(body, keys)
	}
	return []Recipient{{Algorithm: "unknown"}}, nil // by password, or by a key shared before
}

// readKeyTransport reads a KeyTransRecipientInfo.
func readKeyTransport(s cryptobyte.String, keys []Key) ([]Recipient, []candidate) {
	var version int
	var encrypted cryptobyte.String
	ok := s.ReadASN1Integer(&version)
	id, good := readIdentifier(&s)
	a, fine := algorithm.Read(&s)
	if !ok || !good || !fine || !s.ReadASN1(&encrypted, cbasn1.OCTET_STRING) || len(encrypted) > algorithm.MaxKey {
		return []Recipient{{Algorithm: "unreadable"}}, nil
	}
	name, transport := a.Transport()
	var ways []candidate
	for _, k := range keys {
		if transport == nil || k.Decrypter == nil || !id.matches(k.Certificate) {
			continue
		}
		ways = append(ways, candidate{k.Certificate, name, func(size int, rand io.Reader) (ContentKey, error) {
			key, err := transport(k.Decrypter, encrypted, size, rand)
			if err != nil {
				err = fmt.Errorf("using the private key: %w", err)
			}
			return key, err
		}})
	}
	return []Recipient{id.recipient(name)}, ways
}

func (id identifier) recipient(algorithm string) Recipient {
	return Recipient{Issuer: id.issuer, Serial: id.serial, KeyID: id.keyID, Algorithm: algorithm}
}

// writeRecipients gives key to the holders of the certificates, once each.
func writeRecipients(to []*x509.Certificate, key ContentKey, o EncryptOptions) (recipients [][]byte, err error) {
	given := map[string]bool{}
	for i, cert := range to {
		if given[string(cert.Raw)] {
			continue
		}
		given[string(cert.Raw)] = true
		der, err := writeRecipient(cert, key, o)
		if err != nil {
			return nil, fmt.Errorf("encrypting to recipient %d: %w", i+1, err)
		}
		recipients = append(recipients, der)
	}
	return recipients, nil
}

// writeRecipient returns the RecipientInfo that gives key to the holder of c.
func writeRecipient(c *x509.Certificate, key ContentKey, o EncryptOptions) ([]byte, error) {
	certified := c.PublicKey
	if certified == nil { // x509 knows X25519 keys, but not in certificates
		certified, _ = x509.ParsePKIXPublicKey(c.RawSubjectPublicKeyInfo)
	}
	switch pub := certified.(type) {
	case *rsa.PublicKey:
		return writeKeyTransport(c, pub, key, o)
	case *ecdsa.PublicKey:
		if point, err := pub.ECDH(); err == nil {
			return writeKeyAgreement(c, point, key)
		}
	case *ecdh.PublicKey:
		return writeKeyAgreement(c, pub, key)
	}
	return nil, fmt.Errorf("%w: encrypting to this kind of key", ErrUnsupported)
}

func writeKeyTransport(c *x509.Certificate, pub *rsa.PublicKey, key ContentKey, o EncryptOptions) ([]byte, error) {
	a, encrypted, err := algorithm.TransportTo(pub, key, o.OAEP, o.Rand)
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		addIssuerAndSerial(b, cbasn1.SEQUENCE, c)
		a.Add(b)
		b.AddASN1OctetString(encrypted)
	})
	return b.Bytes()
}
