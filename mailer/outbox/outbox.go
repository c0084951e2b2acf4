// Package outbox holds what was accepted for sending and where each envelope
// stands.
//
// Accepted means committed: [Box.Accept] writes every envelope of a message in the
// caller's transaction, the one that removes the draft, and the message's
// identifier (the draft's) makes asking twice the same as asking once. The bytes of
// an envelope are fixed then, as a sealed blob; permission is not (SECURITY O1):
// Again is asked immediately before each submission, and one refusal holds the
// whole message.
//
// # States
//
// An envelope is waiting, sending or done. A message is what its envelopes are:
//
//	waiting -> sending -> sent
//	                   -> waiting   no server took it yet: again later, after a pause that grows
//	                   -> failed    refused for good, or no server took it in three days
//	waiting -> held                 Again refused; asked anew when [Box.Retry] is called, and hourly
//	waiting -> withdrawn            by the user, while no server has it
//
// Each recipient has a state of its own: a server may take an envelope for one and
// refuse it for another.
//
// # What a crash can do
//
// Each step is a transaction, so a kill at any moment loses nothing. An envelope
// that was being sent is waiting again at the next start. If the kill fell between
// the server's 250 and our commit the envelope is submitted once more with the very
// same bytes, which the receiver's duplicate check recognises.
package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"countersign/mailer/transport"
	"countersign/vault/sealed"
)

// Errors of this package. Their texts are for people.
var (
	ErrUnknown = errors.New("outbox: there is no such message")
	ErrTaken   = errors.New("outbox: a server already has this message, so it cannot be taken back")
	ErrSending = errors.New("outbox: this message is going out at this moment")
)

// State is where a message or one of its recipients stands.
type State string

// The states.
const (
	Waiting   State = "waiting"
	Sending   State = "sending"
	Sent      State = "sent"
	Held      State = "held"
	Failed    State = "failed"
	Withdrawn State = "withdrawn"

	done State = "done" // of an envelope: nobody of it waits any more, its bytes are gone
)

// Envelope is one submission: the same bytes for all of its recipients.
type Envelope struct {
	ID       int64
	From     string          // the bare address of MAIL FROM
	To       []string        // the bare addresses of RCPT TO that are still waiting
	Plan     json.RawMessage // what Again must find unchanged; opaque to this package
	Blob     int64           // the sealed bytes
	Size     int64           // their number
	Attempts int
}

// Message is one accepted message.
type Message struct {
	ID         string // the draft's identifier, or a fixed form's
	MessageID  string
	Subject    string
	Form       string // the kind of fixed form; empty for a letter
	Accepted   time.Time
	State      State
	Deliveries []Delivery
	Refusals   json.RawMessage // why it is held, as Again gave it
	Attempts   int
	Next       time.Time
	Problem    string // the last failure, in words
}

// Delivery is one recipient of a message.
type Delivery struct {
	Address string
	State   State // waiting, sent, failed or withdrawn
	At      time.Time
	Problem string
}

// Box is the outbox. DB, Clock, Again and Submit must be set; Open prepares the
// rest.
type Box struct {
	DB    *sealed.DB
	Clock func() time.Time
	Rand  io.Reader // of the jitter between attempts; nil: crypto/rand

	// Again tells whether all the envelopes of a message that still wait may go. It
	// is asked before each of them is submitted. A non-empty answer (the refusals,
	// in JSON) holds the message; an error postpones it.
	Again func(context.Context, []Envelope) (json.RawMessage, error)
	// Submit hands the bytes to a mail server. An error that is no
	// [*transport.Error] means that no server was asked, and is tried again.
	Submit func(ctx context.Context, e Envelope, bytes sealed.Source) (transport.Result, error)
	// Changed, if set, is told the identifier of each message whose state changed,
	// after the change is committed.
	Changed func(id string)

	wake chan struct{}
	turn sync.Mutex // one round at a time
}

const schema = `
CREATE TABLE outbox_message (
	id TEXT PRIMARY KEY,
	message_id TEXT NOT NULL,
	subject TEXT NOT NULL,
	form TEXT NOT NULL,
	accepted INTEGER NOT NULL,
	state TEXT NOT NULL,
	refusals BLOB
) STRICT;
CREATE TABLE outbox_envelope (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	message TEXT NOT NULL REFERENCES outbox_message(id),
	sender TEXT NOT NULL,
	plan BLOB NOT NULL,
	blob INTEGER NOT NULL,
	size INTEGER NOT NULL,
	state TEXT NOT NULL,
	attempts INTEGER NOT NULL DEFAULT 0,
	next INTEGER NOT NULL,
	problem TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX outbox_due ON outbox_envelope(state, next);
CREATE INDEX outbox_of ON outbox_envelope(message);
CREATE TABLE outbox_delivery (
	envelope INTEGER NOT NULL REFERENCES outbox_envelope(id),
	address TEXT NOT NULL,
	state TEXT NOT NULL,
	at INTEGER NOT NULL DEFAULT 0,
	problem TEXT NOT NULL DEFAULT '',
	PRIMARY KEY (envelope, address)
) STRICT;`

