package mailer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"countersign/mailer/smime"
	"countersign/mailer/store"
	"countersign/vault"
)

// errAway is for a key in the keychain.
var errAway = &vault.Problem{Code: "keychain-away", Says: "Your key cannot be used at this moment: the keychain is locked or away.", Next: "Try again."}

// notKept is said of a message that asked the card and will again.
const notKept = "Your organisation does not allow its key to be kept here, so your card is asked each time that it is opened."

// locked says why the key that opens a message cannot be used now, or is nil: another try
// may succeed.
func locked(o *smime.Opened) *vault.Problem {
	if o.Payload != nil || !errors.Is(o.Problem, smime.ErrKey) {
		return nil
	}
	if why := vault.WhyToken(o.Problem); why != nil {
		return why
	}
	return errAway
}

// byToken says that a key on a token opened the message this time.
func (l *look) byToken() bool {
	for _, layer := range l.opened.Layers {
		if layer.Enveloped == nil || layer.Enveloped.Matched == nil {
			continue
		}
		for _, k := range l.keys {
			if k.Certificate.Equal(layer.Enveloped.Matched) && vault.OnToken(k) {
				return true
			}
		}
	}
	return false
}

// settle does for a message that waited for its key, and is open now, what [Mailer.Deliver]
// does for others: it is followed, and filed for what it is. Its receipt names the time at
// which it came, so it names the confirmed key only if that was confirmed by then.
func (m *Mailer) settle(ctx context.Context, r store.Message, l *look) error {
	m.opening.Lock()
	defer m.opening.Unlock()
	r, err := m.mail.Get(ctx, r.ID)
	if err != nil {
		return err
	}
	if !r.Waits { // somebody else opened it meanwhile
		return m.recall(ctx, l, r.Digest)
	}
	digest := identity(l, [32]byte{})
	if _, err := m.mail.Same(ctx, r.Folder, digest); errors.Is(err, store.ErrNoMessage) {
		r.Digest = digest
	} else if err != nil { // else a copy of it with another header came while it waited: that stays the one
		return err
	}
	if err := m.follow(ctx, l, r.Digest); err != nil {
		return err
	}
	if pin := l.facts.Contact.Pin; pin != nil && !pin.Call.At.After(r.Received) && !pin.Renewed.After(r.Received) {
		r.Confirmed = l.confirmedKey()
	}
	r.Key = m.contentKey(ctx, l)
	if r.Line, err = m.line(ctx, l.summary()); err != nil {
		return err
	}
	form := ""
	if l.form != "" {
		form = l.body.Form.ID
	}
	return m.mail.Opened(ctx, r, form)
}

// Waiting counts the messages whose key could not be used yet.
func (m *Mailer) Waiting(ctx context.Context) (int, error) { return m.mail.Waits(ctx) }

// Opening is what came of opening all messages that waited for their key.
type Opening struct {
	Opened  int
	Waiting int              // still
	Why     []*vault.Problem // why those wait, each reason once
}

// maxTrouble is how many messages in a row a card may fail for before the rest is left
// alone: one that hangs would cost its time-out for each.
const maxTrouble = 3

// OpenWaiting opens all messages that wait for their key, the newest first, so ctx says who
// may be asked for a PIN; where nobody may, those open whose card is unlocked. A message
// that does not open stops no other, but a PIN that was not entered, or was refused, ends
// it at once: nobody is asked a second time. The error is of the first message that could
// not be read at all.
func (m *Mailer) OpenWaiting(ctx context.Context) (o Opening, err error) {
	list, err := m.mail.Waiting(ctx)
	if err != nil {
		return o, fmt.Errorf("opening what waits: %w", err)
	}
	trouble := 0
	for n, id := range list {
		why, failed := m.openOne(ctx, id)
		switch {
		case ctx.Err() != nil:
			return o, ctx.Err()
		case failed != nil && err == nil:
			err = fmt.Errorf("opening what waits: %w", failed)
		}
		if failed == nil && why == nil {
			o.Opened, trouble = o.Opened+1, 0
			continue
		}
		o.Waiting++
		if why == nil {
			continue
		}
		if !slices.ContainsFunc(o.Why, func(p *vault.Problem) bool { return *p == *why }) {
			o.Why = append(o.Why, why)
		}
		if errors.Is(why, vault.ErrToken) {
			trouble++
		}
		over := errors.Is(why, vault.ErrCancelled) || errors.Is(why, vault.ErrPIN) || errors.Is(why, vault.ErrPINBlocked) || trouble == maxTrouble
		if over {
			o.Waiting += len(list) - n - 1
			break
		}
	}
	if o.Opened > 0 {
		m.Tell(ctx, "unlocked", "", opened(o))
	}
	return o, err
}

// openOne opens one message that waits. why is nil if it is open.
func (m *Mailer) openOne(ctx context.Context, id string) (why *vault.Problem, err error) {
	r, err := m.mail.Get(ctx, id)
	if err != nil || !r.Waits {
		return nil, err
	}
	l, err := m.reopen(ctx, r)
	if err != nil {
		return nil, err
	}
	return l.locked, nil
}

func opened(o Opening) string {
	says := fmt.Sprintf("%d messages that waited for your card are open now.", o.Opened)
	if o.Opened == 1 {
		says = "The message that waited for your card is open now."
	}
	if o.Waiting > 0 {
		says += fmt.Sprintf(" %d still wait.", o.Waiting)
	}
	return says
}
