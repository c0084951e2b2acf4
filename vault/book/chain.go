package book

import (
	"context"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"countersign/vault/contacts"
)

// chain is what is remembered of the records in force, once they were checked:
// enough to tell, when one is read again, that it is the same.
type chain struct {
	number  int64 // of the chain itself
	head    [32]byte
	counter uint64
	links   map[string][]link // by address; anchors and bundles under the empty one
}

type link struct {
	seq  uint64
	hash [32]byte
	kind contacts.RecordKind
	gone bool // the contact was removed with it
	// stopped is why the contact was stopped when it was removed; empty: it was not.
	stopped contacts.Reason
}

// with returns the chain with one record more. The old one stays as it is.
func (c chain) with(r contacts.Record) chain {
	c.head, c.counter = r.Head(), r.Seq
	c.links = maps.Clone(c.links)
	if c.links == nil {
		c.links = map[string][]link{}
	}
	c.links[r.Address] = append(slices.Clip(c.links[r.Address]), linkOf(r))
	return c
}

func linkOf(r contacts.Record) link {
	gone, stopped := removed(r)
	return link{r.Seq, r.Head(), r.Kind, gone, stopped}
}

// last is the number of the last record of an address, or 0.
func (c chain) last(address string) uint64 {
	links := c.links[address]
	if len(links) == 0 {
		return 0
	}
	return links[len(links)-1].seq
}

// of reads the records of one address and makes sure that they are the ones
// that were checked.
func (c chain) of(tx *sql.Tx, address string) ([]contacts.Record, error) {
	var records []contacts.Record
	for _, l := range c.links[address] {
		var data []byte
		err := tx.QueryRow(`SELECT data FROM book_record WHERE chain = ? AND seq = ?`, c.number, l.seq).Scan(&data)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
		var r contacts.Record
		if err != nil || json.Unmarshal(data, &r) != nil || r.Head() != l.hash {
			return nil, fmt.Errorf("%w (record %d was changed while the program ran)", ErrRolledBack, l.seq)
		}
		records = append(records, r)
	}
	return records, nil
}

// standing returns the chain as it is now. Chains are never changed in place.
func (b *Book) standing() chain {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.chain
}

func (b *Book) unproved() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.problem
}

// load reads all the records in force and checks them against the keychain.
func (b *Book) load(ctx context.Context, restored bool) (chain, error) {
	var c chain
	var records []contacts.Record
	err := b.db.View(ctx, func(tx *sql.Tx) error {
		if err := tx.QueryRow(`SELECT coalesce(max(chain), 1) FROM book_record`).Scan(&c.number); err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, `SELECT data FROM book_record WHERE chain = ? ORDER BY seq`, c.number)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var data sql.RawBytes
			if err := rows.Scan(&data); err != nil {
				return err
			}
			var r contacts.Record
			if err := json.Unmarshal(data, &r); err != nil {
				return fmt.Errorf("%w (%w)", ErrRolledBack, contacts.ErrRecordSignature)
			}
			records = append(records, r)
		}
		return rows.Err()
	})
	if err != nil {
		return chain{}, err
	}
	head, counter := b.keeper.Head()
	if err := contacts.VerifyChain(records, b.keeper.Public(), head, counter); err != nil {
		return chain{}, fmt.Errorf("%w (%w)", ErrRolledBack, err)
	}
	if beyond := uint64(len(records)) - counter; beyond > 1 && !restored {
		return chain{}, fmt.Errorf("%w (%d records beyond the head)", ErrRolledBack, beyond)
	}
	c.head, c.counter, c.links = head, counter, map[string][]link{}
	for _, r := range records {
		c.links[r.Address] = append(c.links[r.Address], linkOf(r))
		c.head, c.counter = r.Head(), r.Seq
	}
	return c, nil
}

// record runs one transaction in which change sees the chain as it will be, and
// the draft, if there is one, is added to it. Then it moves the head.
func (b *Book) record(ctx context.Context, draft *contacts.RecordDraft, change func(*sql.Tx, chain) error) error {
	next := b.standing()
	if draft != nil {
		if err := b.unproved(); err != nil {
			return err
		}
		// Never more than one record beyond the head.
		if _, counter := b.keeper.Head(); counter < next.counter {
			if err := b.keeper.Advance(ctx, next.head, next.counter); err != nil {
				return err
			}
		}
	}
	err := b.db.Update(ctx, func(tx *sql.Tx) error {
		if draft != nil {
			r := draft.Chain(next.counter, next.head, b.keeper.Sign)
			if err := insert(tx, next.number, r); err != nil {
				return err
			}
			next = next.with(r)
		}
		if change == nil {
			return nil
		}
		return change(tx, next)
	})
	if err != nil || draft == nil {
		return err
	}
	b.mu.Lock()
	b.chain = next
	b.mu.Unlock()
	if err := b.keeper.Advance(ctx, next.head, next.counter); err != nil {
		return fmt.Errorf("%w: %w", ErrHeadBehind, err)
	}
	return nil
}

