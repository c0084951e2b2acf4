package book_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"countersign/vault/book"
	"countersign/vault/contacts"
	"countersign/vault/sealed"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return noon }

// keeper is a keychain's part, in memory.
type keeper struct {
	private ed25519.PrivateKey
	head    [32]byte
	counter uint64
	epoch   uint64
	fail    error
}

func newKeeper() *keeper {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return &keeper{private: private}
}

func (k *keeper) Public() ed25519.PublicKey  { return k.private.Public().(ed25519.PublicKey) }
func (k *keeper) Sign(message []byte) []byte { return ed25519.Sign(k.private, message) }
func (k *keeper) Head() ([32]byte, uint64)   { return k.head, k.counter }
func (k *keeper) Epoch() uint64              { return k.epoch }

func (k *keeper) Advance(_ context.Context, head [32]byte, counter uint64) error {
	if k.fail != nil {
		return k.fail
	}
	if counter < k.counter {
		return errors.New("the counter went back")
	}
	k.head, k.counter = head, counter
	return nil
}

func (k *keeper) Restart(_ context.Context, head [32]byte) error {
	k.head, k.counter = head, 1
	return k.fail
}

// profile is a database file with its keeper, that can be opened again.
type profile struct {
	t    *testing.T
	path string
	*keeper
	db   *sealed.DB
	book *book.Book
}

func newProfile(t *testing.T) *profile {
	t.Helper()
	p := &profile{t: t, path: filepath.Join(t.TempDir(), "test.db"), keeper: newKeeper()}
	t.Cleanup(func() { p.db.Close() })
	p.open()
	return p
}

func (p *profile) open() {
	p.t.Helper()
	var err error
	if p.db, err = sealed.Open(p.path, sealed.Key{1}); err == nil {
		p.book, err = book.Open(p.t.Context(), p.db, p.keeper, clock)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *profile) reopen() {
	p.t.Helper()
	if err := p.db.Close(); err != nil {
		p.t.Fatal(err)
	}
	p.open()
}

// sql changes the database by hand, with its key.
func (p *profile) sql(query string, args ...any) {
	p.t.Helper()
	err := p.db.Update(p.t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec(query, args...)
		return err
	})
	if err != nil {
		p.t.Fatalf("%s: %v", query, err)
	}
}

func (p *profile) blob(query string, args ...any) (data []byte) {
	p.t.Helper()
	err := p.db.View(p.t.Context(), func(tx *sql.Tx) error { return tx.QueryRow(query, args...).Scan(&data) })
	if err != nil {
		p.t.Fatalf("%s: %v", query, err)
	}
	return data
}

func (p *profile) get(address string) contacts.Contact {
	p.t.Helper()
	c, err := p.book.Get(p.t.Context(), address)
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

func (p *profile) state(address string) contacts.State { p.t.Helper(); return p.get(address).State }

func (p *profile) append(c contacts.Contact, draft *contacts.RecordDraft) {
	p.t.Helper()
	if err := p.book.Append(p.t.Context(), c, draft); err != nil {
		p.t.Fatal(err)
	}
}

// verify makes a verified contact, as a finished call does.
func (p *profile) verify(address string) contacts.Contact {
	p.t.Helper()
	c, draft := verified(p.t, address)
	p.append(c, draft)
	return c
}

func verified(t *testing.T, address string) (contacts.Contact, *contacts.RecordDraft) {
	t.Helper()
	cert := certificate(t, address)
	keys := contacts.KeySet{Sign: cert, Encrypt: cert}
	call := contacts.Call{At: noon, Number: "+49 30 1234", Source: contacts.SourceDirectory}
	c, err := contacts.New(address, "Dr "+address)
	if err != nil {
		t.Fatal(err)
	}
	c.Pin, c.State = &contacts.Pin{Keys: keys, Call: call}, contacts.Verified
	return c, &contacts.RecordDraft{Kind: contacts.RecordVerified, Address: address, Keys: keys.Hashes(),
		Certificates: [][]byte{cert.Raw, cert.Raw}, Time: noon, Call: call}
}

// suspend stops sending to a verified contact, as the user does.
func (p *profile) suspend(address string) {
	p.t.Helper()
	c, draft, err := p.get(address).Suspend(contacts.Moment{Now: noon}, contacts.ByUser)
	if err != nil {
		p.t.Fatal(err)
	}
	p.append(c, draft)
}

func certificate(t *testing.T, address string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: address}, EmailAddresses: []string{address},
		NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c
}

