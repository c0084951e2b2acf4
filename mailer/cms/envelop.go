package cms

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/cryptobyte"

	"countersign/mailer/cms/ber"
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
	o.Rand = randomOr(o.Rand, rand.Reader)
	var c *contentCipher
	for _, known := range ciphers {
		if known.cipher == o.Cipher && !known.weak {
			c = known
		}
	}
	if c == nil {
		return nil, fmt.Errorf("%w: encrypting with %v", ErrUnsupported, o.Cipher)
	}
	key := make(ContentKey, c.keySize)
	defer clear(key)
	if _, err := io.ReadFull(o.Rand, key); err != nil {
		return nil, fmt.Errorf("making a content key: %w", err)
	}
	params, err := c.params(o.Rand)
	if err != nil {
		return nil, fmt.Errorf("making a content key: %w", err)
	}
	m, err := c.start(key, params, true)
	if err != nil {
		return nil, err
	}
	sh, err := enveloping(c, params, to, key, o.Rand)
	if err != nil {
		return nil, err
	}
	if sh.size = o.Size; sh.size >= 0 && !c.authenticated {
		sh.size += int64(m.blockSize()) - o.Size%int64(m.blockSize()) // its padding
	}
	if _, err := w.Write(sh.head()); err != nil {
		return nil, err
	}
	return &encrypting{around: sh, mode: m, w: w, left: o.Size}, nil
}

// enveloping returns what stands around the content.
func enveloping(c *contentCipher, params []byte, to []*x509.Certificate, key ContentKey, rand io.Reader) (shell, error) {
	sh := shell{kind: KindEnveloped}
	version := int64(0)
	var recipients [][]byte
	given := map[string]bool{}
	for i, cert := range to {
		if given[string(cert.Raw)] {
			continue
		}
		given[string(cert.Raw)] = true
		der, err := writeRecipient(cert, key, rand)
		if err != nil {
			return sh, fmt.Errorf("encrypting to recipient %d: %w", i+1, err)
		}
		recipients = append(recipients, der)
	}
	var before, info cryptobyte.Builder
	before.AddASN1Int64(version)
	before.AddBytes(ber.SortedSet(recipients))
	info.AddASN1ObjectIdentifier(oidData)
	algorithm{oid: c.oid, params: params}.add(&info)
	sh.before, sh.info = before.BytesOrPanic(), info.BytesOrPanic()
	return sh, nil
}

// encrypting encrypts what is written to it, and writes it on by the segment.
type encrypting struct {
	around shell
	mode   mode
	w      io.Writer
	left   int64  // of the length announced
	rest   []byte // less than a block, not yet encrypted
	out    []byte // encrypted
	err    error
}

func (e *encrypting) Write(p []byte) (n int, err error) {
	if e.err != nil {
		return 0, e.err
	}
	if e.around.size >= 0 {
		if e.left -= int64(len(p)); e.left < 0 {
			e.err = errSize
			return 0, e.err
		}
	}
	if e.out == nil {
		e.out = make([]byte, 0, segment+64) // and what sealing adds
	}
	size := e.mode.blockSize()
	for n < len(p) && e.err == nil {
		from := p[n:]
		if whole := min(len(from), segment-len(e.out)) / size * size; len(e.rest) == 0 && whole > 0 {
			e.crypt(from[:whole])
			n += whole
			continue
		}
		k := min(size-len(e.rest), len(from))
		e.rest, n = append(e.rest, from[:k]...), n+k
		if len(e.rest) == size {
			e.crypt(e.rest)
			e.rest = e.rest[:0]
		}
	}
	return n, e.err
}

// crypt encrypts whole blocks for which there is room.
func (e *encrypting) crypt(blocks []byte) {
	at := len(e.out)
	e.out = e.out[:at+len(blocks)]
	e.mode.crypt(e.out[at:], blocks)
	if len(e.out) == segment {
		e.flush()
	}
}

// flush writes what is encrypted as a segment.
func (e *encrypting) flush() {
	if len(e.out) == 0 || e.err != nil {
		return
	}
	e.mode.absorb(e.out)
	if head := e.around.segment(len(e.out)); head != nil {
		_, e.err = e.w.Write(head)
	}
	if e.err == nil {
		_, e.err = e.w.Write(e.out)
	}
	e.out = e.out[:0]
}

func (e *encrypting) Close() error {
	if e.err != nil {
		return e.err
	}
	if e.left > 0 {
		e.err = errSize
		return e.err
	}
	e.out = e.mode.seal(e.out, e.rest)
	e.flush()
	if e.err == nil {
		_, e.err = e.w.Write(e.around.tail(nil))
	}
	err := e.err
	e.err = errClosed
	return err
}