func insert(tx *sql.Tx, number int64, r contacts.Record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO book_record VALUES (?, ?, ?)`, number, r.Seq, data)
	return err
}

// Restart begins a new chain after [ErrRolledBack], so that contacts can be
// verified anew and authorities added again. Everyone verified before stays
// suspended. The old records are kept as evidence and never read again.
func (b *Book) Restart(ctx context.Context) error {
	b.change.Lock()
	defer b.change.Unlock()
	if b.unproved() == nil {
		return nil
	}
	all, err := b.all(ctx)
	if err != nil {
		return fmt.Errorf("starting the records anew: %w", err)
	}
	var next chain
	err = b.db.Update(ctx, func(tx *sql.Tx) error {
		if err := tx.QueryRow(`SELECT coalesce(max(chain), 0) + 1 FROM book_record`).Scan(&next.number); err != nil {
			return err
		}
		// A first record that concerns nobody: the head in the keychain is then
		// one that no old record has.
		draft := contacts.RecordDraft{Kind: contacts.RecordSuspended, Time: b.clock(), Reason: "restarted"}
		r := draft.Chain(0, [32]byte{}, b.keeper.Sign)
		next = next.with(r)
		for _, c := range all { // as they stand: nobody verified, no record yet
			if err := b.put(tx, c, 0); err != nil {
				return err
			}
		}
		return insert(tx, next.number, r)
	})
	if err == nil {
		err = b.keeper.Restart(ctx, next.head)
	}
	if err != nil {
		return fmt.Errorf("starting the records anew: %w", err)
	}
	b.mu.Lock()
	b.chain, b.problem = next, nil
	b.mu.Unlock()
	return nil
}

// restored says whether the profile was restored since the book was last open.
func (b *Book) restored(ctx context.Context) (is bool, err error) {
	err = b.db.Update(ctx, func(tx *sql.Tx) error {
		epoch := b.keeper.Epoch()
		var noted uint64
		err := tx.QueryRow(`SELECT epoch FROM book_epoch`).Scan(&noted)
		if errors.Is(err, sql.ErrNoRows) {
			_, err = tx.Exec(`INSERT INTO book_epoch VALUES (1, ?)`, epoch)
			return err
		}
		is = noted != epoch
		return err
	})
	return is, err
}

// voidTests ends every test in progress and notes the epoch.
func (b *Book) voidTests(ctx context.Context) error {
	all, err := b.all(ctx)
	if err != nil {
		return err
	}
	return b.db.Update(ctx, func(tx *sql.Tx) error {
		for _, c := range all {
			if c.Test == nil && c.Incoming == nil {
				continue
			}
			c.Test, c.Incoming = nil, nil
			records, err := b.chain.of(tx, c.Address)
			if err != nil {
				return err
			}
			c, _ = c.Audit(records)
			if err := b.put(tx, c, b.chain.last(c.Address)); err != nil {
				return err
			}
		}
		_, err := tx.Exec(`UPDATE book_epoch SET epoch = ?`, b.keeper.Epoch())
		return err
	})
}

// all reads every contact.
func (b *Book) all(ctx context.Context) (all []contacts.Contact, err error) {
	err = b.db.View(ctx, func(tx *sql.Tx) error {
		for r, err := range rows(ctx, tx) {
			if err != nil {
				return err
			}
			c, err := b.proved(tx, r)
			if err != nil {
				return err
			}
			all = append(all, c)
		}
		return nil
	})
	return all, err
}

// keysOf gives the key set of a record, if it holds both certificates.
func keysOf(r contacts.Record) (contacts.KeySet, bool) {
	if len(r.Certificates) != 2 {
		return contacts.KeySet{}, false
	}
	sign, err := x509.ParseCertificate(r.Certificates[0])
	if err != nil {
		return contacts.KeySet{}, false
	}
	encrypt, err := x509.ParseCertificate(r.Certificates[1])
	if err != nil {
		return contacts.KeySet{}, false
	}
	if encrypt.Equal(sign) {
		encrypt = sign
	}
	return contacts.KeySet{Sign: sign, Encrypt: encrypt}, true
}
