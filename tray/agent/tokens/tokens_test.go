package tokens

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/pkcs11"
	"countersign/pkcs11/installed"
	"countersign/pkcs11/module"
	"countersign/pkcs11/pkcs11test"
	"countersign/platform/pinprompt"
	"countersign/tray/control"
	"countersign/vault/settings"
	"countersign/vault/tokenkey"
)

func TestMain(m *testing.M) {
	pkcs11test.Helper(module.Main)
	os.Exit(m.Run())
}

// human is somebody at the desktop.
type human struct {
	mu    sync.Mutex
	pin   string
	err   error
	asked []pinprompt.Question
	pad   int
}

func (h *human) Ask(_ context.Context, q pinprompt.Question) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked = append(h.asked, q)
	return []byte(h.pin), h.err
}

func (h *human) Tell(context.Context, pinprompt.Question) func() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pad++
	return func() error { return nil }
}

func (h *human) prompts() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.asked)
}

// desk is a room with a token in the reader and somebody before it.
type desk struct {
	*Tokens
	human  *human
	events chan string
	policy settings.Policy
	barred error
}

func sit(t *testing.T, token *pkcs11test.Token) *desk {
	t.Helper()
	helper, env := token.Command()
	d := &desk{human: &human{pin: pkcs11test.PIN}, events: make(chan string, 100)}
	d.Tokens = New(Options{
		World: World{
			Helper: helper, Env: env, Prompt: d.human,
			Find: func() []installed.Library {
				return []installed.Library{{Path: token.Library, Reserved: token.Reserved}}
			},
			Resolve: func(path string, _ []string) (string, error) { return path, d.barred },
		},
		Policy: func() (settings.Policy, error) { return d.policy, nil },
		Tell: func(_ context.Context, kind, _, says string) error {
			d.events <- kind + ": " + says
			return nil
		},
		Log: slog.New(slog.DiscardHandler),
	})
	t.Cleanup(func() { d.Close() })
	return d
}

// uri names a key on the token, as it is listed.
func (d *desk) uri(t *testing.T, label string) string {
	t.Helper()
	for _, one := range describe(d.cards(t.Context()), unused, d.until()) {
		for _, k := range one.Keys {
			if k.Label == label {
				return k.URI
			}
		}
	}
	t.Fatalf("no key %q is listed", label)
	return ""
}

func unused(*x509.Certificate) string { return "" }

func sign(ctx context.Context, d *desk, uri string, key pkcs11test.Key) error {
	k, err := d.Open(uri, key.Private.Public())
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte("letter"))
	_, err = k.Signer(ctx).Sign(nil, digest[:], crypto.SHA256)
	return err
}

// TestPeerList: what is on a card is listed without a PIN, in words.
func TestPeerList(t *testing.T) {
	token := pkcs11test.SoftHSM(t)
	d := sit(t, token)
	list := describe(d.cards(t.Context()), func(c *x509.Certificate) string {
		if c.Subject.CommonName == "p256" {
			return "signing"
		}
		return ""
	}, d.until())
	if len(list) != 1 || list[0].Label != token.Label || list[0].State != "ready" || list[0].Problem != "" || list[0].Software != filepath.Base(token.Library) {
		t.Fatalf("%+v", list)
	}
	if list[0].Lock != "locked" || !list[0].Until.IsZero() {
		t.Errorf("%+v", list[0])
	}
	if len(list[0].Keys) != 5 || d.human.prompts() != 0 || len(d.Problems()) != 0 {
		t.Errorf("%+v %d %q", list[0].Keys, d.human.prompts(), d.Problems())
	}
	for i, k := range list[0].Keys {
		if k.Number != i+1 || !strings.HasPrefix(k.URI, "pkcs11:") || k.Fingerprint == "" || k.Usage != "" || k.Key == "" || (k.InUse != "") != (k.Name == "p256") {
			t.Errorf("%+v", k)
		}
	}
}

