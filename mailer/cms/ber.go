package cms

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
)

// This file reads the Basic Encoding Rules (ITU-T X.690) as a stream: definite
// and indefinite lengths, primitive and constructed strings, in any mixture.
// Nothing is believed before it is there: a length is only a promise, and memory
// is taken for small values only, out of one budget a message.

// Bounds of one message. Content is never held, so it has none.
const (
	maxDepth  = 64      // values inside one another
	maxHeader = 1 << 20 // bytes held of everything but content and CRLs
)

// A tag is the identifier octet without its constructed bit. Where the number
// does not fit into that octet it stands above it, shifted by eight bits.
type tag uint32

const (
	tagBoolean     tag = 0x01
	tagInteger     tag = 0x02
	tagBitString   tag = 0x03
	tagOctetString tag = 0x04
	tagOID         tag = 0x06
	tagSequence    tag = 0x10
	tagSet         tag = 0x11
	tagContext     tag = 0x80 // [0]; [n] is tagContext + n
)

const constructed = 0x20

// A header is what precedes a value. At the end of the innermost open value
// there is none: end is set.
type header struct {
	tag         tag
	constructed bool
	indefinite  bool
	length      int64
	end         bool
}

type frame struct {
	end        int64 // the position it may not read past
	indefinite bool  // ends by end-of-contents octets before that
}

// A reader walks through one BER value: peek, then enter and leave, or take the
// value whole (value), or stream it (octets), or pass over it (skip).
type reader struct {
	in     *bufio.Reader
	pos    int64
	budget int
	frames []frame
	head   header
	peeked bool
}

func newReader(r io.Reader) *reader {
	return &reader{
		in:     bufio.NewReaderSize(r, 8<<10),
		budget: maxHeader,
		frames: []frame{{end: math.MaxInt64}},
	}
}

// damaged turns the end of the input into ErrMalformed and leaves the
// troubles of the source itself as they are.
func damaged(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends too early", ErrMalformed)
	}
	return err
}

func malformed(what string) error { return fmt.Errorf("%w: %s", ErrMalformed, what) }

// octet reads one octet of a header.
func (r *reader) octet() (byte, error) {
	if r.pos >= r.frames[len(r.frames)-1].end {
		return 0, malformed("a value overruns the one around it")
	}
	b, err := r.in.ReadByte()
	if err != nil {
		return 0, damaged(err)
	}
	r.pos++
	return b, nil
}

// peek returns the header of the next value in the innermost open one.
func (r *reader) peek() (header, error) {
	if r.peeked {
		return r.head, nil
	}
	f := r.frames[len(r.frames)-1]
	h := header{end: true}
	if f.indefinite || r.pos != f.end {
		var err error
		if h, err = r.header(); err != nil {
			return header{}, err
		}
		if h.tag == 0 && !h.constructed {
			if h.length != 0 || !f.indefinite {
				return header{}, malformed("stray end-of-contents octets")
			}
			h = header{end: true}
		}
	}
	r.head, r.peeked = h, true
	return h, nil
}

func (r *reader) header() (h header, err error) {
	b, err := r.octet()
	if err != nil {
		return h, err
	}
	h.tag, h.constructed = tag(b&^constructed), b&constructed != 0
	if b&0x1f == 0x1f { // X.690, 8.1.2.4: the number follows, seven bits an octet
		var n tag
		for more := true; more; {
			if b, err = r.octet(); err != nil {
				return h, err
			}
			n = n<<7 | tag(b&0x7f)
			more = b&0x80 != 0
			if n == 0 || n >= 1<<21 {
				return h, malformed("an impossible tag")
			}
		}
		h.tag |= n << 8
	}
	if b, err = r.octet(); err != nil {
		return h, err
	}
	h.length = int64(b)
	if b&0x80 != 0 {
		if h.length, err = r.longLength(int(b & 0x7f)); err != nil {
			return h, err
		}
		h.indefinite = b == 0x80
	}
	if h.indefinite && !h.constructed {
		return h, malformed("a primitive value of indefinite length")
	}
	if h.length > r.frames[len(r.frames)-1].end-r.pos {
		return h, malformed("a value overruns the one around it")
	}
	return h, nil
}

