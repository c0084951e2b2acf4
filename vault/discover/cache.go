package discover

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"countersign/vault/trust"
)

// schema: one row a document; its bytes are a blob. Times are Unix seconds. The url
// of an answer is that of the responder, a line feed, and the request in base64.
const schema = `CREATE TABLE discovered (
	url      TEXT NOT NULL,
	kind     TEXT NOT NULL,
	host     TEXT NOT NULL,
	anchored INTEGER NOT NULL, -- a certificate under an anchor named it
	blob     INTEGER NOT NULL,
	fetched  INTEGER NOT NULL,
	used     INTEGER NOT NULL, -- to the day
	until    INTEGER NOT NULL,
	PRIMARY KEY (url, kind)
) WITHOUT ROWID;
CREATE INDEX discovered_host ON discovered (host) WHERE anchored;
CREATE INDEX discovered_used ON discovered (used);`

const (
	maxMemory    = 48 << 20            // bytes of documents held parsed
	maxDocuments = 1000                // in the cache
	refreshAfter = 12 * time.Hour      // when Prefetch looks for something newer
	refreshAhead = 2 * time.Hour       // and how long before it runs out
	forgetAfter  = 30 * 24 * time.Hour // without use, for Prefetch
)

// recall finds a document in memory or in the database, fresh or not; nil if
// there is none that can be read.
func (c *Checker) recall(ctx context.Context, k key) *document {
	c.mu.Lock()
	d := c.memory[k]
	c.mu.Unlock()
	if d != nil {
		return d
	}
	var blob, fetched, used int64
	err := c.db.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT blob, fetched, used FROM discovered WHERE url = ? AND kind = ?`, k.url, k.kind).
			Scan(&blob, &fetched, &used)
	})
	if err != nil {
		return nil
	}
	body, err := c.db.Source(blob).Open()
	if err != nil {
		return nil
	}
	defer body.Close()
	if d, err = parse(k.kind, body, time.Unix(fetched, 0)); err != nil {
		return nil
	}
	c.remember(k, d)
	if today := c.today(); used < today {
		// Only Prefetch looks at it: if this fails, a list is fetched later.
		_ = c.db.Update(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE discovered SET used = ? WHERE url = ? AND kind = ?`, today, k.url, k.kind)
			return err
		})
	}
	return d
}

func (c *Checker) today() int64 { return c.clock().Truncate(24 * time.Hour).Unix() }

// remember holds a parsed document, at the cost of others.
func (c *Checker) remember(k key, d *document) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.memory[k] = d
	size := 0
	for _, m := range c.memory {
		size += m.size
	}
	for old, m := range c.memory {
		if size <= maxMemory && len(c.memory) <= maxDocuments {
			break
		}
		if old != k {
			delete(c.memory, old)
			size -= m.size
		}
	}
}

// store keeps a document in place of the one before, and forgets the least used
// beyond the bound.
func (c *Checker) store(ctx context.Context, n trust.Need, body []byte, d *document) error {
	k := keyOf(n)
	u, err := url.Parse(n.URL)
	if err != nil {
		return fmt.Errorf("keeping what was fetched: %w", err)
	}
	blob, err := c.db.WriteBlob(ctx, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("keeping what was fetched: %w", err)
	}
	err = c.db.Update(ctx, func(tx *sql.Tx) error {
		anchored := n.Anchored
		var old int64
		var was bool
		err := tx.QueryRowContext(ctx, `SELECT blob, anchored FROM discovered WHERE url = ? AND kind = ?`, k.url, k.kind).Scan(&old, &was)
		switch {
		case err == nil:
			anchored = anchored || was
			if err := c.db.Drop(tx, old); err != nil {
				return err
			}
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
		if err := c.db.Keep(tx, blob.ID); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO discovered (url, kind, host, anchored, blob, fetched, used, until)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, k.url, k.kind, strings.ToLower(u.Hostname()), anchored, blob.ID,
			d.fetched.Unix(), c.today(), d.until.Unix()); err != nil {
			return err
		}
		return c.forget(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("keeping what was fetched: %w", err)
	}
	return nil
}

// forget drops the least used documents beyond the bound.
func (c *Checker) forget(ctx context.Context, tx *sql.Tx) error {
	rows, err := tx.QueryContext(ctx, `SELECT url, kind, blob FROM discovered ORDER BY used DESC, fetched DESC LIMIT -1 OFFSET ?`, maxDocuments)
	if err != nil {
		return err
	}
	type row struct {
		k    key
		blob int64
	}
	var drop []row
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.k.url, &r.k.kind, &r.blob); err != nil {
			return errors.Join(err, rows.Close())
		}
		drop = append(drop, r)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, r := range drop {
		if err := c.db.Drop(tx, r.blob); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM discovered WHERE url = ? AND kind = ?`, r.k.url, r.k.kind); err != nil {
			return err
		}
	}
	return nil
}

// vouched says that a certificate under an anchor has named this host (I1).
func (c *Checker) vouched(ctx context.Context, host string) bool {
	var one int
	err := c.db.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT 1 FROM discovered WHERE host = ? AND anchored LIMIT 1`, host).Scan(&one)
	})
	return err == nil
}

// due lists what is in use and Prefetch should bring up to date: lists and answers
// of responders.
func (c *Checker) due(ctx context.Context) (due []trust.Need, err error) {
	now := c.clock()
	err = c.db.View(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT url, kind, anchored FROM discovered
			WHERE kind IN (?, ?) AND used >= ? AND (fetched <= ? OR until <= ?) ORDER BY until`,
			trust.NeedCRL, trust.NeedOCSP, now.Add(-forgetAfter).Unix(), now.Add(-refreshAfter).Unix(), now.Add(refreshAhead).Unix())
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var k key
			var anchored bool
			if err := rows.Scan(&k.url, &k.kind, &anchored); err != nil {
				return err
			}
			due = append(due, k.need(anchored))
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("looking for lists to bring up to date: %w", err)
	}
	return due, nil
}
