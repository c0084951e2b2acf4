package crl

import (
	"bytes"
	"crypto"
	"fmt"
	"hash"
	"io"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// window is how much of a list is in memory while it is read, and so the largest
// single thing in it, in bytes.
const window = 64 << 10

// stream reads DER elements one after the other and hashes what went by.
type stream struct {
	r        io.Reader
	buf      []byte
	pos, end int
	base     int64 // where buf begins in the whole
	ended    bool
	hashing  bool
	hashed   int // up to here buf was hashed
	hash     hash.Hash
	kept     *bytes.Buffer // instead of hash, the bytes themselves
}

func (s *stream) at() int64 { return s.base + int64(s.pos) }

// need has n bytes, or all that are left, in the window.
func (s *stream) need(n int) bool {
	if s.end-s.pos >= n {
		return true
	}
	from := s.pos
	if s.hashing {
		s.absorb()
		from = s.hashed
	}
	s.base += int64(from)
	s.end = copy(s.buf, s.buf[from:s.end])
	s.pos, s.hashed = s.pos-from, s.hashed-from
	for s.end-s.pos < n && s.end < len(s.buf) && !s.ended {
		got, err := s.r.Read(s.buf[s.end:])
		s.end += got
		s.ended = err != nil // cut short or broken off: either way it is not whole
	}
	return s.end-s.pos >= n
}

// absorb hashes what was read and not hashed yet. While no hash is chosen, the
// window keeps it.
func (s *stream) absorb() {
	switch {
	case s.kept != nil:
		s.kept.Write(s.buf[s.hashed:s.pos])
	case s.hash != nil:
		s.hash.Write(s.buf[s.hashed:s.pos])
	default:
		return
	}
	s.hashed = s.pos
}

// begin says that from here on all is signed.
func (s *stream) begin() { s.hashing, s.hashed = true, s.pos }

// choose says with what the signed part is hashed; 0 keeps it as it is.
func (s *stream) choose(h crypto.Hash) {
	if h == 0 {
		s.kept = new(bytes.Buffer)
	} else {
		s.hash = h.New()
	}
}

// digest ends hashing.
func (s *stream) digest() []byte {
	s.absorb()
	s.hashing = false
	if s.kept != nil {
		return s.kept.Bytes()
	}
	return s.hash.Sum(nil)
}

// header reads a tag and a length in its shortest form, and tells where the
// element ends.
func (s *stream) header(tag cbasn1.Tag) (end int64, err error) {
	size, head, ok := s.peek(tag)
	if !ok {
		return 0, fmt.Errorf("%w: a %d was to come", ErrCRL, tag)
	}
	s.pos += head
	return s.at() + size, nil
}

// peek reads the header of the element that comes next.
func (s *stream) peek(tag cbasn1.Tag) (size int64, head int, ok bool) {
	if !s.need(2) || cbasn1.Tag(s.buf[s.pos]) != tag {
		return 0, 0, false
	}
	first := s.buf[s.pos+1]
	if first < 0x80 {
		return int64(first), 2, true
	}
	n := int(first & 0x7f)
	if n < 1 || n > 4 || !s.need(2+n) {
		return 0, 0, false
	}
	for _, b := range s.buf[s.pos+2 : s.pos+2+n] {
		size = size<<8 | int64(b)
	}
	shortest := size >= 0x80 && size >= 1<<(8*(n-1))
	return size, 2 + n, shortest && size <= maxCRL
}

// next has a tag come next, before end?
func (s *stream) next(tag cbasn1.Tag, end int64) bool {
	return s.at() < end && s.need(1) && cbasn1.Tag(s.buf[s.pos]) == tag
}

// element reads a whole element, which must end by end. It is valid until the
// next call.
func (s *stream) element(tag cbasn1.Tag, end int64) (cryptobyte.String, error) {
	size, head, ok := s.peek(tag)
	if !ok || s.at()+int64(head)+size > end || size > window || !s.need(head+int(size)) {
		return nil, fmt.Errorf("%w: element with tag %d", ErrCRL, tag)
	}
	from := s.pos
	s.pos += head + int(size)
	return cryptobyte.String(s.buf[from:s.pos]), nil
}

// plainEntry reads the entry of a list that comes next if it has the shape of
// nearly all, lengths of one octet and a UTCTime: a third of the time that the
// general way takes. The parts are valid until the next call.
func (s *stream) plainEntry(end int64) (serial, date, extensions []byte, ok bool) {
	if !s.need(2) {
		return nil, nil, nil, false
	}
	size := int(s.buf[s.pos+1])
	if s.buf[s.pos] != 0x30 || size >= 0x80 || s.at()+2+int64(size) > end || !s.need(2+size) {
		return nil, nil, nil, false
	}
	body := s.buf[s.pos+2 : s.pos+2+size]
	if size < 3 || body[0] != 0x02 || int(body[1]) == 0 || int(body[1])+17 > size {
		return nil, nil, nil, false
	}
	serial, rest := body[2:2+body[1]], body[2+body[1]:]
	if rest[0] != 0x17 || rest[1] != 13 {
		return nil, nil, nil, false
	}
	s.pos += 2 + size
	return serial, rest[2:15], rest[15:], true
}