// TestPeerAsked: only what a person did asks for a PIN; one is enough until all is locked.
func TestPeerAsked(t *testing.T) {
	token := pkcs11test.SoftHSM(t)
	d := sit(t, token)
	uri, key := d.uri(t, "rsa"), token.Key("rsa")
	if err := sign(t.Context(), d, uri, key); !errors.Is(tokenkey.Why(err), tokenkey.ErrLocked) && tokenkey.Why(err).Code != tokenkey.ErrLocked.Code {
		t.Fatalf("unasked: %v", err)
	}
	asked := d.Asked(t.Context(), "Sign your letter to Dr Shah")
	for range 3 {
		if err := sign(asked, d, uri, key); err != nil {
			t.Fatal(err)
		}
	}
	if q := d.human.asked; len(q) != 1 || q[0].Purpose != "Sign your letter to Dr Shah" || q[0].Token != token.Label || q[0].Key != "rsa" {
		t.Errorf("asked %+v", q)
	}
	if err := sign(t.Context(), d, uri, key); err != nil {
		t.Errorf("unlocked, in the background: %v", err)
	}
	k, err := d.Open(uri, key.Private.Public())
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := rsa.EncryptPKCS1v15(nil, key.Private.Public().(*rsa.PublicKey), []byte("content key")) //lint:ignore SA1019 as mail has it
	if err == nil {
		sealed, err = k.Decrypter(t.Context()).Decrypt(nil, sealed, nil)
	}
	if err != nil || string(sealed) != "content key" {
		t.Errorf("opened %q, %v", sealed, err)
	}
	if k.Exchanger(t.Context()) != nil {
		t.Error("an RSA key agrees on secrets")
	}
	isLocked := func(want string, at time.Time) {
		t.Helper()
		if one := describe(d.cards(t.Context()), unused, d.until())[0]; one.Lock != want || one.Until != at {
			t.Errorf("%s until %v, want %s until %v", one.Lock, one.Until, want, at)
		}
	}
	if d.rests.IsZero() {
		t.Error("unlocked for ever")
	}
	isLocked("unlocked", d.rests)
	d.LockAll()
	isLocked("locked", time.Time{})
	if got := <-d.events; got != "token-locked: Every card is locked again." {
		t.Errorf("told %q", got)
	}
	if err := sign(t.Context(), d, uri, key); tokenkey.Why(err) == nil || tokenkey.Why(err).Code != tokenkey.ErrLocked.Code {
		t.Errorf("locked: %v", err)
	}
}

