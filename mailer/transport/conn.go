package transport

import (
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
const minRate = 256 // bytes a second

// conn is an established TLS connection. Reads come from one goroutine, writes
// from one other, everything else from any.
type conn struct {
	net.Conn

	mu       sync.Mutex
	greeting []byte        // said before anything that is read: see secure
	patience time.Duration // the full allowance; 0 waits for ever
	left     time.Duration // what is left of it
	budget   int64         // bytes that may still come
	messages int           // and, beside them, messages
	since    time.Time     // when the running Read began to use up the allowance
}

// expect begins a new answer: at most patience of silence (0: for ever) and
// budget bytes. It also counts for a Read that is waiting already.
func (c *conn) expect(patience time.Duration, budget int64) { c.expectMessages(patience, budget, 0) }

// expectMessages is expect where up to n messages may come beside the budget.
func (c *conn) expectMessages(patience time.Duration, budget int64, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.patience, c.left, c.since = patience, patience, time.Now()
	c.budget, c.messages = budget, n
	c.arm()
}

// admit adds a message of size bytes to what may come, if one is expected.
func (c *conn) admit(size int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.messages == 0 {
		return false
	}
	c.messages--
	c.budget += size
	return true
}

func (c *conn) arm() {
	deadline := time.Time{}
	if c.patience > 0 {
		deadline = c.since.Add(c.left)
	}
	c.Conn.SetReadDeadline(deadline)
}

// Read reads what the server says, within the allowance and the budget.
func (c *conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.greeting) > 0 {
		n := copy(p, c.greeting)
		c.greeting = c.greeting[n:]
		return n, nil
	}
	if c.budget <= 0 {
		return 0, errFlood
	}
	p = p[:min(int64(len(p)), c.budget)]
	c.since = time.Now()
	c.arm()
	c.mu.Unlock()
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	c.budget -= int64(n)
	earned := time.Duration(n) * time.Second / minRate
	c.left = min(c.patience, c.left-time.Since(c.since)+earned)
	return n, err
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
