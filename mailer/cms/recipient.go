package cms

import (
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

const nameRSA = "RSA PKCS#1 v1.5"

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
	if t == cbasn1.SEQUENCE {
		return readKeyTransport(body, keys)
	}
	return []Recipient{{Algorithm: "unknown"}}, nil
}

// readKeyTransport reads a KeyTransRecipientInfo.
func readKeyTransport(s cryptobyte.String, keys []Key) ([]Recipient, []candidate) {
	var version int
	var encrypted cryptobyte.String
	ok := s.ReadASN1Integer(&version)
	id, good := readIdentifier(&s)
	a, fine := readAlgorithm(&s)
	if !ok || !good || !fine || !s.ReadASN1(&encrypted, cbasn1.OCTET_STRING) || len(encrypted) > maxRSA/8 {
		return []Recipient{{Algorithm: "unreadable"}}, nil
	}
	name, transport := a.transport()
	var ways []candidate
	for _, k := range keys {
		if transport == nil || k.Decrypter == nil || !id.matches(k.Certificate) {
			continue
		}
		ways = append(ways, candidate{k.Certificate, name, func(size int, rand io.Reader) (ContentKey, error) {
			return transport(k, encrypted, size, rand)
		}})
	}
	return []Recipient{id.recipient(name)}, ways
}

func (id identifier) recipient(algorithm string) Recipient {
	return Recipient{Issuer: id.issuer, Serial: id.serial, KeyID: id.keyID, Algorithm: algorithm}
}

type transport func(k Key, encrypted []byte, size int, rand io.Reader) (ContentKey, error)

// transport finds the way in which a carries a content key; nil if it is not known.
func (a algorithm) transport() (name string, t transport) {
	if a.oid.Equal(oidRSA) {
		return nameRSA, transportRSA
	}
	return a.oid.String(), nil
}

// transportRSA never says that the padding was wrong. The key asked does so
// itself if it honours SessionKeyLen; else we stand in for it.
func transportRSA(k Key, encrypted []byte, size int, rand io.Reader) (ContentKey, error) {
	random := make([]byte, size)
	if _, err := io.ReadFull(rand, random); err != nil {
		return nil, err
	}
	//lint:ignore SA1019 RFC 8551, section 2.3: other programs still send it
	options := &rsa.PKCS1v15DecryptOptions{SessionKeyLen: size}
	key, err := k.Decrypter.Decrypt(rand, encrypted, options)
	if errors.Is(err, rsa.ErrDecryption) || err == nil && len(key) != size {
		return random, nil
	}
	if err != nil {
		return nil, fmt.Errorf("using the private key: %w", err)
	}
	return key, nil
}

// writeRecipient returns the RecipientInfo that gives key to the holder of c.
func writeRecipient(c *x509.Certificate, key ContentKey, rand io.Reader) ([]byte, error) {
	switch pub := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return writeKeyTransport(c, pub, key, rand)
	default:
		return nil, fmt.Errorf("%w: encrypting to this kind of key", ErrUnsupported)
	}
}

func writeKeyTransport(c *x509.Certificate, pub *rsa.PublicKey, key ContentKey, rand io.Reader) ([]byte, error) {
	if bits := pub.N.BitLen(); bits < minRSA {
		return nil, fmt.Errorf("%w: an RSA key of %d bits", ErrWeak, bits)
	}
	//lint:ignore SA1019 RFC 8551, section 2.3: the one that every program reads
	encrypted, err := rsa.EncryptPKCS1v15(rand, pub, key)
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		addIssuerAndSerial(b, cbasn1.SEQUENCE, c)
		algorithm{oid: oidRSA, params: null}.add(b)
		b.AddASN1OctetString(encrypted)
	})
	return b.Bytes()
}
