// Package book is the address book: a row for each contact, and the chain of
// signed records that says which of them are verified.
//
// A row holds the whole contact, and is what is shown, searched and worked on. It
// proves nothing. A contact counts as verified only if the records bear it out:
// each is signed with the record key, carries the hash of the one before it, and
// the hash of the last and their number are in the keychain, outside the database
// ([Keeper]; SECURITY V8). So whoever can write the database, even with its key,
// makes nobody verified:
//
//   - A row edited by hand, or an earlier state of it put back, is not believed:
//     rows are authenticated too, under a key that only the record key gives,
//     together with the number of the contact's last record. What the records say of the contact is shown in its place, and
//     nothing is sent to it.
//   - A row deleted by hand comes back, suspended, at the next Open.
//   - What was verified of an organisation is a record of its domain, in a row of its
//     own, and never in those of the people who count by it (V6): a row is joined with it
//     when it is read, and parted from it when it is written.
//   - A record edited, deleted, moved or added by hand, or an earlier state of
//     the whole database put back, breaks the chain or misses the head: every
//     contact is suspended, no anchor counts, and [Book.Problem] says so until
//     [Book.Restart].
//
// The database is written first and the keychain second, so a stop between the
// two leaves one record beyond the head. Exactly one, validly signed, is
// accepted at Open and the head moved on. After a recovery file was opened (a new
// [Keeper.Epoch]) there may be more, since the database is newer than the file;
// tests in progress are void then.
//
// It does not stop a program that runs as the user while the keychain is open.
//
// With a million contacts a look-up takes some tens of microseconds and a search
// some milliseconds at most ([Book.Search]; cmd/bench). Words are compared without
// case and accents. Whoever is found is read from their row and checked against the
// records like anybody else: the index proves nothing either.
package book

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"countersign/vault/contacts"
	"countersign/vault/sealed"
)

// Keeper keeps the record key and the head of the chain outside the database.
type Keeper interface {
	Public() ed25519.PublicKey
	Sign(message []byte) []byte
	// Derive makes 32 bytes from the record key for one purpose, which info names.
	Derive(info string) []byte
	// Head returns the hash of the last record and the number of records.
	Head() (head [32]byte, counter uint64)
	Advance(ctx context.Context, head [32]byte, counter uint64) error
	// Restart begins a new chain, of one record.
	Restart(ctx context.Context, head [32]byte) error
	// Epoch counts how often the profile was restored from a recovery file.
	Epoch() uint64
}

var (
	// ErrUnknown says that there is no such contact.
	ErrUnknown = &contacts.Problem{Code: "no-contact", Says: "That address is not in the address book.",
		Next: "Add it first."}
	// ErrRolledBack says that the chain of records is not the one that the
	// keychain knows, whatever was done to it.
	ErrRolledBack = &contacts.Problem{Code: "rolled-back",
		Says: "The address book was changed from outside, or an old copy of it was put back, so nobody in it counts as confirmed.",
		Next: "Ask the people who look after your computers how this came about. Everyone has to be confirmed again."}
	// ErrEdited says that single contacts were changed from outside.
	ErrEdited = &contacts.Problem{Code: "edited",
		Says: "Part of the address book was changed from outside. What was changed does not count.",
		Next: "Ask the people who look after your computers how this came about. Confirm anew whoever is marked as stopped."}
	// ErrUnrecorded says that a change needs a record and came without one.
	ErrUnrecorded = errors.New("book: this change needs a signed record")
	// ErrHeadBehind says that a change was made, but the keychain did not take
	// the new head. It is tried again with the next change, and at the next Open.
	ErrHeadBehind = errors.New("book: the keychain did not take the head of the records")
)

// Book is an open address book. It may be used from several goroutines.
type Book struct {
	db     *sealed.DB
	keeper Keeper
	clock  func() time.Time
	rowKey []byte
	parsed parsed
	known  sealed.Memo[contacts.Contact]

	change sync.Mutex // held while a contact is read, changed and written

	mu      sync.Mutex
	chain   chain
	problem error
	edited  bool
}

