// Package wire is the language between the agent and countersign-pkcs11, the
// program that loads one vendor's PKCS#11 library. PROTOCOL.md says it in prose.
//
// Two kinds of frame go over a pair of pipes: a [Request] from the agent, a
// [Reply] from the helper. [Write] sends one and wipes what it made, because a
// request may hold a PIN; [ReadRequest] and [ReadReply] take one. Everything has a
// bound, every enumeration is closed, and each value has exactly one form: what
// reads writes back as the same bytes, or is refused with [ErrMalformed]. Neither
// side trusts the other: the library may have written over the helper's memory, so
// a frame that is wrong in any way ends the helper.
//
// [Failure] is why an operation came to nothing. It tells apart what a person must
// be told apart: the PIN was wrong, the PIN is locked, the card is gone, the card
// can't do this, the card or its library is confused, the library hung or died.
//
// The room is pure: it reads and writes what it is given and touches nothing else.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Bounds of the language. What is larger is refused by either side.
const (
	MaxFrame   = 1 << 20  // bytes of a frame, without its length
	MaxData    = 64 << 10 // bytes to sign (Ed25519 takes the message itself), or of a result
	MaxResult  = 4 << 10  // bytes that a key operation may return
	MaxValue   = 16 << 10 // bytes of a certificate or of a part of a public key
	MaxID      = 256      // bytes of a CKA_ID
	MaxPIN     = 255      // bytes of a PIN
	MaxText    = 256      // bytes of a label or of a library's own words
	MaxPath    = 4 << 10  // bytes of a path or of a library's initialisation string
	MaxTokens  = 32
	MaxObjects = 256
	MaxPeriod  = 60_000 // milliseconds between two looks at the readers
	MaxBits    = 8192   // of an RSA key that is made
)

// ErrMalformed is what a frame is that breaks the language or its bounds.
var ErrMalformed = errors.New("pkcs11 wire: malformed")

// Write sends one frame, in one call of w.Write, and wipes its own copy.
// It fails with [ErrMalformed] and sends nothing if a bound is broken.
func Write(w io.Writer, m Message) error {
	c := walk{buf: make([]byte, 4, 512)}
	m.walk(&c)
	defer func() { clear(c.buf[:cap(c.buf)]) }()
	if len(c.buf)-4 > MaxFrame {
		c.refuse("a frame of %d bytes", len(c.buf)-4)
	}
	if c.err != nil {
		return c.err
	}
	binary.BigEndian.PutUint32(c.buf, uint32(len(c.buf)-4))
	if _, err := w.Write(c.buf); err != nil {
		return fmt.Errorf("writing a frame: %w", err)
	}
	return nil
}

// Message is a [*Request] or a [*Reply].
type Message interface{ walk(*walk) }

// ReadRequest takes one request. It fails with io.EOF where r ends before a frame,
// and with [ErrMalformed] for a frame that is none.
func ReadRequest(r io.Reader) (*Request, error) {
	m := new(Request)
	return m, read(r, m)
}

// ReadReply takes one reply. It fails like [ReadRequest].
func ReadReply(r io.Reader) (*Reply, error) {
	m := new(Reply)
	return m, read(r, m)
}

func read(r io.Reader, m Message) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > MaxFrame {
		return fmt.Errorf("%w: a frame of %d bytes", ErrMalformed, n)
	}
	c := walk{buf: make([]byte, n), reading: true}
	defer clear(c.buf)
	if _, err := io.ReadFull(r, c.buf); err != nil {
		return fmt.Errorf("%w: the frame breaks off", ErrMalformed)
	}
	m.walk(&c)
	if c.err == nil && c.at != len(c.buf) {
		c.refuse("%d bytes too many", len(c.buf)-c.at)
	}
	return c.err
}

// walk goes over the fields of a message, reading them or writing them: one
// description serves both, so the two cannot differ.
type walk struct {
	buf     []byte
	at      int // where reading stands
	reading bool
	err     error
}

func (c *walk) refuse(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
}

// take returns the next n bytes when reading.
func (c *walk) take(n int) []byte {
	if c.err != nil || n > len(c.buf)-c.at {
		c.refuse("a field breaks off")
		return nil
	}
	c.at += n
	return c.buf[c.at-n : c.at]
}

// grow makes room for n bytes when writing, and wipes what it leaves behind.
func (c *walk) grow(n int) {
	if len(c.buf)+n <= cap(c.buf) {
		return
	}
	more := make([]byte, len(c.buf), 2*cap(c.buf)+n)
	copy(more, c.buf)
	clear(c.buf)
	c.buf = more
}
