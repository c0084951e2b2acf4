package store

import (
	"context"
	"database/sql"

	"countersign/mailer/transport"
)

// places is where messages lie on their servers, and whether one has still to be told
// that the user has read it.
const places = `
CREATE TABLE mail_place (
	id TEXT PRIMARY KEY,
	account TEXT NOT NULL,
	validity INTEGER NOT NULL,
	uid INTEGER NOT NULL,
	untold INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX mail_place_untold ON mail_place (account) WHERE untold = 1;`

// maxUntold bounds what a server is told at once.
const maxUntold = 500

// Untold returns where messages of an account lie that were read, and of which the
// server knows nothing yet: the first 500.
func (m Mail) Untold(ctx context.Context, account string) (list []transport.Position, err error) {
	err = m.DB.View(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT validity, uid FROM mail_place WHERE account = ? AND untold = 1 LIMIT ?`, account, maxUntold)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var at transport.Position
			if err := rows.Scan(&at.Validity, &at.UID); err != nil {
				return err
			}
			list = append(list, at)
		}
		return rows.Err()
	})
	return list, err
}

// Told notes that the server knows of these, or that they are not there any more.
func (m Mail) Told(ctx context.Context, account string, list []transport.Position) error {
	return m.DB.Update(ctx, func(tx *sql.Tx) error {
		for _, at := range list {
			if _, err := tx.ExecContext(ctx, `UPDATE mail_place SET untold = 0 WHERE account = ? AND validity = ? AND uid = ?`, account, at.Validity, at.UID); err != nil {
				return err
			}
		}
		return nil
	})
}
