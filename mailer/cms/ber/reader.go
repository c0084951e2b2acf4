package ber

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// A header is what precedes a value. At the end of the innermost open value
// there is none: end is set.
type header struct {
	tag         Tag
	constructed bool
	indefinite  bool
	length      int64
	end         bool
}

type frame struct {
	end        int64 // the position it may not read past
	indefinite bool  // ends by end-of-contents octets before that
}

// A Reader walks through one value.
type Reader struct {
	in     *bufio.Reader
	pos    int64
	budget int // octets that may yet be held
	frames []frame
	head   header // of the next value, once peeked
	peeked bool
}

// valueCost is what a value held costs beside its contents, as memory and as time.
const valueCost = 8

// NewReader returns a Reader of the value that in begins with. The values
// that it returns whole are held octets together at most.
func NewReader(in io.Reader, held int) *Reader {
	return &Reader{
		in:     bufio.NewReaderSize(in, 1<<10),
		budget: held,
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
func (r *Reader) octet() (byte, error) {
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
func (r *Reader) peek() (header, error) {
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

func (r *Reader) header() (h header, err error) {
	b, err := r.octet()
	if err != nil {
		return h, err
	}
	h.tag, h.constructed = Tag(b&^Constructed), b&Constructed != 0
	if b&0x1f == 0x1f { // X.690, 8.1.2.4: the number follows, seven bits an octet
		var n Tag
		for more := true; more; {
			if b, err = r.octet(); err != nil {
				return h, err
			}
			n = n<<7 | Tag(b&0x7f)
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

func (r *Reader) longLength(octets int) (n int64, err error) {
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

// At reports whether there is a next value within the one entered last and it
// carries the tag.
func (r *Reader) At(t Tag) (bool, error) {
	h, err := r.peek()
	return err == nil && !h.end && h.tag == t, err
}

// open goes into the next value, which must be constructed.
func (r *Reader) open(h header) error {
	if !h.constructed || h.end {
		return malformed("a primitive value where a constructed one belongs")
	}
	if len(r.frames) > MaxDepth {
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

// Enter goes into the next value, which must be constructed and carry the tag.
// What names it in errors.
func (r *Reader) Enter(t Tag, what string) error {
	ok, err := r.At(t)
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

// Leave comes out of the value entered last, which must have been read to its end.
func (r *Reader) Leave() error {
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

// Skip passes over the next value, however large.
func (r *Reader) Skip() error {
	depth := len(r.frames)
	for {
		h, err := r.peek()
		switch {
		case err != nil:
			return err
		case h.end && len(r.frames) == depth:
			return malformed("a value is missing")
		case h.end:
			err = r.Leave()
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

// Small returns the next value whole and as it is, if it says that it has at most so many
// octets, which do not count as held. Any other is passed over, and nil is returned.
func (r *Reader) Small(octets int64, what string) ([]byte, error) {
	h, err := r.peek()
	if err == nil && (h.end || h.indefinite || h.length > octets) {
		return nil, r.Skip()
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, err)
	}
	der := AppendHeader(nil, h.tag, h.constructed, h.length)
	n := len(der)
	der = append(der, make([]byte, h.length)...)
	if _, err := io.ReadFull(r.in, der[n:]); err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, damaged(err))
	}
	r.pos += h.length
	r.peeked = false
	return der, nil
}

// Finish passes over what is left of all values entered. The value that the
// Reader was made for is complete, then.
func (r *Reader) Finish() error {
	for len(r.frames) > 1 {
		h, err := r.peek()
		if err == nil && h.end {
			err = r.Leave()
		} else if err == nil {
			err = r.Skip()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *Reader) discard(n int64) error {
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

// Each enters the next value and gives each value within it to f, whole as DER.
// More than most values are answered by the error tooMany.
func (r *Reader) Each(t Tag, what string, most int, tooMany error, f func(der []byte) error) error {
	if err := r.Enter(t, what); err != nil {
		return err
	}
	for n := 0; ; n++ {
		h, err := r.peek()
		if err != nil {
			return fmt.Errorf("reading %s: %w", what, err)
		}
		if h.end {
			return r.Leave()
		}
		if n == most {
			return tooMany
		}
		der, err := r.Value(what)
		if err != nil {
			return err
		}
		if err := f(der); err != nil {
			return err
		}
	}
}

// Value returns the next value whole. What is DER stays as it is; other
// lengths become definite, and strings in pieces are joined.
func (r *Reader) Value(what string) ([]byte, error) {
	b, err := r.appendValue(make([]byte, 0, 64))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, err)
	}
	return b, nil
}

// appendValue appends the next value.
func (r *Reader) appendValue(dst []byte) ([]byte, error) {
	h, err := r.peek()
	if err != nil {
		return nil, err
	}
	if h.end {
		return nil, malformed("a value is missing")
	}
	if h.constructed {
		return r.appendConstructed(dst, h)
	}
	if err := r.spend(h.length); err != nil {
		return nil, err
	}
	dst = AppendHeader(dst, h.tag, false, h.length)
	n := len(dst)
	dst = append(dst, make([]byte, h.length)...)
	if _, err := io.ReadFull(r.in, dst[n:]); err != nil {
		return nil, damaged(err)
	}
	r.pos += h.length
	r.peeked = false
	return dst, nil
}

func (r *Reader) appendConstructed(dst []byte, h header) ([]byte, error) {
	if err := r.spend(0); err != nil {
		return nil, err
	}
	if err := r.open(h); err != nil {
		return nil, err
	}
	start := len(dst)
	header := func(length int64) []byte { return AppendHeader(dst[:start], h.tag, !h.tag.isString(), length) }
	dst = header(max(h.length, 0)) // which is right if all is DER
	begin := len(dst)
	for {
		next, err := r.peek()
		if err != nil {
			return nil, err
		}
		if next.end {
			break
		}
		at := len(dst)
		if dst, err = r.appendValue(dst); err != nil {
			return nil, err
		}
		if h.tag.isString() {
			if next.tag != h.tag {
				return nil, malformed("a string with pieces of another kind")
			}
			dst = append(dst[:at], Contents(dst[at:])...)
		}
	}
	if err := r.Leave(); err != nil {
		return nil, err
	}
	if n := len(dst) - begin; int64(n) != h.length {
		body := slices.Clone(dst[begin:])
		dst = append(header(int64(n)), body...)
	}
	return dst, nil
}

func (r *Reader) spend(octets int64) error {
	if octets+valueCost > int64(r.budget) {
		return ErrTooLarge
	}
	r.budget -= int(octets) + valueCost
	return nil
}
