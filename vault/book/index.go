package book

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"countersign/vault/contacts"
)

// The index of words is inverted: for each block of 65,536 contacts, by their
// number, and for each key the set of contacts that have it. So a search reads, for each
// block, one row a word typed, whatever the size of the book, and changing a contact
// touches the rows of one block. Keys are the whole word and its beginnings up to a
// length; the few words that begin with something longer stand side by side, and are
// read together. Whoever is found is looked at once more ([fits]). So an index that was
// tampered with hides somebody, and never shows them as what they are not.
const (
	blockBits = 16
	blockSize = 1 << blockBits
	// indexVersion is of the words and keys; another makes the index anew.
	indexVersion = 3
	// maxBegun is the longest beginning that is a key, in runes.
	maxBegun = 8
)

// whole is the key of a word that is not only begun: no word holds a full stop.
func whole(word string) string { return word + "." }

// keys goes through every key of a contact's words; words that begin alike give some
// twice.
func keys(words []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, w := range words {
			if !yield(whole(w)) {
				return
			}
			n := 0
			for i := range w {
				if n++; n > maxBegun+1 {
					break
				}
				if i > 0 && !yield(w[:i]) {
					return
				}
			}
			if n <= maxBegun && !yield(w) {
				return
			}
		}
	}
}

// set is a set of contacts within a block, by the low bits of their numbers: sorted
// pairs of octets, or, where that is no longer than them, one bit for each.
type set []byte

const bitmap = blockSize / 8

func (s set) members() []uint16 {
	var all []uint16
	if len(s) == bitmap {
		for i, b := range s {
			for bit := range 8 {
				if b&(1<<bit) != 0 {
					all = append(all, uint16(i<<3|bit))
				}
			}
		}
		return all
	}
	for ; len(s) >= 2; s = s[2:] {
		all = append(all, binary.LittleEndian.Uint16(s))
	}
	return all
}

func setOf(members []uint16) set {
	if len(members)*2 >= bitmap {
		s := make(set, bitmap)
		for _, m := range members {
			s[m>>3] |= 1 << (m & 7)
		}
		return s
	}
	s := make(set, 0, 2*len(members))
	for _, m := range members {
		s = binary.LittleEndian.AppendUint16(s, m)
	}
	return s
}

// among keeps those of members, which are sorted, that are in the set.
func (s set) among(members []uint16) []uint16 {
	if len(s) == bitmap {
		return slices.DeleteFunc(members, func(m uint16) bool { return s[m>>3]&(1<<(m&7)) == 0 })
	}
	i := 0
	return slices.DeleteFunc(members, func(m uint16) bool {
		for i+2 <= len(s) && binary.LittleEndian.Uint16(s[i:]) < m {
			i += 2
		}
		return i+2 > len(s) || binary.LittleEndian.Uint16(s[i:]) != m
	})
}

// postings are changes to the index within one block: for each key who comes to have
// it, sorted, or has it no longer.
type postings map[string][]uint16

// note notes keys of one contact; contacts come in the order of their numbers.
func (p postings) note(id int64, keys iter.Seq[string]) {
	m := uint16(id & (blockSize - 1))
	for k := range keys {
		if had := p[k]; len(had) == 0 || had[len(had)-1] != m {
			p[k] = append(had, m)
		}
	}
}

