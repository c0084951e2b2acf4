package pkcs11

import (
	"context"
	"errors"
	"time"

	"countersign/pkcs11/wire"
)

// Again is why a PIN is asked for once more.
type Again uint8

const (
	FirstTime    Again = iota
	AfterRefusal       // the last one was wrong
	AfterTrouble       // the card did not answer the last one
)

// Prompt is all that a person must know to enter a PIN.
type Prompt struct {
	Token   Token
	Key     string // the label of the key; may be empty
	Purpose string // what for, from [WithUser]
	Again   Again
}

// User is somebody who can be asked.
type User interface {
	// PIN asks for a token's PIN. The caller wipes it. An error means that none was given.
	PIN(ctx context.Context, p Prompt) ([]byte, error)
	// Pad says that the PIN is to be entered on the reader. done is called when that is over.
	Pad(ctx context.Context, p Prompt) (done func())
}

type asking struct {
	user    User
	purpose string
}

type askingKey struct{}

// WithUser marks a context as that of something that a person just did, and may be asked a
// PIN for. purpose says what, in their words. Background work never has such a context.
func WithUser(ctx context.Context, user User, purpose string) context.Context {
	return context.WithValue(ctx, askingKey{}, asking{user, purpose})
}

// kept is a PIN that its token accepted.
type kept struct {
	pin        []byte
	timer      *time.Timer
	unanswered int // how often it was shown and no answer came, in a row
}

// maxUnanswered is how often a kept PIN is shown to a token that gives no answer.
const maxUnanswered = 2

// forget wipes the kept PIN.
func (t *line) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pin != nil {
		t.pin.timer.Stop()
		clear(t.pin.pin)
		t.pin = nil
	}
}

// keep keeps a copy of a PIN for a while.
func (t *line) keep(pin []byte, during time.Duration) {
	t.forget()
	if during <= 0 {
		return
	}
	k := &kept{pin: append([]byte(nil), pin...)}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pin = k
	k.timer = time.AfterFunc(during, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		clear(k.pin)
		if t.pin == k {
			t.pin = nil
		}
	})
}

// keeps tells whether there is a kept PIN that may be shown.
func (t *line) keeps() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.may()
}

func (t *line) may() bool { return t.pin != nil && t.pin.unanswered < maxUnanswered }

// show returns a copy of the kept PIN, if there is one that may be shown.
func (t *line) show() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.may() {
		return nil
	}
	t.pin.unanswered++
	return append([]byte(nil), t.pin.pin...)
}

// accepted notes that the kept PIN was answered.
func (t *line) accepted() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pin != nil {
		t.pin.unanswered = 0
	}
}

// hand holds the PIN that a request was given, until it ends.
type hand struct {
	pin     []byte
	good    bool   // the token accepted it
	shown   bool   // it, or the user at the pad, is before the token, and no answer came yet
	trouble bool   // no answer came to one
	over    func() // takes back what told the user to go to the pad
}

func (h *hand) wipe() {
	clear(h.pin)
	h.pin, h.good, h.shown = nil, false, false
	if h.over != nil {
		h.over()
		h.over = nil
	}
}

// answered notes that the token answered, or never will. A PIN that went along with the
// request has done its duty.
func (r *request) answered(f Failure) {
	if !r.hand.shown {
		return
	}
	r.hand.wipe()
	r.Entry, r.PIN = wire.NoPIN, nil
	r.hand.trouble = f != wire.None && f != wire.WrongPIN && f != wire.LastTry
}

// unlock logs in, by the kept PIN, the one in hand, or a new one.
func (r *request) unlock(ctx context.Context, h *helper) error {
	token, err := h.token(ctx, r.Token, r.library)
	if err != nil {
		return err
	}
	login := &wire.Request{Op: wire.Login, Token: r.Token}
	defer func() { clear(login.PIN) }()
	if !token.Pad {
		login.PIN = r.line.show()
	}
	if login.PIN != nil {
		login.Entry = wire.Kept
		reply, err := h.ask(ctx, login, r.library.config.Timeout)
		if err != nil {
			return err
		}
		return r.afterKept(ctx, h, reply)
	}
	if err := r.overtaken(); err != nil {
		return err
	}
	if err := r.obtain(ctx, token); err != nil {
		return err
	}
	login.Entry, login.Purpose, login.PIN = r.entry(token), r.Purpose, append([]byte(nil), r.hand.pin...)
	r.hand.shown = true
	reply, err := h.ask(ctx, login, r.library.config.PadTimeout)
	if err != nil {
		return err
	}
	switch reply.Failure {
	case wire.None:
		r.hand.shown, r.hand.good = false, true
		if token.Pad {
			r.hand.wipe()
		} else {
			r.library.keep(r)
		}
		return nil
	case wire.WrongPIN:
		r.answered(reply.Failure)
		if r.refused++; r.refused < maxRefused && reply.Tries < TriesLast {
			return r.unlock(ctx, h)
		}
		r.line.declined.Add(1)
	case wire.Cancelled:
		r.line.declined.Add(1)
	case wire.Lost, wire.Confused:
		return r.spoilt(h, reply)
	}
	return told(reply, r.Token.Label)
}

