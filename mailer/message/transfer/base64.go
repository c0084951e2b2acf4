package transfer

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"github.com/emmansun/base64"
)

// NewBase64Reader decodes base64. Whole blocks of well-formed lines go through
// SIMD; everything else is decoded character by character.
func NewBase64Reader(r io.Reader) io.Reader { return &base64Reader{in: r, full: true} }

// DecodeBase64 decodes a short text.
func DecodeBase64(text string) []byte {
	var d base64Decoder
	return d.finish(d.loose(nil, []byte(text)))
}

// lines is how much is decoded at once: as many lines of the usual length as make whole
// blocks of every cipher, so that who decrypts them has nothing left over.
const lines = (columns + 2) * 832

// roomy is what a reader must have to have its content decoded right into it.
const roomy = 1 << 10

type base64Reader struct {
	in   io.Reader
	dec  base64Decoder
	raw  []byte // read buffer
	full bool   // raw was filled last time
	buf  []byte // decoded, for readers with less room
	out  []byte // what of buf is still to be given
	err  error
}

func (r *base64Reader) Read(p []byte) (int, error) {
	for len(r.out) == 0 && r.err == nil && len(p) > 0 {
		r.grow()
		if len(p) >= roomy {
			if n := len(r.next(p)); n > 0 {
				return n, nil
			}
			continue
		}
		r.out = r.next(r.room())
	}
	n := copy(p, r.out)
	if r.out = r.out[n:]; n == 0 {
		return 0, r.err
	}
	return n, nil
}

// WriteTo implements io.WriterTo: it hands on what is decoded without a copy.
func (r *base64Reader) WriteTo(w io.Writer) (total int64, err error) {
	for {
		n, err := w.Write(r.out)
		total += int64(n)
		if r.out = nil; err != nil {
			return total, err
		}
		if r.err == io.EOF {
			return total, nil
		}
		if r.err != nil {
			return total, r.err
		}
		r.grow()
		r.out = r.next(r.room())
	}
}

// grow makes room for more where the last reading filled what there was: most of
// what is opened is small, or soon closed.
func (r *base64Reader) grow() {
	if r.full && len(r.raw) < lines {
		room := min(4*max(len(r.raw), 1<<10), lines)
		if in, ok := r.in.(interface{ Len() int }); ok && in.Len() < 4*room {
			room = min(in.Len()+2, lines) // never filled, and never nothing
		}
		r.raw = make([]byte, room)
	}
}

// room is where to decode to for readers with less of it.
func (r *base64Reader) room() []byte {
	if len(r.buf) < len(r.raw) {
		r.buf = make([]byte, len(r.raw))
	}
	return r.buf
}

// next decodes what comes next into p, or sets err.
func (r *base64Reader) next(p []byte) []byte {
	var n int
	raw := r.raw[:min(len(r.raw), len(p))] // decoded it is shorter
	for n < len(raw)/2 && r.err == nil {
		var more int
		more, r.err = r.in.Read(raw[n:])
		n += more
	}
	r.full = n == len(r.raw)
	out := r.dec.decode(p[:0], raw[:n])
	if errors.Is(r.err, io.EOF) {
		out = r.dec.finish(out)
	}
	return out
}

// base64Decoder holds the group of four characters that is not yet complete.
type base64Decoder struct {
	group uint32
	count int // characters in group
}

// decode appends what src decodes to. It takes the line breaks out of src itself.
func (d *base64Decoder) decode(dst, src []byte) []byte {
	for d.count > 0 && len(src) > 0 {
		dst, src = d.loose(dst, src[:1]), src[1:]
	}
	src = stripBreaks(src)
	at, whole := len(dst), len(src)&^3
	dst = slices.Grow(dst, whole/4*3)[:at+whole/4*3]
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

// stripBreaks moves src together, over its line breaks. Lines of the usual length are
// taken whole; a break within them is left for loose to pass over.
func stripBreaks(src []byte) []byte {
	const usual = columns + 2
	for dst := src[:0]; ; {
		to := dst[len(dst):cap(dst)]
		n := 0
		for len(src) >= usual && src[columns] == '\r' && src[columns+1] == '\n' {
			copyLine((*[columns]byte)(to[n:]), (*[columns]byte)(src))
			n, src = n+columns, src[usual:]
		}
		dst = dst[:len(dst)+n]
		i := bytes.IndexByte(src, '\n')
		if i < 0 {
			return append(dst, bytes.TrimSuffix(src, []byte("\r"))...)
		}
		dst, src = append(dst, bytes.TrimSuffix(src[:i], []byte("\r"))...), src[i+1:]
	}
}

// copyLine copies without a call, in pieces that fit a register. Dst may begin before src
// and reach into it.
func copyLine(dst, src *[columns]byte) {
	copy(dst[:16], src[:16])
	copy(dst[16:32], src[16:32])
	copy(dst[32:48], src[32:48])
	copy(dst[48:64], src[48:64])
	copy(dst[64:], src[64:])
}

// Base64Size is how many bytes a Base64Writer makes of n.
func Base64Size(n int64) int64 {
	text := (n + 2) / 3 * 4
	return text + (text+columns-1)/columns*2
}

// block is how much is encoded at once: whole lines, few enough for the processor's
// nearest cache and for a short letter to need little room.
const block = columns / 4 * 3 * 32

// NewBase64Writer encodes what is written to it, in lines of 76 characters that
// end in CRLF. Close writes what remains; it does not close w.
func NewBase64Writer(w io.Writer) io.WriteCloser {
	to, _ := w.(interface{ AvailableBuffer() []byte })
	return &base64Writer{w: w, to: to}
}

type base64Writer struct {
	w   io.Writer
	to  interface{ AvailableBuffer() []byte } // w, if it says where it wants what is written; or nil
	raw []byte                                // not yet encoded, less than a block
	enc []byte                                // encoded, without line breaks
	out []byte                                // and with them
}

func (b *base64Writer) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		whole := p
		if len(b.raw) > 0 || len(p) < block {
			n := min(len(p), block-len(b.raw))
			b.raw, p, written = append(b.raw, p[:n]...), p[n:], written+n
			if whole = b.raw; len(whole) < block {
				break
			}
			b.raw = b.raw[:0]
		} else {
			whole, p, written = p[:block], p[block:], written+block
		}
		if err := b.encode(whole); err != nil {
			return written, err
		}
	}
	return written, nil
}

func (b *base64Writer) Close() error {
	if len(b.raw) == 0 {
		return nil
	}
	return b.encode(b.raw)
}

func (b *base64Writer) encode(raw []byte) error {
	b.enc = base64.StdEncoding.AppendEncode(b.enc[:0], raw)
	enc, out, n := b.enc, b.room(int(Base64Size(int64(len(raw))))), 0
	for ; len(enc) >= columns; enc = enc[columns:] {
		line := (*[columns + 2]byte)(out[n:])
		copyLine((*[columns]byte)(line[:]), (*[columns]byte)(enc))
		line[columns], line[columns+1] = '\r', '\n'
		n += len(line)
	}
	if len(enc) > 0 {
		n += copy(out[n:], enc)
		n += copy(out[n:], "\r\n")
	}
	_, err := b.w.Write(out[:n])
	return err
}

// room is where n octets of lines go.
func (b *base64Writer) room(n int) []byte {
	if b.to != nil {
		if out := b.to.AvailableBuffer(); cap(out) >= n {
			return out[:n]
		}
	}
	b.out = slices.Grow(b.out[:0], n)
	return b.out[:n]
}
