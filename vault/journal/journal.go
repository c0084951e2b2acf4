// Package journal is the record of what was done: sent, received, verified,
// refused, changed. Each entry carries the hash of the one before it, and the
// hash of the newest is put outside the database once a day, into the keychain
// ([Place]; SECURITY F3).
//
// What it promises: no entry up to the last head put outside can be changed,
// added, moved or taken away without [Journal.Verify] finding it. What came since
// then is asserted by this database alone, and Verify says from when. Putting back
// an old copy of the whole database is found if it is from before that head.
//
// What it never holds: a subject, a body, the name of an attachment, a key. That
// is the duty of whoever appends, since a sentence cannot be checked for it;
// kinds and persons are bounded here so that nothing long gets in by mistake.
package journal

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"countersign/vault/sealed"
)

// Place keeps a few bytes outside the database: an item of the keychain.
type Place interface {
	// Load returns nil if nothing was ever stored.
	Load(context.Context) ([]byte, error)
	Store(context.Context, []byte) error
}

// Entry is one line of the journal.
type Entry struct {
	Seq    int64     // from 1, without gaps
	Time   time.Time // our own clock, in whole seconds
	Kind   string    // stable, for programs: "contact-verified", "sent" ...
	Person string    // the address concerned, or empty
	Says   string    // one sentence
}

// The lengths that an entry may have, in octets.
const (
	maxKind   = 40
	maxPerson = 320
	maxSays   = 400
)

// ErrTooLong says that an entry is longer than a line of a journal is.
var ErrTooLong = errors.New("journal: the entry is too long")

// Proof is the result of [Journal.Verify].
type Proof struct {
	OK      bool      // nothing was found
	Entries int64     // in the database
	Proved  time.Time // up to when the head outside proves it; zero if it proves nothing
	Says    string    // in words
}

// every is how often the head is put outside.
const every = 24 * time.Hour

// Journal is an open journal. It may be used from several goroutines.
type Journal struct {
	db    *sealed.DB
	place Place
	clock func() time.Time

	mu   sync.Mutex // one head is put outside at a time
	held mark
}

// mark is what lies outside: an entry's number and hash, and when it was put
// there.
type mark struct {
	Seq  int64     `json:"seq"`
	Hash []byte    `json:"hash"`
	Time time.Time `json:"time"`
}

var tables = []string{`
	CREATE TABLE journal_entry (
		seq    INTEGER PRIMARY KEY,
		time   INTEGER NOT NULL, -- Unix seconds
		kind   TEXT NOT NULL,
		person TEXT NOT NULL,
		says   TEXT NOT NULL,
		hash   BLOB NOT NULL     -- of the entry before it and all of this one
	) STRICT`}

// Open opens the journal in a database, with the place where its head is kept.
func Open(ctx context.Context, db *sealed.DB, place Place, clock func() time.Time) (*Journal, error) {
	j := &Journal{db: db, place: place, clock: clock}
	if err := db.Migrate("journal", tables...); err != nil {
		return nil, err
	}
	var err error
	if j.held, err = j.load(ctx); err != nil {
		return nil, fmt.Errorf("opening the journal: %w", err)
	}
	return j, nil
}

// load reads the mark outside. One that cannot be read is as good as none: it
// proves nothing.
func (j *Journal) load(ctx context.Context) (m mark, err error) {
	data, err := j.place.Load(ctx)
	if err != nil {
		return mark{}, fmt.Errorf("fetching the journal's head: %w", err)
	}
	if json.Unmarshal(data, &m) != nil {
		return mark{}, nil
	}
	return m, nil
}

// hash chains an entry to the one before it. Numbers are 8 octets, most
// significant first; text has its length before it.
func (e Entry) hash(before []byte) []byte {
	h := sha256.New()
	number := func(n int64) { h.Write(binary.BigEndian.AppendUint64(nil, uint64(n))) }
	text := func(s string) { number(int64(len(s))); h.Write([]byte(s)) }
	text("countersign journal 1")
	text(string(before))
	number(e.Seq)
	number(e.Time.Unix())
	text(e.Kind)
	text(e.Person)
	text(e.Says)
	return h.Sum(nil)
}

// Append adds one entry and, once a day, puts the head outside. That the
// keychain did not take the head is no failure of Append: it is tried again with
// the next entry.
func (j *Journal) Append(ctx context.Context, kind, person, says string) error {
	err := j.db.Update(ctx, func(tx *sql.Tx) error { return j.Add(tx, kind, person, says) })
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.clock().Sub(j.held.Time) >= every {
		_ = j.hold(ctx)
	}
	return nil
}

