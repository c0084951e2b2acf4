package agent

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"countersign/mailer/outbox"
	"countersign/mailer/policy"
)

const epochSchema = `CREATE TABLE epoch (
	only INTEGER PRIMARY KEY CHECK (only = 1),
	epoch INTEGER NOT NULL,   -- of the record key, when the outbox was last looked at
	held INTEGER NOT NULL     -- envelopes up to here were accepted before a restore
) STRICT`

// newEpoch notices that the profile was restored from a recovery file since it was
// last open. What waited in the outbox then may have gone already, so it is held
// until the user takes it back (K1).
func (a *Agent) newEpoch(ctx context.Context, box *outbox.Box) error {
	now := a.vault.RecordKey().Epoch()
	var before uint64
	err := a.vault.DB().View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT epoch, held FROM epoch`).Scan(&before, &a.held)
	})
	if errors.Is(err, sql.ErrNoRows) {
		before, err = now, nil
	}
	if err != nil {
		return fmt.Errorf("reading the epoch: %w", err)
	}
	if before != now {
		if a.held, err = box.Newest(ctx); err != nil {
			return err
		}
		if err := a.note(ctx, "restored", "", "The profile was restored from its recovery file."); err != nil {
			return err
		}
	}
	err = a.vault.DB().Update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO epoch (only, epoch, held) VALUES (1, ?1, ?2)
			ON CONFLICT (only) DO UPDATE SET epoch = ?1, held = ?2`, now, a.held)
		return err
	})
	if err != nil || before == now {
		return err
	}
	return box.Retry(ctx) // so that it shows as held at once
}

// again is asked immediately before each submission: by what was restored, then by
// policy with current evidence (O1).
func (a *Agent) again(ctx context.Context, waiting []outbox.Envelope) (json.RawMessage, error) {
	for _, e := range waiting {
		if e.ID <= a.held {
			return json.Marshal([]policy.Refusal{{
				Person: "you", Code: "restored",
				Reason:  "This message was waiting when your profile was restored. It may have gone already.",
				Next:    "Take it back. If it did not arrive, write it again.",
				Command: "countersign outbox list", Link: "/outbox", Button: "Open the outbox",
			}})
		}
	}
	return a.mailer.Again(ctx, waiting)
}
