// Package content encrypts and decrypts the contents of messages as streams, a
// segment of 64 KB at a time and in place, in constant memory.
//
// The ciphers are the standard library's and x/crypto's. An authenticated
// content can be checked (Check) before any of it is decrypted, and is checked
// again while it is (Open). A content in CBC mode has nothing to be checked but its
// padding; that is looked at after everything else, in constant time, and answered
// by the same ErrIntegrity as any other damage.
//
// RFC 3565 (AES-CBC), RFC 5084 (AES-GCM), RFC 8103 (ChaCha20-Poly1305), RFC 9709
// (derived keys).
package content

import (
	"encoding/asn1"
	"fmt"
	"io"

	"countersign/mailer/cms/algorithm"
	"countersign/mailer/cms/ber"
)

// ErrIntegrity says that content was damaged or changed, or that the key is another one.
var ErrIntegrity = algorithm.ErrIntegrity

// ErrTooLong says that there is more content than its cipher can protect.
var ErrTooLong = fmt.Errorf("%w: more content than its cipher can protect", ber.ErrLimit)

// Segment is how much content is handled at once, in octets.
const Segment = 64 << 10

// Cipher is how content is encrypted.
type Cipher int

// The ciphers for sending. The zero value is one that every program reads.
const (
	AES256CBC Cipher = iota
	AES192CBC
	AES128CBC
	AES256GCM
	AES192GCM
	AES128GCM
	ChaCha20Poly1305
)

// String is the name that an Algorithm of the cipher has.
func (c Cipher) String() string {
	for _, known := range algorithms {
		if known.cipher == c {
			return known.Name
		}
	}
	return fmt.Sprintf("Cipher(%d)", int(c))
}

// Authenticated tells whether the cipher protects content against change.
func (c Cipher) Authenticated() bool {
	a, err := For(c)
	return err == nil && a.Authenticated
}

// An Algorithm is one content-encryption algorithm.
type Algorithm struct {
	Name          string // "AES-256-CBC"
	KeySize       int    // octets
	Authenticated bool   // it protects against change
	Weak          bool   // it is read for the sake of old mail only
	// AttributesFirst says that attributes, which stand behind the content, must be
	// known before it is read.
	AttributesFirst bool

	cipher Cipher
	oid    asn1.ObjectIdentifier
	start  func(key, params []byte, encrypt bool) (mode, error)
	params func(rand io.Reader) ([]byte, error) // new ones
	most   int64                                // octets of content; 0 is any number
}

var algorithms = []*Algorithm{
	{cipher: AES256CBC, oid: aes(42), Name: "AES-256-CBC", KeySize: 32, start: startAESCBC, params: newIV},
	{cipher: AES192CBC, oid: aes(22), Name: "AES-192-CBC", KeySize: 24, start: startAESCBC, params: newIV},
	{cipher: AES128CBC, oid: aes(2), Name: "AES-128-CBC", KeySize: 16, start: startAESCBC, params: newIV},
	{cipher: AES256GCM, oid: aes(46), Name: "AES-256-GCM", KeySize: 32, Authenticated: true, start: startGCM, params: newGCM, most: gcmMost},
	{cipher: AES192GCM, oid: aes(26), Name: "AES-192-GCM", KeySize: 24, Authenticated: true, start: startGCM, params: newGCM, most: gcmMost},
	{cipher: AES128GCM, oid: aes(6), Name: "AES-128-GCM", KeySize: 16, Authenticated: true, start: startGCM, params: newGCM, most: gcmMost},
	{cipher: ChaCha20Poly1305, oid: oidChaCha, Name: "ChaCha20-Poly1305", KeySize: 32, Authenticated: true, AttributesFirst: true, start: startChaCha, params: newChaCha, most: chachaMost},
	{cipher: -1, oid: oidTripleDES, Name: "3DES-CBC", KeySize: 24, Weak: true, start: startTripleDES},
	{cipher: -1, oid: oidDES, Name: "DES-CBC", KeySize: 8, Weak: true, start: startDES},
	{cipher: -1, oid: oidRC2, Name: "RC2-CBC", Weak: true, start: unread("RC2")},
	{cipher: -1, oid: aes(47), Name: "AES-256-CCM", Authenticated: true, start: unread("AES-CCM")},
	{cipher: -1, oid: aes(27), Name: "AES-192-CCM", Authenticated: true, start: unread("AES-CCM")},
	{cipher: -1, oid: aes(7), Name: "AES-128-CCM", Authenticated: true, start: unread("AES-CCM")},
}

