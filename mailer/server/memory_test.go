package server

import (
	"errors"
	"strings"
	"testing"
)

// TestMemoryIsBounded: what does not fit is refused whole, and what goes makes room.
func TestMemoryIsBounded(t *testing.T) {
	m := NewMemory()
	m.Add("a@x.example", "p")
	m.Add("b@x.example", "p")
	both := []string{"a@x.example", "b@x.example", "A@x.example"}
	if err := m.Deliver("c@x.example", both, strings.NewReader("12345")); err != nil {
		t.Fatal(err)
	}
	if m.messages != 2 || m.bytes != 5 {
		t.Errorf("%d messages, %d bytes", m.messages, m.bytes)
	}
	if err := m.Deliver("c@x.example", []string{"a@x.example", "nobody@x.example"}, strings.NewReader("x")); !errors.Is(err, ErrGone) || m.messages != 2 {
		t.Errorf("to somebody unknown: %v, %d messages", err, m.messages)
	}
	m.bytes += memoryBytes - 1000
	if err := m.Deliver("c@x.example", both, zeros{}); !errors.Is(err, ErrFull) || m.messages != 2 {
		t.Errorf("without end: %v", err)
	}
	m.bytes -= memoryBytes - 1000
	box, err := m.SignIn("a@x.example", "p")
	if err != nil {
		t.Fatal(err)
	}
	if err := box.Remove("INBOX", []uint32{1, 1, 7}); err != nil || m.messages != 1 || m.bytes != 5 {
		t.Errorf("%v: %d messages, %d bytes", err, m.messages, m.bytes)
	}
	m.Add("b@x.example", "p")
	if m.messages != 0 || m.bytes != 0 {
		t.Errorf("%d messages, %d bytes of a mailbox that went", m.messages, m.bytes)
	}
	m.messages = memoryMessages - 1
	if err := m.Deliver("c@x.example", both, strings.NewReader("x")); !errors.Is(err, ErrFull) {
		t.Errorf("one too many: %v", err)
	}
	if view, err := box.View("INBOX"); err != nil || len(view.Messages) != 0 || view.Next != 2 {
		t.Errorf("%+v, %v", view, err)
	}
	for _, err := range []error{
		func() error { _, err := box.View("Other"); return err }(),
		func() error { _, err := box.Message("INBOX", 1); return err }(),
		func() error { _, err := box.Append("Other", Message{}, strings.NewReader("x")); return err }(),
		box.Flag("INBOX", 1, func(f []string) []string { return f }),
		box.Remove("Other", nil),
	} {
		if !errors.Is(err, ErrGone) {
			t.Errorf("%v", err)
		}
	}
	if _, err := m.SignIn("a@x.example", ""); err != ErrSignIn {
		t.Error(err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