// TestPeerExchange: a key on a curve agrees on a secret, and is no decrypter.
func TestPeerExchange(t *testing.T) {
	token := pkcs11test.SoftHSM(t)
	d := sit(t, token)
	key := token.Key("p384")
	k, err := d.Open(d.uri(t, "p384"), key.Private.Public())
	if err != nil {
		t.Fatal(err)
	}
	x := k.Exchanger(d.Asked(t.Context(), "Open a letter"))
	other, err := x.Curve().GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	here, err := x.ECDH(other.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	there, err := other.ECDH(x.PublicKey())
	if err != nil || string(here) != string(there) || k.Decrypter(t.Context()) != nil {
		t.Errorf("%x %x %v", here, there, err)
	}
}

// TestPeerNoTimeAtAll: where the policy keeps no PIN, a card is locked again as soon as
// the thing is done.
func TestPeerNoTimeAtAll(t *testing.T) {
	token := pkcs11test.SoftHSM(t)
	d := sit(t, token)
	none := 0
	d.policy.PINMinutes = &none
	uri, key := d.uri(t, "p256"), token.Key("p256")
	for n := range 2 {
		ctx, done := context.WithCancel(t.Context())
		asked := d.Asked(ctx, "Sign")
		for range 2 {
			if err := sign(asked, d, uri, key); err != nil {
				t.Fatal(err)
			}
		}
		done()
		for d.unlocked() {
		}
		if d.human.prompts() != n+1 {
			t.Errorf("%d prompts", d.human.prompts())
		}
		if err := sign(t.Context(), d, uri, key); tokenkey.Why(err) == nil {
			t.Errorf("after the act: %v", err)
		}
	}
}

func (d *desk) unlocked() bool {
	for _, s := range d.all() {
		s.mu.Lock()
		used := s.used
		s.mu.Unlock()
		if used {
			return true
		}
	}
	return false
}

// TestPeerWrongAndCancelled: each has a problem of its own, and its own words.
func TestPeerWrongAndCancelled(t *testing.T) {
	token := pkcs11test.SoftHSM(t)
	d := sit(t, token)
	uri, key := d.uri(t, "p256"), token.Key("p256")
	d.human.pin = "0000"
	why := tokenkey.Why(sign(d.Asked(t.Context(), "Sign"), d, uri, key))
	if why == nil || why.Code != tokenkey.ErrPIN.Code || !strings.Contains(why.Says, "wrong") || d.human.prompts() != 2 {
		t.Errorf("wrong: %+v after %d prompts", why, d.human.prompts())
	}
	d.human.err = pinprompt.ErrCancelled
	if why := tokenkey.Why(sign(d.Asked(t.Context(), "Sign"), d, uri, key)); why == nil || why.Code != tokenkey.ErrCancelled.Code || d.human.prompts() != 3 {
		t.Errorf("cancelled: %+v after %d prompts", why, d.human.prompts())
	}
	d.human.err = &pinprompt.Unavailable{Says: "No window can be shown."}
	if why := tokenkey.Why(sign(d.Asked(t.Context(), "Sign"), d, uri, key)); why == nil || why.Says != "No window can be shown." {
		t.Errorf("unavailable: %+v", why)
	}
	d.human.pin, d.human.err = pkcs11test.PIN, nil
	if err := sign(d.Asked(t.Context(), "Sign"), d, uri, key); err != nil {
		t.Error(err)
	}
}

// TestPeerComingAndGoing is told at once, but not what was there at the start.
func TestPeerComingAndGoing(t *testing.T) {
	token := pkcs11test.SoftHSM(t).Misbehaving(t)
	d := sit(t, token)
	uri, key := d.uri(t, "p256"), token.Key("p256")
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error)
	go func() { ran <- d.Run(ctx) }()
	if err := sign(d.Asked(t.Context(), "Sign"), d, uri, key); err != nil {
		t.Fatal(err)
	}
	token.Do(t, "nobody")
	_ = sign(d.Asked(t.Context(), "Sign"), d, uri, key) // who notices first does not matter
	d.cards(t.Context())
	if got := <-d.events; !strings.HasPrefix(got, "token-out: The card “Praxis Dr. Öz”") {
		t.Errorf("told %q", got)
	}
	if why := tokenkey.Why(sign(d.Asked(t.Context(), "Sign"), d, uri, key)); why == nil || why.Code != tokenkey.ErrAbsent.Code || !strings.Contains(why.Says, "Praxis") {
		t.Errorf("out: %+v", why)
	}
	token.Do(t, "")
	d.cards(t.Context()) // sooner than the next look of the watching
	if got := <-d.events; !strings.HasPrefix(got, "token-in: The card “Praxis Dr. Öz”") {
		t.Errorf("told %q", got)
	}
	if err := sign(d.Asked(t.Context(), "Sign"), d, uri, key); err != nil {
		t.Error(err)
	}
	stop()
	if err := <-ran; err != nil {
		t.Error(err)
	}
}

