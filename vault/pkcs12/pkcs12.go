// Package pkcs12 takes the keys and certificates out of a PKCS #12 file (RFC
// 7292), as authorities and mail programs hand them out.
//
// The cryptography is go-pkcs12's: files of OpenSSL, Windows, macOS and Java,
// modern and legacy. That package wants DER, at most two containers and one key.
// Thunderbird and Firefox write BER, some programs a container for each item, and
// some authorities both keys of a person in one file. Such a file is checked as a
// whole first, by its MAC under the passphrase, and then given to the package
// again in pieces of two containers in DER, under a MAC of our own (RFC 9579).
//
// Nothing here judges whether a key or certificate is any good.
package pkcs12

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"software.sslmate.com/src/go-pkcs12"

	"countersign/mailer/cms/ber"
)

var (
	// ErrPassphrase says that the passphrase is not this file's.
	ErrPassphrase = errors.New("pkcs12: wrong passphrase")
	// ErrFormat says that it is no PKCS #12 file, or uses what is not read here.
	ErrFormat = errors.New("pkcs12: not a file that can be read")
	// ErrNoKey says that there is no private key in it.
	ErrNoKey = errors.New("pkcs12: no private key in the file")
)

// MaxSize is the size that a file may have, in octets.
const MaxSize = 1 << 20

// maxContainers bounds how many containers a file may have.
const maxContainers = 8

// Contents is what a file holds: keys and certificates in no particular order.
type Contents struct {
	Keys         []Key
	Certificates []*x509.Certificate
}

// Key is a private key: of RSA, ECDSA or Ed25519, which sign, or *ecdh.PrivateKey.
type Key interface{ Public() crypto.PublicKey }

// add takes in what is not there yet.
func (c *Contents) add(key Key, certs ...*x509.Certificate) {
	same := func(k Key) bool {
		public, ok := k.Public().(interface{ Equal(crypto.PublicKey) bool })
		return ok && public.Equal(key.Public())
	}
	if key != nil && !slices.ContainsFunc(c.Keys, same) {
		c.Keys = append(c.Keys, key)
	}
	for _, cert := range certs {
		if !slices.ContainsFunc(c.Certificates, cert.Equal) {
			c.Certificates = append(c.Certificates, cert)
		}
	}
}

// Read opens a file with its passphrase. The errors are those of this package.
func Read(data []byte, passphrase string) (Contents, error) {
	var c Contents
	if len(data) > MaxSize {
		return c, ErrFormat
	}
	file, err := parse(data)
	if err != nil {
		return c, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	err = c.simple(data, passphrase)
	if err == nil || errors.Is(err, ErrPassphrase) || errors.Is(err, ErrNoKey) {
		return c, err
	}
	if err := file.check(passphrase); err != nil {
		return Contents{}, err
	}
	return file.read(passphrase)
}

// simple reads a file as go-pkcs12 wants it: one key, one or two containers.
func (c *Contents) simple(data []byte, passphrase string) error {
	key, cert, more, err := pkcs12.DecodeChain(data, passphrase)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword), errors.Is(err, pkcs12.ErrDecryption):
		return ErrPassphrase
	case err != nil && strings.Contains(err.Error(), "private key missing"):
		return ErrNoKey
	case err != nil:
		return ErrFormat
	}
	private, ok := key.(Key)
	if !ok {
		return ErrFormat
	}
	c.add(private, append([]*x509.Certificate{cert}, more...)...)
	return nil
}

// several reads two containers with any number of keys. It knows few attributes,
// which is why it is not asked first.
func (c *Contents) several(data []byte, passphrase string) {
	//lint:ignore SA1019 the package has no other function that reads two keys
	blocks, err := pkcs12.ToPEM(data, passphrase)
	if err != nil {
		return
	}
	for _, b := range blocks {
		if b.Type == "CERTIFICATE" {
			if cert, err := x509.ParseCertificate(b.Bytes); err == nil {
				c.add(nil, cert)
			}
			continue
		}
		if key, err := x509.ParsePKCS1PrivateKey(b.Bytes); err == nil {
			c.add(key)
		} else if key, err := x509.ParseECPrivateKey(b.Bytes); err == nil {
			c.add(key)
		}
		clear(b.Bytes)
	}
}

// pfx is a file taken apart.
type pfx struct {
	content    []byte   // what its MAC is over
	mac        []byte   // DER
	containers [][]byte // DER
}

