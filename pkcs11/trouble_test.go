package pkcs11

import (
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"countersign/pkcs11/pkcs11test"
	"countersign/pkcs11/wire"
)

// workbench is a library that misbehaves on demand, with a key to sign with.
type workbench struct {
	*Library
	token *pkcs11test.Token
	key   *Key
	user  *person
}

// maker sets up a token.
type maker = func(testing.TB) *pkcs11test.Token

// misbehaving is SoftHSM behind a library that misbehaves on demand; the fake does so by itself.
func misbehaving(t testing.TB) *pkcs11test.Token { return pkcs11test.SoftHSM(t).Misbehaving(t) }

func prepare(t *testing.T, set maker, keep time.Duration) *workbench {
	t.Helper()
	b := &workbench{token: set(t), user: &person{}}
	b.Library = open(t, b.token, keep)
	b.key = keys(t, b.Library, b.token)["p256"]
	return b
}

func (b *workbench) sign(ctx context.Context) error {
	digest := sha256.Sum256([]byte("letter"))
	_, err := b.key.Signer(ctx).Sign(nil, digest[:], crypto.SHA256)
	return err
}

func (b *workbench) must(t *testing.T) {
	t.Helper()
	if err := b.sign(with(t, b.user)); err != nil {
		t.Fatal(err)
	}
}

// fails checks the failure, and that its words are fit for a person.
func (b *workbench) fails(t *testing.T, ctx context.Context, want Failure) *Error {
	t.Helper()
	err := b.sign(ctx)
	var e *Error
	if !errors.As(err, &e) || e.Failure != want {
		t.Fatalf("%v; want %v", err, want)
	}
	if e.Says == "" || strings.ContainsAny(e.Says, "%!") || strings.Contains(e.Says, "CKR") {
		t.Errorf("it says %q", e.Says)
	}
	return e
}

// TestRecovery: what the library does wrong once is not noticed; what it does wrong
// always ends as the failure that fits, and is over when it is over.
func TestRecovery(t *testing.T)     { recovery(t, pkcs11test.Fake) }
func TestPeerRecovery(t *testing.T) { recovery(t, misbehaving) }

func recovery(t *testing.T, set maker) {
	t.Parallel()
	b := prepare(t, set, time.Hour)
	b.must(t)
	for _, wrong := range []string{"crash", "abort", "exit", "garbage", "short", "long", "general", "removed", "vendor"} {
		b.token.Do(t, wrong+" once")
		b.must(t)
	}
	if b.user.asked() != 1 {
		t.Errorf("%d PINs asked for", b.user.asked())
	}
	for wrong, want := range map[string]Failure{
		"crash": Crashed, "exit": Crashed, "garbage": Confused, "short": Confused, "long": Confused, "general": Confused, "vendor": Confused, "removed": Lost,
	} {
		for _, in := range []bool{true, false} {
			if !in {
				b.restart(t)
			}
			b.token.Do(t, wrong)
			b.fails(t, with(t, b.user), want)
			b.token.Do(t, "")
			b.must(t)
		}
	}
	if b.user.asked() != 1 {
		t.Errorf("%d PINs asked for", b.user.asked())
	}
}

func TestHang(t *testing.T)     { hang(t, pkcs11test.Fake) }
func TestPeerHang(t *testing.T) { hang(t, misbehaving) }

func hang(t *testing.T, set maker) {
	t.Parallel() // as most of it is waiting
	b := prepare(t, set, time.Hour)
	b.must(t)
	b.config.Timeout = 300 * time.Millisecond // that this is short on a busy machine, the kept PIN makes good
	b.token.Do(t, "hang")
	other := make(chan error, 1)
	go func() { // another's request is not held up for longer than the token's
		_, err := b.Tokens(t.Context())
		other <- err
	}()
	b.fails(t, with(t, b.user), Hung)
	<-other
	b.token.Do(t, "hang once")
	b.config.Timeout = time.Minute
	ctx, stop := context.WithCancel(with(t, b.user))
	stopped := make(chan error, 1)
	go func() { stopped <- b.sign(ctx) }()
	for !b.token.Did(t) { // until the library has begun to hang
	}
	stop()
	if err := <-stopped; !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	b.Lock()
	b.must(t)
}

