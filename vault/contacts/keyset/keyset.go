// Package keyset is what a verification is about, and how it is read aloud: one
// signing and one encryption certificate, their names, the six safety words, the
// fingerprints, and the four words of a code (SECURITY.md, V2 and V5).
package keyset

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"countersign/vault/trust"
)

// Hash is a SHA-256 value; in JSON and text, 64 hexadecimal digits.
type Hash [32]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText gives 64 lower-case hexadecimal digits.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads exactly 64 hexadecimal digits.
func (h *Hash) UnmarshalText(b []byte) error {
	if len(b) != 64 {
		return errors.New("keyset: a hash has 64 hexadecimal digits")
	}
	_, err := hex.Decode(h[:], b)
	return err
}

// KeySet is what is verified: one signing and one encryption certificate, which
// may be the same (V2). Either may be nil while it is only a candidate.
type KeySet struct {
	Sign    *x509.Certificate
	Encrypt *x509.Certificate
}

// KeyHashes names a key set by the SHA-256 of each SubjectPublicKeyInfo in DER.
type KeyHashes struct {
	Sign    Hash `json:"sign"`
	Encrypt Hash `json:"encrypt"`
}

// SPKI is the SHA-256 of a certificate's DER SubjectPublicKeyInfo, zero for nil.
func SPKI(cert *x509.Certificate) Hash {
	if cert == nil {
		return Hash{}
	}
	return sha256.Sum256(cert.RawSubjectPublicKeyInfo)
}

// Complete says that a test can be sent to the key set.
func (k KeySet) Complete() bool { return k.Sign != nil && k.Encrypt != nil }

// One says that one certificate serves both uses.
func (k KeySet) One() bool { return k.Complete() && k.Sign.Equal(k.Encrypt) }

// Hashes names the keys of the set.
func (k KeySet) Hashes() KeyHashes { return KeyHashes{SPKI(k.Sign), SPKI(k.Encrypt)} }

// ID names the key set: the same keys in other certificates have the same ID.
func (k KeySet) ID() [32]byte {
	h := k.Hashes()
	return sha256.Sum256(append(append([]byte("countersign key set 1\x00"), h.Sign[:]...), h.Encrypt[:]...))
}

// Certificates lists the certificates there are, each once.
func (k KeySet) Certificates() []*x509.Certificate {
	var out []*x509.Certificate
	if k.Sign != nil {
		out = append(out, k.Sign)
	}
	if k.Encrypt != nil && !k.One() {
		out = append(out, k.Encrypt)
	}
	return out
}

// Later takes, for the same keys, the certificates that end later.
func (k KeySet) Later(n KeySet) KeySet {
	if k.Sign != nil && n.Sign.NotAfter.After(k.Sign.NotAfter) {
		k.Sign = n.Sign
	}
	if k.Encrypt != nil && n.Encrypt.NotAfter.After(k.Encrypt.NotAfter) {
		k.Encrypt = n.Encrypt
	}
	return k
}

// Pair sorts loose certificates, as a file or a message holds them, into key
// sets: a certificate for both uses is a set of its own; one for signing and one
// for encryption belong together when issuer and subject are the same; what is
// left over stays half a set. Certificates of authorities are skipped.
func Pair(certs []*x509.Certificate) []KeySet {
	var sets []KeySet
	var signing, encryption []*x509.Certificate
	for _, c := range certs {
		sign, encrypt := trust.Allows(c, trust.Sign), trust.Allows(c, trust.Encrypt)
		switch {
		case c.IsCA:
		case sign && encrypt:
			sets = append(sets, KeySet{c, c})
		case sign:
			signing = append(signing, c)
		case encrypt:
			encryption = append(encryption, c)
		}
	}
	paired := make(map[*x509.Certificate]bool)
	for _, s := range signing {
		for _, e := range encryption {
			if bytes.Equal(s.RawSubject, e.RawSubject) && bytes.Equal(s.RawIssuer, e.RawIssuer) {
				sets = append(sets, KeySet{s, e})
				paired[s], paired[e] = true, true
			}
		}
	}
	for _, s := range signing {
		if !paired[s] {
			sets = append(sets, KeySet{Sign: s})
		}
	}
	for _, e := range encryption {
		if !paired[e] {
			sets = append(sets, KeySet{Encrypt: e})
		}
	}
	return sets
}

