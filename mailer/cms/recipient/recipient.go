// Package recipient is how a message names those it concerns and how a content key
// reaches them: the RecipientInfos of RFC 5652, section 6.2, by key transport
// (RSA) and key agreement (elliptic curves, from an ephemeral key).
package recipient

import (
	"crypto"
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

// Recipient is one of those who can open an envelope.
type Recipient struct {
	Identifier        // none if it could not be read
	Algorithm  string // how they get the content key
}

// Key is a private key that may open envelopes, perhaps on a token, and its certificate.
type Key struct {
	Certificate *x509.Certificate
	Decrypter   crypto.Decrypter  // of an RSA key
	Exchanger   ecdh.KeyExchanger // of an elliptic curve key
}

// A Way is one way to the content key, by one key.
type Way struct {
	Certificate *x509.Certificate
	Algorithm   string
	// Unwrap returns a key of size octets. A damaged one is no error where
	// telling would help an attacker: it is random then.
	Unwrap func(size int, rand io.Reader) ([]byte, error)
}

// Options say how to give a content key to recipients.
type Options struct {
	OAEP bool // to RSA keys by RSA-OAEP
	Rand io.Reader
}

// Read reads one RecipientInfo (RFC 5652, section 6.2): who it is
// for, and the ways in which one of the keys gets the content key from it. One that can't be
// read is listed as such: the message may still have another for us.
func Read(der []byte, keys []Key) ([]Recipient, []Way) {
	s := cryptobyte.String(der)
	var body cryptobyte.String
	var t cbasn1.Tag
	if !s.ReadAnyASN1(&body, &t) {
		return unreadable(), nil
	}
	switch t {
	case cbasn1.SEQUENCE:
		return readKeyTransport(body, keys)
	case context(1):
		return readKeyAgreement(body, keys)
	}
	return []Recipient{{Algorithm: "unknown"}}, nil // by password, or by a key shared before
}

func unreadable() []Recipient { return []Recipient{{Algorithm: "unreadable"}} }

// readKeyTransport reads a KeyTransRecipientInfo.
func readKeyTransport(s cryptobyte.String, keys []Key) ([]Recipient, []Way) {
	var version int
	var encrypted cryptobyte.String
	ok := s.ReadASN1Integer(&version)
	id, good := ReadIdentifier(&s)
	a, fine := algorithm.Read(&s)
	if !ok || !good || !fine || !s.ReadASN1(&encrypted, cbasn1.OCTET_STRING) || len(encrypted) > algorithm.MaxKey {
		return unreadable(), nil
	}
	name, transport := a.Transport()
	var ways []Way
	for _, k := range keys {
		if transport == nil || k.Decrypter == nil || !id.Matches(k.Certificate) {
			continue
		}
		ways = append(ways, Way{k.Certificate, name, func(size int, rand io.Reader) ([]byte, error) {
			key, err := transport(k.Decrypter, encrypted, size, rand)
			if err != nil {
				err = fmt.Errorf("using the private key: %w", err)
			}
			return key, err
		}})
	}
	return []Recipient{{id, name}}, ways
}

// Write gives key to the holders of the certificates, once each.
func Write(to []*x509.Certificate, key []byte, o Options) (recipients [][]byte, err error) {
	given := map[string]bool{}
	for i, cert := range to {
		if given[string(cert.Raw)] {
			continue
		}
		given[string(cert.Raw)] = true
		der, err := write(cert, key, o)
		if err != nil {
			return nil, fmt.Errorf("encrypting to recipient %d: %w", i+1, err)
		}
		recipients = append(recipients, der)
	}
	return recipients, nil
}

// write returns the RecipientInfo that gives key to the holder of c.
func write(c *x509.Certificate, key []byte, o Options) ([]byte, error) {
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
	return nil, fmt.Errorf("%w: encrypting to this kind of key", algorithm.ErrUnsupported)
}

func writeKeyTransport(c *x509.Certificate, pub *rsa.PublicKey, key []byte, o Options) ([]byte, error) {
	a, encrypted, err := algorithm.TransportTo(pub, key, o.OAEP, o.Rand)
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		AddIssuerAndSerial(b, cbasn1.SEQUENCE, c)
		a.Add(b)
		b.AddASN1OctetString(encrypted)
	})
	return b.Bytes()
}
