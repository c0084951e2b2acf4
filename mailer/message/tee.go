package message

import (
	"bytes"
	"io"
)

// tee hands on the bytes of a part as they are read, less the line break at their
// end, which is the delimiter's if one follows.
type tee struct {
	w    io.Writer
	held []byte // a line break, or the half of one
	room [2]byte
}

func (t *tee) take(raw []byte) {
	if t.w == nil || len(raw) == 0 {
		return
	}
	if len(raw) == 1 && raw[0] == '\n' && string(t.held) == "\r" { // torn apart
		t.held = append(t.held, '\n')
		return
	}
	_, _ = t.w.Write(t.held)
	text := raw
	for _, end := range []string{"\n", "\r"} {
		text = bytes.TrimSuffix(text, []byte(end))
	}
	_, _ = t.w.Write(text)
	t.held = append(t.room[:0], raw[len(text):]...)
}

// end ends the part; its last line break is its own if nothing follows.
func (t *tee) end(whole bool) {
	if t.w != nil && whole {
		_, _ = t.w.Write(t.held)
	}
	*t = tee{}
}