const (
	ada   = "ada@clinic.example"
	bea   = "bea@clinic.example"
	carol = "carol@clinic.example"
)

func TestLasts(t *testing.T) {
	p := newProfile(t)
	p.verify(ada)
	p.verify(bea)
	p.suspend(bea)
	if c, err := contacts.New(carol, "Carol"); err != nil || p.book.Put(t.Context(), c) != nil {
		t.Fatal(err)
	}
	for range 2 {
		for address, want := range map[string]contacts.State{
			ada: contacts.Verified, bea: contacts.Suspended, carol: contacts.Unknown,
		} {
			if got := p.state(address); got != want {
				t.Errorf("%s is %s, want %s", address, got, want)
			}
		}
		if err := p.book.Problem(); err != nil {
			t.Errorf("a problem where there is none: %v", err)
		}
		if p.counter != 3 {
			t.Errorf("the counter is %d, want 3", p.counter)
		}
		p.reopen()
	}
	if c := p.get(ada); c.Pin.Call.Number != "+49 30 1234" || c.Name != "Dr "+ada {
		t.Errorf("the contact came back as %+v", c)
	}
	if _, err := p.book.Get(t.Context(), "nobody@clinic.example"); !errors.Is(err, book.ErrUnknown) {
		t.Errorf("got %v, want ErrUnknown", err)
	}
}

