package store

import (
	"context"
	"database/sql"
	"errors"
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
// more for it. A message with the same digest was a copy of it, which could not be told
// before: it goes, and what was earlier of the two receipts stays (I3).
func (m Mail) Opened(ctx context.Context, r Message, form string) error {
	return m.DB.Update(ctx, func(tx *sql.Tx) error {
		if err := m.merge(ctx, tx, &r); err != nil {
			return err
		}
		receipt := []byte{}
		if r.Proved {
			receipt = m.Key.Sign(r.receipt())
		}
		_, err := tx.ExecContext(ctx, `UPDATE mail SET digest = ?, received = ?, confirmed = ?, receipt = ?, content_key = ?, read = max(read, ?), peer = ?, summary = ?, search = ?, waits = 0
			WHERE id = ? AND waits = 1`, r.Digest[:], r.Received.UnixMilli(), r.Confirmed[:], receipt, r.Key, r.Read, r.Peer, m.seal(r.ID, r.Summary), r.Search, r.ID)
		if err != nil {
			return err
		}
		return recognised(ctx, tx, form, r.Digest)
	})
}

// merge drops the copy of a message that waits, if there is one, and takes over what is
// known by it.
func (m Mail) merge(ctx context.Context, tx *sql.Tx, r *Message) error {
	twin, err := m.scan(tx.QueryRowContext(ctx, `SELECT `+columns+` FROM mail WHERE folder = ? AND digest = ? AND id <> ?3
		AND EXISTS (SELECT 1 FROM mail WHERE id = ?3 AND waits = 1)`, r.Folder, r.Digest[:], r.ID).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if twin.Proved && (!r.Proved || twin.Received.Before(r.Received)) {
		r.Received, r.Confirmed, r.Proved = twin.Received, twin.Confirmed, true
	}
	r.Read = r.Read || twin.Read
	if _, err := tx.ExecContext(ctx, `DELETE FROM mail WHERE id = ?`, twin.ID); err != nil {
		return err
	}
	// Its server may still have to be told that it was read.
	if _, err := tx.ExecContext(ctx, `DELETE FROM mail_place WHERE id = ? AND untold = 0`, twin.ID); err != nil {
		return err
	}
	return m.DB.Drop(tx, twin.Blob)
}