// TestPeerTouch: a card that takes long may want a touch, and that is told.
func TestPeerTouch(t *testing.T) {
	token := pkcs11test.SoftHSM(t).Misbehaving(t)
	d := sit(t, token)
	d.o.Patience = 50 * time.Millisecond
	uri, key := d.uri(t, "p256"), token.Key("p256")
	if err := sign(d.Asked(t.Context(), "Sign"), d, uri, key); err != nil {
		t.Fatal(err)
	}
	token.Do(t, "hang once")
	ctx, stop := context.WithCancel(t.Context())
	signed := make(chan error)
	go func() { signed <- sign(d.Asked(ctx, "Sign"), d, uri, key) }()
	if got := <-d.events; !strings.HasPrefix(got, "token-waits: ") || !strings.Contains(got, "touch") {
		t.Errorf("told %q", got)
	}
	stop()
	if err := <-signed; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestPeerSoftwareThatCannotBeLoaded is told in a sentence and holds up nothing.
func TestPeerSoftwareThatCannotBeLoaded(t *testing.T) {
	token := pkcs11test.SoftHSM(t)
	broken := filepath.Join(t.TempDir(), "broken.so")
	if err := os.WriteFile(broken, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := sit(t, token)
	find := d.o.Find
	d.o.Find = func() []installed.Library { return append([]installed.Library{{Path: broken}}, find()...) }
	if err := sign(d.Asked(t.Context(), "Sign"), d, d.uri(t, "p256"), token.Key("p256")); err != nil {
		t.Error(err)
	}
	if got := d.Problems(); len(got) != 1 || !strings.HasPrefix(got[0], "broken.so: The software") {
		t.Errorf("problems %q", got)
	}
	d.barred = &installed.Refusal{Says: "It lies where others could change it."}
	if cards := d.cards(t.Context()); len(cards) != 0 {
		t.Errorf("barred software shows %d cards", len(cards))
	}
	if got := d.Problems(); len(got) != 2 || !strings.HasSuffix(got[0], "others could change it.") {
		t.Errorf("problems %q", got)
	}
	d.barred = &installed.Refusal{Says: "Not allowed.", Err: installed.ErrNotAllowed} // in the list, not in every status
	d.renew()
	if got, left := d.Problems(), d.leftOut(); len(got) != 0 || len(left) != 2 || !strings.HasSuffix(left[0], ": Not allowed.") {
		t.Errorf("problems %q, left out %q", got, left)
	}
	if why := tokenkey.Why(sign(t.Context(), d, "pkcs11:serial=1;id=%01", token.Key("p256"))); why == nil || why.Code != tokenkey.ErrAbsent.Code {
		t.Errorf("nowhere: %+v", why)
	}
}

// TestTerminal: who asks from a terminal is asked there, and somebody else's act is not.
func TestTerminal(t *testing.T) {
	d := sit(t, &pkcs11test.Token{Library: "/absent.so"})
	at := control.WithTerminal(t.Context(), control.Terminal{Path: "/dev/pts/3", Kind: "xterm", Screen: true})
	person{t: d.Tokens, at: control.TerminalOf(at)}.PIN(t.Context(), pkcs11.Prompt{})
	person{t: d.Tokens, at: control.TerminalOf(t.Context())}.PIN(at, pkcs11.Prompt{})
	want := []pinprompt.Question{{Terminal: "/dev/pts/3", TerminalType: "xterm", ScreenFirst: true}, {}}
	if !slices.Equal(d.human.asked, want) {
		t.Errorf("asked %+v", d.human.asked)
	}
}

// TestPad: a PIN pad is told of on the desktop and as an event.
func TestPad(t *testing.T) {
	d := sit(t, &pkcs11test.Token{Library: "/absent.so"})
	about := pkcs11.Prompt{Token: pkcs11.Token{Name: pkcs11.Name{Label: "A\x1b[2J card"}, Pad: true}, Purpose: "Sign"}
	person{t: d.Tokens}.Pad(t.Context(), about)()
	if got := <-d.events; d.human.pad != 1 || !strings.HasPrefix(got, "token-waits: Enter the PIN of the card") || strings.ContainsRune(got, 0x1b) {
		t.Errorf("told %q", got)
	}
}
