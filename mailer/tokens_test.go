package mailer_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/mailer"
	"countersign/mailer/cms"
	"countersign/mailer/store"
	"countersign/tray/demo/authority"
	"countersign/vault"
	"countersign/vault/contacts"
)

// card is a card with one RSA key. It tells who asks from who does not, as pkcs11 does.
type card struct {
	key      *rsa.PrivateKey
	out      bool       // of the reader
	unlocked bool       // nobody need be asked
	always   bool       // it asks at each use
	refuses  error      // what comes of asking; nil: the right PIN
	breaks   error      // of every use
	during   func()     // happens while it signs, once
	one      sync.Mutex // two messages may be open at once
	prompts  int
	uses     int
}

type atIt struct{}

// atCard is the context of what somebody just did.
func atCard(ctx context.Context) context.Context { return context.WithValue(ctx, atIt{}, true) }

const cardRef = "pkcs11:token=Ada%27s%20card;serial=1;id=%01"

func (c *card) Open(string, crypto.PublicKey) (vault.TokenKey, error) { return c, nil }

func (c *card) Signer(ctx context.Context) crypto.Signer        { return cardKey{c, ctx} }
func (c *card) Decrypter(ctx context.Context) crypto.Decrypter  { return cardKey{c, ctx} }
func (c *card) Exchanger(ctx context.Context) ecdh.KeyExchanger { return nil }

func (c *card) use(ctx context.Context) error {
	c.one.Lock()
	defer c.one.Unlock()
	if c.out {
		return vault.TokenTrouble(vault.ErrAbsent, "The card “Ada's card” is not in the reader. Insert it and try again.", nil)
	}
	if !c.unlocked || c.always {
		if ctx.Value(atIt{}) == nil {
			return vault.TokenTrouble(vault.ErrLocked, "", nil)
		}
		if c.prompts++; c.refuses != nil {
			return c.refuses
		}
		c.unlocked = true
	}
	c.uses++
	return c.breaks
}

type cardKey struct {
	c   *card
	ctx context.Context
}

func (k cardKey) Public() crypto.PublicKey { return k.c.key.Public() }

func (k cardKey) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := k.c.use(k.ctx); err != nil {
		return nil, err
	}
	if during := k.c.during; during != nil {
		k.c.during = nil
		during()
	}
	return k.c.key.Sign(random, digest, opts)
}

func (k cardKey) Decrypt(random io.Reader, message []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	if err := k.c.use(k.ctx); err != nil {
		return nil, err
	}
	return k.c.key.Decrypt(random, message, opts)
}

// lock takes away what was unlocked, and forgets what was counted.
func (c *card) lock() { c.unlocked, c.prompts, c.uses = false, 0, 0 }

// joinWithCard is join for somebody whose key is on a card alone. The card is locked.
func (w *world) joinWithCard(name, address string) (*person, *card) {
	w.Helper()
	who := w.admit(name, address)
	c := &card{key: who.Key}
	p := w.settle(who, c, func(p *person) error {
		key := vault.TokenCertificate{Ref: cardRef, Certificate: who.Certificate}
		p.certificates = who.PEM()
		_, err := p.Vault.Use(atCard(w.Context()), vault.TokenKeys{Signing: key, Encryption: key, Chain: []*x509.Certificate{w.ca.Issuing}, OnlyCopy: true}, nil)
		return err
	})
	c.lock()
	return p, c
}

// cards is two people who have verified each other, one with a card.
func cards(t *testing.T) (w *world, ada, bea *person, c *card) {
	t.Helper()
	w = newWorld(t)
	ada, c = w.joinWithCard("Dr Ada Osei", "ada@harbour.example")
	bea = w.join("Dr Bea Brandt", "bea@north.example")
	c.unlocked = true
	ada.verifies(bea)
	bea.verifies(ada)
	c.lock()
	return w, ada, bea, c
}

// send has somebody write to another, and delivers it.
func (p *person) send(to *person, subject string) {
	p.w.Helper()
	if _, err := p.write(mailer.Draft{To: []string{to.address}, Subject: subject, Text: "text of " + subject}); err != nil {
		p.w.Fatal(err)
	}
	p.w.post()
}

