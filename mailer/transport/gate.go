package transport

import (
	"bufio"
	"errors"
	"io"
	"regexp"
	"strconv"
	"sync"
)

// gate stands between a server and the IMAP library and lets through only answers
// that we ask for, in the form that RFC 9051 gives them. The library descends into
// nested lists until the stack overflows, runs in circles on a bracket among the
// capabilities, holds strings of any size in memory, and takes an answer that it does
// not know for the end of the connection; a mail server, or whoever speaks for it, must
// not have such means. What RFC 9051, section 7, tells a client to be prepared for
// and we have no use for is left out.
type gate struct {
	*conn
	in     *bufio.Reader
	out    []byte // of a line let through
	size   int64  // bytes of a message that are still to come
	within bool   // a FETCH answer goes on after its message
	drop   bool   // a line left out goes on after a literal
	limit  int64  // of a message

	mu     sync.Mutex
	failed error
}

// gateLine is the longest line let through.
const gateLine = 16 << 10

func newGate(c *conn, limit int64) *gate {
	return &gate{conn: c, in: bufio.NewReaderSize(c, gateLine), limit: limit}
}

const (
	flagList = `\([^(){"\r\n]*\)`
	fetched  = `(UID [0-9]+|FLAGS ` + flagList + `|RFC822\.SIZE [0-9]+|MODSEQ \([0-9]+\)|BODY\[\] (NIL|"([^"\\\r\n]|\\["\\])*"))`
	opening  = `(BODY\[\] \{([0-9]{1,19})\})`
	lineEnd  = ` ?\r?\n$`
)

var (
	// A status answer, ours or untagged, and what asks us to go on.
	statusLine = pattern(`(?i)^((\*|T[0-9]+) (OK|NO|BAD|BYE|PREAUTH)|\+)( .*)?\r?\n$`)
	oddStatus  = pattern(`(?i)\[CAPABILITY[^\]]*[({]`)
	dataLine   = pattern(`(?i)^\* (CAPABILITY( +[^(){%*"\\\s]+)*|FLAGS ` + flagList + `|[0-9]+ (EXISTS|RECENT|EXPUNGE))` + lineEnd)
	fetchLine  = pattern(`(?i)^\* [0-9]+ FETCH \(` + fetched + `( ` + fetched + `)*\)` + lineEnd)
	fetchOpen  = pattern(`(?i)^\* [0-9]+ FETCH \((` + fetched + ` )*` + opening + `\r?\n$`)
	fetchRest  = pattern(`(?i)^( ` + fetched + `)*\)` + lineEnd)
	untagged   = pattern(`^\* `)
	literalEnd = pattern(`\{([0-9]{1,19})\}\r?\n$`)

	errDialect = errors.New("transport: an answer that is none")
)

// pattern is compiled when it is wanted, and not whenever a program starts.
func pattern(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}

// Read gives the library what may pass. After the first failure there are no others.
//
// Within a message a failure is not returned but made up for with zeros until the
// message's end: at an error the library's goroutine would read on beside whoever
// drains the message. Who takes a message asks for the cause after each read.
func (g *gate) Read(p []byte) (int, error) {
	for g.cause() == nil {
		if len(g.out) > 0 {
			n := copy(p, g.out)
			g.out = g.out[n:]
			return n, nil
		}
		if g.size > 0 {
			n, err := g.in.Read(p[:min(int64(len(p)), g.size)])
			g.size -= int64(n)
			if n > 0 {
				return n, nil
			}
			g.fail(err)
			break
		}
		if err := g.line(); err != nil {
			g.fail(err)
		}
	}
	if g.size == 0 {
		return 0, g.cause()
	}
	n := int(min(int64(len(p)), g.size))
	clear(p[:n])
	g.size -= int64(n)
	return n, nil
}

// line reads one line and decides about it.
func (g *gate) line() error {
	line, err := g.in.ReadSlice('\n')
	switch {
	case err == bufio.ErrBufferFull:
		return errFlood
	case err != nil:
		return err
	case g.within:
		g.within = false
		if !fetchRest().Match(line) {
			return errDialect
		}
		g.out = line
		return nil
	case !g.drop && statusLine().Match(line):
		if oddStatus().Match(line) {
			return errDialect
		}
		g.out = line
		return nil
	case !g.drop && (dataLine().Match(line) || fetchLine().Match(line)):
		g.out = line
		return nil
	}
	if m := fetchOpen().FindSubmatch(line); m != nil && !g.drop {
		return g.open(line, m[len(m)-1])
	}
	if !g.drop && !untagged().Match(line) {
		return errDialect
	}
	g.drop = false
	if m := literalEnd().FindSubmatch(line); m != nil {
		size, err := strconv.ParseInt(string(m[1]), 10, 64)
		if err != nil {
			return errDialect
		}
		if _, err := io.CopyN(io.Discard, g.in, size); err != nil {
			return err
		}
		g.drop = true
	}
	return nil
}

// open lets the beginning of a message through. One that is too large is not
// admitted: its size can be told, its bytes are beyond the budget.
func (g *gate) open(line, digits []byte) error {
	size, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil {
		return errDialect
	}
	if size <= g.limit {
		if !g.admit(size) {
			return errFlood
		}
		g.size = size
	}
	g.out, g.within = line, true
	return nil
}

func (g *gate) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed == nil {
		g.failed = err
	}
}

// cause returns the first failure of the line, if there was one.
func (g *gate) cause() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failed
}

// exactly reads a message of left bytes from the library, and nothing that did not
// come over the line. The library takes a connection that closes within a message
// for the message's end.
type exactly struct {
	r    io.Reader
	gate *gate
	left int64
}

func (e *exactly) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	switch cause := e.gate.cause(); {
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