func (r *reader) longLength(octets int) (n int64, err error) {
	for range octets {
		b, err := r.octet()
		if err != nil {
			return 0, err
		}
		if n > math.MaxInt64>>8 {
			return 0, malformed("an impossible length")
		}
		n = n<<8 | int64(b)
	}
	return n, nil
}

// is reports whether the next value carries the tag.
func (r *reader) is(t tag) (bool, error) {
	h, err := r.peek()
	return err == nil && !h.end && h.tag == t, err
}

// open goes into the next value, which must be constructed.
func (r *reader) open(h header) error {
	if !h.constructed || h.end {
		return malformed("a primitive value where a constructed one belongs")
	}
	if len(r.frames) > maxDepth {
		return ErrTooDeep
	}
	f := frame{end: r.frames[len(r.frames)-1].end, indefinite: h.indefinite}
	if !h.indefinite {
		f.end = r.pos + h.length
	}
	r.frames = append(r.frames, f)
	r.peeked = false
	return nil
}

// enter goes into the next value, which must be constructed and carry the tag.
func (r *reader) enter(t tag, what string) error {
	ok, err := r.is(t)
	if err != nil {
		return fmt.Errorf("reading %s: %w", what, err)
	}
	if !ok {
		return malformed("no " + what)
	}
	if err := r.open(r.head); err != nil {
		return fmt.Errorf("reading %s: %w", what, err)
	}
	return nil
}

// leave comes out of the innermost open value, which must have been read to its end.
func (r *reader) leave() error {
	h, err := r.peek()
	if err != nil {
		return err
	}
	if !h.end {
		return malformed("a value too many")
	}
	r.frames = r.frames[:len(r.frames)-1]
	r.peeked = false
	return nil
}

// skip passes over the next value, however large.
func (r *reader) skip() error {
	depth := len(r.frames)
	for {
		h, err := r.peek()
		switch {
		case err != nil:
			return err
		case h.end && len(r.frames) == depth:
			return malformed("a value is missing")
		case h.end:
			err = r.leave()
		case h.indefinite:
			err = r.open(h)
		default:
			err = r.discard(h.length)
		}
		if err != nil {
			return err
		}
		if len(r.frames) == depth {
			return nil
		}
	}
}

func (r *reader) discard(n int64) error {
	for n > 0 {
		k, err := r.in.Discard(int(min(n, 1<<30)))
		n, r.pos = n-int64(k), r.pos+int64(k)
		if err != nil {
			return damaged(err)
		}
	}
	r.peeked = false
	return nil
}

// value returns the next value whole, re-encoded by the Distinguished Encoding
// Rules as far as lengths and strings go (what is DER already stays as it is).
func (r *reader) value(what string) ([]byte, error) {
	b, err := r.appendValue(nil)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, err)
	}
	return b, nil
}

func (r *reader) appendValue(dst []byte) ([]byte, error) {
	h, err := r.peek()
	if err != nil {
		return nil, err
	}
	if h.end {
		return nil, malformed("a value is missing")
	}
	if !h.constructed {
		if r.budget -= int(min(h.length, maxHeader)) + 8; r.budget < 0 {
			return nil, ErrTooLarge
		}
		dst = appendHeader(dst, h.tag, false, h.length)
		n := len(dst)
		dst = append(dst, make([]byte, h.length)...)
		if _, err := io.ReadFull(r.in, dst[n:]); err != nil {
			return nil, damaged(err)
		}
		r.pos += h.length
		r.peeked = false
		return dst, nil
	}
	if r.budget -= 8; r.budget < 0 {
		return nil, ErrTooLarge
	}
	if err := r.open(h); err != nil {
		return nil, err
	}
	var body []byte
	for {
		next, err := r.peek()
		if err != nil {
			return nil, err
		}
		if next.end {
			break
		}
		at := len(body)
		if body, err = r.appendValue(body); err != nil {
			return nil, err
		}
		if isString(h.tag) { // join the pieces: keep their contents only
			if next.tag != h.tag {
				return nil, malformed("a string in pieces of another kind")
			}
			_, length := splitHeader(body[at:])
			body = append(body[:at], body[len(body)-length:]...)
		}
	}
	if err := r.leave(); err != nil {
		return nil, err
	}
	dst = appendHeader(dst, h.tag, !isString(h.tag), int64(len(body)))
	return append(dst, body...), nil
}

