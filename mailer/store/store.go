// Package store keeps mail and drafts in the sealed database.
//
// # Mail
//
// A message lies there as it travelled, as a blob. It counts once its row commits,
// in the transaction that also notes how far the mailbox was read; what was not
// filed by then is swept away. A row holds besides what lets the message be shown
// again without a key operation: its content key, and a summary whose form is the
// caller's own. Messages with the same digest are one message (SECURITY I3).
//
// Beside it lie the certificates of authorities that a path to an anchor went
// through: the next message or file may come without them.
//
// # Drafts
//
// What is being written, with its files, lies in the same database and nowhere
// else. It goes in the transaction that accepts the message.
package store

import (
	"context"
	"crypto/x509"
	"database/sql"
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
) STRICT;
CREATE TABLE mail_issuer (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	der BLOB NOT NULL UNIQUE
) STRICT;`

// Mail is the stored messages.
type Mail struct {
	DB *sealed.DB
}

// Migrate makes the tables that are missing.
func (m Mail) Migrate() error { return m.DB.Migrate("mail", schema) }

// Message is one stored message.
type Message struct {
	ID, Folder string
	Blob       int64
	Digest     [32]byte  // of its CMS; of all its bytes where there is none
	Received   time.Time // by our own clock, to the millisecond
	Confirmed  [32]byte  // SPKI of the key that was the confirmed one then, or zero
	Receipt    []byte    // signature by the record key over the three above (I2)
	Key        []byte    // its content key (K1b), or nil
	Read       bool
	Line
}

// Line is what a list shows of a message.
type Line struct {
	Peer    string // the address whom the summary speaks of
	Summary []byte // nil: to be made anew
	Search  string // lower case: what the message is found by
}

// ErrNoMessage says that there is no such message.
var ErrNoMessage = &Problem{"not-found", "There is no such message.", "Look at the list again."}

const columns = `id, folder, blob, digest, received, confirmed, receipt, content_key, read, peer, summary, search`

func scan(from func(...any) error) (r Message, err error) {
	var ms int64
	var digest, confirmed []byte
	err = from(&r.ID, &r.Folder, &r.Blob, &digest, &ms, &confirmed, &r.Receipt, &r.Key, &r.Read, &r.Peer, &r.Summary, &r.Search)
	copy(r.Digest[:], digest)
	copy(r.Confirmed[:], confirmed)
	r.Received = time.UnixMilli(ms).UTC()
	return r, err
}

// File makes a message count, within a transaction. Its blob is kept.
func (m Mail) File(ctx context.Context, tx *sql.Tx, r Message) error {
	if err := m.DB.Keep(tx, r.Blob); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO mail (`+columns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		r.ID, r.Folder, r.Blob, r.Digest[:], r.Received.UnixMilli(), r.Confirmed[:], r.Receipt, r.Key, r.Read, r.Peer, r.Summary, r.Search)
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
		r, err = scan(tx.QueryRowContext(ctx, `SELECT `+columns+` FROM mail WHERE `+where, args...).Scan)
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
			r, err := scan(found.Scan)
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
		l.Peer, l.Summary, l.Search, key, id)
}

// Forget drops the summaries that speak of an address.
func (m Mail) Forget(ctx context.Context, peer string) error {
	return m.exec(ctx, `UPDATE mail SET summary = NULL WHERE peer = ?`, peer)
}

func (m Mail) exec(ctx context.Context, query string, args ...any) error {
	return m.DB.Update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, query, args...)
		return err
	})
}

// MarkRead records that the user has seen a message, or has not.
func (m Mail) MarkRead(ctx context.Context, id string, read bool) error {
	return m.DB.Update(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE mail SET read = ? WHERE id = ?`, read, id)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(ErrNoMessage, err)
		}
		return nil
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

// Reached notes within a transaction how far an account's mailbox was read.
func (m Mail) Reached(ctx context.Context, tx *sql.Tx, account string, at transport.Position) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO mail_position VALUES (?, ?, ?) ON CONFLICT (account)
		DO UPDATE SET validity = excluded.validity, uid = excluded.uid`, account, at.Validity, at.UID)
	return err
}

// NoteForm records within a transaction that a fixed form came in the message with
// that digest.
func (m Mail) NoteForm(ctx context.Context, tx *sql.Tx, id string, digest [32]byte) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO mail_form VALUES (?, ?) ON CONFLICT DO NOTHING`, id, digest[:])
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

// maxIssuers is how many authorities' certificates are remembered, the latest.
const maxIssuers = 200

// Issuers returns the certificates of authorities that were remembered. They are
// evidence, never anchors.
func (m Mail) Issuers(ctx context.Context) (list []*x509.Certificate, err error) {
	err = m.DB.View(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT der FROM mail_issuer`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var der []byte
			if err := rows.Scan(&der); err != nil {
				return err
			}
			c, err := x509.ParseCertificate(der)
			if err != nil {
				return err
			}
			list = append(list, c)
		}
		return rows.Err()
	})
	return list, err
}

// AddIssuer remembers the certificate of an authority.
func (m Mail) AddIssuer(ctx context.Context, c *x509.Certificate) error {
	return m.DB.Update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO mail_issuer (der) VALUES (?) ON CONFLICT DO NOTHING`, c.Raw); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM mail_issuer WHERE seq <= (SELECT max(seq) FROM mail_issuer) - ?`, maxIssuers)
		return err
	})
}
