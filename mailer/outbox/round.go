package outbox

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"countersign/mailer/transport"
)

// schedule is how long after the first, second ... attempt the next one follows,
// give or take a quarter; after the last entry it repeats that one.
var schedule = []time.Duration{
	30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour,
}

const (
	patience  = 72 * time.Hour // after which an envelope that no server took has failed
	heldEvery = time.Hour      // how often a held message is asked about unbidden
)

// Run submits what is due, and waits for more, until the context ends.
func (b *Box) Run(ctx context.Context) error {
	for {
		next, err := b.Round(ctx)
		if err != nil {
			return fmt.Errorf("outbox: %w", err)
		}
		wait := time.Hour
		if !next.IsZero() {
			wait = max(0, next.Sub(b.Clock()))
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-b.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// Wake makes Run look at once. It never blocks.
func (b *Box) Wake() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// Retry makes everything that waits or is held due now: evidence changed, a network
// came up, or the user asks.
func (b *Box) Retry(ctx context.Context) error {
	err := b.DB.Update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE outbox_envelope SET next = ? WHERE state = ?`, b.Clock().UnixMilli(), Waiting)
		return err
	})
	b.Wake()
	return err
}

// Round submits every envelope that is due, once, and returns when the next one is
// (zero: nothing waits).
func (b *Box) Round(ctx context.Context) (time.Time, error) {
	b.turn.Lock()
	defer b.turn.Unlock()
	for {
		list, id, err := b.take(ctx)
		if err != nil {
			return time.Time{}, err
		}
		if len(list) == 0 {
			return b.next(ctx)
		}
		if err := b.attempt(ctx, id, list); err != nil {
			return time.Time{}, err
		}
		b.changed(id)
	}
}

// take marks the envelope that has been due longest as sending. It returns that one
// first, then the others of its message that wait.
func (b *Box) take(ctx context.Context) (list []Envelope, message string, err error) {
	err = b.DB.Update(ctx, func(tx *sql.Tx) error {
		var first int64
		err := tx.QueryRowContext(ctx, `SELECT id, message FROM outbox_envelope WHERE state = ? AND next <= ? ORDER BY next, id LIMIT 1`,
			Waiting, b.Clock().UnixMilli()).Scan(&first, &message)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if list, err = envelopes(ctx, tx, message, first); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE outbox_envelope SET state = ?, attempts = attempts + 1 WHERE id = ?`, Sending, first)
		return err
	})
	return list, message, err
}

// envelopes returns those of a message that wait, the one named first.
func envelopes(ctx context.Context, tx *sql.Tx, message string, first int64) (list []Envelope, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT id, sender, plan, blob, size, attempts FROM outbox_envelope
		WHERE message = ? AND state = ? ORDER BY id <> ?, id`, message, Waiting, first)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e Envelope
		if err := rows.Scan(&e.ID, &e.From, (*[]byte)(&e.Plan), &e.Blob, &e.Size, &e.Attempts); err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].To, err = waitingOf(ctx, tx, list[i].ID); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func waitingOf(ctx context.Context, tx *sql.Tx, envelope int64) (to []string, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT address FROM outbox_delivery WHERE envelope = ? AND state = ? ORDER BY rowid`, envelope, Waiting)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var a string
		if err := rows.Scan(&a); err != nil {
			return nil, err
		}
		to = append(to, a)
	}
	return to, rows.Err()
}

// attempt asks for permission, submits the first envelope, and commits what came of
// it.
func (b *Box) attempt(ctx context.Context, id string, list []Envelope) error {
	e := list[0]
	refusals, err := b.Again(ctx, list)
	if err == nil && len(refusals) > 0 {
		return b.hold(ctx, id, e, refusals)
	}
	var result transport.Result
	if err == nil {
		result, err = b.Submit(ctx, e, b.DB.Source(e.Blob))
	}
	// What a server answered is recorded even while we are being stopped.
	return b.record(context.WithoutCancel(ctx), id, e, outcome{result, err})
}

// outcome is what came of one attempt.
type outcome struct {
	result transport.Result
	err    error
}

// of tells what it means for one recipient.
func (o outcome) of(address string) Delivery {
	for _, r := range o.result.Recipients {
		if r.Address == address {
			return Delivery{Address: address, State: State(r.State), Problem: cmp.Or(r.Says, o.says())}
		}
	}
	return Delivery{Address: address, State: Waiting, Problem: o.says()}
}