var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidEncryptedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6}
	oidPBKDF2        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidPBMAC1        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 14}
	oidHMACSHA256    = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
)

// parse reads the outer structure (RFC 7292, section 4), in BER.
func parse(data []byte) (p pfx, err error) {
	r := ber.NewReader(bytes.NewReader(data), MaxSize)
	if err := r.Enter(ber.Sequence, "PFX"); err != nil {
		return p, err
	}
	if _, err := r.Value("version"); err != nil {
		return p, err
	}
	if p.content, err = dataOf(r); err != nil {
		return p, err
	}
	if p.mac, err = r.Value("MAC"); err != nil {
		return p, err
	}
	if err := bounded(p.mac, 0); err != nil {
		return p, err
	}
	r = ber.NewReader(bytes.NewReader(p.content), MaxSize)
	if err := r.Enter(ber.Sequence, "authenticated safe"); err != nil {
		return p, err
	}
	for {
		if more, err := r.At(ber.Sequence); err != nil || !more {
			return p, err
		}
		if len(p.containers) == maxContainers {
			return p, errors.New("too many containers")
		}
		c, err := container(r)
		if err != nil {
			return p, err
		}
		p.containers = append(p.containers, c)
	}
}

// begin enters a ContentInfo as far as its content, and returns its type.
func begin(r *ber.Reader) (oid asn1.ObjectIdentifier, err error) {
	if err := r.Enter(ber.Sequence, "content info"); err != nil {
		return nil, err
	}
	der, err := r.Value("content type")
	if err != nil {
		return nil, err
	}
	if _, err := asn1.Unmarshal(der, &oid); err != nil {
		return nil, err
	}
	return oid, r.Enter(ber.Context, "content")
}

func end(r *ber.Reader) error { return errors.Join(r.Leave(), r.Leave()) }

// dataOf reads a ContentInfo of type data.
func dataOf(r *ber.Reader) ([]byte, error) {
	oid, err := begin(r)
	if err != nil {
		return nil, err
	}
	if !oid.Equal(oidData) {
		return nil, errors.New("not protected by a passphrase")
	}
	content, err := octets(r, ber.OctetString)
	if err != nil {
		return nil, err
	}
	return content, end(r)
}

func octets(r *ber.Reader, t ber.Tag) ([]byte, error) {
	in, err := r.Octets(t, "content")
	if err != nil {
		return nil, err
	}
	return io.ReadAll(in)
}

// container reads one ContentInfo and gives it as DER. What is encrypted stands
// under an implicit tag, which is why this has to know the structure (RFC 5652,
// section 8).
func container(r *ber.Reader) ([]byte, error) {
	oid, err := begin(r)
	if err != nil {
		return nil, err
	}
	var content []byte
	switch {
	case oid.Equal(oidData):
		text, err := octets(r, ber.OctetString)
		if err != nil {
			return nil, err
		}
		if err := bounded(text, 0); err != nil {
			return nil, err
		}
		content = primitive(ber.OctetString, text)
	case oid.Equal(oidEncryptedData):
		if content, err = encrypted(r); err != nil {
			return nil, err
		}
	default:
		return nil, errors.New("a container of another kind")
	}
	name, err := asn1.Marshal(oid)
	if err != nil {
		return nil, err
	}
	return ber.Nest(ber.Sequence, name, ber.Nest(ber.Context, content)), end(r)
}

func encrypted(r *ber.Reader) ([]byte, error) {
	if err := r.Enter(ber.Sequence, "encrypted data"); err != nil {
		return nil, err
	}
	version, err := r.Value("version")
	if err != nil {
		return nil, err
	}
	if err := r.Enter(ber.Sequence, "encrypted content info"); err != nil {
		return nil, err
	}
	kind, err := r.Value("content type")
	if err != nil {
		return nil, err
	}
	algorithm, err := r.Value("algorithm")
	if err != nil {
		return nil, err
	}
	if err := bounded(algorithm, 0); err != nil {
		return nil, err
	}
	text, err := octets(r, ber.Context)
	if err != nil {
		return nil, err
	}
	info := ber.Nest(ber.Sequence, kind, algorithm, primitive(ber.Context, text))
	return ber.Nest(ber.Sequence, version, info), end(r)
}

// maxIterations bounds how often a passphrase is hashed: some seconds.
const maxIterations = 5_000_000

