package book

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"countersign/vault/contacts"
)

// Search finds contacts of which each word typed begins a word of the name, the
// address or the organisation, whatever the case and the accents. Those of whom the
// words typed are whole words come before the others; the first that are found are
// returned, each kind by name. With nothing typed it lists all, by name. Limit is at
// least 1.
func (b *Book) Search(ctx context.Context, text string, limit int) ([]contacts.Contact, error) {
	limit = max(limit, 1)
	words := wanted(text)
	var found []contacts.Contact
	err := b.db.View(ctx, func(tx *sql.Tx) (err error) {
		switch {
		case strings.TrimSpace(text) == "":
			found, err = b.listed(ctx, tx, limit)
			return err
		case len(words) == 0: // signs only
			return nil
		}
		s := search{book: b, tx: tx, words: words, limit: limit, had: map[place]set{}, seen: map[int64]bool{}}
		if err = s.open(); err == nil {
			defer s.close()
			err = s.run()
		}
		found = s.found
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("searching the address book: %w", err)
	}
	return found, nil
}

// listed reads the first contacts of the list of all.
func (b *Book) listed(ctx context.Context, tx *sql.Tx, limit int) (all []contacts.Contact, err error) {
	rows, err := tx.QueryContext(ctx, selectRow+` ORDER BY sort, address LIMIT ?`, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.id, &r.address, &r.last, &r.data, &r.signature); err != nil {
			return nil, err
		}
		c, err := b.joined(tx, r)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, rows.Err()
}

// search is one search under way.
type search struct {
	book   *Book
	tx     *sql.Tx
	words  []string
	limit  int
	blocks int64
	read   *sql.Stmt
	span   *sql.Stmt // like read, for all that begins with it
	get    *sql.Stmt
	had    map[place]set // read already
	seen   map[int64]bool
	found  []contacts.Contact
}

// place is where a set is kept.
type place struct {
	block int64
	key   string
}

// at reads one set; nil is an empty one.
func (s *search) at(block int64, key string) (ids set, err error) {
	ids, ok := s.had[place{block, key}]
	if ok {
		return ids, nil
	}
	if utf8.RuneCountInString(key) > maxBegun && !strings.HasSuffix(key, whole("")) {
		ids, err = s.spanned(block, key)
	} else if err = s.read.QueryRow(block, key).Scan((*[]byte)(&ids)); errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	s.had[place{block, key}] = ids
	return ids, nil
}

// spanned joins the sets of the words that begin with something longer than any key.
func (s *search) spanned(block int64, key string) (set, error) {
	rows, err := s.span.Query(block, key, key+"\U0010FFFF")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []uint16
	for rows.Next() {
		var ids sql.RawBytes
		if err := rows.Scan(&ids); err != nil {
			return nil, err
		}
		all = append(all, set(ids).members()...)
	}
	slices.Sort(all)
	return setOf(slices.Compact(all)), rows.Err()
}

func (s *search) open() error {
	err := s.tx.QueryRow(`SELECT coalesce(max(block), -1) + 1 FROM book_index`).Scan(&s.blocks)
	if err != nil {
		return err
	}
	if s.read, err = s.tx.Prepare(`SELECT ids FROM book_index WHERE block = ? AND key = ?`); err != nil {
		return err
	}
	if s.span, err = s.tx.Prepare(`SELECT ids FROM book_index WHERE block = ? AND key >= ? AND key < ?`); err != nil {
		return err
	}
	s.get, err = s.tx.Prepare(selectRow + ` WHERE id = ?`)
	return err
}

func (s *search) close() {
	_ = s.read.Close()
	_ = s.span.Close()
	_ = s.get.Close()
}

// run looks for whole words first, then for the last as the beginning of one, then
// for all.
func (s *search) run() error {
	n := len(s.words)
	for _, exact := range slices.Compact([]int{n, n - 1, 0}) {
		keys := make([]string, n)
		for i, w := range s.words {
			if keys[i] = w; i < exact {
				keys[i] = whole(w)
			}
		}
		before := len(s.found)
		for block := range s.blocks {
			if err := s.in(block, keys); err != nil {
				return err
			}
			if len(s.found) == s.limit {
				break
			}
		}
		slices.SortStableFunc(s.found[before:], func(a, b contacts.Contact) int {
			return cmp.Or(cmp.Compare(sortKey(a), sortKey(b)), cmp.Compare(a.Address, b.Address))
		})
		if len(s.found) == s.limit {
			return nil
		}
	}
	return nil
}

// in adds those of a block who have all the keys.
func (s *search) in(block int64, keys []string) error {
	var sets []set
	for _, key := range keys {
		ids, err := s.at(block, key)
		if err != nil || len(ids) == 0 {
			return err
		}
		sets = append(sets, ids)
	}
	slices.SortFunc(sets, func(a, b set) int { return cmp.Compare(len(a), len(b)) })
	members := sets[0].members()
	for _, other := range sets[1:] {
		members = other.among(members)
	}
	for _, m := range members {
		if len(s.found) == s.limit {
			return nil
		}
		if err := s.add(block<<blockBits | int64(m)); err != nil {
			return err
		}
	}
	return nil
}

// add adds a contact, if there is one of that number and it has the words.
func (s *search) add(id int64) error {
	if s.seen[id] {
		return nil
	}
	var r row
	err := s.get.QueryRow(id).Scan(&r.id, &r.address, &r.last, &r.data, &r.signature)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if !fits(r.words(), s.words) {
		return nil
	}
	c, err := s.book.joined(s.tx, r)
	if err == nil {
		s.seen[id] = true
		s.found = append(s.found, c)
	}
	return err
}
