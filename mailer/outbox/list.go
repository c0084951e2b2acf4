package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"
)

// kept is how many finished messages List still returns.
const kept = 100

const messageColumns = `m.id, m.message_id, m.subject, m.form, m.accepted, m.state, m.refusals,
	(SELECT coalesce(sum(attempts), 0) FROM outbox_envelope WHERE message = m.id),
	(SELECT min(next) FROM outbox_envelope WHERE message = m.id AND state = 'waiting'),
	EXISTS (SELECT 1 FROM outbox_envelope WHERE message = m.id AND state = 'sending'),
	coalesce((SELECT problem FROM outbox_envelope WHERE message = m.id AND problem <> '' ORDER BY next DESC LIMIT 1), '')`

// List returns what is on its way and the last hundred that are done, newest first.
func (b *Box) List(ctx context.Context) (list []Message, err error) {
	err = b.DB.View(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT `+messageColumns+` FROM outbox_message m
			WHERE m.state IN ('waiting', 'held') OR m.rowid IN (
				SELECT rowid FROM outbox_message WHERE state NOT IN ('waiting', 'held') ORDER BY accepted DESC LIMIT ?)
			ORDER BY m.accepted DESC, m.rowid DESC`, kept)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			m, err := scan(rows)
			if err != nil {
				return err
			}
			list = append(list, m)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		for i := range list {
			if list[i].Deliveries, err = deliveries(ctx, tx, list[i].ID); err != nil {
				return err
			}
		}
		return nil
	})
	return list, err
}

// Reached lists, sorted, every address to which something was accepted up to a time and
// neither failed nor was withdrawn.
func (b *Box) Reached(ctx context.Context, until time.Time) (list []string, err error) {
	err = b.DB.View(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT DISTINCT d.address FROM outbox_delivery d
			JOIN outbox_envelope e ON e.id = d.envelope JOIN outbox_message m ON m.id = e.message
			WHERE d.state IN (?, ?) AND m.state <> ? AND m.accepted <= ? ORDER BY d.address`, Sent, Waiting, Withdrawn, until.UnixMilli())
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var address string
			if err := rows.Scan(&address); err != nil {
				return err
			}
			list = append(list, address)
		}
		return rows.Err()
	})
	return list, err
}

// Get returns one message, or [ErrUnknown].
func (b *Box) Get(ctx context.Context, id string) (m Message, err error) {
	err = b.DB.View(ctx, func(tx *sql.Tx) error {
		m, err = scan(tx.QueryRowContext(ctx, `SELECT `+messageColumns+` FROM outbox_message m WHERE m.id = ?`, id))
		if errors.Is(err, sql.ErrNoRows) {
			return ErrUnknown
		}
		if err != nil {
			return err
		}
		m.Deliveries, err = deliveries(ctx, tx, id)
		return err
	})
	return m, err
}

// Unfinished counts the messages that no server has wholly taken yet.
func (b *Box) Unfinished(ctx context.Context) (n int, err error) {
	err = b.DB.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT count(*) FROM outbox_message WHERE state IN ('waiting', 'held')`).Scan(&n)
	})
	return n, err
}

// Newest returns the identifier of the newest envelope, 0 if there is none.
func (b *Box) Newest(ctx context.Context) (id int64, err error) {
	err = b.DB.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT coalesce(max(id), 0) FROM outbox_envelope`).Scan(&id)
	})
	return id, err
}

func scan(row interface{ Scan(...any) error }) (Message, error) {
	var m Message
	var accepted int64
	var next sql.NullInt64
	var sending bool
	var refusals []byte
	if err := row.Scan(&m.ID, &m.MessageID, &m.Subject, &m.Form, &accepted, &m.State, &refusals, &m.Attempts, &next, &sending, &m.Problem); err != nil {
		return Message{}, err
	}
	m.Accepted, m.Refusals = time.UnixMilli(accepted), json.RawMessage(refusals)
	if next.Valid && m.State == Waiting {
		m.Next = time.UnixMilli(next.Int64)
	}
	if sending && m.State == Waiting {
		m.State = Sending
	}
	return m, nil
}

func deliveries(ctx context.Context, tx *sql.Tx, id string) (list []Delivery, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT d.address, d.state, d.at, d.problem FROM outbox_delivery d
		JOIN outbox_envelope e ON e.id = d.envelope WHERE e.message = ? ORDER BY e.id, d.rowid`, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var d Delivery
		var at int64
		if err := rows.Scan(&d.Address, &d.State, &at, &d.Problem); err != nil {
			return nil, err
		}
		if at != 0 {
			d.At = time.UnixMilli(at)
		}
		list = append(list, d)
	}
	return list, rows.Err()
}
