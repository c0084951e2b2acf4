package store_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"countersign/mailer/store"
	"countersign/mailer/transport"
	"countersign/vault/sealed"
)

// signer is a record key.
type signer struct{ ed25519.PrivateKey }

func (s signer) Sign(message []byte) []byte { return ed25519.Sign(s.PrivateKey, message) }
func (s signer) Public() ed25519.PublicKey  { return s.PrivateKey.Public().(ed25519.PublicKey) }

func open(t *testing.T) store.Mail {
	t.Helper()
	db, err := sealed.Open(filepath.Join(t.TempDir(), "db"), sealed.Key{1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	m := store.New(db, signer{key})
	if err := m.Migrate(); err != nil {
		t.Fatal(err)
	}
	return m
}

var received = time.Date(2026, 11, 20, 16, 8, 0, 123_000_000, time.UTC)

// arrive files a message whose bytes, digest and summary are its identifier.
func arrive(t *testing.T, m store.Mail, id string, change func(*store.Arrival)) error {
	t.Helper()
	blob, err := m.DB.WriteBlob(t.Context(), bytes.NewReader([]byte(id)))
	if err != nil {
		t.Fatal(err)
	}
	a := store.Arrival{Account: "a@x.example", At: transport.Position{Validity: 1, UID: uint32(blob.ID)}, Message: store.Message{
		ID: id, Folder: "inbox", Blob: blob.ID, Digest: blob.SHA256, Received: received, Confirmed: [32]byte{7}, Key: []byte("content key"),
		Line: store.Line{Peer: "bea@x.example", Summary: []byte(id), Search: "echo of " + id},
	}}
	if change != nil {
		change(&a)
	}
	return m.Arrive(t.Context(), a)
}

func TestArrives(t *testing.T) {
	m, ctx := open(t), t.Context()
	if err := arrive(t, m, "one", nil); err != nil {
		t.Fatal(err)
	}
	r, err := m.Get(ctx, "one")
	if err != nil {
		t.Fatal(err)
	}
	if !r.Proved || !r.Received.Equal(received) || string(r.Summary) != "one" || string(r.Key) != "content key" || r.Confirmed != [32]byte{7} || r.Read {
		t.Errorf("%+v", r)
	}
	same, err := m.Same(ctx, "inbox", r.Digest)
	if err != nil || same.ID != "one" {
		t.Errorf("%+v, %v", same, err)
	}
	for _, folder := range []string{"inbox", "sent"} {
		if _, err := m.Same(ctx, folder, [32]byte{}); !errors.Is(err, store.ErrNoMessage) {
			t.Errorf("%s: %v", folder, err)
		}
	}
	if err := arrive(t, m, "two", func(a *store.Arrival) { a.Digest = r.Digest }); err == nil {
		t.Error("the same message was filed twice")
	}
	if at, err := m.Position(ctx, "a@x.example"); err != nil || at.UID != uint32(r.Blob) {
		t.Errorf("%+v, %v", at, err)
	}
}

// All of an arrival is filed, or nothing.
func TestNothingHalfFiled(t *testing.T) {
	m, ctx := open(t), t.Context()
	if err := arrive(t, m, "one", func(a *store.Arrival) { a.Blob, a.Form = 99, "form" }); err == nil {
		t.Fatal("filed without its bytes")
	}
	if _, err := m.Get(ctx, "one"); !errors.Is(err, store.ErrNoMessage) {
		t.Errorf("%v", err)
	}
	if at, err := m.Position(ctx, "a@x.example"); err != nil || at.UID != 0 {
		t.Errorf("%+v, %v", at, err)
	}
	if _, known, err := m.Form(ctx, "form"); known || err != nil {
		t.Errorf("%v, %v", known, err)
	}
}

func TestEdited(t *testing.T) {
	for name, c := range map[string]struct {
		edit           string
		proved, summed bool
	}{
		"nothing":      {`UPDATE mail SET read = 1`, true, true},
		"time":         {`UPDATE mail SET received = received - 1`, false, true},
		"digest":       {`UPDATE mail SET digest = zeroblob(32)`, false, true},
		"key":          {`UPDATE mail SET confirmed = zeroblob(32)`, false, true},
		"summary":      {`UPDATE mail SET summary = CAST(replace(CAST(summary AS TEXT), 'one', 'two') AS BLOB)`, true, false},
		"no signature": {`UPDATE mail SET summary = x'6f6e65'`, true, false},
		"exchanged":    {`UPDATE mail SET id = 'two'`, true, false},
	} {
		m, ctx := open(t), t.Context()
		if err := arrive(t, m, "one", nil); err != nil {
			t.Fatal(err)
		}
		alter(t, m, c.edit)
		list, err := m.List(ctx, store.Query{Folder: "inbox"})
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		if r := list[0]; r.Proved != c.proved || (r.Summary != nil) != c.summed {
			t.Errorf("%s: proved %v, summary %q", name, r.Proved, r.Summary)
		}
	}
}

func alter(t *testing.T, m store.Mail, query string) {
	t.Helper()
	err := m.DB.Update(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec(query)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestLines(t *testing.T) {
	m, ctx := open(t), t.Context()
	if err := arrive(t, m, "one", nil); err != nil {
		t.Fatal(err)
	}
	if err := m.Forget(ctx, "bea@x.example"); err != nil {
		t.Fatal(err)
	}
	if r, err := m.Get(ctx, "one"); err != nil || r.Summary != nil {
		t.Errorf("%q, %v", r.Summary, err)
	}
	if err := m.SetLine(ctx, "one", store.Line{Peer: "p", Summary: []byte("anew"), Search: "s"}, nil); err != nil {
		t.Fatal(err)
	}
	if r, err := m.Get(ctx, "one"); err != nil || string(r.Summary) != "anew" || string(r.Key) != "content key" {
		t.Errorf("%q %q, %v", r.Summary, r.Key, err)
	}
	if err := m.SetLine(ctx, "one", store.Line{}, []byte("other")); err != nil {
		t.Fatal(err)
	}
	if r, err := m.Get(ctx, "one"); err != nil || r.Summary != nil || string(r.Key) != "other" {
		t.Errorf("%q %q, %v", r.Summary, r.Key, err)
	}
}

func TestList(t *testing.T) {
	m, ctx := open(t), t.Context()
	for _, id := range []string{"a", "b", "c", "d"} {
		if err := arrive(t, m, id, func(a *store.Arrival) {
			if id == "d" {
				a.Folder = "sent"
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		q    store.Query
		want string
	}{
		"all":          {store.Query{Folder: "inbox"}, "cba"},
		"limited":      {store.Query{Folder: "inbox", Limit: 2}, "cb"},
		"before":       {store.Query{Folder: "inbox", Before: "c"}, "ba"},
		"other folder": {store.Query{Folder: "sent"}, "d"},
		"no folder":    {store.Query{}, ""},
		"search":       {store.Query{Folder: "inbox", Search: "OF b"}, "b"},
		"not found":    {store.Query{Folder: "inbox", Search: "echo %"}, ""},
	} {
		list, err := m.List(ctx, c.q)
		got := ""
		for _, r := range list {
			got += r.ID
		}
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if n, err := m.Unread(ctx, "inbox"); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if err := m.MarkRead(ctx, "a", true); err != nil {
		t.Fatal(err)
	}
	if n, err := m.Unread(ctx, "inbox"); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if err := m.MarkRead(ctx, "x", true); !errors.Is(err, store.ErrNoMessage) {
		t.Errorf("%v", err)
	}
}

func TestForms(t *testing.T) {
	m, ctx := open(t), t.Context()
	if err := arrive(t, m, "one", func(a *store.Arrival) { a.Form = "form" }); err != nil {
		t.Fatal(err)
	}
	if err := arrive(t, m, "two", func(a *store.Arrival) { a.Form = "form" }); err != nil {
		t.Fatal(err)
	}
	first, err := m.Get(ctx, "one")
	if err != nil {
		t.Fatal(err)
	}
	if digest, known, err := m.Form(ctx, "form"); !known || err != nil || digest != first.Digest {
		t.Errorf("%x %v %v", digest, known, err)
	}
}

func TestPosition(t *testing.T) {
	m, ctx := open(t), context.Background()
	for _, at := range []transport.Position{{Validity: 1, UID: 5}, {Validity: 2, UID: 1}} {
		if err := m.Reached(ctx, "a", at); err != nil {
			t.Fatal(err)
		}
		if got, err := m.Position(ctx, "a"); err != nil || got != at {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if got, err := m.Position(ctx, "b"); err != nil || got != (transport.Position{}) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestSeen: a server is told once of what was read, however long it takes to be reached.
func TestSeen(t *testing.T) {
	m, ctx := open(t), t.Context()
	const account = "a@x.example"
	untold := func(want ...uint32) []transport.Position {
		t.Helper()
		list, err := m.Untold(ctx, account)
		var got []uint32
		for _, at := range list {
			got = append(got, at.UID)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%v, %v; want %v", got, err, want)
		}
		return list
	}
	for i, id := range []string{"a", "b", "c"} {
		if err := arrive(t, m, id, func(a *store.Arrival) { a.At.UID = uint32(10 + i) }); err != nil {
			t.Fatal(err)
		}
	}
	untold()
	for _, mark := range []struct {
		id   string
		read bool
	}{{"a", true}, {"b", true}, {"b", false}} { // b was unread again before anybody was told
		if err := m.MarkRead(ctx, mark.id, mark.read); err != nil {
			t.Fatal(err)
		}
	}
	list := untold(10)
	if other, err := m.Untold(ctx, "b@x.example"); err != nil || len(other) != 0 {
		t.Errorf("another account: %v, %v", other, err)
	}
	if err := m.Told(ctx, account, list); err != nil {
		t.Fatal(err)
	}
	untold()
}
