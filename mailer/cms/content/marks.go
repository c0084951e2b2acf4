package content

import (
	stdaes "crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
)

// Marks are what a second reading knows a content by, a piece at a time, so that
// it gives out no octet that the first has not seen, wherever a reader stops. They
// are the tags of GCM over nothing but associated data: cheap, and under a key that
// is made for them and that nobody else ever has, as good as digests. They take at
// most a hundredth of the content's length, and mostly a two-thousandth.
type Marks struct {
	by     cipher.AEAD
	pieces []piece
}

type piece struct {
	octets int
	tag    [16]byte
}

// leastPiece is less than what most writes bring, so that nothing is moved for it.
const leastPiece = 4 << 10

// tag is that of a piece by its number.
func (m *Marks) tag(number int, octets []byte) (tag [16]byte) {
	var nonce [12]byte
	binary.BigEndian.PutUint64(nonce[4:], uint64(number))
	m.by.Seal(tag[:0], nonce[:], nil, octets)
	return tag
}

func (m *Marks) longest() (octets int) {
	for _, p := range m.pieces {
		octets = max(octets, p.octets)
	}
	return octets
}

// Marking makes Marks of what is written to it.
type Marking struct {
	Marks
	rest []byte // too little for a piece
}

// NewMarking begins with a key of its own.
func NewMarking() Marking {
	var key [16]byte
	_, _ = rand.Read(key[:]) // cannot fail
	block, err := stdaes.NewCipher(key[:])
	if err != nil {
		panic(err) // the key has a length of AES
	}
	by, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // AES has the block of GCM
	}
	return Marking{Marks{by: by}, nil}
}

// Write takes p in.
func (m *Marking) Write(p []byte) {
	if len(m.rest) > 0 || len(p) < leastPiece {
		if m.rest == nil {
			m.rest = make([]byte, 0, leastPiece)
		}
		k := min(len(p), leastPiece-len(m.rest))
		m.rest, p = append(m.rest, p[:k]...), p[k:]
		if len(m.rest) < leastPiece {
			return
		}
		m.mark(m.rest)
		m.rest = m.rest[:0]
	}
	for ; len(p) >= leastPiece; p = p[min(len(p), Segment):] {
		m.mark(p[:min(len(p), Segment)])
	}
	m.rest = append(m.rest, p...)
}

func (m *Marking) mark(octets []byte) {
	m.pieces = append(m.pieces, piece{len(octets), m.tag(len(m.pieces), octets)})
}

// Finish returns the marks of all that was written.
func (m *Marking) Finish() Marks {
	if len(m.rest) > 0 {
		m.mark(m.rest)
	}
	return m.Marks
}

// Open gives out what bears the marks, and ErrIntegrity instead of anything else.
func (m Marks) Open(r io.ReadCloser) io.ReadCloser { return &remarked{ReadCloser: r, marks: m} }

// remarked gives out what bears the marks.
type remarked struct {
	io.ReadCloser
	marks Marks
	done  int // pieces
	buf   []byte
	ready []byte
	err   error
}

func (r *remarked) Read(p []byte) (int, error) {
	if len(r.ready) == 0 && r.err == nil && len(p) >= Segment {
		return r.next(p)
	}
	for len(r.ready) == 0 && r.err == nil && len(p) > 0 {
		if r.buf == nil {
			r.buf = make([]byte, r.marks.longest())
		}
		n, err := r.next(r.buf)
		r.ready, r.err = r.buf[:n], err
	}
	n := copy(p, r.ready)
	if r.ready = r.ready[n:]; n == 0 {
		return 0, r.err
	}
	return n, nil
}

// next reads the next piece into p, or finds that there is none.
func (r *remarked) next(p []byte) (int, error) {
	if r.done == len(r.marks.pieces) {
		n, err := r.ReadCloser.Read(make([]byte, 1))
		if n > 0 {
			err = errChanged
		}
		return 0, err
	}
	want := r.marks.pieces[r.done]
	n, err := io.ReadFull(r.ReadCloser, p[:want.octets])
	switch {
	case err == io.EOF, err == io.ErrUnexpectedEOF, err == nil && r.marks.tag(r.done, p[:n]) != want.tag:
		return 0, errChanged
	case err != nil:
		return 0, err
	}
	r.done++
	return n, nil
}

var errChanged = fmt.Errorf("%w: it changed while it was read", ErrIntegrity)
