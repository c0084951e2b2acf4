package cms

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/cryptobyte"

	"countersign/mailer/cms/algorithm"
	"countersign/mailer/cms/ber"
	"countersign/mailer/cms/content"
)

// Cipher is how content is encrypted.
type Cipher = content.Cipher

// The ciphers for sending. The zero value is one that every program reads.
const (
	AES256CBC = content.AES256CBC
	AES192CBC = content.AES192CBC
	AES128CBC = content.AES128CBC
)

// EncryptOptions say how to encrypt. The zero value is for an empty content: set Size.
type EncryptOptions struct {
	Cipher Cipher
	// Size is the length of the content in octets, or -1 if it is not known.
	Size int64
	// Rand is the source of random numbers; nil is crypto/rand.
	Rand io.Reader
}

// NewEnveloped writes to w a message that only the holders of the keys certified in to can
// read; what is written to it is its content. Close completes the message;
// without it there is none.
func NewEnveloped(w io.Writer, to []*x509.Certificate, o EncryptOptions) (io.WriteCloser, error) {
	if len(to) == 0 {
		return nil, errors.New("cms: encrypting to nobody")
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	cipher, err := content.For(o.Cipher)
	if err != nil {
		return nil, err
	}
	id, err := cipher.New(o.Rand)
	if err != nil {
		return nil, fmt.Errorf("making a content key: %w", err)
	}
	key := make(ContentKey, cipher.KeySize)
	defer clear(key)
	if _, err := io.ReadFull(o.Rand, key); err != nil {
		return nil, fmt.Errorf("making a content key: %w", err)
	}
	e := &encrypting{left: o.Size}
	if e.around, err = enveloping(id, to, key, o.Rand); err != nil {
		return nil, err
	}
	if e.around.size = -1; o.Size >= 0 {
		e.around.size = cipher.Length(o.Size)
	}
	if e.Writer, err = cipher.Seal(w, key, id.Params, e.around.segment); err != nil {
		return nil, err
	}
	e.w = w
	_, err = w.Write(e.around.head())
	return e, err
}

// enveloping returns what stands around the content.
func enveloping(cipher algorithm.Identifier, to []*x509.Certificate, key ContentKey, rand io.Reader) (shell, error) {
	var recipients [][]byte
	given := map[string]bool{}
	for i, cert := range to {
		if given[string(cert.Raw)] {
			continue
		}
		given[string(cert.Raw)] = true
		der, err := writeRecipient(cert, key, rand)
		if err != nil {
			return shell{}, fmt.Errorf("encrypting to recipient %d: %w", i+1, err)
		}
		recipients = append(recipients, der)
	}
	var before, info cryptobyte.Builder
	before.AddASN1Int64(0)
	before.AddBytes(ber.SortedSet(recipients))
	info.AddASN1ObjectIdentifier(oidData)
	cipher.Add(&info)
	return shell{kind: KindEnveloped, before: before.BytesOrPanic(), info: info.BytesOrPanic()}, nil
}

// encrypting counts what is written and completes the message.
type encrypting struct {
	*content.Writer
	around shell
	w      io.Writer
	left   int64 // of the length announced
	err    error
}

func (e *encrypting) Write(p []byte) (int, error) {
	if e.around.size >= 0 && int64(len(p)) > e.left {
		e.err = errSize
	}
	if e.err != nil {
		return 0, e.err
	}
	e.left -= int64(len(p))
	return e.Writer.Write(p)
}

func (e *encrypting) Close() error {
	if e.err == nil && e.left > 0 {
		e.err = errSize
	}
	if e.err != nil {
		return e.err
	}
	if _, err := e.Writer.Close(nil); err != nil {
		return err
	}
	_, err := e.w.Write(e.around.tail(nil))
	return err
}
