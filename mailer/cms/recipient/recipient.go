// Package recipient is how a message names those it concerns and how a content key
// reaches them: the RecipientInfos of RFC 5652, section 6.2, by key transport
// (RSA) and key agreement (elliptic curves, from an ephemeral key). The other kinds are
// listed by name: by a password, by a key shared before, by encapsulation (RFC 9629).
//
// Each RecipientInfo that names one of our certificates is a way to the content key, even
// where it leads nowhere: Unwrap says why.
package recipient

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
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

// ErrKey says that a private key could not be used: its token was removed, or refused.
var ErrKey = errors.New("cms: the private key could not be used")

// A Way is one way to the content key, by one key.
type Way struct {
	Certificate *x509.Certificate
	Algorithm   string
	Weak        bool // it no longer keeps the content key secret
	// Unwrap returns a key of size octets. A damaged one is no error where
	// telling would help an attacker: it is random then. Else the error is ErrKey,
	// or algorithm's ErrUnsupported, ErrMalformed or ErrIntegrity.
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
	return readOther(t, body, keys)
}

// readOther names the kinds that are not read.
func readOther(t cbasn1.Tag, s cryptobyte.String, keys []Key) ([]Recipient, []Way) {
	switch t {
	case context(2):
		return []Recipient{{Algorithm: "a shared key"}}, nil
	case context(3):
		return []Recipient{{Algorithm: "a password"}}, nil
	}
	var other algorithm.Identifier
	var body cryptobyte.String
	var version int
	if t != context(4) || !algorithm.ReadOID(&s, &other.OID) {
		return unreadable(), nil
	}
	r := Recipient{Algorithm: other.Name()}
	if !other.OID.Equal(oidKEM) || !s.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1Integer(&version) {
		return []Recipient{r}, nil
	}
	id, ok := ReadIdentifier(&body)
	kem, fine := algorithm.Read(&body)
	if !ok || !fine {
		return unreadable(), nil
	}
	r = Recipient{id, kem.Name()}
	return []Recipient{r}, r.ways(keys, func(Key) (Way, bool) {
		return closed(fmt.Errorf("%w: the key encapsulation %s", algorithm.ErrUnsupported, r.Algorithm)), true
	})
}

// ways asks for a way by each of the keys that r names.
func (r Recipient) ways(keys []Key, by func(Key) (Way, bool)) (ways []Way) {
	for _, k := range keys {
		if !r.Matches(k.Certificate) {
			continue
		}
		if w, ok := by(k); ok {
			w.Certificate, w.Algorithm = k.Certificate, r.Algorithm
			ways = append(ways, w)
		}
	}
	return ways
}

// closed is a way that leads nowhere.
func closed(why error) Way {
	return Way{Unwrap: func(int, io.Reader) ([]byte, error) { return nil, why }}
}

func unreadable() []Recipient { return []Recipient{{Algorithm: "something unreadable"}} }

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
	name, transport, err := a.Transport()
	r := Recipient{id, name}
	return []Recipient{r}, r.ways(keys, func(k Key) (Way, bool) {
		rsaKey := k.Decrypter != nil && k.Exchanger == nil
		if err != nil {
			return closed(err), rsaKey
		}
		return Way{Unwrap: func(size int, rand io.Reader) ([]byte, error) {
			key, err := transport(k.Decrypter, encrypted, size, rand)
			if err != nil {
				err = fmt.Errorf("%w: %w", ErrKey, err)
			}
			return key, err
		}}, rsaKey
	})
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
	switch pub := algorithm.PublicKey(c).(type) {
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
	a, encrypted, err := algorithm.TransportTo(c, pub, key, o.OAEP, o.Rand)
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
