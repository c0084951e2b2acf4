package book_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"countersign/vault/book"
	"countersign/vault/contacts"
)

// edit changes fields of a JSON object.
func edit(t *testing.T, data []byte, change func(map[string]any)) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	change(m)
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

const row = `SELECT data FROM book_contact WHERE address = ?`

// TestRowEdited edits rows in every way that might make somebody verified. Ada is
// verified, Bea suspended, Carol unknown; old is Ada's row as it was signed then.
func TestRowEdited(t *testing.T) {
	type signedRow struct{ data, signature []byte }
	for name, c := range map[string]struct {
		adaStays bool // verified, and rightly so
		attack   func(p *profile, old signedRow)
	}{
		"a pin given to a stranger": {true, func(p *profile, _ signedRow) {
			c, _ := verified(t, carol)
			data, _ := json.Marshal(c)
			p.sql(`UPDATE book_contact SET data = ? WHERE address = ?`, data, carol)
		}},
		"another's row copied": {true, func(p *profile, _ signedRow) {
			p.sql(`UPDATE book_contact SET (last, data, signature) = (SELECT last, data, signature FROM book_contact
				WHERE address = ?) WHERE address = ?`, ada, carol)
		}},
		"a row moved to another address": {false, func(p *profile, _ signedRow) {
			p.sql(`DELETE FROM book_contact WHERE address = ?`, carol)
			p.sql(`UPDATE book_contact SET address = ? WHERE address = ?`, carol, ada)
		}},
		"a row added": {true, func(p *profile, _ signedRow) {
			c, _ := verified(t, carol)
			data, _ := json.Marshal(c)
			p.sql(`INSERT OR REPLACE INTO book_contact (address, sort, last, data, signature) VALUES (?, 'carol', 1, ?, ?)`, carol, data, make([]byte, 64))
		}},
		"a suspension lifted": {true, func(p *profile, _ signedRow) {
			data := edit(t, p.blob(row, bea), func(m map[string]any) { delete(m, "suspension"); m["state"] = "verified" })
			p.sql(`UPDATE book_contact SET data = ? WHERE address = ?`, data, bea)
		}},
		"a suspended contact's old row put back": {false, func(p *profile, old signedRow) {
			p.suspend(ada)
			p.sql(`UPDATE book_contact SET (last, data, signature) = (1, ?, ?) WHERE address = ?`, old.data, old.signature, ada)
		}},
		"the same, with the number of the new": {false, func(p *profile, old signedRow) {
			p.suspend(ada)
			p.sql(`UPDATE book_contact SET (data, signature) = (?, ?) WHERE address = ?`, old.data, old.signature, ada)
		}},
		"the pin exchanged": {false, func(p *profile, _ signedRow) {
			mine, _ := verified(t, ada)
			keys, _ := json.Marshal(mine.Pin.Keys)
			data := edit(t, p.blob(row, ada), func(m map[string]any) {
				m["pin"].(map[string]any)["keys"] = json.RawMessage(keys)
			})
			p.sql(`UPDATE book_contact SET data = ? WHERE address = ?`, data, ada)
		}},
		"a removed contact's row put back": {false, func(p *profile, old signedRow) {
			if err := p.book.Remove(t.Context(), ada); err != nil {
				t.Fatal(err)
			}
			p.sql(`INSERT INTO book_contact (address, sort, last, data, signature) VALUES (?, 'ada', 1, ?, ?)`, ada, old.data, old.signature)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProfile(t)
			p.verify(ada)
			p.verify(bea)
			p.suspend(bea)
			unknown, err := contacts.New(carol, "Carol")
			if err := errors.Join(err, p.book.Put(t.Context(), unknown)); err != nil {
				t.Fatal(err)
			}
			c.attack(p, signedRow{p.blob(row, ada), p.blob(`SELECT signature FROM book_contact WHERE address = ?`, ada)})
			for _, when := range []string{"at once", "after a restart"} {
				all, err := p.book.Search(t.Context(), "", 100)
				if err != nil {
					t.Fatal(err)
				}
				for _, got := range all {
					if is := got.State == contacts.Verified; is != (c.adaStays && got.Address == ada) {
						t.Errorf("%s: %s is verified: %v", when, got.Address, is)
					}
				}
				if err := p.book.Problem(); !errors.Is(err, book.ErrEdited) {
					t.Errorf("%s: got %v, want ErrEdited", when, err)
				}
				p.reopen()
			}
		})
	}
}