type keySetJSON struct {
	Sign    []byte `json:"sign,omitempty"`
	Encrypt []byte `json:"encrypt,omitempty"` // absent when the same certificate serves both
	One     bool   `json:"one,omitempty"`
}

// MarshalJSON stores the certificates as DER.
func (k KeySet) MarshalJSON() ([]byte, error) {
	var j keySetJSON
	if k.Sign != nil {
		j.Sign = k.Sign.Raw
	}
	if j.One = k.One(); !j.One && k.Encrypt != nil {
		j.Encrypt = k.Encrypt.Raw
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (k *KeySet) UnmarshalJSON(b []byte) error {
	var j keySetJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return fmt.Errorf("reading key set: %w", err)
	}
	var s KeySet
	for _, half := range []struct {
		der []byte
		to  **x509.Certificate
	}{{j.Sign, &s.Sign}, {j.Encrypt, &s.Encrypt}} {
		if half.der == nil {
			continue
		}
		cert, err := x509.ParseCertificate(half.der)
		if err != nil {
			return fmt.Errorf("reading key set: %w", err)
		}
		*half.to = cert
	}
	if j.One {
		s.Encrypt = s.Sign
	}
	*k = s
	return nil
}

// Fingerprint is what a person without Countersign reads out: the last 24
// hexadecimal digits of the certificate's SHA-256, in groups of four (V2).
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return grouped(hex.EncodeToString(sum[20:]))
}

// Thumbprint is the whole SHA-1 of the certificate, in groups of four: what
// programs show that know no other.
func Thumbprint(cert *x509.Certificate) string {
	sum := sha1.Sum(cert.Raw)
	return grouped(hex.EncodeToString(sum[:]))
}

func grouped(digits string) string {
	var b bytes.Buffer
	for i, d := range []byte(digits) {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteByte(d)
	}
	return b.String()
}

// Read is how a certificate was confirmed on a call.
type Read string

const (
	ReadWords       Read = "words"       // by the six safety words
	ReadFingerprint Read = "fingerprint" // by digits of SHA-256
	ReadThumbprint  Read = "thumbprint"  // by all 40 digits of SHA-1
	ReadSignature   Read = "signature"   // unread: named in a message signed by the key that was read
)

// MatchFingerprint finds the certificate of the set that has the digits typed:
// the last 24 of its SHA-256, or all 64, or all 40 of its SHA-1. The certificate
// is nil if none has them; ok is false where the digits are none of these in
// form, which costs no try.
func (k KeySet) MatchFingerprint(typed string) (match *x509.Certificate, how Read, ok bool) {
	digits, ok := hexDigits(typed)
	if !ok {
		return nil, "", false
	}
	for _, cert := range k.Certificates() {
		long, short := sha256.Sum256(cert.Raw), sha1.Sum(cert.Raw)
		full := hex.EncodeToString(long[:])
		switch {
		case digits == full, digits == full[40:]:
			return cert, ReadFingerprint, true
		case digits == hex.EncodeToString(short[:]):
			return cert, ReadThumbprint, true
		}
	}
	return nil, "", true
}

// hexDigits forgives case and the marks that programs put between digits.
func hexDigits(typed string) (string, bool) {
	var out []byte
	for _, r := range typed {
		switch {
		case r >= '0' && r <= '9', r >= 'a' && r <= 'f':
			out = append(out, byte(r))
		case r >= 'A' && r <= 'F':
			out = append(out, byte(r)+'a'-'A')
		case r == ' ', r == ':', r == '-', r == '.', r == '\t', r == '\u00a0':
		default:
			return "", false
		}
	}
	n := len(out)
	return string(out), n == 24 || n == 40 || n == 64
}
