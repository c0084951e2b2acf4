package store

import (
	"context"
	"database/sql"
)

// waiting marks the messages whose key could not be used yet.
const waiting = `
ALTER TABLE mail ADD COLUMN waits INTEGER NOT NULL DEFAULT 0;
CREATE INDEX mail_waits ON mail (seq) WHERE waits = 1;`

// maxWaiting bounds what is listed at once.
const maxWaiting = 10_000

// Waiting returns the identifiers of the messages whose key could not be used yet, the
// newest first: at most 10,000.
func (m Mail) Waiting(ctx context.Context) (list []string, err error) {
	err = m.DB.View(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT id FROM mail WHERE waits = 1 ORDER BY seq DESC LIMIT ?`, maxWaiting)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			list = append(list, id)
		}
		return rows.Err()
	})
	return list, err
}

// Waits counts them.
func (m Mail) Waits(ctx context.Context) (n int, err error) {
	err = m.DB.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT count(*) FROM mail WHERE waits = 1`).Scan(&n)
	})
	return n, err
}

// Opened files a message that waited, as it is now that it is open: with its digest, the
// key that was confirmed when it came, its content key, its line, and the fixed form in it.
// The time at which it came stays as it was signed; a receipt that did not hold holds no
// more for it.
func (m Mail) Opened(ctx context.Context, r Message, form string) error {
	receipt := []byte{}
	if r.Proved {
		receipt = m.Key.Sign(r.receipt())
	}
	return m.DB.Update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE mail SET digest = ?, confirmed = ?, receipt = ?, content_key = ?, peer = ?, summary = ?, search = ?, waits = 0
			WHERE id = ? AND waits = 1`, r.Digest[:], r.Confirmed[:], receipt, r.Key, r.Peer, m.seal(r.ID, r.Summary), r.Search, r.ID)
		if err != nil {
			return err
		}
		return recognised(ctx, tx, form, r.Digest)
	})
}