// TestEditedRowShowsTheRecords says what becomes of a contact whose row cannot
// be believed.
func TestEditedRowShowsTheRecords(t *testing.T) {
	p := newProfile(t)
	was := p.verify(ada)
	p.sql(`UPDATE book_contact SET data = ? WHERE address = ?`, []byte("{}"), ada)
	c := p.get(ada)
	if c.State != contacts.Suspended || c.Pin.Keys.ID() != was.Pin.Keys.ID() || c.Suspension.Reason != contacts.ByRecords {
		t.Errorf("got %+v", c)
	}
	if err := p.book.Problem(); !errors.Is(err, book.ErrEdited) {
		t.Errorf("got %v, want ErrEdited", err)
	}

	p.sql(`DELETE FROM book_contact`)
	p.reopen()
	if c := p.get(ada); c.State != contacts.Suspended || c.Pin.Keys.ID() != was.Pin.Keys.ID() {
		t.Errorf("a row deleted by hand came back as %+v", c)
	}
	if err := p.book.Problem(); !errors.Is(err, book.ErrEdited) {
		t.Errorf("got %v, want ErrEdited", err)
	}
	fresh, draft := verified(t, ada) // a new call mends it
	p.append(fresh, draft)
	p.reopen()
	if s := p.state(ada); s != contacts.Verified || p.book.Problem() != nil {
		t.Errorf("verified anew, it is %s: %v", s, p.book.Problem())
	}
}