// isString reports whether values of the tag may come in pieces that are joined
// by putting their octets together. (Those of a BIT STRING are not.)
func isString(t tag) bool {
	return t == tagOctetString || t == 0x0c || t >= 0x12 && t <= 0x1e
}

// splitHeader returns the lengths of header and contents of a DER value made by appendValue.
func splitHeader(der []byte) (header, contents int) {
	header = 2
	if der[0]&0x1f == 0x1f {
		for ; der[header-1]&0x80 != 0; header++ {
		}
		header++
	}
	contents = int(der[header-1])
	if contents&0x80 != 0 {
		n := contents & 0x7f
		contents = 0
		for _, b := range der[header : header+n] {
			contents = contents<<8 | int(b)
		}
		header += n
	}
	return header, contents
}

// appendHeader appends identifier and length octets; a negative length is indefinite.
func appendHeader(dst []byte, t tag, isConstructed bool, length int64) []byte {
	id := byte(t)
	if isConstructed {
		id |= constructed
	}
	dst = append(dst, id)
	if n := t >> 8; n > 0 {
		for shift := 14; shift >= 0; shift -= 7 {
			if n>>shift > 0 {
				more := byte(0x80)
				if shift == 0 {
					more = 0
				}
				dst = append(dst, byte(n>>shift)&0x7f|more)
			}
		}
	}
	switch {
	case length < 0:
		return append(dst, 0x80)
	case length < 0x80:
		return append(dst, byte(length))
	}
	octets := 1
	for length>>(8*octets) > 0 && octets < 8 {
		octets++
	}
	dst = append(dst, 0x80|byte(octets))
	for octets--; octets >= 0; octets-- {
		dst = append(dst, byte(length>>(8*octets)))
	}
	return dst
}

// octets returns the contents of the next value, an OCTET STRING under the
// given tag, as a stream. After its io.EOF the reader stands behind the value.
func (r *reader) octets(t tag, what string) (*octets, error) {
	ok, err := r.is(t)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, err)
	}
	if !ok {
		return nil, malformed("no " + what)
	}
	o := &octets{r: r, depth: len(r.frames)}
	return o, o.begin(r.head)
}

// octets joins the pieces of a constructed OCTET STRING, which may be nested.
type octets struct {
	r     *reader
	depth int   // of frames when the string has been left
	left  int64 // in this piece
	err   error
}

func (o *octets) begin(h header) error {
	if h.constructed {
		return o.r.open(h)
	}
	o.left, o.r.peeked = h.length, false
	return nil
}

func (o *octets) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, o.err
	}
	for o.left == 0 && o.err == nil {
		o.err = o.piece()
	}
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.r.in.Read(p[:min(int64(len(p)), o.left)])
	o.left -= int64(n)
	o.r.pos += int64(n)
	if err != nil {
		o.err = damaged(err)
	}
	return n, o.err
}

// piece finds the next piece that may have octets, or io.EOF.
func (o *octets) piece() error {
	if len(o.r.frames) == o.depth {
		return io.EOF
	}
	h, err := o.r.peek()
	switch {
	case err != nil:
		return err
	case h.end:
		return o.r.leave()
	case h.tag != tagOctetString:
		return malformed("something other than octets in the content")
	}
	return o.begin(h)
}
