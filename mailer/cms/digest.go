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

// marks are what the second pass knows a content by, a segment at a time, so that
// it gives out no octet that the first has not seen, wherever a reader stops. They
// are the tags of GCM over nothing but associated data: cheap, and under a key that
// is made for them and that nobody else ever has, as good as digests. They take a
// four-thousandth of the content's length.
type marks struct {
	by   cipher.AEAD
	tags [][markSize]byte
}

const markSize = 16

// of is the mark of the segment with that number.
func (m marks) of(number int, segment []byte) (tag [markSize]byte) {
	var nonce [12]byte
	binary.BigEndian.PutUint64(nonce[4:], uint64(number))
	m.by.Seal(tag[:0], nonce[:], nil, segment)
	return tag
}

type marking struct {
	marks
	rest []byte // of a segment
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
	for len(p) > 0 {
		if len(m.rest) == 0 && len(p) >= content.Segment {
			m.mark(p[:content.Segment])
			p = p[content.Segment:]
			continue
		}
		k := min(len(p), content.Segment-len(m.rest))
		m.rest, p = append(m.rest, p[:k]...), p[k:]
		if len(m.rest) == content.Segment {
			m.mark(m.rest)
			m.rest = m.rest[:0]
		}
	}
}

func (m *marking) mark(segment []byte) { m.tags = append(m.tags, m.of(len(m.tags), segment)) }

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
	done  int // segments
	buf   []byte
	ready []byte
	err   error
}

func (r *remarked) Read(p []byte) (int, error) {
	for len(r.ready) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		if len(p) == 0 {
			return 0, nil
		}
		r.next()
	}
	n := copy(p, r.ready)
	r.ready = r.ready[n:]
	return n, nil
}

func (r *remarked) next() {
	if r.buf == nil {
		r.buf = make([]byte, content.Segment)
	}
	n, err := io.ReadFull(r.ReadCloser, r.buf)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF // the marks tell whether it is the end
	}
	r.err = err
	if n > 0 && (err == nil || err == io.EOF) {
		if r.done == len(r.marks.tags) || r.marks.of(r.done, r.buf[:n]) != r.marks.tags[r.done] {
			r.err = errChanged
			return
		}
		r.ready, r.done = r.buf[:n], r.done+1
	}
	if err == io.EOF && r.done < len(r.marks.tags) {
		r.err = errChanged
	}
}

var errChanged = fmt.Errorf("%w: it changed while it was read", ErrIntegrity)
