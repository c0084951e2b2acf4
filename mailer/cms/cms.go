// Package cms reads and writes Cryptographic Message Syntax.
package cms

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"
)

// A Source can be read from the start as often as wanted, always giving the same bytes.
type Source interface {
	Open() (io.ReadCloser, error)
}

var errUnfinished = errors.New("cms: unfinished")

var (
	ErrMalformed     = errors.New("cms: malformed")
	ErrLimit         = errors.New("cms: too large")
	ErrUnsupported   = errors.New("cms: unsupported")
	ErrWeak          = errors.New("cms: too weak")
	ErrNoKey         = errors.New("cms: no key of ours opens this")
	ErrIntegrity     = errors.New("cms: the content was damaged or changed")
	ErrSignature     = errors.New("cms: the signature is not valid")
	ErrDigest        = errors.New("cms: the content is not what was signed")
	ErrNoCertificate = errors.New("cms: the signer's certificate is not enclosed")
	ErrNoContent     = errors.New("cms: no content is enclosed")
)

// Kind is what a CMS message is: the words of RFC 8551, section 3.2.2.
type Kind string

const (
	KindSigned        Kind = "signed-data"
	KindEnveloped     Kind = "enveloped-data"
	KindAuthEnveloped Kind = "authEnveloped-data"
	KindCompressed    Kind = "compressed-data"
)

// ReadKind reads only as much of src as tells its kind.
func ReadKind(src Source) (Kind, error) { return "", errUnfinished }

type Signer struct {
	Key         crypto.Signer
	Certificate *x509.Certificate
}

type SignOptions struct {
	Hash                  crypto.Hash // 0 is SHA-256
	Time                  time.Time
	Certificates          []*x509.Certificate
	EncryptionCertificate *x509.Certificate
	Type                  asn1.ObjectIdentifier // nil is id-data
	Rand                  io.Reader
}

type Detached struct{}

func NewDetached(signers []Signer, o SignOptions) (*Detached, error) { return nil, errUnfinished }
func (d *Detached) Write(p []byte) (int, error)                      { return 0, errUnfinished }
func (d *Detached) Finish() ([]byte, error)                          { return nil, errUnfinished }

func NewSigned(w io.Writer, size int64, signers []Signer, o SignOptions) (io.WriteCloser, error) {
	return nil, errUnfinished
}

type Cipher int

const (
	AES256CBC Cipher = iota
)

type EncryptOptions struct {
	Cipher Cipher
	Size   int64 // -1: unknown
	Rand   io.Reader
}

func NewEnveloped(w io.Writer, to []*x509.Certificate, o EncryptOptions) (io.WriteCloser, error) {
	return nil, errUnfinished
}

type Key struct {
	Certificate *x509.Certificate
	Decrypter   crypto.Decrypter
}

// ContentKey is a secret: it prints as [secret]. []byte(k) are its bytes.
type ContentKey []byte

func (ContentKey) Format(f fmt.State, _ rune) { io.WriteString(f, "[secret]") }

type ReadOptions struct {
	Keys       []Key
	ContentKey ContentKey
	Rand       io.Reader
}

type Recipient struct {
	Issuer    []byte // DER of the name
	Serial    *big.Int
	KeyID     []byte
	Algorithm string
}

type Enveloped struct {
	Recipients        []Recipient
	Cipher, KeyCipher string
	Authenticated     bool
	ContentKey        ContentKey
	Matched           *x509.Certificate
}

// ReadEnveloped returns what can be told of it beside ErrNoKey, too.
func ReadEnveloped(src Source, o ReadOptions) (*Enveloped, error) { return nil, errUnfinished }
func (e *Enveloped) Open() (io.ReadCloser, error)                 { return nil, errUnfinished }

type SignerInfo struct {
	Certificate           *x509.Certificate
	Err                   error
	Time                  time.Time
	Algorithm, Hash       string
	EncryptionCertificate *x509.Certificate
	Digest                []byte
}

type Signed struct {
	Signers      []SignerInfo
	Certificates []*x509.Certificate
	Detached     bool
	Type         asn1.ObjectIdentifier
}

func ReadSigned(src Source, content Source) (*Signed, error) { return nil, errUnfinished }
func (s *Signed) Open() (io.ReadCloser, error)               { return nil, errUnfinished }
