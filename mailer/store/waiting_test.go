package store_test

import (
	"database/sql"
	"slices"
	"strings"
	"testing"

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
	if err := m.Opened(ctx, r, "form"); err != nil {
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
	if err := m.Opened(ctx, r, ""); err != nil {
		t.Fatal(err)
	}
	if again, err := m.Get(ctx, "a"); err != nil || again.Digest != now.Digest {
		t.Errorf("opened twice: %+v, %v", again, err)
	}
}

// A time of arrival that was edited while the message waited is not signed with it.
func TestOpenedProvesNothingNew(t *testing.T) {
	m, ctx := open(t), t.Context()
	if err := arrive(t, m, "a", func(a *store.Arrival) { a.Waits = true }); err != nil {
		t.Fatal(err)
	}
	exec(t, m, `UPDATE mail SET received = received - 86400000`)
	r, err := m.Get(ctx, "a")
	if err != nil || r.Proved {
		t.Fatalf("%+v, %v", r, err)
	}
	if err := m.Opened(ctx, r, ""); err != nil {
		t.Fatal(err)
	}
	if r, err := m.Get(ctx, "a"); err != nil || r.Proved || r.Waits {
		t.Errorf("%+v, %v", r, err)
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