// says is the failure in words, empty if there was none.
func (o outcome) says() string {
	var failure *transport.Error
	switch {
	case errors.As(o.err, &failure):
		return failure.Says
	case o.err != nil:
		return "It could not be handed to a mail server yet."
	}
	return ""
}

// hold keeps the whole message back: none of its envelopes goes while one may not.
func (b *Box) hold(ctx context.Context, id string, e Envelope, refusals json.RawMessage) error {
	return b.DB.Update(ctx, func(tx *sql.Tx) error {
		// Being asked is no attempt.
		if _, err := tx.ExecContext(ctx, `UPDATE outbox_envelope SET state = ?, attempts = ? WHERE id = ?`, Waiting, e.Attempts, e.ID); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE outbox_envelope SET next = ? WHERE message = ? AND state = ?`,
			b.Clock().Add(heldEvery).UnixMilli(), id, Waiting); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE outbox_message SET state = ?, refusals = ? WHERE id = ?`, Held, []byte(refusals), id)
		return err
	})
}

// record commits what came of one attempt.
func (b *Box) record(ctx context.Context, id string, e Envelope, o outcome) error {
	now := b.Clock()
	return b.DB.Update(ctx, func(tx *sql.Tx) error {
		var accepted int64
		if err := tx.QueryRowContext(ctx, `SELECT accepted FROM outbox_message WHERE id = ?`, id).Scan(&accepted); err != nil {
			return err
		}
		late := now.Sub(time.UnixMilli(accepted)) > patience
		left, problem := 0, o.says()
		for _, to := range e.To {
			d := o.of(to)
			if d.State == Waiting && late {
				d.State, d.Problem = Failed, strings.TrimSpace("No server took it in three days. "+d.Problem)
			}
			if d.State == Waiting {
				left++
				problem = d.Problem
			}
			if _, err := tx.ExecContext(ctx, `UPDATE outbox_delivery SET state = ?, at = ?, problem = ? WHERE envelope = ? AND address = ?`,
				d.State, now.UnixMilli(), d.Problem, e.ID, to); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `UPDATE outbox_envelope SET state = ?, next = ?, problem = ? WHERE id = ?`,
			Waiting, now.Add(b.pause(e.Attempts)).UnixMilli(), problem, e.ID); err != nil {
			return err
		}
		if left == 0 {
			if err := b.finish(ctx, tx, `id = ?`, e.ID); err != nil {
				return err
			}
		}
		return settle(ctx, tx, id)
	})
}

// settle writes a message's state from those of its recipients.
func settle(ctx context.Context, tx *sql.Tx, id string) error {
	_, err := tx.ExecContext(ctx, `UPDATE outbox_message SET refusals = NULL, state = (
		SELECT CASE
			WHEN count(*) FILTER (WHERE d.state = 'waiting') > 0 THEN 'waiting'
			WHEN count(*) FILTER (WHERE d.state = 'failed') > 0 THEN 'failed'
			ELSE 'sent' END
		FROM outbox_delivery d JOIN outbox_envelope e ON e.id = d.envelope WHERE e.message = outbox_message.id)
		WHERE id = ? AND state <> ?`, id, Withdrawn)
	return err
}

// next tells when the next envelope is due.
func (b *Box) next(ctx context.Context) (at time.Time, err error) {
	err = b.DB.View(ctx, func(tx *sql.Tx) error {
		var ms sql.NullInt64
		if err := tx.QueryRowContext(ctx, `SELECT min(next) FROM outbox_envelope WHERE state = ?`, Waiting).Scan(&ms); err != nil {
			return err
		}
		if ms.Valid {
			at = time.UnixMilli(ms.Int64)
		}
		return nil
	})
	return at, err
}

// pause returns the wait after the attempt of that number (from 0), with jitter, so
// that a clinic's agents do not all return to a server at once.
func (b *Box) pause(attempt int) time.Duration {
	d := schedule[min(attempt, len(schedule)-1)]
	src := b.Rand
	if src == nil {
		src = rand.Reader
	}
	var raw [2]byte
	if _, err := io.ReadFull(src, raw[:]); err != nil {
		return d
	}
	quarter := d / 4
	return d - quarter + 2*quarter*time.Duration(binary.BigEndian.Uint16(raw[:]))/65535
}