// write brings the rows of a block up to date.
func (p postings) write(tx *sql.Tx, block int64, gone bool) error {
	read, err := tx.Prepare(`SELECT ids FROM book_index WHERE block = ? AND key = ?`)
	if err != nil {
		return err
	}
	defer read.Close()
	store, err := tx.Prepare(`INSERT OR REPLACE INTO book_index VALUES (?, ?, ?)`)
	if err != nil {
		return err
	}
	defer store.Close()
	var empty bool // nothing to read there
	err = tx.QueryRow(`SELECT NOT EXISTS (SELECT 1 FROM book_index WHERE block = ?)`, block).Scan(&empty)
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(p)) {
		var had []byte
		if !empty {
			if err := read.QueryRow(block, key).Scan(&had); err != nil && !errors.Is(err, sql.ErrNoRows) {
				return err
			}
		}
		members := set(had).members()
		for _, m := range p[key] {
			at, there := slices.BinarySearch(members, m)
			switch {
			case gone && there:
				members = slices.Delete(members, at, at+1)
			case !gone && !there:
				members = slices.Insert(members, at, m)
			}
		}
		if len(members) > 0 {
			_, err = store.Exec(block, key, []byte(setOf(members)))
		} else {
			_, err = tx.Exec(`DELETE FROM book_index WHERE block = ? AND key = ?`, block, key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// index makes a contact found by its words as they are now, and by no others of
// those that it had.
func index(tx *sql.Tx, id int64, had, has []string) error {
	gone, come := map[string]bool{}, map[string]bool{}
	for k := range keys(had) {
		gone[k] = true
	}
	for k := range keys(has) {
		if !gone[k] {
			come[k] = true
		}
	}
	for k := range keys(has) {
		delete(gone, k)
	}
	for _, change := range []struct {
		keys map[string]bool
		gone bool
	}{{gone, true}, {come, false}} {
		if len(change.keys) == 0 {
			continue
		}
		p := postings{}
		p.note(id, maps.Keys(change.keys))
		if err := p.write(tx, id>>blockBits, change.gone); err != nil {
			return err
		}
	}
	return nil
}

// reindex makes the index anew, and who waits, if it is of an earlier version of the
// program, about 20 seconds for a million contacts.
func (b *Book) reindex(ctx context.Context) error {
	var version int
	err := b.db.View(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRow(`SELECT version FROM book_indexed`).Scan(&version)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil || version == indexVersion {
		return err
	}
	err = b.db.Update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.Exec(`DELETE FROM book_index`); err != nil {
			return err
		}
		waiting := map[int64]int64{}
		block, p := int64(0), postings{}
		for row, err := range rows(ctx, tx) {
			if err != nil {
				return err
			}
			if at := row.id >> blockBits; at != block {
				if err := p.write(tx, block, false); err != nil {
					return err
				}
				block, p = at, postings{}
			}
			p.note(row.id, keys(row.words()))
			if c, err := row.contact(); err == nil && waits(c) != 0 {
				waiting[row.id] = waits(c)
			}
		}
		if err := p.write(tx, block, false); err != nil {
			return err
		}
		for id, until := range waiting {
			if _, err := tx.Exec(`UPDATE book_contact SET waits = ? WHERE id = ?`, until, id); err != nil {
				return err
			}
		}
		_, err := tx.Exec(`INSERT OR REPLACE INTO book_indexed VALUES (1, ?)`, indexVersion)
		return err
	})
	if err != nil {
		return fmt.Errorf("making the index of the address book: %w", err)
	}
	return nil
}

// rows goes through the rows of all contacts by their numbers.
func rows(ctx context.Context, tx *sql.Tx) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		found, err := tx.QueryContext(ctx, selectRow+` ORDER BY id`)
		if err != nil {
			yield(row{}, err)
			return
		}
		defer found.Close()
		for found.Next() {
			var r row
			if err := found.Scan(&r.id, &r.address, &r.last, &r.data, &r.signature); !yield(r, err) || err != nil {
				return
			}
		}
		if err := found.Err(); err != nil {
			yield(row{}, err)
		}
	}
}

// Import adds contacts that are not in the book yet and of which no record is made, a
// block of them a transaction: much faster than one by one. One that is there already
// ends it with an error, and the blocks before it stay.
func (b *Book) Import(ctx context.Context, all iter.Seq[contacts.Contact]) error {
	b.change.Lock()
	defer b.change.Unlock()
	next, stop := iter.Pull(all)
	defer stop()
	if err := b.spread(ctx, importCache); err != nil {
		return err
	}
	defer func() { _ = b.spread(ctx, usualCache) }() // only memory
	for more := true; more; {
		err := b.db.Update(ctx, func(tx *sql.Tx) (err error) {
			more, err = b.importBlock(tx, next)
			return err
		})
		if err != nil {
			return fmt.Errorf("adding contacts: %w", err)
		}
	}
	return nil
}

// Memory for pages of the database, in KiB: so much that the addresses of a million
// contacts, which come in no order, are not written and read over and over.
const (
	importCache = 64 << 10
	usualCache  = 2000
)

// spread sets the memory of the connection that writes.
func (b *Book) spread(ctx context.Context, kib int) error {
	return b.db.Update(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec(fmt.Sprintf(`PRAGMA cache_size=-%d`, kib))
		return err
	})
}

func (b *Book) importBlock(tx *sql.Tx, next func() (contacts.Contact, bool)) (more bool, err error) {
	var id int64
	if err := tx.QueryRow(`SELECT coalesce(max(id), 0) + 1 FROM book_contact`).Scan(&id); err != nil {
		return false, err
	}
	store, err := tx.Prepare(insertRow)
	if err != nil {
		return false, err
	}
	defer store.Close()
	chain := b.standing()
	block, p := id>>blockBits, postings{}
	for ; id>>blockBits == block; id++ {
		c, ok := next()
		if !ok {
			return false, p.write(tx, block, false)
		}
		records, err := chain.of(tx, c.Address)
		if err != nil {
			return false, err
		}
		if _, changed := c.Audit(records); changed {
			return false, ErrUnrecorded
		}
		r, err := b.row(id, c, chain.last(c.Address))
		if err != nil {
			return false, err
		}
		if _, err := store.Exec(r.id, r.address, sortKey(c), waits(c), r.last, r.data, r.signature); err != nil {
			return false, err
		}
		p.note(id, keys(wordsOf(c)))
	}
	return true, p.write(tx, block, false)
}
