package mailer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"countersign/mailer/message"
	"countersign/mailer/policy"
	"countersign/mailer/store"
	"countersign/mailer/waiting"
	"countersign/vault"
)

// unlocked is a message that waited for its key, and was opened by it.
type unlocked struct {
	store.Filed
	l   *look
	src message.Source // nil: it was judged already
}

// settle is [Mailer.settleAll] for one that was judged.
func (m *Mailer) settle(ctx context.Context, r store.Message, l *look) error {
	return m.settleAll(ctx, []*unlocked{{Filed: store.Filed{Arrival: store.Arrival{Message: r}}, l: l}})[0]
}

// settleAll does for messages that waited for their key, and are open now, what
// [Mailer.Deliver] does for others: each is judged and followed after the one before, and
// they are filed for what they are, in one transaction where they bear on nothing of each
// other. What was followed and not filed, because all stopped, is followed again.
func (m *Mailer) settleAll(ctx context.Context, list []*unlocked) (failed []error) {
	m.waits.Following.Lock()
	defer m.waits.Following.Unlock()
	for _, u := range list {
		u.Failed = m.settleOne(ctx, u)
	}
	m.mail.Flush(ctx)
	for _, u := range list {
		failed = append(failed, u.Failed)
	}
	return failed
}

// settleOne has one followed, and filed with the others.
func (m *Mailer) settleOne(ctx context.Context, u *unlocked) (err error) {
	if u.src != nil {
		if u.l, err = m.appraise(ctx, u.l, u.src, u.Message, time.Time{}); err != nil {
			return err
		}
	}
	u.Digest = policy.Identity(u.l.opened, [32]byte{})
	// Whether a form came before is told by what is filed.
	waits, twin, err := m.mail.Standing(ctx, u.Message, u.l.body.Form != nil)
	if err != nil {
		return err
	}
	what := m.follow
	if !waits { // somebody else opened it meanwhile
		now, err := m.mail.Get(ctx, u.ID)
		return errors.Join(err, m.recall(ctx, u.l, now.Digest))
	} else if twin { // a copy of it with another header, which was followed
		what = m.recall
	}
	if err := what(ctx, u.l, u.Digest); err != nil {
		return err
	}
	// The receipt names the time at which it came, so it names the confirmed key only if
	// that was confirmed by then.
	if pin := u.l.facts.Contact.Pin; pin != nil && !pin.Call.At.After(u.Received) && !pin.Renewed.After(u.Received) {
		u.Confirmed = u.l.confirmedKey()
	}
	u.Key, u.Form = m.contentKey(ctx, u.l), u.l.formID()
	if u.Line, err = m.line(ctx, u.l.summary()); err == nil {
		m.mail.Later(&u.Filed)
	}
	return err
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
	ctx = m.Run(vault.TokensInTurn(ctx))
	rows := m.mail.Ahead(list, m.Clock)
	o, err := waiting.Open(ctx, list, func(id string) (*unlocked, *vault.Problem, error) { return m.openOne(ctx, id, rows) },
		func(some []*unlocked) []error { return m.settleAll(ctx, some) })
	if o.Opened > 0 {
		m.Tell(ctx, "unlocked", "", o.Says())
	}
	return o, err
}

// openOne has its key open one message that waits, and returns it for what is left to do, which
// asks no key; nil is nothing. why says that it goes on waiting.
func (m *Mailer) openOne(ctx context.Context, id string, rows *store.Ahead) (u *unlocked, why *vault.Problem, err error) {
	r, err := rows.Get(ctx, id)
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
	return &unlocked{store.Filed{Arrival: store.Arrival{Message: r}}, l, src}, nil, nil
}
