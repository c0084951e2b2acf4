package cms

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/asn1"
	"fmt"
	"io"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"countersign/mailer/cms/ber"
)

// Cipher is how content is encrypted.
type Cipher int

// The ciphers for sending. The zero value is read by every program (RFC 8551,
// section 2.7.1.2, asks for less).
const (
	AES256CBC Cipher = iota
)

func (c Cipher) String() string {
	for _, known := range ciphers {
		if known.cipher == c {
			return known.name
		}
	}
	return fmt.Sprintf("Cipher(%d)", int(c))
}

// A contentCipher is one content-encryption algorithm.
type contentCipher struct {
	cipher        Cipher
	oid           asn1.ObjectIdentifier
	name          string
	keySize       int // octets
	authenticated bool
	weak          bool // read for the sake of old mail only
	// start begins encryption or decryption of one content; params are the
	// algorithm's parameters.
	start func(key, params []byte, encrypt bool) (mode, error)
	// params makes parameters for a new content.
	params func(rand io.Reader) ([]byte, error)
}

var ciphers = []*contentCipher{
	{cipher: AES256CBC, oid: aesOID(42), name: "AES-256-CBC", keySize: 32, start: startAESCBC, params: cbcParams},
}

// aesOID is an algorithm under the arc aes of NIST (RFC 3565, RFC 5084).
func aesOID(n int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, n}
}

func (a algorithm) contentCipher() (*contentCipher, error) {
	for _, c := range ciphers {
		if c.oid.Equal(a.oid) {
			return c, nil
		}
	}
	return nil, fmt.Errorf("%w: content cipher %v", ErrUnsupported, a.oid)
}

// A mode encrypts or decrypts one content from start to end in whole blocks.
// Its tag depends on the ciphertext alone: an authenticated content can be
// checked by absorbing it, without decrypting anything.
type mode interface {
	// blockSize is that of crypt.
	blockSize() int
	// crypt works on whole blocks; dst and src are the same or do not overlap.
	crypt(dst, src []byte)
	// seal appends the encryption of the rest, less than a block.
	seal(dst, rest []byte) []byte
	// open decrypts what is left at the end in place and cuts off what seal
	// added. Its error is always ErrIntegrity.
	open(last []byte) ([]byte, error)
	// absorb takes in ciphertext for the tag: whole blocks but at the end.
	absorb(ciphertext []byte)
	// tag is nil where content is not authenticated.
	tag(attributes []byte) []byte
}

// cbc is a block cipher in CBC mode with the padding of RFC 5652, section 6.3.
type cbc struct{ cipher.BlockMode }

func startAESCBC(key, params []byte, encrypt bool) (mode, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return startCBC(b, params, encrypt)
}

func startCBC(b cipher.Block, params []byte, encrypt bool) (mode, error) {
	var iv []byte
	s := cryptobyte.String(params)
	if !s.ReadASN1Bytes(&iv, cbasn1.OCTET_STRING) || !s.Empty() || len(iv) != b.BlockSize() {
		return nil, malformed("no initialisation vector")
	}
	if encrypt {
		return cbc{cipher.NewCBCEncrypter(b, iv)}, nil
	}
	return cbc{cipher.NewCBCDecrypter(b, iv)}, nil
}

func cbcParams(rand io.Reader) ([]byte, error) {
	iv := make([]byte, aes.BlockSize)
	if _, err := io.ReadFull(rand, iv); err != nil {
		return nil, err
	}
	return append(ber.AppendHeader(nil, ber.OctetString, false, int64(len(iv))), iv...), nil
}

func (c cbc) blockSize() int        { return c.BlockSize() }
func (c cbc) crypt(dst, src []byte) { c.CryptBlocks(dst, src) }
func (c cbc) absorb([]byte)         {}
func (c cbc) tag([]byte) []byte     { return nil }

func (c cbc) seal(dst, rest []byte) []byte {
	pad := c.BlockSize() - len(rest)
	n := len(dst)
	dst = append(dst, rest...)
	for range pad {
		dst = append(dst, byte(pad))
	}
	c.CryptBlocks(dst[n:], dst[n:])
	return dst
}

// open says nothing about what is wrong with the padding, and takes the same time.
func (c cbc) open(last []byte) ([]byte, error) {
	size := c.BlockSize()
	if len(last) == 0 || len(last)%size != 0 {
		return nil, ErrIntegrity
	}
	c.CryptBlocks(last, last)
	end := last[len(last)-size:]
	pad := int(end[size-1])
	good := subtle.ConstantTimeLessOrEq(1, pad) & subtle.ConstantTimeLessOrEq(pad, size)
	for i, b := range end {
		covered := subtle.ConstantTimeLessOrEq(size, i+pad)
		good &= 1 ^ covered | subtle.ConstantTimeByteEq(b, byte(pad))
	}
	if good == 0 {
		return nil, ErrIntegrity
	}
	return last[:len(last)-pad], nil
}

// plaintext decrypts a content as it is read. Each segment is decrypted in place.
type plaintext struct {
	ciphertext io.Reader
	closer     io.Closer
	finish     func() error // reads what stands behind the ciphertext
	mode       mode
	attributes []byte // to be authenticated
	mac        []byte // what the tag must be
	buf        []byte // a segment, and a block to be held back: the last needs care
	held       int
	ready      []byte // decrypted, to be handed out
	err        error
}

// next fills ready or sets err.
func (p *plaintext) next() {
	size := p.mode.blockSize()
	if p.buf == nil {
		p.buf = make([]byte, segment+size)
	}
	copy(p.buf, p.buf[segment:segment+p.held])
	n, err := io.ReadFull(p.ciphertext, p.buf[p.held:])
	switch err {
	case nil:
		p.ready, p.held = p.buf[:segment], size
		p.mode.absorb(p.ready)
		p.mode.crypt(p.ready, p.ready)
	case io.EOF, io.ErrUnexpectedEOF:
		if p.err = p.finish(); p.err == nil {
			p.ready, p.err = p.last(p.buf[:p.held+n])
		}
	default:
		p.err = err
	}
}

// last decrypts the end of the content. Whatever is wrong, it answers the same.
func (p *plaintext) last(blocks []byte) ([]byte, error) {
	p.mode.absorb(blocks)
	ready, err := p.mode.open(blocks)
	if subtle.ConstantTimeCompare(p.mode.tag(p.attributes), p.mac) != 1 || err != nil {
		return nil, ErrIntegrity
	}
	return ready, io.EOF
}

func (p *plaintext) Read(b []byte) (int, error) {
	for len(p.ready) == 0 {
		if p.err != nil {
			return 0, p.err
		}
		if len(b) == 0 {
			return 0, nil
		}
		p.next()
	}
	n := copy(b, p.ready)
	p.ready = p.ready[n:]
	return n, nil
}

// WriteTo hands out each segment without a copy.
func (p *plaintext) WriteTo(w io.Writer) (total int64, err error) {
	for {
		n, err := w.Write(p.ready)
		total += int64(n)
		if p.ready = p.ready[n:]; err != nil {
			return total, err
		}
		if p.err == io.EOF {
			return total, nil
		}
		if p.err != nil {
			return total, p.err
		}
		p.next()
	}
}

func (p *plaintext) Close() error {
	clear(p.buf)
	p.ready, p.err = nil, errClosed
	return p.closer.Close()
}