func first(t *testing.T, p *person) mailer.Summary {
	t.Helper()
	list, err := p.List(t.Context(), mailer.Query{Limit: 1})
	if err != nil || len(list) == 0 {
		t.Fatal(list, err)
	}
	return list[0]
}

// TestLockedMessage: fetched while nobody may be asked, it waits, and says for what; who
// opens it is asked once, ever.
func TestLockedMessage(t *testing.T) {
	_, ada, bea, c := cards(t)
	bea.send(ada, "The results")
	if c.prompts+c.uses != 0 {
		t.Errorf("fetching: %d prompts, %d uses", c.prompts, c.uses)
	}
	for range 3 {
		s := first(t, ada)
		if !s.Locked || s.Verdict.Short != "Locked: needs your card" || s.From != bea.address || s.Subject != "[...]" || s.Snippet != "" || s.FromName != "" {
			t.Fatalf("%+v", s)
		}
	}
	ctx := t.Context()
	id := first(t, ada).ID
	if msg, err := ada.Read(ctx, id); err != nil || msg.Waits == nil || msg.Waits.Code != "token-locked" || msg.Text != "" || msg.Problem == "" || msg.ReplyDenied == "" {
		t.Errorf("read by nobody: %+v, %v", msg, err)
	}
	if _, _, err := ada.Attachment(ctx, id, "1"); !errors.Is(err, vault.ErrLocked) {
		t.Errorf("a file of it: %v", err)
	}
	c.out = true
	if msg, err := ada.Read(atCard(ctx), id); err != nil || msg.Waits == nil || msg.Waits.Code != "token-absent" || !strings.Contains(msg.Problem, "“Ada's card”") {
		t.Errorf("without the card: %+v, %v", msg, err)
	}
	c.out = false
	for code, refusal := range map[string]*vault.Problem{"pin-cancelled": vault.ErrCancelled, "pin-wrong": vault.ErrPIN, "pin-blocked": vault.ErrPINBlocked} {
		c.refuses = vault.TokenTrouble(refusal, "", nil)
		c.prompts = 0
		if msg, err := ada.Read(atCard(ctx), id); err != nil || msg.Waits == nil || msg.Waits.Code != code || c.prompts != 1 {
			t.Errorf("%s: %+v, %v after %d prompts", code, msg, err, c.prompts)
		}
	}
	c.refuses = nil
	if n, err := ada.Waiting(ctx); n != 1 || err != nil {
		t.Errorf("%d wait, %v", n, err)
	}
	if s := first(t, ada); !s.Locked {
		t.Errorf("%+v", s)
	}
	c.lock()
	msg, err := ada.Read(atCard(ctx), id)
	if err != nil || msg.Waits != nil || msg.Text != "text of The results" || msg.Subject != "The results" || msg.Verdict.Level != "good" || msg.Locked {
		t.Errorf("opened: %+v, %v", msg, err)
	}
	if c.prompts != 1 || c.uses != 1 {
		t.Errorf("%d prompts, %d uses", c.prompts, c.uses)
	}
	c.out = true // for good
	ada.Vault.Close()
	ada.open()
	if msg, err := ada.Read(ctx, id); err != nil || msg.Text != "text of The results" || msg.Verdict.Level != "good" {
		t.Errorf("after the card's end: %+v, %v", msg, err)
	}
	if s := first(t, ada); s.Locked || s.Subject != "The results" || s.FromName != "Dr Bea Brandt" {
		t.Errorf("%+v", s)
	}
	if found, err := ada.List(ctx, mailer.Query{Search: "results"}); err != nil || len(found) != 1 {
		t.Errorf("not found by its words: %v", err)
	}
	if n, err := ada.Waiting(ctx); n != 0 || err != nil {
		t.Errorf("%d wait, %v", n, err)
	}
}

// TestUnlockedCard: while the card is unlocked mail opens as it comes, and nobody is asked.
func TestUnlockedCard(t *testing.T) {
	_, ada, bea, c := cards(t)
	c.unlocked = true
	bea.send(ada, "The results")
	if s := first(t, ada); s.Locked || s.Subject != "The results" || c.prompts != 0 || c.uses != 1 {
		t.Errorf("%+v after %d prompts and %d uses", s, c.prompts, c.uses)
	}
}

