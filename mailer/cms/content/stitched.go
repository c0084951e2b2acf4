package content

import (
	"crypto/cipher"
	"encoding/binary"
)

// stitched is GCM for sending, by the standard library's own: it encrypts and hashes in one
// pass, which costs less than one after the other. It takes no counter to begin with, but nonces of
// 16 octets, whose first counter block (SP 800-38D, section 7.1) is
//
//	J0 = (nonce·H + lengths)·H
//
// so the nonce of a segment is what gives the counter at which the last one ended:
//
//	nonce = (J0·H⁻¹ + lengths)·H⁻¹
//
// The tags of segments are not those of messages: none is given away, they join as gcm tells.
type stitched struct {
	*gcm
	block   cipher.Block
	whole   cipher.AEAD // with nonces of 16 octets
	counter [gcmTag]byte
	square  element // H⁻²; zero before it is needed
	fixed   element // lengths·H⁻¹
}

func startStitched(g *gcm, block cipher.Block, counter [gcmTag]byte) (mode, error) {
	whole, err := cipher.NewGCMWithNonceSize(block, gcmTag)
	if err != nil {
		return nil, err
	}
	return &stitched{gcm: g, block: block, whole: whole, counter: counter}, nil
}

// crypt leaves it to absorb, which is given all of it by the segment: so any octets are whole
// blocks, and nothing is left to seal.
func (s *stitched) blockSize() int            { return 1 }
func (s *stitched) crypt(dst, src []byte)     { copy(dst, src) }
func (s *stitched) seal(dst, _ []byte) []byte { return dst }

// absorb encrypts a segment in place and takes it in.
func (s *stitched) absorb(segment []byte) {
	if s.square == (element{}) && (len(segment) < Segment || s.h == element{}) { // too short to make up for H⁻¹
		s.XORKeyStream(segment, segment)
		s.gcm.absorb(segment)
		return
	}
	if s.square == (element{}) {
		inverse := s.h.inverse()
		s.square = inverse.times(inverse)
		s.fixed = element{low: gcmTag * 8}.times(inverse)
	}
	var nonce, mask [gcmTag]byte
	copy(nonce[:], elementOf(s.counter[:]).times(s.square).plus(s.fixed).bytes())
	s.block.Encrypt(mask[:], s.counter[:])
	tag := s.whole.Seal(segment[:0], nonce[:], segment, nil)[len(segment):]
	lengths := element{low: uint64(len(segment)) * 8}
	s.join(len(segment), elementOf(tag).plus(elementOf(mask[:])).plus(lengths.times(s.h)))
	count := binary.BigEndian.Uint32(s.counter[12:]) + uint32(len(segment)/gcmTag)
	binary.BigEndian.PutUint32(s.counter[12:], count)
}

// inverse is x^(2^128-2).
func (x element) inverse() element {
	z := x
	for range 126 {
		z = z.times(z).times(x)
	}
	return z.times(z)
}
