package transfer

import (
	"bufio"
	"bytes"
	"io"
	"strings"
)

// NewQuotedReader decodes quoted-printable.
func NewQuotedReader(r io.Reader) io.Reader {
	return &quotedReader{in: bufio.NewReaderSize(r, buffer)}
}

type quotedReader struct {
	in  *bufio.Reader
	buf []byte
	out []byte
	err error
}

func (r *quotedReader) Read(p []byte) (int, error) {
	for len(r.out) == 0 && r.err == nil {
		r.fill()
	}
	if len(r.out) == 0 {
		return 0, r.err
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

// fill decodes one line. Of a line longer than the buffer it decodes a piece
// that ends before any escape that might be torn.
func (r *quotedReader) fill() {
	raw, err := r.in.Peek(r.in.Buffered())
	if bytes.IndexByte(raw, '\n') < 0 {
		raw, err = r.in.Peek(r.in.Size())
	}
	if len(raw) == 0 {
		r.err = err
		return
	}
	text, brk := raw, 0
	switch i := bytes.IndexByte(raw, '\n'); {
	case i > 0 && raw[i-1] == '\r':
		text, brk = raw[:i-1], 2
	case i >= 0:
		text, brk = raw[:i], 1
	case err == nil:
		text = raw[:len(raw)-3]
		if i := bytes.LastIndexByte(raw, '='); i >= len(text)-3 && i > 0 {
			text = raw[:i]
		}
	}
	taken := len(text) + brk
	r.buf = decodeLine(r.buf[:0], text, raw[len(text):taken], brk > 0 || err != nil)
	r.out = r.buf
	_, _ = r.in.Discard(taken) // it has been peeked at
}

// decodeLine appends a decoded line. Blanks before its end were added on the
// way; an equals sign there takes the line break away.
func decodeLine(dst, text, brk []byte, whole bool) []byte {
	if whole {
		text = bytes.TrimRight(text, " \t")
		if soft, ok := bytes.CutSuffix(text, []byte("=")); ok {
			text, brk = soft, nil
		}
	}
	return append(Unescape(dst, string(text), '='), brk...)
}

// Quote is text, whose lines end in LF, as quoted-printable. Blanks at the end of a
// line and "From " at its start are quoted as well, because programs on the way
// change them (RFC 8551, section 3.1.4).
func Quote(text string) []byte {
	var dst []byte
	for i, line := range strings.Split(text, "\n") {
		if i > 0 {
			dst = append(dst, "\r\n"...)
		}
		dst = quoteLine(dst, line)
	}
	return dst
}

func quoteLine(dst []byte, line string) []byte {
	column := 0
	for i := range len(line) {
		c, last := line[i], i == len(line)-1
		plain := c > ' ' && c <= '~' && c != '=' || (c == ' ' || c == '\t') && !last
		if i == 0 && strings.HasPrefix(line, "From ") {
			plain = false
		}
		size, room := 1, columns
		if !plain {
			size = 3
		}
		if !last {
			room-- // for the equals sign of a soft line break
		}
		if column+size > room {
			dst, column = append(dst, "=\r\n"...), 0
		}
		if column += size; plain {
			dst = append(dst, c)
		} else {
			dst = Escape(dst, c, '=')
		}
	}
	return dst
}
