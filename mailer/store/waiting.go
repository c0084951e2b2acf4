package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync"
	"time"
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

// some returns messages without what a list shows of them. Those that are not there are left
// out.
func (m Mail) some(ctx context.Context, ids []string) (list []Message, err error) {
	err = m.DB.View(ctx, func(tx *sql.Tx) error {
		one, err := tx.PrepareContext(ctx, `SELECT id, folder, blob, digest, received, confirmed, receipt, content_key, read, '', NULL, '', waits FROM mail WHERE id = ?`)
		if err != nil {
			return err
		}
		defer one.Close()
		for _, id := range ids {
			r, err := m.scan(one.QueryRowContext(ctx, id).Scan)
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return err
			}
			list = append(list, r)
		}
		return nil
	})
	return list, err
}

// What waits is read this many rows at once, which hold for so long.
const (
	maxAhead  = 16
	aheadTime = time.Second
)

// Ahead reads messages that wait a few at once, in the order of a list, and without what a
// list shows of them. Its methods may be called from several goroutines.
type Ahead struct {
	mail  Mail
	clock func() time.Time
	ids   []string

	mu    sync.Mutex
	rows  map[string]Message
	since time.Time
}

// Ahead begins reading messages of a list by their identifiers.
func (m Mail) Ahead(ids []string, clock func() time.Time) *Ahead {
	return &Ahead{mail: m, clock: clock, ids: ids}
}

// Get returns one of them as it was a second ago or less, or [ErrNoMessage].
func (a *Ahead) Get(ctx context.Context, id string) (Message, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock()
	if r, is := a.rows[id]; is && now.Sub(a.since).Abs() < aheadTime {
		return r, nil
	}
	next := a.ids[max(slices.Index(a.ids, id), 0):]
	list, err := a.mail.some(ctx, next[:min(maxAhead, len(next))])
	if err != nil {
		return Message{}, err
	}
	a.rows, a.since = map[string]Message{}, now
	for _, r := range list {
		a.rows[r.ID] = r
	}
	if r, is := a.rows[id]; is {
		return r, nil
	}
	return Message{}, ErrNoMessage
}

// Standing says whether a message waits still, and whether there is another with its digest.
// What is to be filed is filed before if that is one, or if alone says so.
func (m Mail) Standing(ctx context.Context, r Message, alone bool) (waits, twin bool, err error) {
	if alone || m.filing.holds(r) {
		m.Flush(ctx)
	}
	err = m.DB.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM mail WHERE id = ?1 AND waits = 1),
			EXISTS (SELECT 1 FROM mail WHERE folder = ?2 AND digest = ?3 AND id <> ?1)`, r.ID, r.Folder, r.Digest[:]).Scan(&waits, &twin)
	})
	return waits, twin, err
}

// Opened files messages that waited, as they are now that they are open, all or none: with
// the digest, the key that was confirmed when it came, its content key, its line, and the
// fixed form in it. The time at which it came stays as it was signed; a receipt that did not
// hold holds no more for it. A message with the same digest was a copy of it, which could not
// be told before: it goes, and what was earlier of the two receipts stays (I3).
func (m Mail) Opened(ctx context.Context, list ...Arrival) error {
	return m.DB.Update(ctx, func(tx *sql.Tx) error {
		file, err := tx.PrepareContext(ctx, `UPDATE mail SET digest = ?, received = ?, confirmed = ?, receipt = ?, content_key = ?, read = max(read, ?), peer = ?, summary = ?, search = ?, waits = 0
			WHERE id = ? AND waits = 1`)
		if err != nil {
			return err
		}
		defer file.Close()
		copies, err := tx.PrepareContext(ctx, `SELECT `+columns+` FROM mail WHERE folder = ? AND digest = ? AND id <> ?3
			AND EXISTS (SELECT 1 FROM mail WHERE id = ?3 AND waits = 1)`)
		if err != nil {
			return err
		}
		defer copies.Close()
		for _, a := range list {
			r := a.Message
			twin, err := m.scan(copies.QueryRowContext(ctx, r.Folder, r.Digest[:], r.ID).Scan)
			if err == nil {
				err = m.merge(ctx, tx, &r, twin)
			}
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return err
			}
			receipt := []byte{}
			if r.Proved {
				receipt = m.Key.Sign(r.receipt())
			}
			if _, err := file.ExecContext(ctx, r.Digest[:], r.Received.UnixMilli(), r.Confirmed[:], receipt, r.Key, r.Read, r.Peer, m.seal(r.ID, r.Summary), r.Search, r.ID); err != nil {
				return err
			}
			if err := recognised(ctx, tx, a.Form, r.Digest); err != nil {
				return err
			}
		}
		return nil
	})
}

// merge drops the copy of a message that waits, and takes over what is known by it.
func (m Mail) merge(ctx context.Context, tx *sql.Tx, r *Message, twin Message) error {
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