func TestOnlyARecordVerifies(t *testing.T) {
	p := newProfile(t)
	c, draft := verified(t, ada)
	if err := p.book.Put(t.Context(), c); !errors.Is(err, book.ErrUnrecorded) {
		t.Errorf("without a record: got %v, want ErrUnrecorded", err)
	}
	if err := p.book.Append(t.Context(), c, &contacts.RecordDraft{Kind: contacts.RecordVerified, Address: ada}); !errors.Is(err, book.ErrUnrecorded) {
		t.Errorf("with a record of other keys: got %v, want ErrUnrecorded", err)
	}
	other := *draft
	other.Address = bea
	if err := p.book.Append(t.Context(), c, &other); err == nil {
		t.Error("a record for another address was accepted")
	}
	if _, err := p.book.Get(t.Context(), ada); !errors.Is(err, book.ErrUnknown) || p.counter != 0 {
		t.Errorf("something was stored: %v, counter %d", err, p.counter)
	}
	p.append(c, draft)
	p.suspend(ada)
	c.Suspension, c.State = nil, contacts.Verified
	if err := p.book.Put(t.Context(), c); !errors.Is(err, book.ErrUnrecorded) {
		t.Errorf("ending a suspension without a record: got %v, want ErrUnrecorded", err)
	}
}

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
			p.sql(`DELETE FROM book_word`)
			p.sql(`DELETE FROM book_contact WHERE address = ?`, carol)
			p.sql(`UPDATE book_contact SET address = ? WHERE address = ?`, carol, ada)
		}},
		"a row added": {true, func(p *profile, _ signedRow) {
			c, _ := verified(t, carol)
			data, _ := json.Marshal(c)
			p.sql(`INSERT OR REPLACE INTO book_contact VALUES (?, 'carol', 1, ?, ?)`, carol, data, make([]byte, 64))
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
			p.sql(`INSERT INTO book_contact VALUES (?, 'ada', 1, ?, ?)`, ada, old.data, old.signature)
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
			if err := p.book.AddAnchor(t.Context(), certificate(t, "root")); err != nil {
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

func TestStopBetweenDatabaseAndKeychain(t *testing.T) {
	p := newProfile(t)
	p.verify(ada)
	p.fail = errors.New("locked")
	c, draft := verified(t, bea)
	if err := p.book.Append(t.Context(), c, draft); !errors.Is(err, book.ErrHeadBehind) || !errors.Is(err, p.fail) {
		t.Errorf("got %v, want ErrHeadBehind", err)
	}
	c2, draft2 := verified(t, carol)
	if err := p.book.Append(t.Context(), c2, draft2); !errors.Is(err, p.fail) || p.counter != 1 {
		t.Errorf("a second record beyond the head: %v", err)
	}
	if _, err := p.book.Get(t.Context(), carol); !errors.Is(err, book.ErrUnknown) {
		t.Errorf("it was stored: %v", err)
	}
	p.fail = nil
	p.reopen()
	if s := p.state(bea); s != contacts.Verified || p.counter != 2 || p.book.Problem() != nil {
		t.Errorf("after a restart bea is %s, counter %d: %v", s, p.counter, p.book.Problem())
	}
	p.append(c2, draft2)
	if p.counter != 3 {
		t.Errorf("the counter is %d", p.counter)
	}
}

// TestTwoBeyondTheHead has a keychain that is older than the database.
func TestTwoBeyondTheHead(t *testing.T) {
	p := newProfile(t)
	p.verify(ada)
	before := *p.keeper
	p.verify(bea)
	c := p.verify(carol)
	c.Incoming, c.State = &contacts.Incoming{ID: "x"}, contacts.Verified
	if err := p.book.Put(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	*p.keeper = before
	p.reopen()
	if err := p.book.Problem(); !errors.Is(err, book.ErrRolledBack) {
		t.Errorf("got %v, want ErrRolledBack", err)
	}
	p.nobodyVerified("two beyond")

	// The same after a recovery file was opened, which is older as a rule.
	p.epoch++
	for range 2 {
		p.reopen()
		if c := p.get(carol); c.State != contacts.Verified || p.counter != 3 || c.Incoming != nil || p.book.Problem() != nil {
			t.Errorf("carol is %s, counter %d, test %v: %v", c.State, p.counter, c.Incoming, p.book.Problem())
		}
	}
	// And an old copy of the database after that is an old copy.
	p.sql(`DELETE FROM book_record WHERE seq = 3`)
	p.epoch++
	p.reopen()
	if err := p.book.Problem(); !errors.Is(err, book.ErrRolledBack) {
		t.Errorf("got %v, want ErrRolledBack", err)
	}
}

func TestRestartCutShort(t *testing.T) {
	p := newProfile(t)
	p.verify(ada)
	p.sql(`DELETE FROM book_record`)
	p.reopen()
	before := *p.keeper
	if err := p.book.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	*p.keeper = before // the keychain was never written
	p.reopen()
	if err := p.book.Problem(); !errors.Is(err, book.ErrRolledBack) {
		t.Errorf("got %v, want ErrRolledBack", err)
	}
	if err := p.book.Restart(t.Context()); err != nil || p.book.Problem() != nil || p.state(ada) != contacts.Suspended {
		t.Errorf("again: %v, %v, ada %s", err, p.book.Problem(), p.state(ada))
	}
}

func TestRemove(t *testing.T) {
	p := newProfile(t)
	p.verify(ada)
	for range 2 {
		if err := p.book.Remove(t.Context(), ada); err != nil && !errors.Is(err, book.ErrUnknown) {
			t.Fatal(err)
		}
	}
	p.reopen()
	if _, err := p.book.Get(t.Context(), ada); !errors.Is(err, book.ErrUnknown) {
		t.Errorf("got %v, want ErrUnknown", err)
	}
	if found, err := p.book.Search(t.Context(), "ada", 10); err != nil || len(found) != 0 {
		t.Errorf("it is still found: %v, %v", found, err)
	}
	c, draft := verified(t, ada) // a second acquaintance
	p.append(c, draft)
	p.reopen()
	if s := p.state(ada); s != contacts.Verified {
		t.Errorf("verified again, it is %s", s)
	}
}

func TestAnchors(t *testing.T) {
	p := newProfile(t)
	one, two := certificate(t, "one"), certificate(t, "two")
	for range 2 { // twice is once
		if err := errors.Join(p.book.AddAnchor(t.Context(), one), p.book.AddAnchor(t.Context(), two)); err != nil {
			t.Fatal(err)
		}
	}
	if p.counter != 2 {
		t.Errorf("%d records for two anchors", p.counter)
	}
	if err := errors.Join(p.book.RemoveAnchor(t.Context(), one), p.book.RemoveAnchor(t.Context(), one)); err != nil {
		t.Fatal(err)
	}
	p.reopen()
	got, err := p.book.Anchors(t.Context())
	if err != nil || len(got) != 1 || !got[0].Certificate.Equal(two) || !got[0].Added.Equal(noon) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestSearch(t *testing.T) {
	p := newProfile(t)
	for address, name := range map[string]string{
		ada: "Ada Byron", bea: "Béa Müller-Lüdenscheidt", carol: "", "dr.x_100%@spital.example": "Ada Zweig",
	} {
		c, err := contacts.New(address, name)
		if err := errors.Join(err, p.book.Put(t.Context(), c)); err != nil {
			t.Fatal(err)
		}
	}
	for text, want := range map[string][]string{
		"":              {ada, "dr.x_100%@spital.example", bea, carol},
		"a":             {ada, "dr.x_100%@spital.example"},
		"ADA":           {ada, "dr.x_100%@spital.example"},
		"ada by":        {ada},
		"by ada":        {ada},
		"mül":           {bea},
		"LÜDEN":         {bea},
		"lüden béa":     {bea},
		"clinic":        {ada, bea, carol},
		"clinic.ex":     {ada, bea, carol},
		"carol@":        {carol},
		ada:             {ada},
		"spital 100":    {"dr.x_100%@spital.example"},
		"%":             nil,
		"_":             nil,
		"da":            nil,
		"ada nobody":    nil,
		"'; DROP TABLE": nil,
	} {
		found, err := p.book.Search(t.Context(), text, 10)
		var got []string
		for _, c := range found {
			got = append(got, c.Address)
		}
		if text != "" {
			slices.Sort(got)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q finds %v (%v), want %v", text, got, err, want)
		}
	}
	if found, err := p.book.Search(t.Context(), "", 2); err != nil || len(found) != 2 {
		t.Errorf("limit 2 gives %d (%v)", len(found), err)
	}
	c := p.get(carol)
	c.Name = "Carol Renamed"
	if err := p.book.Put(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if found, _ := p.book.Search(t.Context(), "renam", 10); len(found) != 1 {
		t.Error("a new name is not found")
	}
}

// TestChange has many change one contact at the same time.
func TestChange(t *testing.T) {
	p := newProfile(t)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			_, err := p.book.Change(t.Context(), ada, func(c contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) {
				c.Name += "x"
				return c, nil, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if c := p.get(ada); len(c.Name) != 20 {
		t.Errorf("%d of 20 changes remain", len(c.Name))
	}
	oops := errors.New("oops")
	_, err := p.book.Change(t.Context(), ada, func(c contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) {
		c.Name = "y"
		return c, nil, oops
	})
	if err != oops || p.get(ada).Name == "y" {
		t.Errorf("a change that failed: %v, %s", err, p.get(ada).Name)
	}
	if _, err := p.book.Change(t.Context(), ada, func(c contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) {
		c.Address = bea
		return c, nil, nil
	}); err == nil {
		t.Error("a contact changed its address")
	}
	if _, err := p.book.Change(t.Context(), "not an address", nil); err == nil {
		t.Error("a contact was made of no address")
	}
}
