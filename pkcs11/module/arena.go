package module

import (
	"runtime"
	"unsafe"
)

// slack is room behind each block, for a library that writes past its end.
const slack = 64

// arena is the memory of one call: it stays where it is until free, which wipes it.
type arena struct {
	pins   runtime.Pinner
	blocks [][]byte
}

// room is n bytes for the library to write to. n may be 0.
func (a *arena) room(n int) ([]byte, uintptr) {
	b := make([]byte, n+slack)
	a.pins.Pin(&b[0])
	a.blocks = append(a.blocks, b)
	return b[:n:n], uintptr(unsafe.Pointer(&b[0]))
}

// copied is a copy of b for the library to read.
func (a *arena) copied(b []byte) uintptr {
	room, at := a.room(len(b))
	copy(room, b)
	return at
}

func (a *arena) free() {
	for _, b := range a.blocks {
		clear(b)
	}
	a.pins.Unpin()
}
