package vault

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"countersign/vault/renewal"
)

// Reminder is a certificate of the user's that runs out, and how near that is.
type Reminder struct {
	Identity Identity
	Ends     time.Time // of its certificates, the earlier
	Stage    renewal.Stage
	Owed     bool // nobody was reminded of this stage yet

	id string
}

// Reminders lists the identities in use or to come that run out within 60 days, or
// have, and whose successor is not here yet.
func (v *Vault) Reminders(ctx context.Context) ([]Reminder, error) {
	all, err := v.Identities(ctx)
	if err != nil {
		return nil, err
	}
	var list []Reminder
	for _, i := range all {
		cert, ends := i.Ends()
		stage := renewal.At(ends, v.o.Clock())
		if i.Retired || !i.Until.IsZero() || cert == nil || stage == renewal.None { // what has a successor needs none
			continue
		}
		sum := sha256.Sum256(cert.Raw)
		r := Reminder{Identity: i, Ends: ends, Stage: stage, id: hex.EncodeToString(sum[:])}
		told := renewal.None
		err := v.db.View(ctx, func(tx *sql.Tx) error {
			return tx.QueryRowContext(ctx, `SELECT stage FROM vault_reminder WHERE certificate = ?`, r.id).Scan(&told)
		})
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, fmt.Errorf("reading the reminders: %w", err)
		}
		r.Owed = renewal.Due(stage, told)
		list = append(list, r)
	}
	return list, nil
}

// Reminded notes that the user was reminded.
func (v *Vault) Reminded(ctx context.Context, r Reminder) error {
	return v.db.Update(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT OR REPLACE INTO vault_reminder VALUES (?, ?)`, r.id, int(r.Stage))
		return err
	})
}