func TestDoubtCannotBeEditedAway(t *testing.T) {
	p := newProfile(t)
	c, draft := verified(t, ada)
	doubt := c
	doubt.Pin, doubt.State = nil, contacts.Mismatch
	doubt.Doubt = &contacts.Doubt{At: noon, Keys: c.Pin.Keys.ID()}
	before := doubt
	before.Doubt, before.State = nil, contacts.Unknown
	if err := p.book.Put(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	data, signature := p.blob(row, ada), p.blob(`SELECT signature FROM book_contact`)
	draft.Kind = contacts.RecordMismatch
	p.append(doubt, draft)
	p.sql(`UPDATE book_contact SET (last, data, signature) = (0, ?, ?)`, data, signature)
	if s := p.state(ada); s != contacts.Mismatch {
		t.Errorf("it is %s", s)
	}
}

// record gives a record as it is stored.
func (p *profile) record(seq int) []byte {
	p.t.Helper()
	return p.blob(`SELECT data FROM book_record WHERE seq = ?`, seq)
}

// TestRecordsTamperedWith breaks the chain in every way there is.
func TestRecordsTamperedWith(t *testing.T) {
	set := func(p *profile, seq int, data []byte) {
		p.sql(`UPDATE book_record SET data = ? WHERE seq = ?`, data, seq)
	}
	for name, attack := range map[string]func(p *profile){
		"the last deleted":   func(p *profile) { p.sql(`DELETE FROM book_record WHERE seq = 4`) },
		"the first deleted":  func(p *profile) { p.sql(`DELETE FROM book_record WHERE seq = 1`) },
		"a middle deleted":   func(p *profile) { p.sql(`DELETE FROM book_record WHERE seq = 3`) },
		"all deleted":        func(p *profile) { p.sql(`DELETE FROM book_record`) },
		"the table emptied":  func(p *profile) { p.sql(`DELETE FROM book_record`); p.sql(`DELETE FROM book_contact`) },
		"not a record":       func(p *profile) { set(p, 2, []byte("hello")) },
		"an empty one":       func(p *profile) { set(p, 2, []byte("{}")) },
		"a later chain made": func(p *profile) { p.sql(`INSERT INTO book_record SELECT 2, seq, data FROM book_record WHERE seq < 4`) },
		"two exchanged": func(p *profile) {
			a, b := p.record(2), p.record(3)
			set(p, 2, b)
			set(p, 3, a)
		},
		"two exchanged with their numbers": func(p *profile) {
			renumber := func(data []byte, n int) []byte {
				return edit(t, data, func(m map[string]any) { m["seq"] = n })
			}
			a, b := p.record(2), p.record(3)
			set(p, 2, renumber(b, 2))
			set(p, 3, renumber(a, 3))
		},
		"a suspension made a verification": func(p *profile) {
			set(p, 4, edit(t, p.record(4), func(m map[string]any) { m["kind"] = "verified" }))
		},
		"another address": func(p *profile) {
			set(p, 1, edit(t, p.record(1), func(m map[string]any) { m["address"] = carol }))
		},
		"one repeated": func(p *profile) {
			p.sql(`INSERT INTO book_record SELECT chain, 5, data FROM book_record WHERE seq = 1`)
		},
		"one added, signed with another key": func(p *profile) {
			_, draft := verified(t, carol)
			r := draft.Chain(p.counter, p.head, newKeeper().Sign)
			data, _ := json.Marshal(r)
			p.sql(`INSERT INTO book_record VALUES (1, 5, ?)`, data)
		},
		"a whole chain of the attacker's": func(p *profile) {
			p.sql(`DELETE FROM book_record`)
			mine := newKeeper()
			for n, address := range []string{ada, bea, carol, "dora@clinic.example"} {
				_, draft := verified(t, address)
				r := draft.Chain(uint64(n), mine.head, mine.Sign)
				mine.head = r.Head()
				data, _ := json.Marshal(r)
				p.sql(`INSERT INTO book_record VALUES (1, ?, ?)`, n+1, data)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProfile(t)
			p.verify(ada)
			if err := p.book.AddAnchor(t.Context(), book.Anchor{Certificate: certificate(t, "root")}); err != nil {
				t.Fatal(err)
			}
			p.verify(bea)
			p.suspend(bea)
			attack(p)
			p.reopen()
			if err := p.book.Problem(); !errors.Is(err, book.ErrRolledBack) {
				t.Fatalf("got %v, want ErrRolledBack", err)
			}
			p.nobodyVerified("after")
			anchors, err := p.book.Anchors(t.Context())
			if err != nil || len(anchors) != 0 {
				t.Errorf("%d anchors count still (%v)", len(anchors), err)
			}
			c, draft := verified(t, carol)
			if err := p.book.Append(t.Context(), c, draft); !errors.Is(err, book.ErrRolledBack) {
				t.Errorf("appending to it: got %v, want ErrRolledBack", err)
			}

			// Anew: everyone stays suspended until verified again.
			if err := p.book.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			p.nobodyVerified("anew")
			p.append(c, draft)
			for range 2 {
				if s := p.state(carol); s != contacts.Verified || p.book.Problem() != nil {
					t.Errorf("verified anew, it is %s: %v", s, p.book.Problem())
				}
				if name != "the table emptied" && p.state(ada) != contacts.Suspended {
					t.Errorf("ada is %s", p.state(ada))
				}
				p.reopen()
			}
		})
	}
}

func (p *profile) nobodyVerified(when string) {
	p.t.Helper()
	all, err := p.book.Search(p.t.Context(), "", 100)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, c := range all {
		if c.State == contacts.Verified {
			p.t.Errorf("%s: %s is verified", when, c.Address)
		}
	}
}

// TestWholeFileRolledBack puts an old copy of the whole database back, complete
// and consistent in itself.
func TestWholeFileRolledBack(t *testing.T) {
	p := newProfile(t)
	p.verify(ada)
	copied := filepath.Join(t.TempDir(), "old.db")
	if err := p.db.Backup(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	p.suspend(ada)
	p.db.Close()
	data, err := os.ReadFile(copied)
	if err == nil {
		err = os.WriteFile(p.path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.open()
	if err := p.book.Problem(); !errors.Is(err, book.ErrRolledBack) || !errors.Is(err, contacts.ErrRolledBack) {
		t.Errorf("got %v, want ErrRolledBack", err)
	}
	if s := p.state(ada); s != contacts.Suspended {
		t.Errorf("ada is %s", s)
	}
}

// TestTamperedWithWhileOpen changes records under an open book.
func TestTamperedWithWhileOpen(t *testing.T) {
	p := newProfile(t)
	p.verify(ada)
	p.suspend(ada)
	p.sql(`UPDATE book_record SET data = ? WHERE seq = 2`, edit(t, p.record(2), func(m map[string]any) { m["kind"] = "verified" }))
	p.nobodyVerified("while open")
	if err := p.book.Problem(); !errors.Is(err, book.ErrRolledBack) {
		t.Errorf("got %v, want ErrRolledBack", err)
	}
}

// TestReadsEdited: whoever writes the database makes nobody read what they do not. The
// most that comes of it is a letter as everybody reads it, or none.
func TestReadsEdited(t *testing.T) {
	p := newProfile(t)
	p.verify(ada)
	c, err := p.book.Get(t.Context(), ada)
	if err != nil {
		t.Fatal(err)
	}
	said := contacts.Reads{Said: c.Pin.Call.At, OAEP: true}
	c.Candidates = []contacts.Candidate{{ID: "c1", Keys: c.Pin.Keys, Reads: said}}
	if err := p.book.Put(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if c, err = p.book.Get(t.Context(), ada); err != nil || c.Reads() != said {
		t.Fatalf("kept: %+v, %v", c.Reads(), err)
	}
	p.sql(`UPDATE book_contact SET data = ? WHERE address = ?`, edit(t, p.blob(row, ada), func(m map[string]any) {
		m["candidates"].([]any)[0].(map[string]any)["reads"].(map[string]any)["gcm"] = true
	}), ada)
	if c, err = p.book.Get(t.Context(), ada); err != nil || c.Reads() != (contacts.Reads{}) || c.State == contacts.Verified {
		t.Errorf("edited: %+v, %s, %v", c.Reads(), c.State, err)
	}
}
