package message

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/emmansun/base64"
)

const decodeBuffer = 32 << 10

// base64Reader decodes base64 as a stream. Whole blocks of well-formed lines go
// through SIMD; everything else is decoded character by character.
type base64Reader struct {
	in  io.Reader
	dec base64Decoder
	raw []byte // read buffer
	buf []byte // decoded
	out []byte // what of buf is still to be given
	err error
}

func newBase64Reader(r io.Reader) *base64Reader {
	return &base64Reader{in: r, raw: make([]byte, decodeBuffer), buf: make([]byte, 0, decodeBuffer)}
}

func (r *base64Reader) Read(p []byte) (int, error) {
	for len(r.out) == 0 && r.err == nil {
		var n int
		n, r.err = r.in.Read(r.raw)
		r.out = r.dec.decode(r.buf[:0], r.raw[:n])
		if errors.Is(r.err, io.EOF) {
			r.out = r.dec.finish(r.out)
		}
	}
	if len(r.out) == 0 {
		return 0, r.err
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

// base64Decoder holds the group of four characters that is not yet complete.
type base64Decoder struct {
	group   uint32
	count   int    // characters in group
	scratch []byte // a block without its line breaks
}

// decode appends what src decodes to.
func (d *base64Decoder) decode(dst, src []byte) []byte {
	for d.count > 0 && len(src) > 0 {
		dst, src = d.loose(dst, src[:1]), src[1:]
	}
	d.scratch = stripBreaks(d.scratch[:0], src)
	src = d.scratch
	at, whole := len(dst), len(src)&^3
	dst = append(dst, make([]byte, whole/4*3)...)
	n, err := base64.StdEncoding.Decode(dst[at:], src[:whole])
	if err != nil {
		return d.loose(dst[:at], src)
	}
	return d.loose(dst[:at+n], src[whole:])
}

// loose decodes character by character. Padding ends a group, and what follows
// begins another, because some programs join encoded pieces.
func (d *base64Decoder) loose(dst, src []byte) []byte {
	for _, c := range src {
		v := sextet(c)
		if c == '=' {
			dst = d.finish(dst)
		}
		if v < 0 {
			continue
		}
		d.group = d.group<<6 | uint32(v)
		if d.count++; d.count == 4 {
			dst = append(dst, byte(d.group>>16), byte(d.group>>8), byte(d.group))
			d.group, d.count = 0, 0
		}
	}
	return dst
}

// finish appends the bytes of an incomplete group.
func (d *base64Decoder) finish(dst []byte) []byte {
	switch d.count {
	case 2:
		dst = append(dst, byte(d.group>>4))
	case 3:
		dst = append(dst, byte(d.group>>10), byte(d.group>>2))
	}
	d.group, d.count = 0, 0
	return dst
}

func sextet(c byte) int {
	switch {
	case 'A' <= c && c <= 'Z':
		return int(c - 'A')
	case 'a' <= c && c <= 'z':
		return int(c-'a') + 26
	case '0' <= c && c <= '9':
		return int(c-'0') + 52
	case c == '+':
		return 62
	case c == '/':
		return 63
	}
	return -1
}

// stripBreaks appends src without its line breaks.
func stripBreaks(dst, src []byte) []byte {
	for len(src) > 0 {
		i := bytes.IndexByte(src, '\n')
		if i < 0 {
			return append(dst, bytes.TrimSuffix(src, []byte("\r"))...)
		}
		dst = append(dst, bytes.TrimSuffix(src[:i], []byte("\r"))...)
		src = src[i+1:]
	}
	return dst
}

// quotedReader decodes quoted-printable as a stream (RFC 2045, section 6.7).
// What is no escape stays as it is.
type quotedReader struct {
	in  *bufio.Reader
	buf []byte
	out []byte
	err error
}

func newQuotedReader(r io.Reader) *quotedReader {
	return &quotedReader{in: bufio.NewReaderSize(r, decodeBuffer)}
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
	raw, err := r.in.Peek(r.in.Size())
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
	r.buf = decodeQuotedLine(r.buf[:0], text, raw[len(text):taken], brk > 0 || err != nil)
	r.out = r.buf
	r.in.Discard(taken)
}

// decodeQuotedLine appends a decoded line. Blanks before its end were added on
// the way; an equals sign there takes the line break away.
func decodeQuotedLine(dst, text, brk []byte, whole bool) []byte {
	if whole {
		text = bytes.TrimRight(text, " \t")
		if soft, ok := bytes.CutSuffix(text, []byte("=")); ok {
			text, brk = soft, nil
		}
	}
	return append(appendHexDecoded(dst, string(text), '='), brk...)
}