// TestLockedOnce: copies of one message are one, locked or open.
func TestLockedOnce(t *testing.T) {
	w, ada, bea, c := cards(t)
	bea.send(ada, "The results")
	raw := w.wire[len(w.wire)-1].raw
	id := first(t, ada).ID
	other := append([]byte("Received: by somebody\r\n"), raw...)
	for name, copied := range map[string][]byte{"same": raw, "another way": other} {
		if got := w.deliver(ada.address, copied); got != id {
			t.Errorf("%s, locked: %s, not %s", name, got, id)
		}
	}
	if _, err := ada.Read(atCard(t.Context()), id); err != nil {
		t.Fatal(err)
	}
	c.lock()
	if got := w.deliver(ada.address, raw); got != id || c.uses != 0 {
		t.Errorf("a copy of an open one: %s, %d uses", got, c.uses)
	}
	c.unlocked = true
	if got := w.deliver(ada.address, raw); got != id {
		t.Errorf("a copy, unlocked: %s", got)
	}
}

// TestLockedCopies: a copy with another header outside is told only when it opens, and is
// one line with the other from then on, in whatever order they open (I3). The form in them
// counts once.
func TestLockedCopies(t *testing.T) {
	for name, open := range map[string]func(ada *person, first, copied string) error{
		"both at once": func(ada *person, _, _ string) error {
			o, err := ada.OpenWaiting(atCard(ada.w.Context()))
			if o.Opened != 2 {
				return fmt.Errorf("%+v, %w", o, err)
			}
			return err
		},
		"the first, then the copy": func(ada *person, first, copied string) error {
			_, err := ada.Read(atCard(ada.w.Context()), first)
			_, again := ada.Read(atCard(ada.w.Context()), copied)
			return errors.Join(err, again)
		},
	} {
		w, ada, bea, c := cards(t)
		if _, err := bea.StartTest(t.Context(), ada.address, ""); err != nil {
			t.Fatal(err)
		}
		w.post()
		raw := w.wire[len(w.wire)-1].raw
		id := first(t, ada).ID
		received := first(t, ada).Received
		w.now = w.now.Add(time.Minute)
		other := bytes.Replace(raw, []byte("\r\nSubject: "), []byte("\r\nSubject: Fwd: "), 1)
		copied := w.deliver(ada.address, other)
		before, err := ada.List(t.Context(), mailer.Query{})
		if err != nil || copied == id {
			t.Fatal(copied, err)
		}
		if err := open(ada, id, copied); err != nil {
			t.Fatal(name, err)
		}
		after, err := ada.List(t.Context(), mailer.Query{})
		if err != nil || len(after) != len(before)-1 || after[0].Form != "test" || !after[0].Received.Equal(received) {
			t.Errorf("%s: %d lines of %d, %+v, %v", name, len(after), len(before), after[0], err)
		}
		ada.reads(bea)
		if msg, err := ada.Read(t.Context(), after[0].ID); err != nil || msg.Form != "test" || msg.Test == nil {
			t.Errorf("%s: %+v, %v", name, msg, err)
		}
		// A copy that opens as it comes, while another waits.
		c.lock()
		bea.send(ada, "The results")
		waits := first(t, ada).ID
		c.unlocked = true
		raw = w.wire[len(w.wire)-1].raw
		came := w.deliver(ada.address, bytes.Replace(raw, []byte("\r\nSubject: "), []byte("\r\nSubject: Fwd: "), 1))
		if msg, err := ada.Read(t.Context(), waits); err != nil || msg.Subject != "The results" {
			t.Errorf("%s: %+v, %v", name, msg, err)
		}
		if _, err := ada.Read(t.Context(), came); !errors.Is(err, store.ErrNoMessage) {
			t.Errorf("%s: the copy is still there: %v", name, err)
		}
	}
}

