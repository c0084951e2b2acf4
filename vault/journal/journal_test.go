package journal_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/vault/journal"
	"countersign/vault/sealed"
)

// place is a keychain's item, in memory.
type place struct {
	data   []byte
	fail   error
	stores int
}

func (p *place) Load(context.Context) ([]byte, error) { return bytes.Clone(p.data), p.fail }

func (p *place) Store(_ context.Context, data []byte) error {
	if p.fail != nil {
		return p.fail
	}
	p.data = bytes.Clone(data)
	p.stores++
	return nil
}

type diary struct {
	t     *testing.T
	path  string
	now   time.Time
	place place
	db    *sealed.DB
	*journal.Journal
}

func newDiary(t *testing.T) *diary {
	t.Helper()
	d := &diary{t: t, path: filepath.Join(t.TempDir(), "test.db"), now: time.Date(2026, 3, 2, 9, 12, 0, 5, time.UTC)}
	t.Cleanup(func() { d.db.Close() })
	d.open()
	return d
}

func (d *diary) open() {
	d.t.Helper()
	var err error
	if d.db, err = sealed.Open(d.path, sealed.Key{1}); err == nil {
		d.Journal, err = journal.Open(d.t.Context(), d.db, &d.place, func() time.Time { return d.now })
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *diary) reopen() {
	d.t.Helper()
	if err := d.db.Close(); err != nil {
		d.t.Fatal(err)
	}
	d.open()
}

func (d *diary) append(n int) {
	d.t.Helper()
	for range n {
		if err := d.Append(d.t.Context(), "sent", "ada@clinic.example", "A letter was sent."); err != nil {
			d.t.Fatal(err)
		}
		d.now = d.now.Add(time.Hour)
	}
}

func (d *diary) sql(query string, args ...any) {
	d.t.Helper()
	err := d.db.Update(d.t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec(query, args...)
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *diary) verify() journal.Proof {
	d.t.Helper()
	p, err := d.Verify(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	return p
}

func TestList(t *testing.T) {
	d := newDiary(t)
	for n := range 5 {
		if err := d.Append(t.Context(), "kind", "person", fmt.Sprint("entry ", n+1)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		before int64
		limit  int
		want   string
	}{{0, 2, "5 4"}, {4, 2, "3 2"}, {2, 10, "1"}, {1, 10, ""}, {0, 0, ""}} {
		got, err := d.List(t.Context(), c.before, c.limit)
		var seqs []string
		for _, e := range got {
			seqs = append(seqs, fmt.Sprint(e.Seq))
			if e.Says != fmt.Sprint("entry ", e.Seq) || e.Kind != "kind" || e.Person != "person" || !e.Time.Equal(d.now.Truncate(time.Second)) {
				t.Errorf("got %+v", e)
			}
		}
		if err != nil || strings.Join(seqs, " ") != c.want {
			t.Errorf("before %d, %d: got %v (%v), want %s", c.before, c.limit, seqs, err, c.want)
		}
	}
}

func TestProved(t *testing.T) {
	d := newDiary(t)
	if p := d.verify(); !p.OK || p.Entries != 0 || !p.Proved.IsZero() {
		t.Errorf("empty: %+v", p)
	}
	d.append(1) // the first goes outside at once
	if p := d.verify(); p.Says != "Proved to 2 March 2026 at 09:12 UTC, self-asserted since." || !p.OK || p.Entries != 1 {
		t.Errorf("after one: %+v", p)
	}
	d.append(23)
	if d.place.stores != 1 {
		t.Errorf("put outside %d times within a day", d.place.stores)
	}
	d.append(2)
	if p := d.verify(); d.place.stores != 2 || p.Says != "Proved to 3 March 2026 at 09:12 UTC, self-asserted since." || p.Entries != 26 {
		t.Errorf("after a day: %+v, %d times", p, d.place.stores)
	}
	d.reopen()
	if err := d.Hold(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p := d.verify(); !p.Proved.Equal(d.now.Truncate(time.Second)) {
		t.Errorf("held by hand: %+v", p)
	}
	d.place.data = nil
	if p := d.verify(); !p.OK || !p.Proved.IsZero() || !strings.Contains(p.Says, "self-asserted") {
		t.Errorf("with nothing outside: %+v", p)
	}
}

func TestKeychainFails(t *testing.T) {
	d := newDiary(t)
	d.append(1)
	d.now = d.now.Add(48 * time.Hour)
	d.place.fail = errors.New("locked")
	d.append(1) // the entry counts more than the head
	if err := d.Hold(t.Context()); !errors.Is(err, d.place.fail) {
		t.Errorf("got %v, want the keychain's own error", err)
	}
	d.place.fail = nil
	d.append(1)
	if d.place.stores != 2 {
		t.Error("the head was not tried again")
	}
}

func TestAddIsPartOfTheTransaction(t *testing.T) {
	d := newDiary(t)
	oops := errors.New("oops")
	err := d.db.Update(t.Context(), func(tx *sql.Tx) error {
		return errors.Join(d.Add(tx, "sent", "", "It was sent."), oops)
	})
	if !errors.Is(err, oops) || d.verify().Entries != 0 {
		t.Errorf("%v, %d entries", err, d.verify().Entries)
	}
	err = d.db.Update(t.Context(), func(tx *sql.Tx) error {
		return errors.Join(d.Add(tx, "sent", "", "One."), d.Add(tx, "sent", "", "Two."))
	})
	if p := d.verify(); err != nil || !p.OK || p.Entries != 2 {
		t.Errorf("%v, %+v", err, p)
	}
}

func TestTooLong(t *testing.T) {
	d := newDiary(t)
	long := strings.Repeat("x", 1000)
	for _, c := range [][3]string{{long, "", ""}, {"", long, ""}, {"", "", long}} {
		if err := d.Append(t.Context(), c[0], c[1], c[2]); !errors.Is(err, journal.ErrTooLong) {
			t.Errorf("got %v, want ErrTooLong", err)
		}
	}
}

// TestTampered changes a journal whose head outside is that of entry 3 of 5.
func TestTampered(t *testing.T) {
	for name, c := range map[string]struct {
		attack func(d *diary)
		found  bool
	}{
		"nothing":              {func(*diary) {}, false},
		"a sentence":           {func(d *diary) { d.sql(`UPDATE journal_entry SET says = 'Nothing.' WHERE seq = 2`) }, true},
		"a time":               {func(d *diary) { d.sql(`UPDATE journal_entry SET time = time + 1 WHERE seq = 2`) }, true},
		"a person":             {func(d *diary) { d.sql(`UPDATE journal_entry SET person = '' WHERE seq = 1`) }, true},
		"a kind, since":        {func(d *diary) { d.sql(`UPDATE journal_entry SET kind = 'x' WHERE seq = 5`) }, true},
		"the first deleted":    {func(d *diary) { d.sql(`DELETE FROM journal_entry WHERE seq = 1`) }, true},
		"a middle one deleted": {func(d *diary) { d.sql(`DELETE FROM journal_entry WHERE seq = 2`) }, true},
		"one deleted and the rest moved up": {func(d *diary) {
			d.sql(`DELETE FROM journal_entry WHERE seq = 2`)
			d.sql(`UPDATE journal_entry SET seq = seq - 1 WHERE seq > 2`)
		}, true},
		"all deleted":         {func(d *diary) { d.sql(`DELETE FROM journal_entry`) }, true},
		"cut before the head": {func(d *diary) { d.sql(`DELETE FROM journal_entry WHERE seq > 2`) }, true},
		"written anew": {func(d *diary) {
			d.sql(`DELETE FROM journal_entry`)
			outside := d.place
			d.place = place{}
			d.reopen()
			for range 5 {
				if err := d.Append(d.t.Context(), "sent", "", "Another story."); err != nil {
					d.t.Fatal(err)
				}
			}
			d.place = outside
		}, true},
		"two exchanged": {func(d *diary) {
			d.sql(`UPDATE journal_entry SET seq = 20 WHERE seq = 2`)
			d.sql(`UPDATE journal_entry SET seq = 2 WHERE seq = 3`)
			d.sql(`UPDATE journal_entry SET seq = 3 WHERE seq = 20`)
		}, true},
		// What is since the head is self-asserted: the end can be cut off.
		"cut after the head": {func(d *diary) { d.sql(`DELETE FROM journal_entry WHERE seq > 3`) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDiary(t)
			d.append(3)
			if err := d.Hold(t.Context()); err != nil {
				t.Fatal(err)
			}
			d.append(2)
			c.attack(d)
			for _, when := range []string{"at once", "after a restart", "later"} {
				p := d.verify()
				if p.OK == c.found || c.found && !strings.HasPrefix(p.Says, "Changed from outside") {
					t.Errorf("%s: %+v", when, p)
				}
				d.reopen()
				// A new head does not cover it up.
				d.now = d.now.Add(48 * time.Hour)
				d.append(1)
				if err := d.Hold(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestRolledBack puts an old copy of the whole database back.
func TestRolledBack(t *testing.T) {
	d := newDiary(t)
	d.append(2)
	copied := filepath.Join(t.TempDir(), "old.db")
	if err := d.db.Backup(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	d.append(2)
	if err := d.Hold(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.db.Close()
	data, err := os.ReadFile(copied)
	if err == nil {
		err = os.WriteFile(d.path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	d.open()
	if p := d.verify(); p.OK || p.Says != "Changed from outside: there were 4 entries on 2 March 2026 at 13:12 UTC, and now there are 2." {
		t.Errorf("got %+v", p)
	}
}

// TestMarkOutside says what lies in the keychain: nothing that tells of anybody.
func TestMarkOutside(t *testing.T) {
	d := newDiary(t)
	d.append(1)
	var m map[string]any
	if err := json.Unmarshal(d.place.data, &m); err != nil || len(m) != 3 || len(d.place.data) > 200 {
		t.Errorf("%s: %v", d.place.data, err)
	}
	d.place.data = []byte("something else")
	d.reopen()
	if p := d.verify(); !p.OK || !p.Proved.IsZero() {
		t.Errorf("a mark that cannot be read: %+v", p)
	}
}
