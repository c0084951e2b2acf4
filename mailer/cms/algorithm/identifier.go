package algorithm

import (
	"bytes"
	"crypto"
	_ "crypto/sha1" // for old signatures, which are then called weak
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/asn1"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var (
	oidSHA1   = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	oidSHA224 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 4}
	oidSHA256 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidSHA384 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}
	oidSHA512 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}
)

// hashes are the digests known; SHA-1 and SHA-224 are for reading only.
var hashes = []struct {
	oid  asn1.ObjectIdentifier
	hash crypto.Hash
}{
	{oidSHA256, crypto.SHA256}, {oidSHA384, crypto.SHA384}, {oidSHA512, crypto.SHA512},
	{oidSHA224, crypto.SHA224}, {oidSHA1, crypto.SHA1},
}

// An Identifier is an AlgorithmIdentifier. Parameters are DER, empty when absent.
type Identifier struct {
	OID    asn1.ObjectIdentifier
	Params []byte
}

// null is the parameters of many an algorithm that has none.
var null = []byte{5, 0}

// Read reads the next value of s.
func Read(s *cryptobyte.String) (a Identifier, ok bool) {
	var seq cryptobyte.String
	if !s.ReadASN1(&seq, cbasn1.SEQUENCE) || !ReadOID(&seq, &a.OID) {
		return a, false
	}
	a.Params = seq
	return a, true
}

// ReadOID bounds what it reads, because it may end up in an error.
func ReadOID(s *cryptobyte.String, oid *asn1.ObjectIdentifier) bool {
	return s.ReadASN1ObjectIdentifier(oid) && len(*oid) <= 32
}

// Parse is Read for one that stands alone.
func Parse(der []byte, what string) (Identifier, error) {
	s := cryptobyte.String(der)
	a, ok := Read(&s)
	if !ok || !s.Empty() {
		return a, malformed("no " + what)
	}
	return a, nil
}

// Add writes a.
func (a Identifier) Add(b *cryptobyte.Builder) { a.AddTagged(b, cbasn1.SEQUENCE) }

// AddTagged writes a under another tag than its own.
func (a Identifier) AddTagged(b *cryptobyte.Builder, t cbasn1.Tag) {
	b.AddASN1(t, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(a.OID)
		b.AddBytes(a.Params)
	})
}

// Equal takes absent parameters and NULL for the same, as programs differ about them.
func (a Identifier) Equal(b Identifier) bool {
	plain := func(p []byte) []byte {
		if bytes.Equal(p, null) {
			return nil
		}
		return p
	}
	return a.OID.Equal(b.OID) && bytes.Equal(plain(a.Params), plain(b.Params))
}

// Hash returns the digest algorithm that a names; 0 is none that is known.
func (a Identifier) Hash() crypto.Hash {
	for _, known := range hashes {
		if known.oid.Equal(a.OID) {
			return known.hash
		}
	}
	return 0
}

// UnknownDigest is the error for a digest algorithm whose Hash is 0.
func (a Identifier) UnknownDigest() error {
	return Refuse("digest", a.Name())
}

// Digest names h with absent parameters (RFC 5754, section 2).
func Digest(h crypto.Hash) (Identifier, error) {
	for _, known := range hashes {
		if known.hash == h && h != crypto.SHA1 && h != crypto.SHA224 {
			return Identifier{OID: known.oid}, nil
		}
	}
	return Identifier{}, fmt.Errorf("%w: signing with %v", ErrUnsupported, h)
}

// Sum is the digest of b by h.
func Sum(h crypto.Hash, b []byte) []byte {
	d := h.New()
	d.Write(b)
	return d.Sum(nil)
}