// afterKept is what a login by a kept PIN leads to.
func (r *request) afterKept(ctx context.Context, h *helper, reply *wire.Reply) error {
	switch reply.Failure {
	case wire.None:
		r.line.accepted()
		return nil
	case wire.WrongPIN:
		r.refused++ // one more that is wrong ends the request: three would lock many cards
		r.line.forget()
		return r.unlock(ctx, h)
	case wire.LastTry:
		r.line.forget()
		return r.unlock(ctx, h)
	case wire.Lost, wire.Confused:
		return r.spoilt(h, reply)
	}
	r.line.forget()
	return told(reply, r.Token.Label)
}

// spoilt is a login that failed for no fault of the PIN's: it counts as the helper's end.
func (r *request) spoilt(h *helper, reply *wire.Reply) error {
	if r.confused++; r.confused > maxConfused {
		return told(reply, r.Token.Label)
	}
	h.end()
	return fail(wire.Crashed, r.Token.Label, told(reply, r.Token.Label))
}

// present puts a PIN beside the request itself, for a key that asks at each use.
func (r *request) present(ctx context.Context, h *helper) error {
	token, err := h.token(ctx, r.Token, r.library)
	if err != nil {
		return err
	}
	if err := r.overtaken(); err != nil {
		return err
	}
	if err := r.obtain(ctx, token); err != nil {
		return err
	}
	r.Entry, r.PIN = r.entry(token), r.hand.pin
	r.hand.shown = true
	return nil
}

// entry is how the PIN in hand goes to a token.
func (r *request) entry(token Token) wire.Entry {
	switch {
	case token.Pad:
		return wire.OnPad
	case r.hand.good:
		return wire.Kept
	}
	return wire.Typed
}

// obtain makes sure that a PIN is in hand, or that the user was told to go to the pad.
func (r *request) obtain(ctx context.Context, token Token) error {
	if r.hand.pin != nil && !token.Pad {
		return nil
	}
	a, ok := ctx.Value(askingKey{}).(asking)
	switch {
	case token.Tries == TriesNone:
		return fail(wire.PINLocked, r.Token.Label, nil)
	case !ok:
		return fail(wire.Unasked, r.Token.Label, nil)
	case r.line.declined.Load() != r.declined:
		return fail(wire.Cancelled, r.Token.Label, errors.New("another request's prompt came to nothing"))
	case r.prompts == maxPrompts:
		return fail(wire.Lost, r.Token.Label, errors.New("no PIN that was entered led to anything"))
	}
	r.prompts++
	p := Prompt{Token: token, Key: r.key, Purpose: a.purpose}
	switch {
	case r.refused > 0:
		p.Again = AfterRefusal
	case r.hand.trouble:
		p.Again = AfterTrouble
	}
	if token.Pad {
		r.Purpose = wire.Short(a.purpose)
		r.hand.over = a.user.Pad(ctx, p)
		return nil
	}
	pin, err := a.user.PIN(ctx, p)
	if err == nil && len(pin) == 0 {
		err = errors.New("an empty PIN")
	}
	if err != nil {
		clear(pin)
		r.line.declined.Add(1)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fail(wire.Cancelled, r.Token.Label, err)
	}
	r.hand.pin, r.hand.good = pin, false
	return nil
}

// making is how long a token may take to make a key: a card takes minutes for a long one.
const making = 5 * time.Minute

// limit is how long the library may take for the request.
func (r *request) limit() time.Duration {
	if r.Op == wire.Generate {
		return max(making, r.library.config.Timeout)
	}
	if r.Entry != wire.NoPIN {
		return r.library.config.PadTimeout
	}
	return r.library.config.Timeout
}
