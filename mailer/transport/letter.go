package transport

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
)

// letter is a message as the door saw it.
type letter struct {
	src    Source
	size   int64
	digest [sha256.Size]byte
}

// examine shows the message to the door and remembers what it was.
func (s Submitter) examine(src Source) (*letter, error) {
	r, err := src.Open()
	if err != nil {
		return nil, fail(Misused, err, "The message could not be read.")
	}
	defer r.Close()
	seen := &canonical{hash: sha256.New()}
	whole := io.TeeReader(r, seen)
	if err := s.Door(whole); err != nil {
		failure := fail(Misused, err, "The message was stopped before it left this computer: it is not protected as it must be.")
		failure.Permanent = true
		return nil, failure
	}
	if _, err := io.Copy(io.Discard, whole); err != nil {
		return nil, fail(Misused, err, "The message could not be read.")
	}
	if err := seen.end(); err != nil {
		failure := fail(Misused, err, "The message was stopped before it left this computer: it would not arrive as it is.")
		failure.Permanent = true
		return nil, failure
	}
	l := &letter{src: src, size: seen.size}
	seen.hash.Sum(l.digest[:0])
	return l, nil
}

// send writes the message, and fails unless it is what the door saw.
func (l *letter) send(w io.Writer) error {
	r, err := l.src.Open()
	if err != nil {
		return fail(Misused, err, "The message could not be read.")
	}
	defer r.Close()
	sent := sha256.New()
	source := &remembering{Reader: io.TeeReader(io.LimitReader(r, l.size+1), sent)}
	buffered := bufio.NewWriterSize(w, 64<<10)
	_, err = io.Copy(buffered, source)
	switch {
	case source.err != nil:
		return fail(Misused, source.err, "The message could not be read.")
	case err != nil:
		return err
	case [sha256.Size]byte(sent.Sum(nil)) != l.digest:
		failure := fail(Misused, nil, "The message changed while it was being sent, so it was broken off.")
		failure.Permanent = true
		return failure
	}
	return buffered.Flush()
}

// remembering keeps the error of its reader, to tell our side's failures from the
// line's.
type remembering struct {
	io.Reader
	err error
}

func (r *remembering) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// canonical hashes a message and finds what SMTP would not carry unchanged.
type canonical struct {
	hash hash.Hash
	size int64
	line int  // bytes of the running line
	last byte // the byte before
	err  error
}

func (c *canonical) Write(p []byte) (int, error) {
	c.hash.Write(p)
	c.size += int64(len(p))
	for _, b := range p {
		switch {
		case (b == '\n') != (c.last == '\r'):
			c.fault("a line that does not end with CRLF")
		case b == 0:
			c.fault("a NUL")
		case b == '\n':
			c.line = 0
		case b != '\r':
			if c.line++; c.line > 998 {
				c.fault("a line of more than 998 bytes")
			}
		}
		c.last = b
	}
	return len(p), nil
}

func (c *canonical) fault(what string) {
	if c.err == nil {
		c.err = errors.New("transport: the message has " + what)
	}
}

func (c *canonical) end() error {
	if c.last != '\n' {
		c.fault("no CRLF at its end")
	}
	return c.err
}