// TestPINs: who is asked, how often, and what becomes of what they say.
func TestPINs(t *testing.T)     { pins(t, pkcs11test.Fake) }
func TestPeerPINs(t *testing.T) { pins(t, misbehaving) }

func pins(t *testing.T, set maker) {
	b := prepare(t, set, 0)
	b.fails(t, t.Context(), Unasked) // background work never asks
	b.user.refuses = true
	b.fails(t, with(t, b.user), Cancelled)
	if p := b.user.prompts[0]; p.Token.Label != b.token.Label || p.Key != "p256" || p.Purpose != "Signing the letter to Dr. Weiß" || p.Again != FirstTime {
		t.Errorf("the prompt is %+v", p)
	}
	b.user.refuses = false

	b.user.prompts, b.user.answers = nil, []string{"000000"}
	b.must(t)
	if p := b.user.prompts; len(p) != 2 || p[1].Again != AfterRefusal {
		t.Errorf("after a wrong PIN: %+v", p)
	}
	b.Lock()
	b.user.prompts, b.user.answers = nil, []string{"000000", "000001"}
	b.fails(t, with(t, b.user), WrongPIN)
	if len(b.user.prompts) != 2 {
		t.Errorf("%d prompts", len(b.user.prompts))
	}

	b.token.Do(t, "lasttry")
	b.user.prompts, b.user.answers = nil, []string{"000000"}
	if e := b.fails(t, with(t, b.user), WrongPIN); e.Tries != TriesLast || !strings.Contains(e.Says, "One more wrong PIN locks") {
		t.Errorf("%+v", e)
	}
	if len(b.user.prompts) != 1 || b.user.prompts[0].Token.Tries != TriesLast {
		t.Errorf("on the last try: %+v", b.user.prompts)
	}

	b.token.Do(t, "locked")
	b.user.prompts = nil
	b.fails(t, with(t, b.user), PINLocked)
	if len(b.user.prompts) != 0 {
		t.Error("a PIN was asked for though it is locked")
	}

	// A confused card is no wrong PIN; and a PIN that got no answer is not shown again.
	b.token.Do(t, "crashlogin once")
	b.user.prompts = nil
	b.must(t)
	if p := b.user.prompts; len(p) != 2 || p[1].Again != AfterTrouble {
		t.Errorf("after a crash at login: %+v", p)
	}
	b.Lock()
	b.token.Do(t, "confusedlogin")
	b.fails(t, with(t, b.user), Confused)
	b.token.Do(t, "crashlogin")
	b.user.prompts = nil
	b.fails(t, with(t, b.user), Crashed)
	if len(b.user.prompts) != maxPrompts {
		t.Errorf("%d PINs asked for, and each login crashes", len(b.user.prompts))
	}
}

// TestKeptPIN: it is for one token, and dropped when it should be.
func TestKeptPIN(t *testing.T)     { keptPIN(t, pkcs11test.Fake) }
func TestPeerKeptPIN(t *testing.T) { keptPIN(t, misbehaving) }

func keptPIN(t *testing.T, set maker) {
	t.Parallel()
	b := prepare(t, set, time.Hour)
	b.must(t)
	crash := func() {
		b.token.Do(t, "crash once")
		b.must(t)
	}
	crash()
	if b.user.asked() != 1 {
		t.Fatalf("%d PINs asked for", b.user.asked())
	}
	if err := b.sign(t.Context()); err != nil { // unlocked, and nobody need be asked
		t.Error(err)
	}

	// On the last try it is not used; and it is forgotten.
	b.restart(t)
	b.token.Do(t, "lasttry")
	b.fails(t, t.Context(), Unasked)
	b.token.Do(t, "")
	b.fails(t, t.Context(), Unasked)
	b.must(t)
	if b.user.asked() != 2 {
		t.Fatalf("%d PINs asked for", b.user.asked())
	}

	// A library that dies at each login sees it no more than twice.
	b.restart(t)
	b.token.Do(t, "crashlogin")
	b.fails(t, t.Context(), Unasked)
	if n := b.line(b.key.token).pin.unanswered; n != maxUnanswered {
		t.Errorf("shown %d times", n)
	}
	b.token.Do(t, "")

	kept := b.line(b.key.token).pin.pin
	b.Lock()
	if b.line(b.key.token).pin != nil || string(kept) != strings.Repeat("\x00", len(pkcs11test.PIN)) {
		t.Errorf("after Lock there is %q", kept)
	}
	b.fails(t, t.Context(), Unasked)

	// A wrong one, as after a change elsewhere, is shown once.
	b.line(b.key.token).keep([]byte("000000"), time.Hour)
	b.fails(t, t.Context(), Unasked)
	if b.line(b.key.token).pin != nil {
		t.Error("a refused PIN is kept")
	}
}

