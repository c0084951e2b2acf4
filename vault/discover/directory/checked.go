package directory

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
)

const (
	maxElements = 4000 // of one message
	maxDepth    = 12
)

var errMessage = errors.New("directory: the answer is ill-formed or too large")

// checked is a connection that lets whole messages through, once they are known
// to be within bounds: the library reads any shape, and makes hundreds of octets
// of each element.
type checked struct {
	net.Conn
	left int    // octets that may still come
	next []byte // of a message that is in order
	err  error
}

func (c *checked) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if len(c.next) == 0 {
		if c.next, c.err = readMessage(c.Conn, c.left); c.err != nil {
			return 0, c.err
		}
		c.left -= len(c.next)
	}
	n := copy(p, c.next)
	c.next = c.next[n:]
	return n, nil
}

// readMessage reads one LDAPMessage of at most limit octets, header and all (RFC
// 4511, section 5.1: definite lengths only).
func readMessage(r io.Reader, limit int) ([]byte, error) {
	head := make([]byte, 2, 6)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	if more := int(head[1]) - 0x80; more > 0 {
		if more > 4 {
			return nil, fmt.Errorf("%w: a length of %d octets", errMessage, more)
		}
		head = head[:2+more]
		if _, err := io.ReadFull(r, head[2:]); err != nil {
			return nil, err
		}
	}
	tag, size, header, ok := element(head)
	switch {
	case !ok || tag != 0x30:
		return nil, fmt.Errorf("%w: it does not begin as one", errMessage)
	case size > limit-header:
		return nil, fmt.Errorf("%w: %d octets", errMessage, size)
	}
	whole := bytes.NewBuffer(head)
	if _, err := io.CopyN(whole, r, int64(size)); err != nil {
		return nil, err
	}
	elements := 0
	if !shapely(whole.Bytes(), 0, &elements) {
		return nil, errMessage
	}
	return whole.Bytes(), nil
}

// element reads the header of an element: its tag of one octet, and its length in
// definite form, which may be longer than need be.
func element(b []byte) (tag byte, size, header int, ok bool) {
	if len(b) < 2 || b[0]&0x1f == 0x1f {
		return 0, 0, 0, false
	}
	if b[1] < 0x80 {
		return b[0], int(b[1]), 2, true
	}
	more := int(b[1]) - 0x80
	if more == 0 || more > 4 || len(b) < 2+more {
		return 0, 0, 0, false
	}
	var n uint64
	for _, o := range b[2 : 2+more] {
		n = n<<8 | uint64(o)
	}
	if n > 1<<30 {
		return 0, 0, 0, false
	}
	return b[0], int(n), 2 + more, true
}

// shapely says that elements lie in each other within bounds, and counts them.
func shapely(b []byte, depth int, elements *int) bool {
	for len(b) > 0 {
		tag, size, header, ok := element(b)
		*elements++
		if !ok || size > len(b)-header || depth > maxDepth || *elements > maxElements {
			return false
		}
		if tag&0x20 != 0 && !shapely(b[header:header+size], depth+1, elements) {
			return false
		}
		b = b[header+size:]
	}
	return true
}
