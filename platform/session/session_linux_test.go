package session_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"countersign/platform/session"
	"countersign/platform/session/sessiontest"
)

// watched is a desktop with somebody who listens.
type watched struct {
	*sessiontest.Desktop
	t    *testing.T
	told chan bool
}

func watch(t *testing.T, d *sessiontest.Desktop) watched {
	t.Helper()
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", d.Address())
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", d.Address())
	w := watched{d, t, make(chan bool)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		session.Watch(ctx, func(locked bool) {
			select {
			case w.told <- locked:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

// hears waits for the next change.
func (w watched) hears(what string, want bool) {
	w.t.Helper()
	select {
	case got := <-w.told:
		if got != want {
			w.t.Fatalf("%s: told %v", what, got)
		}
	case <-time.After(30 * time.Second):
		w.t.Fatalf("%s: nothing was told", what)
	}
}

func (w watched) do(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestPeerSources: each thing that locks is heard, and only when none of them does any
// more it is open again.
func TestPeerSources(t *testing.T) {
	w := watch(t, sessiontest.New(t))
	w.hears("at first", false)
	for name, lock := range map[string]func(bool) error{
		"loginctl": func(l bool) error { return w.Lock(sessiontest.Session, l) },
		"a locker": func(l bool) error { return w.Hint(sessiontest.Session, l) },
		"a screen": w.Screen,
	} {
		w.do(lock(true))
		w.hears(name, true)
		w.do(lock(false))
		w.hears(name+" no more", false)
	}
	// Somebody else's session, and what is said twice, change nothing: the next thing heard
	// is what follows.
	w.do(w.Lock(sessiontest.SomeoneElse, true))
	w.do(w.Hint(sessiontest.SomeoneElse, true))
	w.do(w.Screen(true))
	w.hears("the screen", true)
	w.do(w.Lock(sessiontest.Session, true))
	w.do(w.Screen(false))
	w.do(w.Lock(sessiontest.Session, false))
	w.hears("both open", false)
}

// TestPeerSleep: sleep is held back until it was heard, and counts as locked until the
// system is awake.
func TestPeerSleep(t *testing.T) {
	w := watch(t, sessiontest.New(t))
	w.hears("at first", false)
	held := w.Held()
	w.do(w.Sleep(true))
	w.do(held.SetReadDeadline(time.Now().Add(20 * time.Millisecond)))
	if _, err := held.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
		t.Error("the system sleeps before it was heard")
	}
	w.hears("sleep", true)
	w.do(held.SetReadDeadline(time.Now().Add(30 * time.Second)))
	if _, err := held.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the system is held back after it was heard: %v", err)
	}
	w.do(w.Sleep(false))
	w.hears("awake", false)
}

// TestPeerAtStart: what was locked before is told first.
func TestPeerAtStart(t *testing.T) {
	for name, lock := range map[string]func(*sessiontest.Desktop) error{
		"the session":    func(d *sessiontest.Desktop) error { return d.Hint(sessiontest.Session, true) },
		"another's":      func(d *sessiontest.Desktop) error { return d.Hint(sessiontest.SomeoneElse, true) },
		"about to sleep": func(d *sessiontest.Desktop) error { return d.Sleep(true) },
	} {
		d := sessiontest.New(t)
		if err := lock(d); err != nil {
			t.Fatal(err)
		}
		w := watch(t, d)
		w.hears(name, name != "another's")
	}
}

// TestPeerBusDies: what was said last holds until the bus is back, and is read anew then.
func TestPeerBusDies(t *testing.T) {
	w := watch(t, sessiontest.New(t))
	w.hears("at first", false)
	w.do(w.Screen(true))
	w.hears("the screen", true)
	w.Stop()
	select {
	case got := <-w.told:
		t.Errorf("told %v without a bus", got)
	case <-time.After(50 * time.Millisecond):
	}
	w.do(w.Start())
	w.do(w.Screen(false))
	w.hears("after the bus came back", false)
}
