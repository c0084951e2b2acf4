package piv

import "slices"

// apdu is a command (ISO 7816-4, section 5).
type apdu struct {
	class, instruction, first, second byte
	data                              []byte
	expected                          int // bytes of the answer at most
}

// parse reads a command of short or extended length.
func parse(b []byte) (apdu, bool) {
	if len(b) < 4 {
		return apdu{}, false
	}
	a := apdu{class: b[0], instruction: b[1], first: b[2], second: b[3], expected: 256}
	b = b[4:]
	if len(b) == 0 {
		return a, true
	}
	if b[0] == 0 && len(b) >= 3 {
		n := int(b[1])<<8 | int(b[2])
		a.expected = 65536
		if len(b) == 3 { // nothing but the length of the answer
			return a, true
		}
		if len(b) != 3+n && len(b) != 5+n {
			return apdu{}, false
		}
		a.data = slices.Clone(b[3 : 3+n])
		return a, true
	}
	if n := int(b[0]); len(b) > 1 {
		if len(b) != 1+n && len(b) != 2+n {
			return apdu{}, false
		}
		a.data, b = slices.Clone(b[1:1+n]), b[1+n:]
	}
	if len(b) == 1 && b[0] != 0 {
		a.expected = int(b[0])
	}
	return a, true
}

// element is a tag of one byte, a length and a value (BER-TLV).
func element(tag byte, value []byte) []byte {
	n := len(value)
	head := []byte{tag, 0x82, byte(n >> 8), byte(n)}
	switch {
	case n < 0x80:
		head = []byte{tag, byte(n)}
	case n < 0x100:
		head = []byte{tag, 0x81, byte(n)}
	}
	return slices.Concat(head, value)
}

// next takes an element from the head of b.
func next(b []byte) (tag byte, value, rest []byte, ok bool) {
	if len(b) < 2 {
		return 0, nil, nil, false
	}
	tag = b[0]
	n, at := int(b[1]), 2
	switch {
	case n == 0x81 && len(b) > 2:
		n, at = int(b[2]), 3
	case n == 0x82 && len(b) > 3:
		n, at = int(b[2])<<8|int(b[3]), 4
	case n >= 0x80:
		return 0, nil, nil, false
	}
	if len(b) < at+n {
		return 0, nil, nil, false
	}
	return tag, b[at : at+n], b[at+n:], true
}
