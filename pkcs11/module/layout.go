package module

import (
	"encoding/binary"
	"strings"
)

// layout is how the library's structures lie in memory. Both systems of today are
// little-endian on every processor that we build for.
type layout struct {
	word    int  // bytes of a CK_ULONG
	pointer int  // bytes of a pointer
	packed  bool // structs without gaps
}

// number appends a CK_ULONG.
func (l layout) number(b []byte, n uintptr) []byte { return appendLittle(b, n, l.word) }

// address appends a pointer.
func (l layout) address(b []byte, p uintptr) []byte { return appendLittle(b, p, l.pointer) }

func appendLittle(b []byte, n uintptr, size int) []byte {
	return append(b, binary.LittleEndian.AppendUint64(nil, uint64(n))[:size]...)
}

// read is the CK_ULONG at the head of b.
func (l layout) read(b []byte) uintptr { return little(b[:l.word]) }

func little(b []byte) uintptr {
	var n uint64
	for i, x := range b {
		n |= uint64(x) << (8 * i)
	}
	return uintptr(n)
}

// unavailable is CK_UNAVAILABLE_INFORMATION, (CK_ULONG)-1.
func (l layout) unavailable() uintptr { return uintptr(uint64(1)<<(8*l.word-1)<<1 - 1) }

// triple is a CK_MECHANISM or a CK_ATTRIBUTE: a type, a pointer, a length. Words and
// pointers are of one width where structs have gaps, so there is none.
func (l layout) triple(kind, pointer, length uintptr) []byte {
	return l.number(l.address(l.number(nil, kind), pointer), length)
}

// arguments is CK_C_INITIALIZE_ARGS with CKF_OS_LOCKING_OK, and a word more: NSS
// reads its own pReserved behind the standard one.
func (l layout) arguments(reserved uintptr) []byte {
	b := make([]byte, 4*l.pointer)
	b = l.number(b, 2)
	if !l.packed {
		b = append(b, make([]byte, -len(b)&(l.pointer-1))...)
	}
	return append(l.address(b, reserved), make([]byte, l.pointer)...)
}

// function is the offset of entry i of CK_FUNCTION_LIST, behind a version of 2 bytes.
func (l layout) function(i int) int {
	if l.packed {
		return 2 + i*l.pointer
	}
	return l.pointer + i*l.pointer
}

// description is where CK_INFO holds libraryDescription, 32 bytes.
func (l layout) description() int {
	if l.packed {
		return 2 + 32 + l.word
	}
	return (2+32+l.word-1)&^(l.word-1) + l.word
}

// infoSize is room for each of CK_INFO, CK_SLOT_INFO and CK_TOKEN_INFO, with some to
// spare for a library that writes more than it should.
const infoSize = 512

// CK_SLOT_INFO and CK_TOKEN_INFO begin with 96 bytes of text; flags follow in both.
const flagsAt = 96

// words is a text of fixed width, padded with blanks; some libraries pad with zeros.
func words(b []byte) string {
	return strings.ToValidUTF8(strings.TrimRight(string(b), " \x00"), "\uFFFD")
}
