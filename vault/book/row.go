package book

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"countersign/vault/contacts"
)

// rowTag begins what is signed of a row.
const rowTag = "countersign contact 1\x00"

// signed is what the record key signs of a row: the number of the contact's last
// record, so that the row of before it does not fit after it, the address, and
// the data, which is never empty.
func signed(address string, last uint64, data []byte) []byte {
	text := binary.BigEndian.AppendUint64([]byte(rowTag), last)
	text = binary.BigEndian.AppendUint64(text, uint64(len(address)))
	return append(append(text, address...), data...)
}

// put writes a contact's row and the words it is found by.
func (b *Book) put(tx *sql.Tx, c contacts.Contact, last uint64) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO book_contact VALUES (?, ?, ?, ?, ?) ON CONFLICT (address) DO UPDATE
		SET sort = excluded.sort, last = excluded.last, data = excluded.data, signature = excluded.signature`,
		c.Address, strings.ToLower(c.Who()), last, data, b.keeper.Sign(signed(c.Address, last, data)))
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM book_word WHERE address = ?`, c.Address); err != nil {
		return err
	}
	for _, w := range wordsOf(c) {
		if _, err := tx.Exec(`INSERT OR IGNORE INTO book_word VALUES (?, ?)`, w, c.Address); err != nil {
			return err
		}
	}
	return nil
}

// get reads a contact as its records bear it out.
func (b *Book) get(tx *sql.Tx, address string) (contacts.Contact, error) {
	var last uint64
	var data, signature []byte
	err := tx.QueryRow(`SELECT last, data, signature FROM book_contact WHERE address = ?`, address).
		Scan(&last, &data, &signature)
	if errors.Is(err, sql.ErrNoRows) {
		return contacts.Contact{}, ErrUnknown
	}
	if err != nil {
		return contacts.Contact{}, err
	}
	chain := b.standing()
	records, err := chain.of(tx, address)
	if errors.Is(err, ErrRolledBack) {
		b.mu.Lock()
		b.problem, records = err, nil
		b.mu.Unlock()
	} else if err != nil {
		return contacts.Contact{}, err
	}
	proved := b.unproved() == nil
	if !proved {
		records = nil
	}
	var c contacts.Contact
	genuine := ed25519.Verify(b.keeper.Public(), signed(address, last, data), signature)
	if !genuine || proved && last != chain.last(address) || json.Unmarshal(data, &c) != nil || c.Address != address {
		b.mu.Lock()
		b.edited = true
		b.mu.Unlock()
		return rebuilt(address, records), nil
	}
	c, _ = c.Audit(records)
	return c, nil
}

// rebuilt is what the records alone say of a contact. Nothing is sent to it:
// what was verified is suspended, what was doubted stays so.
func rebuilt(address string, records []contacts.Record) contacts.Contact {
	c := contacts.Contact{Address: address}
	for _, r := range records {
		keys, ok := keysOf(r)
		switch {
		case (r.Kind == contacts.RecordVerified || r.Kind == contacts.RecordRenewed) && ok:
			c.Pin, c.Doubt = &contacts.Pin{Keys: keys, Call: r.Call}, nil
			if r.Kind == contacts.RecordRenewed {
				c.Pin.Renewed = r.Time
			}
			c.Suspension = &contacts.Suspension{At: r.Time, Reason: contacts.ByRecords}
		case r.Kind == contacts.RecordMismatch && ok:
			c.Doubt = &contacts.Doubt{At: r.Time, Keys: keys.ID()}
		case r.Kind == contacts.RecordSuspended && r.Reason == reasonRemoved:
			c = contacts.Contact{Address: address}
		}
	}
	c, _ = c.Audit(records)
	return c
}

// mend gives a row to every contact that has lost it.
func (b *Book) mend(ctx context.Context) error {
	var lost []contacts.Contact
	err := b.db.View(ctx, func(tx *sql.Tx) error {
		for address, links := range b.chain.links {
			if address == "" || links[len(links)-1].gone {
				continue
			}
			var there bool
			if err := tx.QueryRow(`SELECT count(*) FROM book_contact WHERE address = ?`, address).Scan(&there); err != nil {
				return err
			}
			if there {
				continue
			}
			records, err := b.chain.of(tx, address)
			if err != nil {
				return err
			}
			lost = append(lost, rebuilt(address, records))
		}
		return nil
	})
	if err != nil || len(lost) == 0 {
		return err
	}
	b.edited = true
	return b.db.Update(ctx, func(tx *sql.Tx) error {
		for _, c := range lost {
			if err := b.put(tx, c, b.chain.last(c.Address)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Search finds contacts of which each word typed begins a word of the name or
// the address, whatever the case; the whole address counts as a word too. With
// an empty text it lists all, by name. Limit is at least 1.
func (b *Book) Search(ctx context.Context, text string, limit int) ([]contacts.Contact, error) {
	query, args := searchQuery(strings.Fields(strings.ToLower(text)))
	found, err := b.find(ctx, query, append(args, max(limit, 1))...)
	if err != nil {
		return nil, fmt.Errorf("searching the address book: %w", err)
	}
	return found, nil
}

// find reads the contacts whose addresses a query gives.
func (b *Book) find(ctx context.Context, query string, args ...any) ([]contacts.Contact, error) {
	var found []contacts.Contact
	err := b.db.View(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var address string
			if err := rows.Scan(&address); err != nil {
				return err
			}
			c, err := b.get(tx, address)
			if err != nil {
				return err
			}
			found = append(found, c)
		}
		return rows.Err()
	})
	return found, err
}

func searchQuery(words []string) (string, []any) {
	if len(words) == 0 {
		return `SELECT address FROM book_contact ORDER BY sort, address LIMIT ?`, nil
	}
	const last = "\U0010FFFF"
	var query strings.Builder
	query.WriteString(`SELECT DISTINCT address FROM book_word AS w WHERE word >= ? AND word < ?`)
	args := []any{words[0], words[0] + last}
	for _, w := range words[1:] {
		query.WriteString(` AND EXISTS (SELECT 1 FROM book_word AS v
			WHERE v.address = w.address AND v.word >= ? AND v.word < ?)`)
		args = append(args, w, w+last)
	}
	query.WriteString(` LIMIT ?`)
	return query.String(), args
}

// wordsOf lists what a contact is found by, in lower case.
func wordsOf(c contacts.Contact) []string {
	apart := func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) }
	words := strings.FieldsFunc(strings.ToLower(c.Name+" "+c.Address), apart)
	if _, domain, ok := strings.Cut(c.Address, "@"); ok {
		words = append(words, domain)
	}
	return append(words, c.Address)
}