// Add adds one entry as part of a transaction, so that it is there if and only if
// what it tells of happened.
func (j *Journal) Add(tx *sql.Tx, kind, person, says string) error {
	if len(kind) > maxKind || len(person) > maxPerson || len(says) > maxSays {
		return ErrTooLong
	}
	seq, before, err := newest(tx)
	if err != nil {
		return fmt.Errorf("adding to the journal: %w", err)
	}
	e := Entry{seq + 1, j.clock().UTC().Truncate(time.Second), kind, person, says}
	_, err = tx.Exec(`INSERT INTO journal_entry VALUES (?, ?, ?, ?, ?, ?)`,
		e.Seq, e.Time.Unix(), e.Kind, e.Person, e.Says, e.hash(before))
	if err != nil {
		return fmt.Errorf("adding to the journal: %w", err)
	}
	return nil
}

// newest returns the number and hash of the last entry, or zero and nil.
func newest(tx *sql.Tx) (seq int64, hash []byte, err error) {
	err = tx.QueryRow(`SELECT seq, hash FROM journal_entry ORDER BY seq DESC LIMIT 1`).Scan(&seq, &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil, nil
	}
	return seq, hash, err
}

// Hold puts the newest head outside now, for instance when the program ends.
func (j *Journal) Hold(ctx context.Context) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.hold(ctx)
}

func (j *Journal) hold(ctx context.Context) error {
	m := mark{Time: j.clock().UTC().Truncate(time.Second)}
	err := j.db.View(ctx, func(tx *sql.Tx) (err error) {
		m.Seq, m.Hash, err = newest(tx)
		return err
	})
	if err != nil || m.Seq == 0 {
		return err
	}
	// A head put outside is only ever replaced by a later one of the same
	// chain: what was found out must not be covered up.
	if p, err := j.verify(ctx, j.held); err != nil || !p.OK {
		return err
	}
	data, err := json.Marshal(m)
	if err == nil {
		err = j.place.Store(ctx, data)
	}
	if err != nil {
		return fmt.Errorf("keeping the journal's head: %w", err)
	}
	j.held = m
	return nil
}

// List returns at most limit entries, newest first: those before the entry with
// the number given, or with zero the newest.
func (j *Journal) List(ctx context.Context, before int64, limit int) ([]Entry, error) {
	var all []Entry
	err := j.db.View(ctx, func(tx *sql.Tx) error {
		return each(ctx, tx, func(e Entry, _ []byte) error {
			all = append(all, e)
			return nil
		}, `WHERE ? = 0 OR seq < ? ORDER BY seq DESC LIMIT ?`, before, before, limit)
	})
	if err != nil {
		return nil, fmt.Errorf("listing the journal: %w", err)
	}
	return all, nil
}

// each calls f for the entries that a clause selects, with their hashes.
func each(ctx context.Context, tx *sql.Tx, f func(Entry, []byte) error, clause string, args ...any) error {
	rows, err := tx.QueryContext(ctx, `SELECT seq, time, kind, person, says, hash FROM journal_entry `+clause, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var e Entry
		var unix int64
		var hash []byte
		if err := rows.Scan(&e.Seq, &unix, &e.Kind, &e.Person, &e.Says, &hash); err != nil {
			return err
		}
		e.Time = time.Unix(unix, 0).UTC()
		if err := f(e, hash); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Verify checks the whole chain, and against the head outside.
func (j *Journal) Verify(ctx context.Context) (Proof, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	held, err := j.load(ctx)
	if err != nil {
		return Proof{}, err
	}
	return j.verify(ctx, held)
}

func (j *Journal) verify(ctx context.Context, held mark) (Proof, error) {
	var p Proof
	var hash []byte
	var broken int64 // the first entry that does not fit, or 0
	reached := held.Seq == 0
	err := j.db.View(ctx, func(tx *sql.Tx) error {
		return each(ctx, tx, func(e Entry, stated []byte) error {
			p.Entries++
			hash = e.hash(hash)
			if broken == 0 && (e.Seq != p.Entries || string(hash) != string(stated)) {
				broken = p.Entries
			}
			reached = reached || e.Seq == held.Seq && string(hash) == string(held.Hash)
			return nil
		}, `ORDER BY seq`)
	})
	if err != nil {
		return Proof{}, fmt.Errorf("verifying the journal: %w", err)
	}
	when := held.Time.UTC().Format("2 January 2006 at 15:04 UTC")
	switch {
	case broken > 0:
		p.Says = fmt.Sprintf("Changed from outside: entry %d is not as it was written, or one before it is missing.", broken)
	case !reached && p.Entries < held.Seq:
		p.Says = fmt.Sprintf("Changed from outside: there were %d entries on %s, and now there are %d.", held.Seq, when, p.Entries)
	case !reached:
		p.Says = fmt.Sprintf("Changed from outside: the entries up to %s are not the ones that were written.", when)
	case held.Seq == 0:
		p.OK, p.Says = true, "In order, but self-asserted: no head has been kept outside yet."
	default:
		p.OK, p.Proved = true, held.Time
		p.Says = fmt.Sprintf("Proved to %s, self-asserted since.", when)
	}
	return p, nil
}
