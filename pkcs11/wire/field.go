package wire

import (
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf8"
)

// enum is a closed enumeration of one byte: first to last.
func enum[T ~uint8](c *walk, p *T, first, last T) {
	if c.reading {
		if b := c.take(1); b != nil {
			*p = T(b[0])
		}
	}
	if *p < first || *p > last {
		c.refuse("%d, where %d to %d is meant", *p, first, last)
	}
	if !c.reading {
		c.grow(1)
		c.buf = append(c.buf, byte(*p))
	}
}

func (c *walk) bool(p *bool) {
	var b uint8
	if *p {
		b = 1
	}
	enum(c, &b, 0, 1)
	*p = b == 1
}

func (c *walk) number(p *uint32, last uint32) {
	if c.reading {
		if b := c.take(4); b != nil {
			*p = binary.BigEndian.Uint32(b)
		}
	}
	if *p > last {
		c.refuse("%d, where at most %d is meant", *p, last)
	}
	if !c.reading {
		c.grow(4)
		c.buf = binary.BigEndian.AppendUint32(c.buf, *p)
	}
}

// bytes is a copy when reading: the frame is wiped.
func (c *walk) bytes(p *[]byte, limit int) {
	n := uint32(min(len(*p), limit+1))
	c.number(&n, uint32(limit))
	if c.err != nil {
		return
	}
	if !c.reading {
		c.grow(len(*p))
		c.buf = append(c.buf, *p...)
		return
	}
	if b := c.take(int(n)); len(b) > 0 {
		*p = append(make([]byte, 0, n), b...)
	}
}

func (c *walk) text(p *string, limit int) {
	b := []byte(*p)
	c.bytes(&b, limit)
	if !utf8.Valid(b) {
		c.refuse("a text is not UTF-8")
	}
	if c.reading {
		*p = string(b)
	}
}

// Short makes a text of someone else's fit for a message: printable, at most [MaxText] bytes.
func Short(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > MaxText {
		s = strings.ToValidUTF8(s[:MaxText], "")
	}
	return s
}

// list is a count and so many elements.
func list[T any](c *walk, p *[]T, limit int, each func(*T)) {
	n := uint32(min(len(*p), limit+1))
	c.number(&n, uint32(limit))
	if c.reading && c.err == nil && n > 0 {
		*p = make([]T, n)
	}
	for i := 0; i < len(*p) && c.err == nil; i++ {
		each(&(*p)[i])
	}
}
