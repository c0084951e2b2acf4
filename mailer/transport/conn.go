package transport

import (
	"bytes"
	"io"
	"net"
	"sync"
	"time"
)

// The libraries bound neither how long a server may stay silent nor how much
// it may say, and their own deadlines are wrong for a large message on a slow
// line. A conn does both and ignores theirs.
//
// Time: while an answer is owed, the server has an allowance of waiting. Waiting
// uses it up; each byte received gives back 1/minRate of a second, up to the
// full allowance. So a large transfer may take hours, but neither silence nor a
// trickle holds a connection. The caller's own slowness costs the server nothing.
//
// Bytes: a budget, set with each command, of what may be said in answer to it.
//
// Brackets: the IMAP library descends into nested lists without a bound, and a
// stack that overflows ends the process. So the opening brackets of an answer are
// counted, those in a message that was asked for excepted.
const (
	minRate     = 256  // bytes a second
	maxBrackets = 8000 // above 4,096, the part of a message that may be read ahead of allow
)

// conn is an established TLS connection. Reads come from one goroutine, writes
// from one other, expect and allow from any.
type conn struct {
	net.Conn

	mu       sync.Mutex
	greeting []byte        // said before anything that is read: see secure
	patience time.Duration // the full allowance; 0 waits for ever
	left     time.Duration // what is left of it
	budget   int64         // bytes that may still come
	literal  int64         // of them, bytes of a message
	brackets int           // opened since the answer began
	since    time.Time     // when the running Read began to use up the allowance
	next     error         // to fail with when what came before it has been read
	failed   error         // the first failure of the line
}

// expect begins a new answer: at most patience of silence (0: for ever) and
// budget bytes. It also counts for a Read that is waiting already.
func (c *conn) expect(patience time.Duration, budget int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.patience, c.left, c.since = patience, patience, time.Now()
	c.budget, c.literal, c.brackets = budget, 0, 0
	c.arm()
}

// allow adds a message of n bytes to the running answer.
func (c *conn) allow(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.budget += n
	c.literal += n
	c.brackets = 0
}

func (c *conn) arm() {
	deadline := time.Time{}
	if c.patience > 0 {
		deadline = c.since.Add(c.left)
	}
	c.Conn.SetReadDeadline(deadline)
}

// Read reads what the server says, within the allowance and the budget. After the
// first failure there are no others.
//
// Within a message that was asked for a failure is not returned but made up for
// with zeros until the message's end: the IMAP library's goroutine would read on
// beside the one that drains the message. Whoever takes the message asks for the
// cause after each read (see [exactly]).
func (c *conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.greeting) > 0 {
		n := copy(p, c.greeting)
		c.greeting = c.greeting[n:]
		return n, nil
	}
	if c.budget <= 0 {
		c.next = errFlood
	}
	if c.fail(c.next); c.failed != nil {
		return c.pad(p)
	}
	if int64(len(p)) > c.budget {
		p = p[:c.budget]
	}
	c.since = time.Now()
	c.arm()
	c.mu.Unlock()
	n, err := c.Conn.Read(p)
	c.mu.Lock()

	c.budget -= int64(n)
	earned := time.Duration(n) * time.Second / minRate
	c.left = min(c.patience, c.left-time.Since(c.since)+earned)
	message := min(int64(n), c.literal)
	c.literal -= message
	c.next = err
	if c.brackets += bytes.Count(p[message:n], []byte("(")); c.brackets > maxBrackets {
		n, c.next = 0, errFlood
	}
	if n > 0 {
		return n, nil
	}
	c.fail(c.next)
	return c.pad(p)
}

func (c *conn) pad(p []byte) (int, error) {
	n := int(min(int64(len(p)), c.literal))
	if n == 0 {
		return 0, c.failed
	}
	clear(p[:n])
	c.literal -= int64(n)
	return n, nil
}

func (c *conn) fail(err error) {
	if c.failed == nil {
		c.failed = err
	}
}

// cause returns the first failure of the line, if there was one.
func (c *conn) cause() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

// Write sends p; the server has the allowance to take it.
func (c *conn) Write(p []byte) (int, error) {
	// In pieces: the deadline is for a piece, so that the size of a write does not
	// decide whether it is in time.
	const piece = 16 << 10
	total := 0
	for {
		c.mu.Lock()
		patience := or(c.patience, defaultIMAPReply)
		c.mu.Unlock()
		c.Conn.SetWriteDeadline(time.Now().Add(patience))
		n, err := c.Conn.Write(p[:min(len(p), piece)])
		total += n
		if p = p[n:]; err != nil || len(p) == 0 {
			c.mu.Lock()
			c.fail(err)
			c.mu.Unlock()
			return total, err
		}
	}
}

// SetDeadline, SetReadDeadline and SetWriteDeadline do nothing: see above.
func (c *conn) SetDeadline(time.Time) error      { return nil }
func (c *conn) SetReadDeadline(time.Time) error  { return nil }
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// cut closes the line without a farewell, so that nothing half said is taken
// for finished.
func (c *conn) cut() {
	if t, ok := c.Conn.(interface{ NetConn() net.Conn }); ok {
		t.NetConn().Close()
		return
	}
	c.Conn.Close()
}

// exactly reads a message of left bytes from the library, and nothing that did not
// come over the line. The library takes a connection that closes within a message
// for the message's end.
type exactly struct {
	r    io.Reader
	line *conn
	left int64
}

func (e *exactly) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	switch cause := e.line.cause(); {
	case cause == io.EOF:
		return 0, io.ErrUnexpectedEOF
	case cause != nil:
		return 0, cause
	case err == io.EOF && e.left > 0:
		return n, io.ErrUnexpectedEOF
	case err == io.EOF:
		return n, nil
	}
	return n, err
}