// TestOpenWaiting: one PIN opens all, and one bad message stops nothing.
func TestOpenWaiting(t *testing.T) {
	w, ada, bea, c := cards(t)
	for _, subject := range []string{"one", "two", "three", "four"} {
		bea.send(ada, subject)
	}
	// One that will never open: encrypted to this card as far as it says, damaged inside.
	raw := string(w.wire[len(w.wire)-1].raw)
	at := strings.LastIndex(raw[:len(raw)-200], "\r\n")
	w.deliver(ada.address, []byte(raw[:at-40]+strings.Repeat("A", 40)+raw[at:]))
	c.lock()
	if n, _ := ada.Waiting(t.Context()); n != 5 {
		t.Fatalf("%d wait", n)
	}
	if o, err := ada.OpenWaiting(t.Context()); err != nil || o.Opened != 0 || o.Waiting != 5 || len(o.Why) != 1 || o.Why[0].Code != "token-locked" || c.prompts != 0 {
		t.Errorf("asked by nobody: %+v, %v", o, err)
	}
	c.refuses = vault.TokenTrouble(vault.ErrCancelled, "", nil)
	if o, err := ada.OpenWaiting(atCard(t.Context())); err != nil || o.Opened != 0 || o.Waiting != 5 || len(o.Why) != 1 || o.Why[0].Code != "pin-cancelled" || c.prompts != 1 {
		t.Errorf("dismissed: %+v, %v after %d prompts", o, err, c.prompts)
	}
	c.lock()
	c.refuses = nil
	o, err := ada.OpenWaiting(atCard(t.Context()))
	if err != nil || o.Opened != 5 || o.Waiting != 0 || c.prompts != 1 || c.uses != 5 {
		t.Errorf("%+v, %v after %d prompts and %d uses", o, err, c.prompts, c.uses)
	}
	subjects := ""
	list, err := ada.List(t.Context(), mailer.Query{})
	for _, s := range list {
		subjects += s.Subject + " " + s.Verdict.Short + "; "
	}
	if err != nil || !strings.HasPrefix(subjects, "[...] Cannot be opened; four Confirmed by telephone; three Confirmed by telephone; two Confirmed by telephone; one Confirmed by telephone; ") {
		t.Errorf("%s, %v", subjects, err)
	}
	if o, err := ada.OpenWaiting(t.Context()); err != nil || o.Opened+o.Waiting != 0 {
		t.Errorf("again: %+v, %v", o, err)
	}
}

// TestFailingCardRests: fetching does not wait for a card that hangs again and again.
func TestFailingCardRests(t *testing.T) {
	w, ada, bea, c := cards(t)
	c.unlocked, c.breaks = true, errors.New("CKR_DEVICE_ERROR")
	for n := range 4 {
		bea.send(ada, fmt.Sprint(n))
	}
	if n, err := ada.Waiting(t.Context()); n != 4 || err != nil || c.uses != 1 {
		t.Errorf("%d wait, %v after %d uses", n, err, c.uses)
	}
	c.breaks = nil
	w.now = w.now.Add(2 * time.Minute)
	bea.send(ada, "later")
	if s := first(t, ada); s.Subject != "later" {
		t.Errorf("%+v", s)
	}
}

