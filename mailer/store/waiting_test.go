package store_test

import (
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/mailer/store"
)

func TestWaiting(t *testing.T) {
	m, ctx := open(t), t.Context()
	for _, id := range []string{"a", "b", "c"} {
		if err := arrive(t, m, id, func(a *store.Arrival) { a.Waits, a.Key = id != "b", nil }); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := m.Waiting(ctx); err != nil || !slices.Equal(list, []string{"c", "a"}) {
		t.Errorf("%v, %v", list, err)
	}
	r, err := m.Get(ctx, "a")
	if err != nil || !r.Waits || !r.Proved {
		t.Fatalf("%+v, %v", r, err)
	}
	r.Digest, r.Confirmed, r.Key, r.Line = [32]byte{1}, [32]byte{2}, []byte("key"), store.Line{Peer: "p", Summary: []byte("opened"), Search: "s"}
	if err := m.Opened(ctx, store.Arrival{Message: r, Form: "form"}); err != nil {
		t.Fatal(err)
	}
	now, err := m.Get(ctx, "a")
	if err != nil || now.Waits || !now.Proved || now.Digest != r.Digest || now.Confirmed != r.Confirmed || string(now.Key) != "key" ||
		string(now.Summary) != "opened" || !now.Received.Equal(received) {
		t.Errorf("%+v, %v", now, err)
	}
	if digest, known, err := m.Form(ctx, "form"); err != nil || !known || digest != r.Digest {
		t.Errorf("%x %v %v", digest, known, err)
	}
	if list, err := m.Waiting(ctx); err != nil || !slices.Equal(list, []string{"c"}) {
		t.Errorf("%v, %v", list, err)
	}
	if n, err := m.Waits(ctx); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	r.Digest = [32]byte{9}
	if err := m.Opened(ctx, store.Arrival{Message: r}); err != nil {
		t.Fatal(err)
	}
	if again, err := m.Get(ctx, "a"); err != nil || again.Digest != now.Digest {
		t.Errorf("opened twice: %+v, %v", again, err)
	}
}

// Several are filed in one transaction, or none of them.
func TestOpenedTogether(t *testing.T) {
	m, ctx := open(t), t.Context()
	for n, id := range []string{"a", "b", "c"} {
		if err := arrive(t, m, id, func(a *store.Arrival) { a.Waits, a.Digest = true, [32]byte{byte(n)} }); err != nil {
			t.Fatal(err)
		}
	}
	var list []store.Message
	rows := m.Ahead([]string{"c", "absent", "a", "b"}, func() time.Time { return received })
	for _, id := range []string{"c", "absent", "b"} {
		r, err := rows.Get(ctx, id)
		if id == "absent" {
			if !errors.Is(err, store.ErrNoMessage) {
				t.Errorf("%+v, %v", r, err)
			}
			continue
		}
		if err != nil || r.ID != id || !r.Proved || !r.Waits || r.Summary != nil {
			t.Fatalf("%+v, %v", r, err)
		}
		list = append(list, r)
	}
	var filed []store.Arrival
	for n, r := range list {
		if waits, twin, err := m.Standing(ctx, r, false); !waits || twin || err != nil {
			t.Errorf("%s: %v %v %v", r.ID, waits, twin, err)
		}
		r.Digest, r.Key, r.Line = [32]byte{7, byte(n)}, []byte("key"), store.Line{Summary: []byte("opened")}
		filed = append(filed, store.Arrival{Message: r})
	}
	alter(t, m, `CREATE TRIGGER fails BEFORE UPDATE ON mail WHEN new.id = 'b' BEGIN SELECT raise(ABORT, 'no'); END`)
	if err := m.Opened(ctx, filed...); err == nil {
		t.Error("no error")
	}
	if n, err := m.Waits(ctx); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	alter(t, m, `DROP TRIGGER fails`)
	if err := m.Opened(ctx, filed...); err != nil {
		t.Fatal(err)
	}
	for _, want := range filed {
		if r, err := m.Get(ctx, want.ID); err != nil || r.Waits || !r.Proved || r.Digest != want.Digest || string(r.Key) != "key" || string(r.Summary) != "opened" {
			t.Errorf("%+v, %v", r, err)
		}
		twin := want.Message
		twin.ID = "other"
		if waits, twin, err := m.Standing(ctx, twin, false); waits || !twin || err != nil {
			t.Errorf("%s: %v %v %v", want.ID, waits, twin, err)
		}
	}
}

// What is filed in a moment forgets as what is filed does, and one that fails stops no other.
func TestFlush(t *testing.T) {
	m, ctx := open(t), t.Context()
	var list []*store.Filed
	for n, id := range []string{"a", "b", "c"} {
		if err := arrive(t, m, id, func(a *store.Arrival) { a.Waits, a.Digest = true, [32]byte{byte(n)} }); err != nil {
			t.Fatal(err)
		}
		r, err := m.Get(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		r.Line = store.Line{Peer: id + "@" + id + ".example", Summary: []byte("opened")}
		list = append(list, &store.Filed{Arrival: store.Arrival{Message: r}})
		m.Later(list[n])
	}
	alter(t, m, `CREATE TRIGGER fails BEFORE UPDATE ON mail WHEN new.id = 'b' AND new.waits = 0 BEGIN SELECT raise(ABORT, 'no'); END`)
	if err := m.Forget(ctx, "a@a.example"); err != nil {
		t.Fatal(err)
	}
	if waits, _, err := m.Standing(ctx, store.Message{ID: "c"}, false); !waits || err != nil {
		t.Errorf("filed already: %v", err)
	}
	twin := list[0].Message
	twin.ID = "other"
	if _, known, err := m.Standing(ctx, twin, false); !known || err != nil {
		t.Errorf("no copy of what was to be filed: %v", err)
	}
	for n, want := range []struct {
		waits   bool
		summary string
	}{{false, ""}, {true, ""}, {false, "opened"}} {
		r, err := m.Get(ctx, list[n].ID)
		if err != nil || r.Waits != want.waits || !r.Waits && string(r.Summary) != want.summary || (list[n].Failed != nil) != want.waits {
			t.Errorf("%+v, %v, %v", r, err, list[n].Failed)
		}
	}
}

// A time of arrival that was edited while the message waited is not signed with it.
func TestOpenedProvesNothingNew(t *testing.T) {
	m, ctx := open(t), t.Context()
	if err := arrive(t, m, "a", func(a *store.Arrival) { a.Waits = true }); err != nil {
		t.Fatal(err)
	}
	alter(t, m, `UPDATE mail SET received = received - 86400000`)
	r, err := m.Get(ctx, "a")
	if err != nil || r.Proved {
		t.Fatalf("%+v, %v", r, err)
	}
	if err := m.Opened(ctx, store.Arrival{Message: r}); err != nil {
		t.Fatal(err)
	}
	if r, err := m.Get(ctx, "a"); err != nil || r.Proved || r.Waits {
		t.Errorf("%+v, %v", r, err)
	}
}

// A copy that came while both waited, or while one did, goes; what is known by it stays.
func TestOpenedMergesCopies(t *testing.T) {
	for name, c := range map[string]struct {
		later  time.Duration // the copy came
		edited bool          // the row that waits
		want   time.Time
		by     [32]byte
		proved bool
	}{
		"later":                     {time.Hour, false, received, [32]byte{7}, true},
		"earlier":                   {-time.Hour, false, received.Add(-time.Hour), [32]byte{5}, true},
		"later, the other edited":   {time.Hour, true, received.Add(time.Hour), [32]byte{5}, true},
		"earlier, the other edited": {-time.Hour, true, received.Add(-time.Hour), [32]byte{5}, true},
	} {
		m, ctx := open(t), t.Context()
		for id, change := range map[string]func(*store.Arrival){
			"waits": func(a *store.Arrival) { a.Waits, a.Digest = true, [32]byte{1} },
			"copy": func(a *store.Arrival) {
				a.Digest, a.Confirmed, a.Received, a.Read = [32]byte{2}, [32]byte{5}, received.Add(c.later), true
			},
		} {
			if err := arrive(t, m, id, change); err != nil {
				t.Fatal(err)
			}
		}
		if c.edited {
			alter(t, m, `UPDATE mail SET received = received - 86400000 WHERE id = 'waits'`)
		}
		r, err := m.Get(ctx, "waits")
		if err != nil {
			t.Fatal(err)
		}
		r.Digest, r.Confirmed = [32]byte{2}, [32]byte{7}
		if err := m.Opened(ctx, store.Arrival{Message: r}); err != nil {
			t.Fatal(name, err)
		}
		list, err := m.List(ctx, store.Query{Folder: r.Folder})
		if err != nil || len(list) != 1 {
			t.Fatalf("%s: %d messages, %v", name, len(list), err)
		}
		now := list[0]
		if now.ID != "waits" || now.Digest != r.Digest || !now.Received.Equal(c.want) || now.Confirmed != c.by || now.Proved != c.proved || !now.Read {
			t.Errorf("%s: %+v", name, now)
		}
	}
}

// Those that wait are found without looking at the others.
func TestWaitingByIndex(t *testing.T) {
	m := open(t)
	var plan string
	err := m.DB.View(t.Context(), func(tx *sql.Tx) error {
		var a, b, c int
		return tx.QueryRow(`EXPLAIN QUERY PLAN SELECT id FROM mail WHERE waits = 1 ORDER BY seq DESC LIMIT 10`).Scan(&a, &b, &c, &plan)
	})
	if err != nil || !strings.Contains(plan, "mail_waits") {
		t.Errorf("%q, %v", plan, err)
	}
}
