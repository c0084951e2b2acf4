package book

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"sync"

	"countersign/vault/contacts"
)

// rowTag begins what is signed of a row.
const rowTag = "countersign contact 1\x00"

// signed is what is authenticated of a row: the number of the contact's last
// record, so that the row of before it does not fit after it, the address, and
// the data, which is never empty.
func signed(address string, last uint64, data []byte) []byte {
	text := binary.BigEndian.AppendUint64([]byte(rowTag), last)
	text = binary.BigEndian.AppendUint64(text, uint64(len(address)))
	return append(append(text, address...), data...)
}

// row is one row of the table as it is stored.
type row struct {
	id        int64
	address   string
	last      uint64
	data      []byte
	signature []byte
}

const (
	selectRow = `SELECT id, address, last, data, signature FROM book_contact`
	insertRow = `INSERT INTO book_contact (id, address, sort, waits, last, data, signature) VALUES (?, ?, ?, ?, ?, ?, ?)`
)

// row makes the row of a contact.
func (b *Book) row(id int64, c contacts.Contact, last uint64) (row, error) {
	data, err := json.Marshal(c)
	return row{id, c.Address, last, data, b.seal(signed(c.Address, last, data))}, err
}

// contact reads what the row holds, whoever wrote it.
func (r row) contact() (c contacts.Contact, err error) {
	if err = json.Unmarshal(r.data, &c); err == nil && c.Address != r.address {
		err = errors.New("the row is of another address")
	}
	return c, err
}

// parsed remembers contacts as they were read, by all octets of their rows: one person
// writes many letters. What it gives is nowhere changed in place.
type parsed struct {
	mu   sync.Mutex
	rows map[string]read // by address
}

type read struct {
	row     row
	contact contacts.Contact
}

// maxParsed is how many are remembered.
const maxParsed = 64

// contact is the row's own, and costs less when it was asked for before.
func (p *parsed) contact(r row) (contacts.Contact, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.rows[r.address]; known.row.is(r) {
		return known.contact, nil
	}
	c, err := r.contact()
	if err != nil {
		return c, err
	}
	if p.rows == nil || len(p.rows) >= maxParsed {
		p.rows = map[string]read{}
	}
	p.rows[r.address] = read{r, c}
	return c, nil
}

// words is what the row is found by, whoever wrote it: in what cannot be read, the
// address.
func (r row) words() []string {
	c, _ := r.contact()
	c.Address = r.address
	return wordsOf(c)
}

// seal authenticates a row under a key that only the record key gives, at a
// fiftieth of what a signature costs.
func (b *Book) seal(text []byte) []byte {
	m := hmac.New(sha256.New, b.rowKey)
	m.Write(text)
	return m.Sum(nil)
}

// genuine says that the row was written by this program. Earlier versions of it
// signed rows with the record key itself.
func (b *Book) genuine(r row) bool {
	text := signed(r.address, r.last, r.data)
	if len(r.signature) == ed25519.SignatureSize {
		return ed25519.Verify(b.keeper.Public(), text, r.signature)
	}
	return hmac.Equal(b.seal(text), r.signature)
}

// sortKey is where a contact stands in the list of all.
func sortKey(c contacts.Contact) string { return fold(c.Who()) }

// waits is until when a contact waits for the user, in Unix seconds; 0: they do not.
func waits(c contacts.Contact) int64 {
	until := c.Waits()
	if until.IsZero() {
		return 0
	}
	return until.Unix()
}

// is says that two rows are the same to the last bit, so that nothing need be written.
func (r row) is(other row) bool {
	return r.id == other.id && r.address == other.address && r.last == other.last &&
		bytes.Equal(r.data, other.data) && bytes.Equal(r.signature, other.signature)
}