// bounded looks for iteration counts, which go-pkcs12 does not limit: in every
// structure that holds one it is the number after the salt.
func bounded(der []byte, depth int) error {
	salt := false
	for len(der) > 0 && depth < 16 {
		var v asn1.RawValue
		rest, err := asn1.Unmarshal(der, &v)
		if err != nil {
			return err
		}
		if v.IsCompound {
			if err := bounded(v.Bytes, depth+1); err != nil {
				return err
			}
		}
		if salt && v.Class == asn1.ClassUniversal && v.Tag == asn1.TagInteger {
			var n int
			if _, err := asn1.Unmarshal(v.FullBytes, &n); err != nil || n > maxIterations {
				return errors.New("it would take too long to open")
			}
		}
		salt = v.Class == asn1.ClassUniversal && v.Tag == asn1.TagOctetString
		der = rest
	}
	return nil
}

func primitive(t ber.Tag, contents []byte) []byte {
	return append(ber.AppendHeader(nil, t, false, int64(len(contents))), contents...)
}

// encode gives a file with this content and MAC, in DER.
func encode(content, mac []byte) ([]byte, error) {
	name, err := asn1.Marshal(oidData)
	if err != nil {
		return nil, err
	}
	data := ber.Nest(ber.Sequence, name, ber.Nest(ber.Context, primitive(ber.OctetString, content)))
	return ber.Nest(ber.Sequence, []byte{byte(ber.Integer), 1, 3}, data, mac), nil
}

// check verifies the MAC of the file as it came. go-pkcs12 does so before it looks
// at the content and has no function for that alone; so it has to be content with
// the passphrase and not with another, whatever it says of the content then.
func (p pfx) check(passphrase string) error {
	file, err := encode(p.content, p.mac)
	if err != nil {
		return ErrFormat
	}
	_, _, _, right := pkcs12.DecodeChain(file, passphrase)
	if errors.Is(right, pkcs12.ErrIncorrectPassword) {
		return ErrPassphrase
	}
	if _, _, _, wrong := pkcs12.DecodeChain(file, passphrase+"?"); !errors.Is(wrong, pkcs12.ErrIncorrectPassword) {
		return ErrFormat
	}
	return nil
}

// read has every two containers read together: one that holds certificates is not
// read without one that holds a key.
func (p pfx) read(passphrase string) (Contents, error) {
	var c Contents
	for i, one := range p.containers {
		for _, two := range p.containers[i:] {
			content := ber.Nest(ber.Sequence, one, two)
			mac, err := authenticate(content, passphrase)
			if err != nil {
				return Contents{}, ErrFormat
			}
			file, err := encode(content, mac)
			if err != nil {
				return Contents{}, ErrFormat
			}
			if c.simple(file, passphrase) != nil {
				c.several(file, passphrase)
			}
		}
	}
	if len(c.Keys) == 0 {
		return Contents{}, ErrNoKey
	}
	return c, nil
}

// authenticate makes the MacData of a content by PBMAC1 (RFC 9579, section 4). One
// iteration is enough: it never leaves this function's caller.
func authenticate(content []byte, passphrase string) ([]byte, error) {
	type pbkdf2Params struct {
		Salt       []byte
		Iterations int
		Length     int
		PRF        pkix.AlgorithmIdentifier
	}
	type pbmac1Params struct{ KDF, MAC pkix.AlgorithmIdentifier }
	type macData struct {
		Mac struct {
			Algorithm pkix.AlgorithmIdentifier
			Digest    []byte
		}
		Salt       []byte
		Iterations int
	}
	salt := []byte("countersign")
	key, err := pbkdf2.Key(sha256.New, passphrase, salt, 1, sha256.Size)
	if err != nil {
		return nil, err
	}
	h := hmac.New(sha256.New, key)
	h.Write(content)

	prf := pkix.AlgorithmIdentifier{Algorithm: oidHMACSHA256, Parameters: asn1.NullRawValue}
	kdf, err := asn1.Marshal(pbkdf2Params{salt, 1, sha256.Size, prf})
	if err != nil {
		return nil, err
	}
	params, err := asn1.Marshal(pbmac1Params{
		pkix.AlgorithmIdentifier{Algorithm: oidPBKDF2, Parameters: asn1.RawValue{FullBytes: kdf}}, prf})
	if err != nil {
		return nil, err
	}
	m := macData{Salt: salt, Iterations: 1}
	m.Mac.Algorithm = pkix.AlgorithmIdentifier{Algorithm: oidPBMAC1, Parameters: asn1.RawValue{FullBytes: params}}
	m.Mac.Digest = h.Sum(nil)
	return asn1.Marshal(m)
}
