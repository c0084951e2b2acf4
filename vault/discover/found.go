package discover

import (
	"context"
	"crypto/x509"
	"database/sql"
	"time"
)

// foundSchema: one row a place and address. Times are Unix seconds; certificates are DER,
// one after the other.
const foundSchema = `CREATE TABLE found (
	address      TEXT NOT NULL,
	place        TEXT NOT NULL,
	says         TEXT NOT NULL,
	certificates BLOB NOT NULL,
	at           INTEGER NOT NULL,
	until        INTEGER NOT NULL,
	PRIMARY KEY (address, place)
) WITHOUT ROWID`

const (
	keepFound   = time.Hour        // what a place had, if it says no less itself
	keepNothing = 10 * time.Minute // that it had nothing
)

// lasts is until when an answer is not asked for again.
func (h harvest) lasts(now time.Time) time.Time {
	until := now.Add(keepFound)
	if len(h.certs) == 0 {
		until = now.Add(keepNothing)
	}
	if h.failed {
		return now
	}
	if !h.expires.IsZero() && h.expires.Before(until) {
		return h.expires
	}
	return until
}

func (p place) name() string {
	if p.key != "" {
		return string(p.Place) + " " + p.key
	}
	return string(p.Place)
}

// recallFound returns what a place said, if that is still good.
func (c *Checker) recallFound(ctx context.Context, address string, p place) (h harvest, at time.Time, ok bool) {
	var raw []byte
	var asked, until int64
	err := c.db.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT says, certificates, at, until FROM found WHERE address = ? AND place = ?`, address, p.name()).
			Scan(&h.says, &raw, &asked, &until)
	})
	if now := c.clock().Unix(); err != nil || now >= until || now < asked {
		return harvest{}, at, false
	}
	h.certs, err = x509.ParseCertificates(raw)
	return h, time.Unix(asked, 0), err == nil
}

// keepFound stores what a place said, and forgets what is out of date. If that fails the
// place is asked again the next time.
func (c *Checker) keepFound(ctx context.Context, address string, p place, h harvest, now time.Time) {
	if !h.until.After(now) {
		return
	}
	raw := []byte{}
	for _, cert := range h.certs {
		raw = append(raw, cert.Raw...)
	}
	_ = c.db.Update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM found WHERE until <= ?`, now.Unix()); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO found (address, place, says, certificates, at, until) VALUES (?, ?, ?, ?, ?, ?)`,
			address, p.name(), h.says, raw, now.Unix(), h.until.Unix())
		return err
	})
}