// put writes a contact's row and the words it is found by, if it is another than before.
func (b *Book) put(tx *sql.Tx, c contacts.Contact, last uint64) error {
	had, err := find(tx, ` WHERE address = ?`, c.Address)
	fresh := errors.Is(err, ErrUnknown)
	switch {
	case err == nil:
	case fresh:
		if err := tx.QueryRow(`SELECT coalesce(max(id), 0) + 1 FROM book_contact`).Scan(&had.id); err != nil {
			return err
		}
	default:
		return err
	}
	r, err := b.row(had.id, c, last)
	if err != nil || had.is(r) {
		return err
	}
	_, err = tx.Exec(insertRow+` ON CONFLICT (id) DO UPDATE
		SET sort = excluded.sort, waits = excluded.waits, last = excluded.last, data = excluded.data, signature = excluded.signature`,
		r.id, r.address, sortKey(c), waits(c), r.last, r.data, r.signature)
	if err != nil {
		return err
	}
	var words []string
	if !fresh {
		words = had.words()
	}
	return index(tx, r.id, words, wordsOf(c))
}

// find reads one row, or returns [ErrUnknown].
func find(tx *sql.Tx, where string, args ...any) (r row, err error) {
	err = tx.QueryRow(selectRow+where, args...).Scan(&r.id, &r.address, &r.last, &r.data, &r.signature)
	if errors.Is(err, sql.ErrNoRows) {
		return row{}, ErrUnknown
	}
	return r, err
}

// get reads a contact as its records bear it out.
func (b *Book) get(tx *sql.Tx, address string) (contacts.Contact, error) {
	r, err := find(tx, ` WHERE address = ?`, address)
	if err != nil {
		return contacts.Contact{}, err
	}
	return b.joined(tx, r)
}

// joined is the contact of a row as it stands with the organisation of its domain.
func (b *Book) joined(tx *sql.Tx, r row) (contacts.Contact, error) {
	c, err := b.proved(tx, r)
	if err != nil {
		return contacts.Contact{}, err
	}
	o, err := b.organisation(tx, c)
	return c.Join(o), err
}

// organisation is the organisation of a contact's domain, or one of which nothing is
// known. Most domains have none, and nothing is read.
func (b *Book) organisation(tx *sql.Tx, c contacts.Contact) (contacts.Contact, error) {
	domain := c.Address[strings.LastIndexByte(c.Address, '@')+1:]
	o := contacts.Contact{Address: domain, State: contacts.Unknown}
	if c.Organisation() || b.standing().last(domain) == 0 {
		return o, nil
	}
	r, err := find(tx, ` WHERE address = ?`, domain)
	if errors.Is(err, ErrUnknown) {
		return o, nil
	}
	if err != nil {
		return contacts.Contact{}, err
	}
	return b.proved(tx, r)
}

// proved is the contact of a row as its records bear it out.
func (b *Book) proved(tx *sql.Tx, r row) (contacts.Contact, error) {
	chain := b.standing()
	records, err := chain.of(tx, r.address)
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
	c, err := b.parsed.contact(r)
	if err != nil || !b.genuine(r) || proved && r.last != chain.last(r.address) {
		b.mu.Lock()
		b.edited = true
		b.mu.Unlock()
		return rebuilt(r.address, records), nil
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
		gone, _ := removed(r)
		switch {
		case (r.Kind == contacts.RecordVerified || r.Kind == contacts.RecordRenewed) && ok:
			c.Pin, c.Doubt = &contacts.Pin{Keys: keys, Call: r.Call}, nil
			if r.Kind == contacts.RecordRenewed {
				c.Pin.Renewed = r.Time
			}
			c.Suspension = &contacts.Suspension{At: r.Time, Reason: contacts.ByRecords}
		case r.Kind == contacts.RecordMismatch && ok:
			c.Doubt = &contacts.Doubt{At: r.Time, Keys: keys.ID()}
		case gone:
			c = contacts.Contact{Address: address, Suspension: stillStopped(r)}
		case r.Kind == contacts.RecordSuspended && c.Pin == nil: // of one who counts by their organisation
			c.Suspension = &contacts.Suspension{At: r.Time, Reason: contacts.ByRecords}
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