var tables = []string{`
	CREATE TABLE book_contact (
		address   TEXT PRIMARY KEY,
		sort      TEXT NOT NULL,
		last      INTEGER NOT NULL, -- number of the contact's last record, 0 if none
		data      BLOB NOT NULL,
		signature BLOB NOT NULL
	) STRICT;
	CREATE INDEX book_contact_sort ON book_contact (sort, address);
	CREATE TABLE book_word (
		word    TEXT NOT NULL,
		address TEXT NOT NULL REFERENCES book_contact (address) ON DELETE CASCADE,
		PRIMARY KEY (word, address)
	) STRICT, WITHOUT ROWID;
	CREATE INDEX book_word_address ON book_word (address, word);
	CREATE TABLE book_record (
		chain INTEGER NOT NULL, -- the highest is in force, earlier ones are kept as evidence
		seq   INTEGER NOT NULL,
		data  BLOB NOT NULL,
		PRIMARY KEY (chain, seq)
	) STRICT;
	CREATE TABLE book_epoch (
		only  INTEGER PRIMARY KEY CHECK (only = 1),
		epoch INTEGER NOT NULL
	) STRICT`, `
	CREATE TABLE book_contact_2 (
		id        INTEGER PRIMARY KEY,
		address   TEXT NOT NULL UNIQUE,
		sort      TEXT NOT NULL,
		last      INTEGER NOT NULL, -- number of the contact's last record, 0 if none
		data      BLOB NOT NULL,
		signature BLOB NOT NULL
	) STRICT;
	INSERT INTO book_contact_2 (address, sort, last, data, signature)
		SELECT address, sort, last, data, signature FROM book_contact ORDER BY sort, address;
	DROP TABLE book_word;
	DROP TABLE book_contact;
	ALTER TABLE book_contact_2 RENAME TO book_contact;
	CREATE INDEX book_contact_by_name ON book_contact (sort, address);
	CREATE TABLE book_index (
		block INTEGER NOT NULL, -- of contacts, by the high bits of their number
		key   TEXT NOT NULL,
		ids   BLOB NOT NULL,
		PRIMARY KEY (block, key)
	) STRICT, WITHOUT ROWID;
	CREATE TABLE book_indexed (
		only    INTEGER PRIMARY KEY CHECK (only = 1),
		version INTEGER NOT NULL
	) STRICT`, `
	ALTER TABLE book_contact ADD COLUMN waits INTEGER NOT NULL DEFAULT 0; -- until when, in Unix seconds
	CREATE INDEX book_contact_waiting ON book_contact (waits) WHERE waits > 0`}

// Open opens the address book and checks the whole chain of records, about 60 us
// each. A book whose chain does not hold opens all the same, with every contact
// suspended: ask [Book.Problem].
func Open(ctx context.Context, db *sealed.DB, keeper Keeper, clock func() time.Time) (*Book, error) {
	b := &Book{db: db, keeper: keeper, clock: clock, rowKey: keeper.Derive(rowTag)}
	if err := db.Migrate("book", tables...); err != nil {
		return nil, err
	}
	if err := b.reindex(ctx); err != nil {
		return nil, err
	}
	if err := b.open(ctx); err != nil {
		return nil, fmt.Errorf("opening the address book: %w", err)
	}
	return b, nil
}

func (b *Book) open(ctx context.Context) error {
	restored, err := b.restored(ctx)
	if err != nil {
		return err
	}
	c, err := b.load(ctx, restored)
	if errors.Is(err, ErrRolledBack) {
		b.problem = err
		return nil
	}
	if err != nil {
		return err
	}
	b.chain = c
	if _, counter := b.keeper.Head(); counter < c.counter {
		if err := b.keeper.Advance(ctx, c.head, c.counter); err != nil {
			return err
		}
	}
	if err := b.mend(ctx); err != nil {
		return err
	}
	if restored {
		return b.voidTests(ctx)
	}
	return nil
}

// Problem returns nil, or why contacts are suspended that the user did not
// suspend: an error that is [ErrRolledBack] or [ErrEdited], both for people.
func (b *Book) Problem() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.problem == nil && b.edited {
		return ErrEdited
	}
	return b.problem
}

// Get returns a contact by its canonical address, or [ErrUnknown].
func (b *Book) Get(ctx context.Context, address string) (contacts.Contact, error) {
	read := func() (c contacts.Contact, err error) {
		err = b.db.View(ctx, func(tx *sql.Tx) error {
			c, err = b.get(tx, address)
			return err
		})
		if err != nil {
			return contacts.Contact{}, fmt.Errorf("looking up a contact: %w", err)
		}
		return c, nil
	}
	if b.Problem() != nil { // then more than what is written decides
		return read()
	}
	head := b.standing().head
	return b.known.Get(b.db, string(head[:])+address, read)
}

// Waiting counts the contacts with whom something is to be done ([contacts.Contact.Waits]).
func (b *Book) Waiting(ctx context.Context) (n int, err error) {
	err = b.db.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRow(`SELECT count(*) FROM book_contact WHERE waits > 0 AND waits > ?`, b.clock().Unix()).Scan(&n)
	})
	if err != nil {
		return 0, fmt.Errorf("counting who waits: %w", err)
	}
	return n, nil
}

// Put stores a contact that has changed in nothing that a record is made of.
// Another change is refused with [ErrUnrecorded].
func (b *Book) Put(ctx context.Context, c contacts.Contact) error {
	return b.Append(ctx, c, nil)
}

// Append stores a contact together with the record of what changed, in one
// transaction, and then moves the head in the keychain. Without a draft it is
// Put.
func (b *Book) Append(ctx context.Context, c contacts.Contact, draft *contacts.RecordDraft) error {
	b.change.Lock()
	defer b.change.Unlock()
	_, err := b.append(ctx, c, draft)
	return err
}

