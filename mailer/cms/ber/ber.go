// Package ber reads the Basic Encoding Rules of ASN.1 (ITU-T X.690) as a stream,
// and writes what little CMS needs of the Distinguished ones.
//
// Cryptographic messages come in every form that the rules allow: definite and
// indefinite lengths, strings whole and in pieces, the pieces nested, in any
// mixture. A Reader walks through one value from start to end without going back.
// Where it stands before a value, At tells its tag, and the value is then entered
// and left, taken whole as DER, streamed as octets, or skipped.
//
// Nothing is believed before it is there. A length is only a promise and costs
// nothing; memory is taken for values that are taken whole, out of one budget a
// Reader; depth is bounded. Reading cannot panic, and cannot loop without
// consuming input.
package ber

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// The errors of reading. Those of the input itself pass through as they are.
var (
	// ErrMalformed says that the input is not BER, is not what was asked for, or breaks off.
	ErrMalformed = errors.New("cms: malformed")
	// ErrLimit is what the errors about bounds are.
	ErrLimit = errors.New("cms: beyond a limit")
	// ErrTooDeep and ErrTooLarge are the bounds of a Reader.
	ErrTooDeep  = fmt.Errorf("%w: values nested more than %d deep", ErrLimit, MaxDepth)
	ErrTooLarge = fmt.Errorf("%w: too much around the content", ErrLimit)
)

// MaxDepth is how deep values may be nested.
const MaxDepth = 64

// A Tag is the identifier octet without its constructed bit. A number that does
// not fit into that octet stands above it, shifted by eight bits.
type Tag uint32

// The tags of CMS. [n] is Context + n.
const (
	Integer     Tag = 0x02
	OctetString Tag = 0x04
	utf8String  Tag = 0x0c
	Sequence    Tag = 0x10
	Set         Tag = 0x11
	firstString Tag = 0x12 // NumericString; all up to
	lastString  Tag = 0x1e // BMPString are strings, or times, which are strings too
	Context     Tag = 0x80
)

// Constructed is the bit of the identifier octet that a Tag lacks.
const Constructed = 0x20

// isString reports whether values of the tag may come in pieces that are joined
// by putting their octets together. (Those of a BIT STRING are not.)
func (t Tag) isString() bool {
	return t == OctetString || t == utf8String || t >= firstString && t <= lastString
}

// AppendHeader appends the identifier and length octets of a value. A negative
// length is indefinite.
func AppendHeader(dst []byte, t Tag, constructed bool, length int64) []byte {
	id := byte(t)
	if constructed {
		id |= Constructed
	}
	dst = append(dst, id)
	if number := t >> 8; number > 0 {
		for shift := 14; shift >= 0; shift -= 7 {
			septet := byte(number>>shift) & 0x7f
			switch {
			case shift == 0:
				dst = append(dst, septet)
			case number>>shift > 0:
				dst = append(dst, septet|0x80)
			}
		}
	}
	switch {
	case length < 0:
		return append(dst, 0x80)
	case length < 0x80:
		return append(dst, byte(length))
	}
	octets := 1
	for octets < 8 && length>>(8*octets) > 0 {
		octets++
	}
	dst = append(dst, 0x80|byte(octets))
	for octets--; octets >= 0; octets-- {
		dst = append(dst, byte(length>>(8*octets)))
	}
	return dst
}

// maxHeader is that of any value which is held in memory.
const maxHeader = 16

// Nest returns a constructed value of the parts.
func Nest(t Tag, parts ...[]byte) []byte {
	n := 0
	for _, part := range parts {
		n += len(part)
	}
	der := AppendHeader(make([]byte, 0, n+maxHeader), t, true, int64(n))
	for _, part := range parts {
		der = append(der, part...)
	}
	return der
}

// SortedSet returns the DER of a SET OF (X.690, section 11.6).
func SortedSet(elements [][]byte) []byte {
	elements = slices.Clone(elements)
	slices.SortFunc(elements, bytes.Compare)
	return Nest(Set, elements...)
}

// Contents returns the contents octets of a value as Reader.Value returns it.
func Contents(der []byte) []byte {
	at := 1
	if der[0]&0x1f == 0x1f {
		for der[at]&0x80 != 0 {
			at++
		}
		at++
	}
	if n := der[at]; n&0x80 != 0 {
		at += int(n & 0x7f)
	}
	return der[at+1:]
}