// Open makes the tables and puts back to waiting what was going out when the last
// process ended.
func (b *Box) Open(ctx context.Context) error {
	b.wake = make(chan struct{}, 1)
	if err := b.DB.Migrate("outbox", schema); err != nil {
		return err
	}
	return b.DB.Update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE outbox_envelope SET state = ?, next = ? WHERE state = ?`, Waiting, b.Clock().UnixMilli(), Sending)
		return err
	})
}

// Acceptance is a message to accept, with its envelopes. The blobs are complete but
// not yet kept: Accept keeps them.
type Acceptance struct {
	ID, MessageID, Subject, Form string
	Envelopes                    []Envelope
}

// Accept writes a message and all of its envelopes in the caller's transaction. It
// returns false, and writes nothing, if a message of that identifier was accepted
// before. Call [Box.Wake] once the transaction is committed.
func (b *Box) Accept(ctx context.Context, tx *sql.Tx, a Acceptance) (bool, error) {
	now := b.Clock().UnixMilli()
	r, err := tx.ExecContext(ctx, `INSERT INTO outbox_message (id, message_id, subject, form, accepted, state)
		VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`, a.ID, a.MessageID, a.Subject, a.Form, now, Waiting)
	if err != nil {
		return false, fmt.Errorf("accepting: %w", err)
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		return false, err
	}
	for _, e := range a.Envelopes {
		if err := b.acceptEnvelope(ctx, tx, a.ID, e, now); err != nil {
			return false, fmt.Errorf("accepting an envelope: %w", err)
		}
	}
	return true, nil
}

func (b *Box) acceptEnvelope(ctx context.Context, tx *sql.Tx, id string, e Envelope, now int64) error {
	if len(e.To) == 0 {
		return errors.New("outbox: an envelope without recipients")
	}
	if err := b.DB.Keep(tx, e.Blob); err != nil {
		return err
	}
	plan := e.Plan
	if plan == nil {
		plan = json.RawMessage("null")
	}
	r, err := tx.ExecContext(ctx, `INSERT INTO outbox_envelope (message, sender, plan, blob, size, state, next)
		VALUES (?, ?, ?, ?, ?, ?, ?)`, id, e.From, []byte(plan), e.Blob, e.Size, Waiting, now)
	if err != nil {
		return err
	}
	row, err := r.LastInsertId()
	if err != nil {
		return err
	}
	for _, to := range e.To {
		if _, err := tx.ExecContext(ctx, `INSERT INTO outbox_delivery (envelope, address, state) VALUES (?, ?, ?)`, row, to, Waiting); err != nil {
			return err
		}
	}
	return nil
}

// Withdraw takes back what no server has taken yet. Those who already got it are
// left as they are; if everyone did, the error is [ErrTaken].
func (b *Box) Withdraw(ctx context.Context, id string) error {
	err := b.DB.Update(ctx, func(tx *sql.Tx) error {
		if err := known(ctx, tx, id); err != nil {
			return err
		}
		var sending, waiting int
		err := tx.QueryRowContext(ctx, `SELECT count(*) FILTER (WHERE state = ?), count(*) FILTER (WHERE state = ?)
			FROM outbox_envelope WHERE message = ?`, Sending, Waiting, id).Scan(&sending, &waiting)
		switch {
		case err != nil:
			return err
		case sending > 0:
			return ErrSending
		case waiting == 0:
			return ErrTaken
		}
		if _, err := tx.ExecContext(ctx, `UPDATE outbox_delivery SET state = ?, at = ? WHERE state = ?
			AND envelope IN (SELECT id FROM outbox_envelope WHERE message = ?)`, Withdrawn, b.Clock().UnixMilli(), Waiting, id); err != nil {
			return err
		}
		if err := b.finish(ctx, tx, `message = ? AND state = ?`, id, Waiting); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE outbox_message SET state = ?, refusals = NULL WHERE id = ?`, Withdrawn, id)
		return err
	})
	if err == nil {
		b.changed(id)
	}
	return err
}

// finish marks the envelopes that the condition names as done and drops their bytes.
func (b *Box) finish(ctx context.Context, tx *sql.Tx, where string, args ...any) error {
	rows, err := tx.QueryContext(ctx, `SELECT id, blob FROM outbox_envelope WHERE `+where, args...)
	if err != nil {
		return err
	}
	ids, blobs, err := pairs(rows)
	if err != nil {
		return err
	}
	for i, id := range ids {
		if err := b.DB.Drop(tx, blobs[i]); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE outbox_envelope SET state = ?, blob = 0 WHERE id = ?`, done, id); err != nil {
			return err
		}
	}
	return nil
}

func pairs(rows *sql.Rows) (a, b []int64, err error) {
	defer rows.Close()
	for rows.Next() {
		var x, y int64
		if err := rows.Scan(&x, &y); err != nil {
			return nil, nil, err
		}
		a, b = append(a, x), append(b, y)
	}
	return a, b, rows.Err()
}

func known(ctx context.Context, tx *sql.Tx, id string) error {
	var n int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM outbox_message WHERE id = ?`, id).Scan(&n); err != nil {
		return err
	}
	if n == 0 {
		return ErrUnknown
	}
	return nil
}

func (b *Box) changed(id string) {
	if b.Changed != nil {
		b.Changed(id)
	}
}
