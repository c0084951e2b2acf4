// Package store keeps mail and drafts in the sealed database.
//
// # Mail
//
// A message lies there as it travelled, as a blob. It counts once its row commits,
// in the transaction that also notes how far the mailbox was read; what was not
// filed by then is swept away. A row holds besides what lets the message be shown
// again without a key operation: its content key, and a summary whose form is the
// caller's own. Messages with the same digest are one message (SECURITY I3). The
// receipt (digest, time, and the key that was confirmed then) and the summary are
// signed with the record key: one that was edited does not count (I2).
//
// # What waits for its key
//
// A message whose key could not be used when it came, because its card was not there or
// its PIN was not entered, is filed and waits. [Mail.Opened] files it anew once it opens;
// its receipt stands. [Mail.Waiting] finds those that wait by an index of their own.
//
// # Drafts
//
// What is being written, with its files, lies in the same database and nowhere
// else. It goes in the transaction that accepts the message.
//
// # Issuers
//
// The certificates of authorities that a path to an anchor went through lie here as
// well: the next message or file may come without them.
package store

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"countersign/mailer/transport"
	"countersign/vault/sealed"
)

const schema = `
CREATE TABLE mail (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	id TEXT NOT NULL UNIQUE,
	folder TEXT NOT NULL,
	blob INTEGER NOT NULL,
	digest BLOB NOT NULL,
	received INTEGER NOT NULL,
	confirmed BLOB NOT NULL,
	receipt BLOB NOT NULL,
	content_key BLOB,
	read INTEGER NOT NULL,
	peer TEXT NOT NULL,
	summary BLOB,
	search TEXT NOT NULL,
	UNIQUE (folder, digest)
) STRICT;
CREATE INDEX mail_folder ON mail (folder, seq);
CREATE INDEX mail_peer ON mail (peer);
CREATE TABLE mail_position (
	account TEXT PRIMARY KEY,
	validity INTEGER NOT NULL,
	uid INTEGER NOT NULL
) STRICT;
CREATE TABLE mail_form (
	id TEXT PRIMARY KEY,
	digest BLOB NOT NULL
) STRICT;`

// Key signs what must not be edited, and checks it: the record key.
type Key interface {
	Sign(message []byte) []byte
	Public() ed25519.PublicKey
}

// Mail is the stored messages.
type Mail struct {
	DB  *sealed.DB
	Key Key

	filing *filing
}

// New gives the messages of a database.
func New(db *sealed.DB, key Key) Mail { return Mail{DB: db, Key: key, filing: new(filing)} }

// Migrate makes the tables that are missing.
func (m Mail) Migrate() error { return m.DB.Migrate("mail", schema, places, waiting) }

// Message is one stored message.
type Message struct {
	ID, Folder string
	Blob       int64
	Digest     [32]byte  // what makes it the same message as another (I3)
	Received   time.Time // by our own clock, to the millisecond
	Confirmed  [32]byte  // SPKI of the key that was the confirmed one then, or zero
	Proved     bool      // the receipt is as it was signed: Digest, Received and Confirmed hold (I2)
	Key        []byte    // its content key (K1b), or nil
	Read       bool
	Line
}

// Line is what a list shows of a message.
type Line struct {
	Peer    string // the address whom the summary speaks of
	Summary []byte // nil: to be made anew; so is one that was edited from outside
	Search  string // lower case: what the message is found by
	Waits   bool   // the key that opens it could not be used yet: it is not followed, and its Digest is not the last word
}

// ErrNoMessage says that there is no such message.
var ErrNoMessage = &Problem{"not-found", "There is no such message.", "Look at the list again."}

const columns = `id, folder, blob, digest, received, confirmed, receipt, content_key, read, peer, summary, search, waits`

