package content

import (
	stdaes "crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"io"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"countersign/mailer/cms/algorithm"
)

// gcm is AES-GCM (NIST SP 800-38D) over a stream, made of the standard library's
// parts: its CTR mode for the content, and for the tag its GCM, which seals
// nothing and authenticates a segment of ciphertext at a time. Such a tag is
//
//	tag = (GHASH(segment) + lengths)·H + mask
//
// in GF(2^128), with a mask that is always the same. That gives GHASH(segment)·H, and
// the products of segments join to that of the whole content by
//
//	GHASH(a b)·H = GHASH(a)·H · H^(blocks of b) + GHASH(b)·H
//
// which costs two multiplications a segment, of 64 KB at most. Attributes, which come
// first in GHASH and last in the message, are joined in at the end.
type gcm struct {
	cipher.Stream
	hash    cipher.AEAD
	h       element // H
	segment int     // octets of the segment last taken in: mostly all are of one length
	shift   element // H^(blocks of it)
	mask    element
	seed    element // what hides the tag of the content: the encrypted J0
	product element // GHASH(ciphertext so far)·H
	octets  uint64  // of it
	size    int     // of the tag
	zero    [gcmNonce]byte
	scratch [gcmTag]byte
}

const (
	gcmNonce   = 12   // octets, as written (RFC 5084, section 3.2)
	gcmLongest = 1024 // octets of a nonce that is read
	gcmTag     = 16
	gcmMost    = 1<<36 - 32 // SP 800-38D, section 5.2.1.1
)

func startGCM(key, params []byte, encrypts bool) (mode, error) {
	var nonce []byte
	var size int
	s := cryptobyte.String(params)
	var seq cryptobyte.String
	if !s.ReadASN1(&seq, cbasn1.SEQUENCE) || !s.Empty() || !seq.ReadASN1Bytes(&nonce, cbasn1.OCTET_STRING) {
		return nil, malformed("no GCM parameters")
	}
	if size = 12; !seq.Empty() && !seq.ReadASN1Integer(&size) || !seq.Empty() {
		return nil, malformed("no GCM parameters")
	}
	if len(nonce) == 0 || len(nonce) > gcmLongest || size < 12 || size > gcmTag {
		return nil, fmt.Errorf("%w: GCM with a nonce of %d octets and a tag of %d", algorithm.ErrUnsupported, len(nonce), size)
	}
	block, err := stdaes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	hash, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	encrypt := func(b [gcmTag]byte) element {
		block.Encrypt(b[:], b[:])
		return elementOf(b[:])
	}
	counter := [gcmTag]byte{gcmTag - 1: 1}
	g := &gcm{hash: hash, size: size, h: encrypt([gcmTag]byte{}), mask: encrypt(counter)}
	if len(nonce) == gcmNonce {
		copy(counter[:], nonce)
	} else { // SP 800-38D, section 7.1
		lengths := element{low: uint64(len(nonce)) * 8}
		copy(counter[:], g.hashed(nonce).plus(lengths.times(g.h)).bytes())
	}
	g.seed = encrypt(counter)
	g.Stream = newCounting(block, counter)
	if encrypts {
		return startStitched(g, block, counter)
	}
	return g, nil
}

func newGCM(rand io.Reader) ([]byte, error) {
	nonce := make([]byte, gcmNonce)
	if _, err := io.ReadFull(rand, nonce); err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1OctetString(nonce)
		b.AddASN1Int64(gcmTag)
	})
	return b.Bytes()
}

func (g *gcm) blockSize() int        { return gcmTag }
func (g *gcm) crypt(dst, src []byte) { g.XORKeyStream(dst, src) }

// seal is left to stitched.
func (g *gcm) seal(dst, _ []byte) []byte { return dst }

func (g *gcm) open(last []byte) ([]byte, error) {
	g.XORKeyStream(last, last)
	return last, nil
}

func (g *gcm) absorb(ciphertext []byte) { g.join(len(ciphertext), g.hashed(ciphertext)) }

// join takes in the product of n more octets.
func (g *gcm) join(n int, product element) {
	if n != g.segment {
		g.segment, g.shift = n, g.h.power(blocks(uint64(n)))
	}
	g.product = g.product.times(g.shift).plus(product)
	g.octets += uint64(n)
}

// hashed returns GHASH(data)·H.
func (g *gcm) hashed(data []byte) element {
	tag := g.hash.Seal(g.scratch[:0], g.zero[:], nil, data)
	lengths := element{high: uint64(len(data)) * 8}
	return elementOf(tag).plus(g.mask).plus(lengths.times(g.h))
}

func (g *gcm) tag(attributes []byte) ([]byte, error) {
	whole := g.hashed(attributes).times(g.h.power(blocks(g.octets))).plus(g.product)
	lengths := element{high: uint64(len(attributes)) * 8, low: g.octets * 8}
	return whole.plus(lengths.times(g.h)).plus(g.seed).bytes()[:g.size], nil
}

func blocks(octets uint64) uint64 { return (octets + gcmTag - 1) / gcmTag }

// An element of GF(2^128) as GCM writes it: the first bit is the coefficient of x^0.
type element struct{ high, low uint64 }

func elementOf(b []byte) element {
	return element{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

func (x element) bytes() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, x.high), x.low)
}

func (x element) plus(y element) element { return element{x.high ^ y.high, x.low ^ y.low} }

// times multiplies in constant time (SP 800-38D, section 6.3).
func (x element) times(y element) (z element) {
	for _, word := range [2]uint64{x.high, x.low} {
		for bit := 63; bit >= 0; bit-- {
			take := -(word >> bit & 1)
			z.high ^= y.high & take
			z.low ^= y.low & take
			carry := -(y.low & 1)
			y.low = y.low>>1 | y.high<<63
			y.high = y.high>>1 ^ carry&(0xe1<<56)
		}
	}
	return z
}

// power returns x^n; n is no secret.
func (x element) power(n uint64) element {
	z := element{high: 1 << 63}
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			z = z.times(x)
		}
		x = x.times(x)
	}
	return z
}
