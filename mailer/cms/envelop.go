package cms

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"countersign/mailer/cms/algorithm"
	"countersign/mailer/cms/ber"
	"countersign/mailer/cms/content"
	"countersign/mailer/cms/recipient"
)

// Cipher is how content is encrypted.
type Cipher = content.Cipher

// The ciphers for sending. The zero value is one that every program reads.
const (
	AES256CBC = content.AES256CBC
	AES192CBC = content.AES192CBC
	AES128CBC = content.AES128CBC
	AES256GCM = content.AES256GCM
	AES192GCM = content.AES192GCM
	AES128GCM = content.AES128GCM

	ChaCha20Poly1305 = content.ChaCha20Poly1305
)

// EncryptOptions say how to encrypt. The zero value is for an empty content: set Size.
type EncryptOptions struct {
	Cipher Cipher
	// Size is the length of the content in octets, or -1 if it is not known.
	Size int64
	// OAEP gives the content key to RSA keys by RSA-OAEP with SHA-256, which not every program reads.
	OAEP bool
	// Derive encrypts with a key derived from the content key (RFC 9709), which few programs read.
	Derive bool
	// Keep, if not nil, gets a copy of the content key, for who may open the message again
	// without their own key (ReadOptions).
	Keep func(ContentKey)
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
	if o.Derive {
		cipher = cipher.Derived()
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
	recipients, err := recipient.Write(to, key, recipient.Options{OAEP: o.OAEP, Rand: o.Rand})
	if err != nil {
		return nil, err
	}
	e := &encrypting{w: w, left: o.Size, around: enveloping(cipher, id, recipients, o.Size)}
	if e.Writer, err = cipher.Seal(w, key, id.Params, e.around.segment); err != nil {
		return nil, err
	}
	if o.Keep != nil {
		o.Keep(bytes.Clone(key))
	}
	_, err = w.Write(e.around.head())
	return e, err
}

// enveloping returns what stands around the content.
func enveloping(cipher *content.Algorithm, id algorithm.Identifier, recipients [][]byte, size int64) shell {
	sh := shell{kind: KindEnveloped, size: -1}
	if size >= 0 {
		sh.size = cipher.Length(size)
	}
	version := int64(0)
	agrees := func(der []byte) bool { return der[0] != byte(ber.Sequence)|ber.Constructed }
	if cipher.Authenticated {
		sh.kind = KindAuthEnveloped
		sh.after = int64(len(tagField(make([]byte, cipher.TagSize()))))
	} else if slices.ContainsFunc(recipients, agrees) {
		version = 2 // RFC 5652, section 6.1
	}
	var before, info cryptobyte.Builder
	before.AddASN1Int64(version)
	before.AddBytes(ber.SortedSet(recipients))
	info.AddASN1ObjectIdentifier(oidData)
	id.Add(&info)
	sh.before, sh.info = before.BytesOrPanic(), info.BytesOrPanic()
	return sh
}

// encrypting counts what is written and completes the message.
type encrypting struct {
	*content.Writer
	around shell
	w      io.Writer
	left   int64 // of the length announced
	err    error
}

func (e *encrypting) Write(p []byte) (int, error) { return e.WriteBeside(p, nil) }

// WriteBeside is Write, and writes p to a digest as well.
func (e *encrypting) WriteBeside(p []byte, digest io.Writer) (int, error) {
	if e.around.size >= 0 && int64(len(p)) > e.left {
		e.err = errSize
	}
	if e.err != nil {
		return 0, e.err
	}
	e.left -= int64(len(p))
	return e.Writer.WriteBeside(p, digest)
}

func (e *encrypting) Close() error {
	if e.err == nil && e.left > 0 {
		e.err = errSize
	}
	if e.err != nil {
		return e.err
	}
	tag, err := e.Writer.Close(nil)
	if err != nil {
		return err
	}
	_, err = e.w.Write(e.around.tail(tagField(tag)))
	return err
}

// tagField is what stands behind the content of AuthEnvelopedData.
func tagField(tag []byte) []byte {
	if tag == nil {
		return nil
	}
	return append(ber.AppendHeader(nil, ber.OctetString, false, int64(len(tag))), tag...)
}