func (m Mail) scan(from func(...any) error) (r Message, err error) {
	var ms int64
	var digest, confirmed, receipt, line []byte
	if err := from(&r.ID, &r.Folder, &r.Blob, &digest, &ms, &confirmed, &receipt, &r.Key, &r.Read, &r.Peer, &line, &r.Search, &r.Waits); err != nil {
		return r, err
	}
	copy(r.Digest[:], digest)
	copy(r.Confirmed[:], confirmed)
	r.Received = time.UnixMilli(ms).UTC()
	r.Proved = ed25519.Verify(m.Key.Public(), r.receipt(), receipt)
	if len(line) > ed25519.SignatureSize {
		signature, summary := line[:ed25519.SignatureSize], line[ed25519.SignatureSize:]
		if ed25519.Verify(m.Key.Public(), signedLine(r.ID, summary), signature) {
			r.Summary = summary
		}
	}
	return r, nil
}

// receipt is what is signed of a message's arrival (I2): that this message was here
// at this time by our own clock, and which key was the confirmed one then.
func (r Message) receipt() []byte {
	b := append([]byte("countersign receipt 1\x00"), r.Digest[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Received.UnixMilli()))
	return append(b, r.Confirmed[:]...)
}

// signedLine is what is signed of a summary, since a list shows it as it is.
func signedLine(id string, summary []byte) []byte {
	return append([]byte("countersign summary 1\x00"+id+"\x00"), summary...)
}

// seal gives the stored form of a summary.
func (m Mail) seal(id string, summary []byte) []byte {
	if summary == nil {
		return nil
	}
	return append(m.Key.Sign(signedLine(id, summary)), summary...)
}

// Arrival is what is filed with a message in one transaction.
type Arrival struct {
	Message
	Form    string // the identifier of the fixed form in it, if it was recognised
	Account string
	At      transport.Position
}

// Arrive makes a message count, and notes with it how far the mailbox was read.
func (m Mail) Arrive(ctx context.Context, a Arrival) error {
	return m.DB.Update(ctx, func(tx *sql.Tx) error {
		if err := m.File(ctx, tx, a.Message); err != nil {
			return err
		}
		if err := recognised(ctx, tx, a.Form, a.Digest); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO mail_place (id, account, validity, uid) VALUES (?, ?, ?, ?)`, a.ID, a.Account, a.At.Validity, a.At.UID); err != nil {
			return err
		}
		return reach(ctx, tx, a.Account, a.At)
	})
}

// recognised notes in which message a fixed form came first.
func recognised(ctx context.Context, tx *sql.Tx, form string, digest [32]byte) error {
	if form == "" {
		return nil
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO mail_form VALUES (?, ?) ON CONFLICT DO NOTHING`, form, digest[:])
	return err
}

// File makes a message count, within a transaction. Its blob is kept.
func (m Mail) File(ctx context.Context, tx *sql.Tx, r Message) error {
	if err := m.DB.Keep(tx, r.Blob); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO mail (`+columns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		r.ID, r.Folder, r.Blob, r.Digest[:], r.Received.UnixMilli(), r.Confirmed[:], m.Key.Sign(r.receipt()), r.Key, r.Read, r.Peer,
		m.seal(r.ID, r.Summary), r.Search, r.Waits)
	return err
}

// Get returns one message, or [ErrNoMessage].
func (m Mail) Get(ctx context.Context, id string) (Message, error) { return m.find(ctx, `id = ?`, id) }

// Same returns the message of a folder with that digest, or [ErrNoMessage].
func (m Mail) Same(ctx context.Context, folder string, digest [32]byte) (Message, error) {
	return m.find(ctx, `folder = ? AND digest = ?`, folder, digest[:])
}

func (m Mail) find(ctx context.Context, where string, args ...any) (r Message, err error) {
	err = m.DB.View(ctx, func(tx *sql.Tx) error {
		r, err = m.scan(tx.QueryRowContext(ctx, `SELECT `+columns+` FROM mail WHERE `+where, args...).Scan)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNoMessage
	}
	return r, err
}

// Query asks for a list of messages.
type Query struct {
	Folder string
	Search string // words that are all to be found
	Limit  int    // 50 when zero, at most 500
	Before string // the ID of the last one had
}

// List returns what a query asks for, newest first.
func (m Mail) List(ctx context.Context, q Query) (list []Message, err error) {
	where, args := `folder = ?`, []any{q.Folder}
	for _, word := range strings.Fields(strings.ToLower(q.Search)) {
		where, args = where+` AND instr(search, ?) > 0`, append(args, word)
	}
	if q.Before != "" {
		where, args = where+` AND seq < (SELECT seq FROM mail WHERE id = ?)`, append(args, q.Before)
	}
	limit := min(q.Limit, 500)
	if limit <= 0 {
		limit = 50
	}
	err = m.DB.View(ctx, func(tx *sql.Tx) error {
		found, err := tx.QueryContext(ctx, `SELECT `+columns+` FROM mail WHERE `+where+` ORDER BY seq DESC LIMIT ?`, append(args, limit)...)
		if err != nil {
			return err
		}
		defer found.Close()
		for found.Next() {
			r, err := m.scan(found.Scan)
			if err != nil {
				return err
			}
			list = append(list, r)
		}
		return found.Err()
	})
	return list, err
}

// SetLine stores a line that was made anew, and a content key if there is one.
func (m Mail) SetLine(ctx context.Context, id string, l Line, key []byte) error {
	return m.exec(ctx, `UPDATE mail SET peer = ?, summary = ?, search = ?, content_key = coalesce(?, content_key) WHERE id = ?`,
		l.Peer, m.seal(id, l.Summary), l.Search, key, id)
}

// Forget drops the summaries that speak of an address.
func (m Mail) Forget(ctx context.Context, peer string) error {
	m.filing.forget(func(other string) bool { return other == peer })
	return m.exec(ctx, `UPDATE mail SET summary = NULL WHERE peer = ?`, peer)
}

// ForgetDomain drops the summaries that speak of any address at a domain.
func (m Mail) ForgetDomain(ctx context.Context, domain string) error {
	m.filing.forget(at(domain))
	return m.exec(ctx, `UPDATE mail SET summary = NULL WHERE substr(peer, -length(?1)) = ?1`, "@"+domain)
}

// ForgetFolder drops all the summaries of a folder.
func (m Mail) ForgetFolder(ctx context.Context, folder string) error {
	m.filing.forget(func(string) bool { return true })
	return m.exec(ctx, `UPDATE mail SET summary = NULL WHERE folder = ?`, folder)
}

func (m Mail) exec(ctx context.Context, query string, args ...any) error {
	return m.DB.Update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, query, args...)
		return err
	})
}

// MarkRead records that the user has seen a message, or has not. Its server is to be
// told of the first.
func (m Mail) MarkRead(ctx context.Context, id string, read bool) error {
	return m.DB.Update(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE mail SET read = ? WHERE id = ?`, read, id)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(ErrNoMessage, err)
		}
		_, err = tx.ExecContext(ctx, `UPDATE mail_place SET untold = ? WHERE id = ?`, read, id)
		return err
	})
}

