package ber

import (
	"fmt"
	"io"
	"math"
)

// Octets returns the contents of the next value, an OCTET STRING under the
// given tag, as a stream of any length. After its io.EOF, and not before, the
// Reader stands behind the value and can go on.
func (r *Reader) Octets(t Tag, what string) (io.Reader, error) {
	ok, err := r.At(t)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, err)
	}
	if !ok {
		return nil, malformed("no " + what)
	}
	o := &octets{r: r, depth: len(r.frames)}
	return o, o.begin(r.head)
}

// octets joins the pieces of a string, which may be nested.
type octets struct {
	r     *Reader
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

// Len is how many octets are left at most.
func (o *octets) Len() int {
	if len(o.r.frames) != o.depth {
		return math.MaxInt
	}
	return int(min(o.left, math.MaxInt))
}

func (o *octets) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
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
		return o.r.Leave()
	case h.tag != OctetString:
		return malformed("something other than octets in the content")
	}
	return o.begin(h)
}
