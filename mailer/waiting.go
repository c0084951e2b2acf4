package mailer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"countersign/mailer/store"
	"countersign/mailer/waiting"
	"countersign/vault"
)

// settle does for a message that waited for its key, and is open now, what [Mailer.Deliver]
// does for others: it is followed, and filed for what it is. Its receipt names the time at
// which it came, so it names the confirmed key only if that was confirmed by then.
func (m *Mailer) settle(ctx context.Context, r store.Message, l *look) error {
	m.waits.Following.Lock()
	defer m.waits.Following.Unlock()
	r, err := m.mail.Get(ctx, r.ID)
	if err != nil {
		return err
	}
	if !r.Waits { // somebody else opened it meanwhile
		return m.recall(ctx, l, r.Digest)
	}
	r.Digest = identity(l, [32]byte{})
	what := m.follow
	if _, err := m.mail.Same(ctx, r.Folder, r.Digest); err == nil { // a copy of it with another header, which was followed
		what = m.recall
	} else if !errors.Is(err, store.ErrNoMessage) {
		return err
	}
	if err := what(ctx, l, r.Digest); err != nil {
		return err
	}
	if pin := l.facts.Contact.Pin; pin != nil && !pin.Call.At.After(r.Received) && !pin.Renewed.After(r.Received) {
		r.Confirmed = l.confirmedKey()
	}
	r.Key = m.contentKey(ctx, l)
	if r.Line, err = m.line(ctx, l.summary()); err != nil {
		return err
	}
	return m.mail.Opened(ctx, r, l.formID())
}

// Waiting counts the messages whose key could not be used yet.
func (m *Mailer) Waiting(ctx context.Context) (int, error) { return m.mail.Waits(ctx) }

// Opening is what came of opening all messages that waited for their key.
type Opening = waiting.Opening

// OpenWaiting opens all messages that wait for their key, the newest first, so ctx says who
// may be asked for a PIN; where nobody may, those open whose card is unlocked. A message
// that does not open stops no other, but a PIN that was not entered, or was refused, ends
// it at once: nobody is asked a second time. The error is of messages that could not be
// read at all.
func (m *Mailer) OpenWaiting(ctx context.Context) (Opening, error) {
	list, err := m.mail.Waiting(ctx)
	if err != nil {
		return Opening{}, fmt.Errorf("opening what waits: %w", err)
	}
	ctx = m.Run(ctx)
	o, err := waiting.Open(ctx, list, func(id string) (func() error, *vault.Problem, error) { return m.openOne(ctx, id) })
	if o.Opened > 0 {
		m.Tell(ctx, "unlocked", "", o.Says())
	}
	return o, err
}

// openOne has its key open one message that waits, and returns what is left to do, which asks
// no key; nil is nothing. why says that it goes on waiting.
func (m *Mailer) openOne(ctx context.Context, id string) (rest func() error, why *vault.Problem, err error) {
	r, err := m.mail.Get(ctx, id)
	if err != nil || !r.Waits {
		return nil, nil, err
	}
	src := m.DB.Source(r.Blob)
	l, err := m.unlock(ctx, src, r)
	if err != nil {
		return nil, nil, err
	}
	if l.locked != nil {
		return nil, l.locked, nil
	}
	return func() error {
		l, err := m.appraise(ctx, l, src, r, time.Time{})
		if err != nil {
			return err
		}
		return m.settle(ctx, r, l)
	}, nil, nil
}