// Change gives f the contact as it stands, and stores what f returns with its
// record, if there is one, before anybody else can change it. An address that is
// not there is given to f as [contacts.New] makes it. If f fails, nothing is
// changed, and Change returns its error as it is. What is as it was is not written.
func (b *Book) Change(ctx context.Context, address string,
	f func(contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error)) (contacts.Contact, error) {
	b.change.Lock()
	defer b.change.Unlock()
	c, err := b.Get(ctx, address)
	fresh := errors.Is(err, ErrUnknown)
	if fresh {
		c, err = b.anew(ctx, address)
	}
	if err != nil {
		return contacts.Contact{}, err
	}
	next, draft, err := f(c)
	if err != nil {
		return c, err
	}
	if next.Address != c.Address {
		return c, fmt.Errorf("changing a contact: its address became another")
	}
	if !fresh && draft == nil && reflect.DeepEqual(next, c) {
		return c, nil
	}
	return b.append(ctx, next, draft)
}

// append returns the contact as it then stands. A record may be of its organisation.
func (b *Book) append(ctx context.Context, c contacts.Contact, draft *contacts.RecordDraft) (contacts.Contact, error) {
	house := draft != nil && draft.Address != c.Address
	if c.Address == "" || house && (c.Pin == nil || draft.Address != c.Pin.Of) {
		return c, errors.New("storing a contact: the record is for another address")
	}
	err := b.record(ctx, draft, func(tx *sql.Tx, next chain) error {
		o, err := b.organisation(tx, c)
		if err != nil {
			return err
		}
		own, o := c.Part(o)
		if err := b.store(tx, next, own); err != nil {
			return err
		}
		c = own.Join(o)
		if house {
			return b.store(tx, next, o)
		}
		return borne(tx, next, o)
	})
	if err != nil {
		return c, fmt.Errorf("storing a contact: %w", err)
	}
	return c, nil
}

// store writes a contact that the records bear out.
func (b *Book) store(tx *sql.Tx, next chain, c contacts.Contact) error {
	if err := borne(tx, next, c); err != nil {
		return err
	}
	return b.put(tx, c, next.last(c.Address))
}

// borne says that the records bear a contact out.
func borne(tx *sql.Tx, next chain, c contacts.Contact) error {
	records, err := next.of(tx, c.Address)
	if err != nil {
		return err
	}
	if _, changed := c.Audit(records); changed {
		return ErrUnrecorded
	}
	return nil
}

// anew is a contact of an address that is not there. Whoever was removed while stopped is
// stopped still, or else they would count by their organisation as soon as they write (V6).
func (b *Book) anew(ctx context.Context, address string) (contacts.Contact, error) {
	c, err := contacts.New(address, "")
	links := b.standing().links[address]
	if err != nil || len(links) == 0 || links[len(links)-1].stopped == "" {
		return c, err
	}
	err = b.db.View(ctx, func(tx *sql.Tx) error {
		records, err := b.standing().of(tx, address)
		if err == nil {
			c.Suspension = stillStopped(records[len(records)-1])
		}
		return err
	})
	return c, err
}

// Remove deletes a contact. If it was ever verified, or is stopped, a record says so.
func (b *Book) Remove(ctx context.Context, address string) error {
	b.change.Lock()
	defer b.change.Unlock()
	c, err := b.Get(ctx, address)
	if err != nil {
		return err
	}
	reason := reasonRemoved
	switch {
	case b.unproved() != nil:
	case c.Doubt != nil:
		reason += stoppedBy + string(contacts.ByMismatch)
	case c.Suspension != nil && c.Suspension.Of == "":
		reason += stoppedBy + string(c.Suspension.Reason)
	}
	var draft *contacts.RecordDraft
	if b.standing().last(address) > 0 || reason != reasonRemoved {
		draft = &contacts.RecordDraft{Kind: contacts.RecordSuspended, Address: address, Time: b.clock(), Reason: reason}
		if c.Pin != nil {
			draft.Keys, draft.Call = c.Pin.Keys.Hashes(), c.Pin.Call
		}
	}
	err = b.record(ctx, draft, func(tx *sql.Tx, _ chain) error {
		r, err := find(tx, ` WHERE address = ?`, address)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM book_contact WHERE id = ?`, r.id); err != nil {
			return err
		}
		return index(tx, r.id, r.words(), nil)
	})
	if err != nil {
		return fmt.Errorf("removing a contact: %w", err)
	}
	return nil
}

// reasonRemoved is the reason of the record that a removal leaves; of somebody whom the user
// had stopped stoppedBy and the reason for that follow.
const (
	reasonRemoved = "removed"
	stoppedBy     = " while stopped: "
)

// removed says that a record is of a removal, and why the contact was stopped then, if it was.
func removed(r contacts.Record) (is bool, stopped contacts.Reason) {
	how, is := strings.CutPrefix(r.Reason, reasonRemoved)
	why, _ := strings.CutPrefix(how, stoppedBy)
	return is && r.Kind == contacts.RecordSuspended, contacts.Reason(why)
}

// stillStopped is what goes on for somebody who was removed while stopped.
func stillStopped(r contacts.Record) *contacts.Suspension {
	if is, why := removed(r); is && why != "" {
		return &contacts.Suspension{At: r.Time, Reason: why}
	}
	return nil
}
