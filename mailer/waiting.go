package mailer

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"countersign/mailer/message"
	"countersign/mailer/store"
	"countersign/mailer/waiting"
	"countersign/vault"
)

// unlocked is a message that waited for its key, and was opened by it.
type unlocked struct {
	r      store.Message
	l      *look
	src    message.Source // nil: it was judged already
	failed error
}

// unfiled is what was followed and is filed in a moment, while [waiting.State.Following] is
// held.
type unfiled struct {
	mu   sync.Mutex // held while it is filed as well
	list []*unlocked
}

// forget drops the summaries that speak of somebody who changes: they are made anew.
func (f *unfiled) forget(speaks func(peer string) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, u := range f.list {
		if speaks(u.r.Peer) {
			u.r.Summary = nil
		}
	}
}

// settle is [Mailer.settleAll] for one that was judged.
func (m *Mailer) settle(ctx context.Context, r store.Message, l *look) error {
	return m.settleAll(ctx, []*unlocked{{r: r, l: l}})[0]
}

// settleAll does for messages that waited for their key, and are open now, what
// [Mailer.Deliver] does for others: each is judged and followed after the one before, and
// they are filed for what they are, in one transaction where they bear on nothing of each
// other. Of a stop before that nothing is left but what following them again changes no more.
func (m *Mailer) settleAll(ctx context.Context, list []*unlocked) (failed []error) {
	m.waits.Following.Lock()
	defer m.waits.Following.Unlock()
	for _, u := range list {
		u.failed = m.settleOne(ctx, u)
	}
	m.fileUnlocked(ctx)
	for _, u := range list {
		failed = append(failed, u.failed)
	}
	return failed
}

func (m *Mailer) settleOne(ctx context.Context, u *unlocked) (err error) {
	if u.src != nil {
		if u.l, err = m.appraise(ctx, u.l, u.src, u.r, time.Time{}); err != nil {
			return err
		}
	}
	u.r.Digest = identity(u.l, [32]byte{})
	// That a form came before, or a copy, is told by what is filed.
	if u.l.body.Form != nil || slices.ContainsFunc(m.unfiled.list, func(other *unlocked) bool { return other.r.Digest == u.r.Digest }) {
		m.fileUnlocked(ctx)
	}
	waits, twin, err := m.mail.Standing(ctx, u.r)
	if err != nil {
		return err
	}
	if !waits { // somebody else opened it meanwhile
		now, err := m.mail.Get(ctx, u.r.ID)
		if err != nil {
			return err
		}
		return m.recall(ctx, u.l, now.Digest)
	}
	what := m.follow
	if twin { // a copy of it with another header, which was followed
		what = m.recall
	}
	if err := what(ctx, u.l, u.r.Digest); err != nil {
		return err
	}
	// The receipt names the time at which it came, so it names the confirmed key only if
	// that was confirmed by then.
	if pin := u.l.facts.Contact.Pin; pin != nil && !pin.Call.At.After(u.r.Received) && !pin.Renewed.After(u.r.Received) {
		u.r.Confirmed = u.l.confirmedKey()
	}
	u.r.Key = m.contentKey(ctx, u.l)
	if u.r.Line, err = m.line(ctx, u.l.summary()); err != nil {
		return err
	}
	m.unfiled.mu.Lock()
	m.unfiled.list = append(m.unfiled.list, u)
	m.unfiled.mu.Unlock()
	if u.l.body.Form != nil {
		m.fileUnlocked(ctx)
		return u.failed
	}
	return nil
}

// fileUnlocked files what was followed, and notes what came of it. One that cannot be filed
// stops no other.
func (m *Mailer) fileUnlocked(ctx context.Context) {
	m.unfiled.mu.Lock()
	defer m.unfiled.mu.Unlock()
	list := m.unfiled.list
	m.unfiled.list = nil
	var all []store.Arrival
	for _, u := range list {
		all = append(all, store.Arrival{Message: u.r, Form: u.l.formID()})
	}
	if len(list) == 0 || len(list) > 1 && m.mail.Opened(ctx, all...) == nil {
		return
	}
	for i, u := range list {
		u.failed = m.mail.Opened(ctx, all[i])
	}
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
	rows := ahead{mail: m.mail, clock: m.Clock, ids: list}
	o, err := waiting.Open(ctx, list, func(id string) (*unlocked, *vault.Problem, error) { return m.openOne(ctx, id, &rows) },
		func(list []*unlocked) []error { return m.settleAll(ctx, list) })
	if o.Opened > 0 {
		m.Tell(ctx, "unlocked", "", o.Says())
	}
	return o, err
}

// What waits is read this many rows at once, which hold for so long.
const (
	maxAhead  = 16
	aheadTime = time.Second
)

// ahead reads rows of a list a few at once, in its order.
type ahead struct {
	mail  store.Mail
	clock func() time.Time
	ids   []string // from the first that was not given yet

	rows  map[string]store.Message
	since time.Time
}

func (a *ahead) get(ctx context.Context, id string) (store.Message, error) {
	now := a.clock()
	if r, is := a.rows[id]; is && now.Sub(a.since).Abs() < aheadTime {
		return r, nil
	}
	a.ids = a.ids[max(slices.Index(a.ids, id), 0):]
	list, err := a.mail.Some(ctx, a.ids[:min(maxAhead, len(a.ids))])
	if err != nil {
		return store.Message{}, err
	}
	a.rows, a.since = map[string]store.Message{}, now
	for _, r := range list {
		a.rows[r.ID] = r
	}
	if r, is := a.rows[id]; is {
		return r, nil
	}
	return store.Message{}, store.ErrNoMessage
}

// openOne has its key open one message that waits, and returns it for what is left to do, which
// asks no key; nil is nothing. why says that it goes on waiting.
func (m *Mailer) openOne(ctx context.Context, id string, rows *ahead) (u *unlocked, why *vault.Problem, err error) {
	r, err := rows.get(ctx, id)
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
	return &unlocked{r: r, l: l, src: src}, nil, nil
}