// restart ends the helper, and with it the login.
func (b *workbench) restart(t *testing.T) {
	t.Helper()
	h, err := b.running(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.kill(wire.Crashed)
	<-h.dead
}

func TestPad(t *testing.T)     { pad(t, pkcs11test.Fake) }
func TestPeerPad(t *testing.T) { pad(t, misbehaving) }

func pad(t *testing.T, set maker) {
	b := prepare(t, set, time.Hour)
	b.token.Do(t, "pad")
	b.fails(t, t.Context(), Unasked)
	b.must(t)
	if b.user.asked() != 0 || b.user.pads != 0 {
		t.Errorf("%d PINs asked for; %d still asked for at the pad", b.user.asked(), b.user.pads)
	}
}

// TestAlways: a key that asks at each use asks at each use, and the kept PIN is not for it.
func TestAlways(t *testing.T)     { always(t, pkcs11test.Fake) }
func TestPeerAlways(t *testing.T) { always(t, misbehaving) }

func always(t *testing.T, set maker) {
	b := prepare(t, set, time.Hour)
	b.token.Do(t, "always")
	b.must(t) // one PIN for login and use
	if b.user.asked() != 1 {
		t.Errorf("%d PINs asked for at the first use", b.user.asked())
	}
	b.must(t)
	b.fails(t, t.Context(), Unasked)
	if b.user.asked() != 2 {
		t.Errorf("%d PINs asked for", b.user.asked())
	}
	b.user.answers = []string{"000000"}
	b.must(t)
	if p := b.user.prompts; len(p) != 4 || p[3].Again != AfterRefusal {
		t.Errorf("after a wrong PIN: %+v", p)
	}
}

// TestPeerAlwaysDerive: a key that asks at each use, and can't be asked where a secret is
// agreed on, is said to be unfit, after one PIN and no more.
func TestPeerAlwaysDerive(t *testing.T) {
	b := prepare(t, misbehaving, 0)
	b.token.Do(t, "never")
	x := b.key.Exchanger(with(t, b.user))
	for range 2 {
		if _, err := x.ECDH(x.PublicKey()); !is(err, NoMechanism) {
			t.Error(err)
		}
	}
	if b.user.asked() != 1 {
		t.Errorf("%d PINs asked for", b.user.asked())
	}
}

// TestOnePrompt: who came before another's prompt was dismissed is not prompted; who
// comes later is.
func TestOnePrompt(t *testing.T) {
	l, user := &line{}, &person{}
	waited := &request{line: l, declined: l.declined.Load()}
	l.declined.Add(1)
	if err := waited.obtain(with(t, user), Token{}); !is(err, Cancelled) || user.asked() != 0 {
		t.Errorf("%v after %d prompts", err, user.asked())
	}
	later := &request{line: l, declined: l.declined.Load()}
	if err := later.obtain(with(t, user), Token{}); err != nil || user.asked() != 1 {
		t.Errorf("%v after %d prompts", err, user.asked())
	}
}

// locker locks while it is asked.
type locker struct {
	person
	l *Library
}

func (p *locker) PIN(ctx context.Context, q Prompt) ([]byte, error) {
	p.l.Lock()
	return p.person.PIN(ctx, q)
}

// TestLockWhileAsked: what was asked before Lock does not undo it, and nobody is
// asked once more at a locked screen.
func TestLockWhileAsked(t *testing.T)     { lockWhileAsked(t, pkcs11test.Fake) }
func TestPeerLockWhileAsked(t *testing.T) { lockWhileAsked(t, misbehaving) }

func lockWhileAsked(t *testing.T, set maker) {
	b := prepare(t, set, time.Hour)
	p := &locker{l: b.Library}
	b.fails(t, WithUser(t.Context(), p, "opening mail"), Unasked)
	if p.asked() != 1 || b.line(b.key.token).pin != nil {
		t.Errorf("%d PINs asked for; kept: %v", p.asked(), b.line(b.key.token).pin != nil)
	}
	b.fails(t, t.Context(), Unasked)
	b.must(t)
}

// TestKeepAfterLock: a PIN that was accepted when Lock came is not kept.
func TestKeepAfterLock(t *testing.T) {
	for _, locked := range []bool{false, true} {
		l := Open(Config{KeepPIN: time.Hour})
		r := &request{line: l.line(Name{}), locks: l.locked(), hand: hand{pin: []byte("123456")}}
		if locked {
			l.Lock()
		}
		if l.keep(r); r.line.keeps() == locked {
			t.Errorf("locked %v: kept %v", locked, !locked)
		}
		l.Lock()
	}
}

// TestTogether: many at once are asked for one PIN.
func TestTogether(t *testing.T)     { together(t, pkcs11test.Fake) }
func TestPeerTogether(t *testing.T) { together(t, misbehaving) }

func together(t *testing.T, set maker) {
	b := prepare(t, set, 0)
	results := make(chan error)
	for range 16 {
		go func() { results <- b.sign(with(t, b.user)) }()
	}
	for range 16 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if b.user.asked() != 1 {
		t.Errorf("%d PINs asked for", b.user.asked())
	}
}

// TestWatch: tokens that come and go are told of, whatever befalls the helper.
func TestWatch(t *testing.T)     { watch(t, pkcs11test.Fake) }
func TestPeerWatch(t *testing.T) { watch(t, misbehaving) }

func watch(t *testing.T, set maker) {
	t.Parallel()
	b := prepare(t, set, time.Hour)
	events := make(chan Event)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	tell := func(e Event) {
		if e.Token.Label == b.token.Label { // SoftHSM always has an empty one, too
			events <- e
		}
	}
	go func() { ended <- b.Watch(ctx, 20*time.Millisecond, tell) }()
	next := func(present bool) {
		t.Helper()
		if e := <-events; e.Present != present {
			t.Errorf("told of %+v", e)
		}
	}
	next(true)
	b.must(t)
	b.token.Do(t, "nobody")
	next(false)
	b.restart(t)
	b.fails(t, with(t, b.user), Removed)
	b.token.Do(t, "")
	next(true)
	b.must(t)
	b.restart(t)
	if _, _, err := b.Keys(t.Context(), b.key.token); err != nil {
		t.Error(err)
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if b.user.asked() != 1 {
		t.Errorf("%d PINs asked for", b.user.asked())
	}
}

// TestNotLoaded: a library that can't be loaded says so, in one sentence.
func TestNotLoaded(t *testing.T)     { notLoaded(t, pkcs11test.Fake) }
func TestPeerNotLoaded(t *testing.T) { notLoaded(t, misbehaving) }

func notLoaded(t *testing.T, set maker) {
	b := prepare(t, set, 0)
	b.restart(t)
	b.token.Do(t, "nolist")
	b.fails(t, with(t, b.user), NotLoaded)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b.fails(t, with(t, b.user), Crashed)
}

// TestPeerKill ends the helper 100 times during 1,000 operations (1,000 times during
// 10,000 in the soak), and none fails.
func TestPeerKill(t *testing.T) {
	k := pkcs11test.SoftHSM(t)
	operations, kills := 1000, 100
	if os.Getenv("COUNTERSIGN_SOAK") != "" {
		operations, kills = 10*operations, 10*kills
	} else if testing.Short() {
		operations, kills = operations/10, kills/10
	}
	user := &person{}
	b := &workbench{Library: open(t, k, time.Hour), token: k, user: user}
	b.key = keys(t, b.Library, k)["p256"]
	b.must(t)
	killed := make(chan map[*helper]bool)
	turns := make(chan struct{})
	go func() {
		victims := map[*helper]bool{}
		for range kills {
			<-turns
			b.mu.Lock()
			h := b.helper
			b.mu.Unlock()
			_ = h.cmd.Process.Kill()
			victims[h] = true
		}
		killed <- victims
	}()
	for i := range operations {
		if i%(operations/kills) == 0 {
			turns <- struct{}{} // and it strikes while what follows is under way
		}
		if err := b.sign(with(t, user)); err != nil {
			t.Fatalf("operation %d: %v", i, err)
		}
	}
	if n := len(<-killed); n != kills {
		t.Errorf("%d helpers were ended", n)
	}
	if user.asked() != 1 {
		t.Errorf("%d PINs asked for", user.asked())
	}
}