// Unread counts the messages of a folder that the user has not seen.
func (m Mail) Unread(ctx context.Context, folder string) (n int, err error) {
	err = m.DB.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT count(*) FROM mail WHERE folder = ? AND read = 0`, folder).Scan(&n)
	})
	return n, err
}

// Position tells how far an account's mailbox was read.
func (m Mail) Position(ctx context.Context, account string) (at transport.Position, err error) {
	err = m.DB.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT validity, uid FROM mail_position WHERE account = ?`, account).Scan(&at.Validity, &at.UID)
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return at, err
}

// Reached notes how far an account's mailbox was read, beyond the last message that
// arrived.
func (m Mail) Reached(ctx context.Context, account string, at transport.Position) error {
	return m.DB.Update(ctx, func(tx *sql.Tx) error { return reach(ctx, tx, account, at) })
}

func reach(ctx context.Context, tx *sql.Tx, account string, at transport.Position) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO mail_position VALUES (?, ?, ?) ON CONFLICT (account)
		DO UPDATE SET validity = excluded.validity, uid = excluded.uid`, account, at.Validity, at.UID)
	return err
}

// Form returns the digest of the message in which a fixed form came first.
func (m Mail) Form(ctx context.Context, id string) (digest [32]byte, known bool, err error) {
	var b []byte
	err = m.DB.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT digest FROM mail_form WHERE id = ?`, id).Scan(&b)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return digest, false, nil
	}
	copy(digest[:], b)
	return digest, err == nil, err
}
