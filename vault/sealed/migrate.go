package sealed

import (
	"context"
	"database/sql"
	"fmt"
)

// Migrate brings the tables of one room up to date: each step is SQL that runs
// once ever, in order, in a transaction with the note that it ran. Steps are
// only ever appended. A database that has seen more steps than are given here
// is refused with [ErrNewer].
func (db *DB) Migrate(room string, steps ...string) error {
	ctx := context.Background()
	err := db.Update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.Exec(`CREATE TABLE IF NOT EXISTS migrations
			(room TEXT PRIMARY KEY, steps INTEGER NOT NULL) STRICT`); err != nil {
			return err
		}
		var done int
		err := tx.QueryRow(`SELECT coalesce(max(steps), 0) FROM migrations WHERE room = ?`, room).Scan(&done)
		if err != nil {
			return err
		}
		if done > len(steps) {
			return fmt.Errorf("%w: step %d of %d", ErrNewer, done, len(steps))
		}
		for n, step := range steps[done:] {
			if _, err := tx.Exec(step); err != nil {
				return fmt.Errorf("step %d: %w", done+n+1, err)
			}
		}
		_, err = tx.Exec(`INSERT OR REPLACE INTO migrations VALUES (?, ?)`, room, len(steps))
		return err
	})
	if err != nil {
		return fmt.Errorf("bringing the tables of %s up to date: %w", room, err)
	}
	return nil
}
