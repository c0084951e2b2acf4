package events

import (
	"context"
	"crypto/rand"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"countersign/tray/control"
	"countersign/vault/sealed"
)

func open(t *testing.T, path string, key sealed.Key) (*Log, func()) {
	t.Helper()
	db, err := sealed.Open(path, key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := Open(db, func() time.Time { return time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC) })
	if err != nil {
		t.Fatal(err)
	}
	return l, func() { db.Close() }
}

var errEnough = errors.New("enough")

// read returns the kinds of n events after a cursor, and the last cursor.
func read(t *testing.T, l *Log, after control.Cursor, n int) (kinds []string, last control.Cursor) {
	t.Helper()
	err := l.Watch(t.Context(), after, func(e control.Event) error {
		kinds, last = append(kinds, e.Kind), e.Cursor
		if len(kinds) == n {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	return kinds, last
}

func TestNothingIsMissedOrRepeated(t *testing.T) {
	var key sealed.Key
	rand.Read(key[:])
	path := filepath.Join(t.TempDir(), "db")
	l, end := open(t, path, key)
	for _, kind := range []string{"mail", "contact"} {
		if err := l.Add(t.Context(), kind, "id", "says"); err != nil {
			t.Fatal(err)
		}
	}
	kinds, last := read(t, l, 0, 2)
	if kinds[0] != "mail" || kinds[1] != "contact" {
		t.Errorf("told %v", kinds)
	}
	end()

	l, end = open(t, path, key) // the agent restarts
	defer end()
	if err := l.Add(t.Context(), "status", "", "says"); err != nil {
		t.Fatal(err)
	}
	if kinds, _ = read(t, l, last, 1); kinds[0] != "status" {
		t.Errorf("after a restart told %v", kinds)
	}
}

func TestWatchWaits(t *testing.T) {
	var key sealed.Key
	l, end := open(t, filepath.Join(t.TempDir(), "db"), key)
	defer end()
	got := make(chan control.Event)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Watch(ctx, 0, func(e control.Event) error { got <- e; return nil }) }()
	if err := l.Add(ctx, "mail", "m1", "A message has arrived."); err != nil {
		t.Fatal(err)
	}
	if e := <-got; e.ID != "m1" || e.Cursor != 1 {
		t.Errorf("told %+v", e)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

func TestOldEventsGo(t *testing.T) {
	var key sealed.Key
	l, end := open(t, filepath.Join(t.TempDir(), "db"), key)
	defer end()
	for range kept + 10 {
		if err := l.Add(t.Context(), "mail", "", ""); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := l.since(t.Context(), 0); err != nil || list[0].Cursor != 11 {
		t.Errorf("the oldest is %v, %v", list[0].Cursor, err)
	}
}