var oidChaCha = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 18}

// aes is an object identifier under NIST's arc for AES.
func aes(n int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, n}
}

// Find returns the algorithm that id names.
func Find(id algorithm.Identifier) (*Algorithm, error) {
	if id.OID.Equal(oidDerived) {
		return findDerived(id.Params)
	}
	for _, known := range algorithms {
		if known.oid.Equal(id.OID) {
			return known, nil
		}
	}
	_, err := unread(id.Name())(nil, nil, false)
	return nil, err
}

// Capability names a cipher to others, without parameters (RFC 8551, section 2.5.2).
func Capability(c Cipher) (asn1.ObjectIdentifier, error) {
	a, err := For(c)
	if err != nil {
		return nil, err
	}
	return a.oid, nil
}

// Capable is the reverse of Capability.
func Capable(oid asn1.ObjectIdentifier) (c Cipher, ok bool) {
	for _, known := range algorithms {
		if known.oid.Equal(oid) && known.cipher >= 0 {
			return known.cipher, true
		}
	}
	return 0, false
}

// For returns the algorithm of a cipher for sending.
func For(c Cipher) (*Algorithm, error) {
	for _, known := range algorithms {
		if known.cipher == c && known.cipher >= 0 {
			return known, nil
		}
	}
	return nil, fmt.Errorf("%w: encrypting with %v", algorithm.ErrUnsupported, c)
}

// New returns an identifier of a with fresh parameters.
func (a *Algorithm) New(rand io.Reader) (algorithm.Identifier, error) {
	params, err := a.params(rand)
	return algorithm.Identifier{OID: a.oid, Params: params}, err
}

// Valid reports whether the parameters are well formed.
func (a *Algorithm) Valid(params []byte) error {
	_, err := a.begin(make([]byte, a.KeySize), params, false)
	return err
}

// begin is start with a key of the right size only: AES would take any of its own.
func (a *Algorithm) begin(key, params []byte, encrypt bool) (mode, error) {
	if len(key) != a.KeySize {
		return nil, fmt.Errorf("%w: a key of %d octets for %s", ErrIntegrity, len(key), a.Name)
	}
	return a.start(key, params, encrypt)
}

// TagSize is the length of the tag that is written: 0 where there is none.
func (a *Algorithm) TagSize() int {
	if a.Authenticated {
		return 16
	}
	return 0
}

// Length is that of n octets of content when they are encrypted.
func (a *Algorithm) Length(n int64) int64 {
	if a.Authenticated {
		return n
	}
	const block = 16 // those with others are not written
	return n + block - n%block
}

// A mode encrypts or decrypts one content from start to end in whole blocks.
// Its tag depends on the ciphertext alone: an authenticated content can be
// checked by absorbing it, without decrypting anything.
type mode interface {
	// blockSize is that of crypt; it divides Segment.
	blockSize() int
	// crypt works on whole blocks; dst and src are the same or do not overlap. For sending it may
	// leave it to absorb, in place.
	crypt(dst, src []byte)
	// seal appends the encryption of the rest, less than a block.
	seal(dst, rest []byte) []byte
	// open decrypts what is left at the end in place and cuts off what seal
	// added. Its error is always ErrIntegrity.
	open(last []byte) ([]byte, error)
	// absorb takes in ciphertext for the tag: whole blocks but at the end.
	absorb(ciphertext []byte)
	// tag is nil where content is not authenticated. It is asked for once.
	tag(attributes []byte) ([]byte, error)
}

// An attributed mode takes attributes into its tag before any ciphertext. Begin is asked
// once, first of all.
type attributed interface{ begin(attributes []byte) }

func octetString(b []byte) []byte {
	return append(ber.AppendHeader(nil, ber.OctetString, false, int64(len(b))), b...)
}

func malformed(what string) error { return fmt.Errorf("%w: %s", ber.ErrMalformed, what) }
