package cms

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"hash"
	"io"

	"countersign/mailer/cms/content"
)

// A Digest takes in the content that a signature stands apart from, while something
// else reads it. The first pass needs no reading of its own then.
type Digest struct{ *summing }

// NewDigest returns a Digest for signatures that use one of the hashes, as far as is
// known beforehand; none stands for SHA-256.
func NewDigest(hashes ...crypto.Hash) Digest { return Digest{newSumming(hashes)} }

// ReadSigned is ReadSigned for a content that has been written to d whole. It is
// read again only if the signature turns out to use another hash.
func (d Digest) ReadSigned(src, content Source) (*Signed, error) {
	return readSigned(&Signed{src: src, content: content, sums: d.sums()})
}

// sums are digests of one content, its first octets, and its marks.
type sums struct {
	of    map[crypto.Hash][]byte
	start []byte
	marks marks
}

// summing makes sums of what is written to it.
type summing struct {
	running map[crypto.Hash]hash.Hash
	start   []byte
	marking marking
}

// newSumming computes at least one digest.
func newSumming(wanted []crypto.Hash) *summing {
	s := &summing{running: map[crypto.Hash]hash.Hash{}, marking: newMarking()}
	if len(wanted) == 0 {
		wanted = []crypto.Hash{crypto.SHA256}
	}
	for _, h := range wanted {
		s.running[h] = h.New()
	}
	return s
}

// Write never fails.
func (s *summing) Write(p []byte) (int, error) {
	for _, d := range s.running {
		d.Write(p)
	}
	if len(s.start) < 64 {
		s.start = append(s.start, p[:min(len(p), 64-len(s.start))]...)
	}
	s.marking.write(p)
	return len(p), nil
}

func (s *summing) sums() sums {
	all := sums{of: map[crypto.Hash][]byte{}, start: s.start, marks: s.marking.finish()}
	for h, d := range s.running {
		all.of[h] = d.Sum(nil)
	}
	return all
}

// sum reads a content to its end.
func sum(from io.Reader, wanted []crypto.Hash) (sums, error) {
	s := newSumming(wanted)
	buf := make([]byte, content.Segment)
	for {
		n, err := from.Read(buf)
		s.Write(buf[:n])
		if err == io.EOF {
			return s.sums(), nil
		}
		if err != nil {
			return sums{}, err
		}
	}
}

// marks are what the second pass knows a content by, a piece at a time, so that
// it gives out no octet that the first has not seen, wherever a reader stops. They
// are the tags of GCM over nothing but associated data: cheap, and under a key that
// is made for them and that nobody else ever has, as good as digests. They take at
// most a hundredth of the content's length, and mostly a two-thousandth.
type marks struct {
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
func (m *marks) tag(number int, octets []byte) (tag [16]byte) {
	var nonce [12]byte
	binary.BigEndian.PutUint64(nonce[4:], uint64(number))
	m.by.Seal(tag[:0], nonce[:], nil, octets)
	return tag
}

func (m *marks) longest() (octets int) {
	for _, p := range m.pieces {
		octets = max(octets, p.octets)
	}
	return octets
}

type marking struct {
	marks
	rest []byte // too little for a piece
}

func newMarking() marking {
	var key [16]byte
	_, _ = rand.Read(key[:]) // cannot fail
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // the key has a length of AES
	}
	by, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // AES has the block of GCM
	}
	return marking{marks: marks{by: by}}
}

func (m *marking) write(p []byte) {
	if len(m.rest) > 0 || len(p) < leastPiece {
		k := min(len(p), leastPiece-len(m.rest))
		m.rest, p = append(m.rest, p[:k]...), p[k:]
		if len(m.rest) < leastPiece {
			return
		}
		m.mark(m.rest)
		m.rest = m.rest[:0]
	}
	for ; len(p) >= leastPiece; p = p[min(len(p), content.Segment):] {
		m.mark(p[:min(len(p), content.Segment)])
	}
	m.rest = append(m.rest, p...)
}

func (m *marking) mark(octets []byte) {
	m.pieces = append(m.pieces, piece{len(octets), m.tag(len(m.pieces), octets)})
}

func (m *marking) finish() marks {
	if len(m.rest) > 0 {
		m.mark(m.rest)
	}
	return m.marks
}

// remarked gives out what bears the marks.
type remarked struct {
	io.ReadCloser
	marks marks
	done  int // pieces
	buf   []byte
	ready []byte
	err   error
}

func (r *remarked) Read(p []byte) (int, error) {
	if len(r.ready) == 0 && r.err == nil && len(p) >= content.Segment {
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