// TestOpenWaitingStops: a card that asks each time is asked until the first refusal; a
// card that fails is left alone after a few.
func TestOpenWaitingStops(t *testing.T) {
	_, ada, bea, c := cards(t)
	for _, subject := range []string{"1", "2", "3", "4", "5"} {
		bea.send(ada, subject)
	}
	c.lock()
	c.unlocked, c.breaks = true, errors.New("CKR_FUNCTION_FAILED")
	if o, err := ada.OpenWaiting(atCard(t.Context())); err != nil || o.Opened != 0 || o.Waiting != 5 || c.uses != 3 || o.Why[0].Code != "token-trouble" {
		t.Errorf("%+v, %v after %d uses", o, err, c.uses)
	}
	c.lock()
	c.breaks, c.always = nil, true
	if o, err := ada.OpenWaiting(atCard(t.Context())); err != nil || o.Opened != 5 || c.prompts != 5 {
		t.Errorf("%+v, %v after %d prompts", o, err, c.prompts)
	}
	stopped, cancel := context.WithCancel(atCard(t.Context()))
	cancel()
	if _, err := ada.OpenWaiting(stopped); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestLockedForms: a test and an answer that were locked take effect when they are opened,
// once.
func TestLockedForms(t *testing.T) {
	w := newWorld(t)
	ada, c := w.joinWithCard("Dr Ada Osei", "ada@harbour.example")
	bea := w.join("Dr Bea Brandt", "bea@north.example")
	ctx := t.Context()
	bea.knows(ada)
	if _, err := bea.StartTest(ctx, ada.address, ""); err != nil {
		t.Fatal(err)
	}
	w.post()
	if known, err := ada.Contact(ctx, bea.address); err == nil && known.Incoming != nil {
		t.Error("a locked test took effect")
	}
	test, err := ada.Read(atCard(ctx), first(t, ada).ID)
	if err != nil || test.Form != "test" || test.Test == nil {
		t.Fatalf("%+v, %v", test, err)
	}
	ada.reads(bea)
	if again := ada.last(); again.Form != "test" || again.Test == nil {
		t.Errorf("opened again: %+v", again)
	}
	// Her answer is signed by the card, his test of her answered and locked.
	if _, err := ada.Answer(atCard(ctx), bea.address); err != nil {
		t.Fatal(err)
	}
	ada.knows(bea)
	if _, err := ada.StartTest(atCard(ctx), bea.address, ""); err != nil {
		t.Fatal(err)
	}
	w.post()
	c.lock()
	if _, err := bea.Answer(ctx, ada.address); err != nil {
		t.Fatal(err)
	}
	w.post()
	ada.state(bea, contacts.TestSent)
	if o, err := ada.OpenWaiting(atCard(ctx)); err != nil || o.Opened != 1 || c.prompts != 1 {
		t.Errorf("%+v, %v after %d prompts", o, err, c.prompts)
	}
	ada.state(bea, contacts.Answered)
	bea.state(ada, contacts.Answered)
}

// TestNoContentKeys: where the key of a message may not be kept, the card is asked each
// time, and this is said; a list asks nothing.
func TestNoContentKeys(t *testing.T) {
	_, ada, bea, c := cards(t)
	ada.rules.NoContentKeys = true
	bea.send(ada, "The results")
	id := first(t, ada).ID
	for n := range 2 {
		msg, err := ada.Read(atCard(t.Context()), id)
		if err != nil || msg.Text != "text of The results" || !strings.Contains(strings.Join(msg.Verdict.Reasons, " "), "asked each time") || c.uses != n+1 {
			t.Errorf("%+v, %v after %d uses", msg, err, c.uses)
		}
	}
	if s := first(t, ada); s.Subject != "The results" {
		t.Errorf("%+v", s)
	}
	if err := ada.Reconsider(t.Context()); err != nil { // the summaries are made anew
		t.Fatal(err)
	}
	if s := first(t, ada); s.Verdict.Short != "Locked: needs your card" || c.uses != 2 {
		t.Errorf("%+v after %d uses", s, c.uses)
	}
	if msg, err := ada.Read(atCard(t.Context()), id); err != nil || msg.Verdict.Level != "good" {
		t.Errorf("%+v, %v", msg, err)
	}
	if s := first(t, ada); s.Subject != "The results" {
		t.Errorf("%+v", s)
	}
}

// TestLockedThenConfirmed: what came before the key was confirmed is not said to have been
// from a confirmed key then (I2).
func TestLockedThenConfirmed(t *testing.T) {
	w := newWorld(t)
	ada, c := w.joinWithCard("Dr Ada Osei", "ada@harbour.example")
	bea := w.join("Dr Bea Brandt", "bea@north.example")
	c.unlocked = true
	bea.verifies(ada)
	c.lock()
	bea.send(ada, "Early")
	id := first(t, ada).ID
	c.unlocked = true
	ada.verifies(bea)
	c.lock()
	if msg, err := ada.Read(atCard(t.Context()), id); err != nil || msg.Verdict.Level != "good" {
		t.Errorf("%+v, %v", msg.Verdict, err)
	}
}

// TestLockedKeychain: a keychain that is locked keeps mail waiting as a card does, and
// once it is open a list suffices: it asks nobody.
func TestLockedKeychain(t *testing.T) {
	w := newWorld(t)
	ada, bea := w.join("Dr Ada Osei", "ada@harbour.example"), w.join("Dr Bea Brandt", "bea@north.example")
	bea.verifies(ada)
	ada.verifies(bea)
	ada.Vault.Lock()
	ada.keychain.locked = true
	bea.send(ada, "The results")
	s := first(t, ada)
	if msg, err := ada.Read(t.Context(), s.ID); err != nil || msg.Waits == nil || msg.Waits.Code != "keychain-away" || s.Verdict.Short != "Cannot be opened" {
		t.Errorf("%+v, %v, %+v", msg, err, s)
	}
	ada.keychain.locked = false
	if o, err := ada.OpenWaiting(t.Context()); err != nil || o.Opened != 1 {
		t.Errorf("%+v, %v", o, err)
	}
	if s := first(t, ada); s.Subject != "The results" || s.Verdict.Level != "good" {
		t.Errorf("%+v", s)
	}
}

// TestSendingWithCard: signing needs the user, and what fails leaves all as it was.
func TestSendingWithCard(t *testing.T) {
	w, ada, bea, c := cards(t)
	ctx := t.Context()
	d := mailer.Draft{To: []string{bea.address}, Subject: "Hello", Text: "text"}
	sent := len(w.wire)
	for code, how := range map[string]func() context.Context{
		"token-locked":  func() context.Context { return ctx },
		"token-absent":  func() context.Context { c.out = true; return atCard(ctx) },
		"pin-cancelled": func() context.Context { c.refuses = vault.ErrCancelled; return atCard(ctx) },
		"token-trouble": func() context.Context {
			c.unlocked, c.breaks = true, errors.New("CKR_DEVICE_ERROR")
			return atCard(ctx)
		},
	} {
		_, err := ada.writeIn(how(), d)
		if why := vault.WhyToken(err); why == nil || why.Code != code || why.Says == "" {
			t.Errorf("%s: %v", code, err)
		}
		c.out, c.refuses, c.breaks = false, nil, nil
		c.lock()
	}
	list, err := ada.Drafts.List(ctx)
	if err != nil || len(list) != 4 {
		t.Errorf("%d drafts, %v", len(list), err)
	}
	if box, err := ada.Outbox.List(ctx); err != nil || len(box) == 0 {
		t.Errorf("%d, %v", len(box), err)
	}
	w.post()
	if len(w.wire) != sent {
		t.Error("something went out")
	}
	if _, err := ada.SendLetter(atCard(ctx), list[0].ID); err != nil || c.prompts != 1 {
		t.Errorf("%v after %d prompts", err, c.prompts)
	}
	c.lock()
	w.post()
	if c.prompts+c.uses != 0 {
		t.Error("the outbox asked the card")
	}
	if msg := bea.last(); msg.Subject != "Hello" || msg.Verdict.Level != "good" {
		t.Errorf("%+v", msg)
	}
}

// TestOwnCopyAsksNothing: what the user just wrote opens without the card, unless policy
// wants its key not to be kept (K1b).
func TestOwnCopyAsksNothing(t *testing.T) {
	_, ada, bea, c := cards(t)
	for uses, forbidden := range []bool{false, true} {
		ada.rules.NoContentKeys = forbidden
		c.unlocked = true
		sent, err := ada.write(mailer.Draft{To: []string{bea.address}, Subject: "Hello", Text: "text"})
		if err != nil {
			t.Fatal(err)
		}
		c.lock()
		msg, err := ada.Read(atCard(t.Context()), sent.ID)
		if err != nil || msg.Text != "text" || msg.Subject != "Hello" || c.uses != uses {
			t.Errorf("%+v, %v after %d uses", msg, err, c.uses)
		}
	}
}

// TestStepsWithCard: a verification moves on only when its form was signed.
func TestStepsWithCard(t *testing.T) {
	w := newWorld(t)
	ada, c := w.joinWithCard("Dr Ada Osei", "ada@harbour.example")
	bea := w.join("Dr Bea Brandt", "bea@north.example")
	ada.knows(bea)
	ctx := t.Context()
	c.refuses = vault.ErrCancelled
	if _, err := ada.StartTest(atCard(ctx), bea.address, ""); !errors.Is(err, vault.ErrCancelled) || c.prompts != 1 {
		t.Errorf("%v after %d prompts", err, c.prompts)
	}
	ada.state(bea, contacts.HasCertificate)
	bea.knows(ada)
	if _, err := bea.StartTest(ctx, ada.address, ""); err != nil {
		t.Fatal(err)
	}
	w.post()
	c.refuses = nil
	if o, err := ada.OpenWaiting(atCard(ctx)); err != nil || o.Opened != 1 {
		t.Fatal(o, err)
	}
	c.lock()
	c.refuses = vault.ErrCancelled
	if _, err := ada.Answer(atCard(ctx), bea.address); !errors.Is(err, vault.ErrCancelled) {
		t.Error(err)
	}
	if k, err := ada.Contact(ctx, bea.address); err != nil || k.Incoming == nil || !k.Incoming.Answered.IsZero() {
		t.Errorf("%+v, %v", k.Incoming, err)
	}
	c.refuses = nil
	if _, err := ada.Answer(atCard(ctx), bea.address); err != nil {
		t.Error(err)
	}
	if _, err := ada.StartTest(atCard(ctx), bea.address, ""); err != nil {
		t.Error(err)
	}
	ada.state(bea, contacts.TestSent)
}

// TestStepMeanwhile: what changes a contact while a form is signed, such as mail of theirs
// that comes in, neither stops the step, which the card is asked for once, nor is undone by
// it. A verification that moves on meanwhile stops it.
func TestStepMeanwhile(t *testing.T) {
	w := newWorld(t)
	ada, c := w.joinWithCard("Dr Ada Osei", "ada@harbour.example")
	bea := w.join("Dr Bea Brandt", "bea@north.example")
	ada.knows(bea)
	ctx := t.Context()
	c.during = func() {
		w.announce(bea, ada, w.now, []cms.Cipher{cms.AES256GCM}, true)
		if _, err := ada.AddContact(ctx, mailer.NewContact{Address: bea.address, Name: "Bea of the ward"}); err != nil {
			t.Error(err)
		}
	}
	k, err := ada.StartTest(atCard(ctx), bea.address, "")
	if err != nil || k.Name != "Bea of the ward" || !k.Contact.Candidates[0].Reads.GCM || c.during != nil || c.uses != 1 {
		t.Errorf("%q, %v, the card was used %d times", k.Name, err, c.uses)
	}
	ada.state(bea, contacts.TestSent)
	c.during = func() {
		if r, err := ada.Call(ctx, bea.address, contacts.CallReport{Wrong: true}); err != nil {
			t.Error(r, err)
		}
	}
	if _, err := ada.StartTest(atCard(ctx), bea.address, ""); !errors.Is(err, mailer.ErrMeanwhile) {
		t.Error(err)
	}
	ada.state(bea, contacts.Mismatch)
	if w.post(); len(w.wire) != 1 {
		t.Errorf("%d forms went", len(w.wire))
	}
}

// TestAnnouncementWaits: an announcement needs the card, so it waits for it, and the days
// until the new key takes over do not begin before it can go.
func TestAnnouncementWaits(t *testing.T) {
	w, ada, bea, c := cards(t)
	c.unlocked = true
	ada.send(bea, "Hello")
	c.lock()
	ctx := t.Context()
	w.now = w.now.Add(time.Hour)
	next := w.admit("Dr Ada Osei", "Ada@harbour.example")
	if _, err := ada.Vault.ImportPKCS12(ctx, next.PKCS12, authority.Password); err != nil {
		t.Fatal(err)
	}
	ada.recovery()
	coming := func() vault.Identity {
		t.Helper()
		all, err := ada.Vault.Identities(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range all {
			if i.Coming {
				return i
			}
		}
		t.Fatalf("%+v", all)
		return vault.Identity{}
	}
	if n, err := ada.Announce(ctx); n != 0 || !errors.Is(err, vault.ErrLocked) || c.prompts != 0 || !coming().Announced.IsZero() {
		t.Errorf("%d announced, %v after %d prompts, %+v", n, err, c.prompts, coming())
	}
	if n, err := ada.Untold(ctx); n != 1 || err != nil || c.prompts != 0 {
		t.Errorf("%d are to be told, %v", n, err)
	}
	if n, err := ada.Announce(atCard(ctx)); n != 1 || err != nil || c.prompts != 1 || coming().Announced.IsZero() {
		t.Errorf("%d announced, %v after %d prompts, %+v", n, err, c.prompts, coming())
	}
	c.lock()
	if n, err := ada.Untold(ctx); n != 0 || err != nil {
		t.Errorf("%d are still to be told, %v", n, err)
	}
	if n, err := ada.Announce(ctx); n != 0 || err != nil || c.uses != 0 {
		t.Errorf("once more: %d, %v after %d uses", n, err, c.uses)
	}
}
