// Package events keeps what happened in a stored, numbered list, so that a face
// which restarts asks from its cursor on, and misses and repeats nothing. It holds
// the last 5,000; the texts may stand in a notification, so no subject and no body.
package events

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"countersign/tray/control"
	"countersign/vault/sealed"
)

// kept is how many events stay for a face that was away.
const kept = 5_000

// Log is the list. It implements control.Events.
type Log struct {
	db    *sealed.DB
	clock func() time.Time

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each event
}

// Open makes the table that is missing.
func Open(db *sealed.DB, clock func() time.Time) (*Log, error) {
	err := db.Migrate("events", `CREATE TABLE event (
		cursor INTEGER PRIMARY KEY AUTOINCREMENT,
		time   INTEGER NOT NULL,
		kind   TEXT NOT NULL,
		id     TEXT NOT NULL,
		says   TEXT NOT NULL)`)
	if err != nil {
		return nil, fmt.Errorf("opening the events: %w", err)
	}
	return &Log{db: db, clock: clock, changed: make(chan struct{})}, nil
}

// Add stores one event and wakes who waits.
func (e *Log) Add(ctx context.Context, kind, id, says string) error {
	err := e.db.Update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO event (time, kind, id, says) VALUES (?, ?, ?, ?)`,
			e.clock().UnixMilli(), kind, id, says)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM event WHERE cursor <= (SELECT max(cursor) FROM event) - ?`, kept)
		return err
	})
	if err != nil {
		return fmt.Errorf("storing an event: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.changed)
	e.changed = make(chan struct{})
	return nil
}

// Watch calls each for every event after the cursor, then waits for more.
func (e *Log) Watch(ctx context.Context, after control.Cursor, each func(control.Event) error) error {
	for {
		e.mu.Lock()
		changed := e.changed
		e.mu.Unlock()
		list, err := e.since(ctx, after)
		if ctx.Err() != nil {
			return ctx.Err() // whatever the database made of it
		}
		if err != nil {
			return err
		}
		for _, ev := range list {
			if err := each(ev); err != nil {
				return err
			}
			after = ev.Cursor
		}
		if len(list) > 0 {
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (e *Log) since(ctx context.Context, after control.Cursor) (list []control.Event, err error) {
	err = e.db.View(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT cursor, time, kind, id, says FROM event WHERE cursor > ? ORDER BY cursor LIMIT 100`, after)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var ev control.Event
			var ms int64
			if err := rows.Scan(&ev.Cursor, &ms, &ev.Kind, &ev.ID, &ev.Says); err != nil {
				return err
			}
			ev.Time = time.UnixMilli(ms).UTC()
			list = append(list, ev)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("reading the events: %w", err)
	}
	return list, nil
}
