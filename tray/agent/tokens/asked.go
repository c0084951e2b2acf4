package tokens

import (
	"context"
	"time"

	"countersign/pkcs11"
	"countersign/platform/pinprompt"
	"countersign/tray/control"
)

// shortest is how long a token may stay unlocked where nobody says that what a person did
// has ended.
const shortest = time.Minute

// Asked marks ctx as that of something which a person just did: they may be asked for a
// PIN. purpose says what, in their words: "Sign your letter to Dr Shah". ctx ends when it
// is done. Who sits at a terminal (control.TerminalOf) is asked there.
func (t *Tokens) Asked(ctx context.Context, purpose string) context.Context {
	t.mu.Lock()
	t.acts++
	t.mu.Unlock()
	context.AfterFunc(ctx, func() {
		t.mu.Lock()
		t.acts--
		now := t.acts == 0 && t.keep == 0
		t.mu.Unlock()
		if now {
			t.lock(true)
		}
	})
	ctx = context.WithValue(ctx, byPerson{}, true)
	return pkcs11.WithUser(ctx, person{t, control.TerminalOf(ctx)}, purpose)
}

// use notes that a token is being used. Where ctx is that of something which a person did
// the time until it is locked begins anew with the end of that: in the background it does
// not, or mail that keeps coming would keep a card unlocked.
func (t *Tokens) use(ctx context.Context, s *software) (done func()) {
	s.mu.Lock()
	s.used = true
	s.mu.Unlock()
	t.mu.Lock()
	t.busy++
	t.mu.Unlock()
	return func() {
		t.mu.Lock()
		t.busy--
		late := t.late && t.busy == 0
		if ctx.Value(byPerson{}) != nil || t.idle == nil {
			late, t.late = false, false
			t.unsettle()
			t.rests = time.Now().Add(max(t.keep, shortest))
			t.idle = time.AfterFunc(time.Until(t.rests), t.rest)
		}
		t.mu.Unlock()
		if late {
			t.lock(true)
		}
	}
}

// byPerson is the key of a context that [Tokens.Asked] made.
type byPerson struct{}

// unsettle stops the time until all is locked. t.mu is held.
func (t *Tokens) unsettle() {
	if t.idle != nil {
		t.idle.Stop()
		t.idle = nil
	}
}

// until is when all is locked, if nobody uses it meanwhile; zero: that is not set.
func (t *Tokens) until() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.idle == nil || t.keep == 0 {
		return time.Time{}
	}
	return t.rests
}

// rest locks every token, unless one is at work: then its end does.
func (t *Tokens) rest() {
	t.mu.Lock()
	busy := t.busy > 0
	t.late = busy
	t.mu.Unlock()
	if !busy {
		t.lock(true)
	}
}

// person is who can be asked for a PIN.
type person struct {
	t  *Tokens
	at control.Terminal
}

// PIN asks at their terminal, or on the desktop.
func (p person) PIN(ctx context.Context, about pkcs11.Prompt) ([]byte, error) {
	p.t.prompting.Add(1)
	defer p.t.prompting.Add(-1)
	return p.t.o.Prompt.Ask(ctx, p.question(about))
}

// Pad says that the PIN is wanted on the reader. Windows says so itself.
func (p person) Pad(ctx context.Context, about pkcs11.Prompt) func() {
	p.t.prompting.Add(1)
	if about.Token.Name == pkcs11.StoreName {
		return func() { p.t.prompting.Add(-1) }
	}
	p.t.tell(ctx, "token-waits", identifier(about.Token.Name), "Enter the PIN of the card "+quoted(about.Token.Name)+" on its reader.")
	shown := p.t.o.Prompt.Tell(ctx, p.question(about))
	return func() {
		p.t.prompting.Add(-1)
		if err := shown(); err != nil && ctx.Err() == nil {
			p.t.o.Log.Info("the wait for a PIN on the reader was not shown", "error", err)
		}
	}
}

// question is a prompt in the words of pinprompt, whose lists are in the same order.
func (p person) question(about pkcs11.Prompt) pinprompt.Question {
	return pinprompt.Question{
		Token: about.Token.Label, Key: about.Key, Purpose: about.Purpose,
		Again: pinprompt.Again(about.Again), Tries: pinprompt.Tries(about.Token.Tries),
		Terminal: p.at.Path, TerminalType: p.at.Kind, ScreenFirst: p.at.Screen,
	}
}
