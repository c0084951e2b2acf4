package pkcs11

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"countersign/pkcs11/pkcs11test"
)

// blank is a token's library, and a person for it.
func blank(t *testing.T) (*pkcs11test.Token, *Library, *person, Name) {
	t.Helper()
	k := pkcs11test.SoftHSM(t).Misbehaving(t)
	l := open(t, k, time.Hour)
	return k, l, &person{}, keys(t, l, k)["p256"].Token()
}

func issue(t testing.TB, public crypto.PublicKey) *x509.Certificate {
	t.Helper()
	authority, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "Dr. Öz"}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, public, authority)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestPeerUnlock: one PIN, of somebody who may be asked, and none where none is needed.
func TestPeerUnlock(t *testing.T) {
	_, l, user, token := blank(t)
	if err := l.Unlock(t.Context(), token); !is(err, Unasked) {
		t.Errorf("in the background: %v", err)
	}
	for range 2 {
		if err := l.Unlock(with(t, user), token); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Unlock(t.Context(), token); err != nil || user.asked() != 1 {
		t.Errorf("%v after %d PINs", err, user.asked())
	}
	l.Lock()
	user.refuses = true
	if err := l.Unlock(with(t, user), token); !is(err, Cancelled) || user.asked() != 2 {
		t.Errorf("%v after %d PINs", err, user.asked())
	}
	if err := l.Unlock(with(t, user), Name{Label: "another"}); !is(err, Removed) || user.asked() != 2 {
		t.Errorf("%v after %d PINs", err, user.asked())
	}
}

// TestPeerUnlockEach: each library tells whether it is unlocked.
func TestPeerUnlockEach(t *testing.T) {
	for name, set := range map[string]maker{
		"fake": pkcs11test.Fake, "NSS": pkcs11test.NSS, "opencryptoki": pkcs11test.OpenCryptoki, "TPM": pkcs11test.TPM, "PIV": card,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := set(t)
			l, user := open(t, k, 0), &person{}
			token := arrival(t, l, k.Label).Name
			isUnlocked := func(want bool) {
				t.Helper()
				if got, err := l.Unlocked(with(t, user), token); got != want || err != nil {
					t.Errorf("unlocked: %v, %v", got, err)
				}
			}
			isUnlocked(false)
			for range 2 {
				if err := l.Unlock(with(t, user), token); err != nil {
					t.Fatal(err)
				}
				isUnlocked(true)
			}
			if user.asked() != 1 {
				t.Errorf("%d PINs asked for", user.asked())
			}
			l.Lock()
			isUnlocked(false)
			if err := l.Unlock(t.Context(), token); !is(err, Unasked) {
				t.Errorf("locked, in the background: %v", err)
			}
		})
	}
}

func card(t testing.TB) *pkcs11test.Token {
	k, _, _ := pkcs11test.PIV(t, "rsa")
	return k
}

// TestPeerGenerate: each kind, through to its certificate or its end.
func TestPeerGenerate(t *testing.T) {
	_, l, user, token := blank(t)
	digest := sha256.Sum256([]byte("letter"))
	for _, kind := range []string{"rsa-2048", "rsa-3072", "p-256", "p-384"} {
		key, err := l.Generate(with(t, user), token, Order{Kind: kind, Label: "mail", Sign: true, Open: true})
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if _, err := key.Signer(with(t, user)).Sign(nil, digest[:], crypto.SHA256); err != nil { // which checks it
			t.Errorf("%s: %v", kind, err)
		}
		if err := key.try(with(t, user), true); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if kind == "rsa-2048" {
			finish(t, l, key, user)
			continue
		}
		again, err := l.Unfinished(key.URI(), key.Public()) // as after a restart
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := again.Discard(with(t, user)); err != nil {
				t.Fatal(err)
			}
		}
		if err := key.try(with(t, user), false); !is(err, NoKey) {
			t.Errorf("%s, discarded: %v", kind, err)
		}
	}
	if user.asked() != 1 {
		t.Errorf("%d PINs asked for", user.asked())
	}
	if _, err := l.Generate(with(t, user), token, Order{Kind: "rsa-1024", Sign: true}); !errors.Is(err, ErrOrder) {
		t.Errorf("rsa-1024: %v", err)
	}
}

// finish gives a key its certificate: then it is not discarded any more.
func finish(t *testing.T, l *Library, key *Key, user *person) {
	t.Helper()
	cert := issue(t, key.Public())
	for range 2 {
		if err := key.Store(with(t, user), cert); err != nil {
			t.Fatal(err)
		}
	}
	if err := key.Store(with(t, user), issue(t, mustKey(t).Public())); !errors.Is(err, ErrCertificate) {
		t.Errorf("another's certificate: %v", err)
	}
	all, _, err := l.Keys(t.Context(), key.Token())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, k := range all {
		if bytes.Equal(k.ID, key.ID) {
			n++
			if !k.Certificate.Equal(cert) || k.Label != "mail" {
				t.Errorf("it is listed as %+v", k)
			}
		}
	}
	if n != 1 {
		t.Errorf("it is listed %d times", n)
	}
	if err := key.Discard(with(t, user)); !is(err, HasCertificate) {
		t.Errorf("with a certificate: %v", err)
	}
	known, err := l.Use(key.URI(), key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if err := known.Discard(with(t, user)); !errors.Is(err, ErrFinished) {
		t.Errorf("in use: %v", err)
	}
	if err := key.try(with(t, user), true); err != nil {
		t.Error(err)
	}
}

func mustKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestPeerImport: a software key works on the token, and twice is once.
func TestPeerImport(t *testing.T) {
	_, l, user, token := blank(t)
	long, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	for _, private := range []crypto.Signer{long, mustKey(t)} {
		order := Order{Label: "brought", Open: true}
		key, err := l.Import(with(t, user), token, private, order)
		if err != nil {
			t.Fatal(err)
		}
		again, err := l.Import(with(t, user), token, private, order)
		if err != nil || !bytes.Equal(again.ID, key.ID) {
			t.Fatal(again, err)
		}
		if err := again.Discard(with(t, user)); !errors.Is(err, ErrFinished) {
			t.Errorf("one that was there: %v", err)
		}
		if err := key.Discard(with(t, user)); err != nil {
			t.Error(err)
		}
		if err := key.try(with(t, user), true); !is(err, NoKey) {
			t.Errorf("discarded: %v", err)
		}
	}
	if user.asked() != 1 {
		t.Errorf("%d PINs asked for", user.asked())
	}
}

// TestPeerMakeRefused: what stands in the way is said, and nothing is left on the token.
func TestPeerMakeRefused(t *testing.T) {
	k, l, user, token := blank(t)
	if err := l.Unlock(with(t, user), token); err != nil {
		t.Fatal(err)
	}
	count := func() int {
		if err := l.Unlock(with(t, user), token); err != nil { // to see them all
			t.Fatal(err)
		}
		all, _, err := l.Keys(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	before := count()
	order := Order{Kind: "p-256", Label: "mail", Sign: true}
	generate := func() error { _, err := l.Generate(with(t, user), token, order); return err }
	bring := func() error { _, err := l.Import(with(t, user), token, mustKey(t), order); return err }
	store := func() error {
		key, err := l.Import(with(t, user), token, mustKey(t), order)
		if err != nil {
			return err
		}
		k.Do(t, "full")
		return errors.Join(key.Store(with(t, user), issue(t, key.Public())), func() error { k.Do(t, ""); return key.Discard(with(t, user)) }())
	}
	for _, c := range []struct {
		wrong string
		do    func() error
		want  Failure
	}{
		{"full", generate, NoSpace}, {"full", bring, NoSpace}, {"", store, NoSpace}, {"makers", generate, NeedsMaker}, {"makers", bring, NeedsMaker},
		{"writeprotected", generate, ReadOnly}, {"writeprotected", bring, ReadOnly}, {"nomake", generate, NoMechanism},
		{"leaks", generate, Confused}, {"leaks", bring, Confused}, {"halfmade", generate, Confused},
		{"crashmake", generate, Crashed}, {"crashrename", generate, Crashed},
	} {
		k.Do(t, c.wrong)
		err := c.do()
		var e *Error
		if !errors.As(err, &e) || e.Failure != c.want || strings.Contains(e.Says, "%") {
			t.Errorf("%s: %v", c.wrong, err)
		}
		k.Do(t, "")
		if strings.HasPrefix(c.wrong, "crash") { // what could not be swept is found by its passing name alone
			continue
		}
		if n := count(); n != before {
			t.Errorf("%s: %d keys are left behind", c.wrong, n-before)
		}
	}
	before = count()
	for _, wrong := range []string{"crashmake once", "crashrename once"} {
		k.Do(t, wrong)
		if err := generate(); err != nil {
			t.Errorf("%s: %v", wrong, err)
		}
		if n := count(); n != before+1 {
			t.Errorf("%s: %d keys, not one, were made", wrong, n-before)
		}
		before++
	}
	ctx, stop := context.WithCancel(with(t, user))
	stop()
	if _, err := l.Generate(ctx, token, order); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	if user.asked() != 1 {
		t.Errorf("%d PINs asked for", user.asked())
	}
}

// TestEarly: of many that sign at once each gets its own signature, whatever befalls those
// beside it, and one PIN does for all.
func TestEarly(t *testing.T)     { early(t, pkcs11test.Fake) }
func TestPeerEarly(t *testing.T) { early(t, misbehaving) }

func early(t *testing.T, set maker) {
	b := prepare(t, set, time.Hour)
	b.must(t)
	for _, wrong := range []string{"", "crash once", "garbage once", "removed once"} {
		b.token.Do(t, wrong)
		results := make(chan error)
		for i := range 4 {
			go func() {
				var err error
				for n := 0; n < 20 && err == nil; n++ {
					digest := sha256.Sum256([]byte{byte(i), byte(n)})
					_, err = b.key.Signer(with(t, b.user)).Sign(nil, digest[:], crypto.SHA256) // which checks it
				}
				results <- err
			}()
		}
		for range 4 {
			if err := <-results; err != nil {
				t.Errorf("%s: %v", wrong, err)
			}
		}
	}
	if b.user.asked() != 1 {
		t.Errorf("%d PINs asked for", b.user.asked())
	}
	b.restart(t)
	b.Lock()
	if err := b.sign(t.Context()); !is(err, Unasked) {
		t.Error(err)
	}
}

// TestPeerMakeElsewhere: what libraries can't do is said before a PIN is asked for, as far as
// they tell, and a key that is of no use on a token does not stay there.
func TestPeerMakeElsewhere(t *testing.T) {
	for name, c := range map[string]struct {
		set               maker
		kind              string
		generate, brought Failure // 0: it works
		private           crypto.Signer
		prompts           int
	}{
		"PIV":          {card, "rsa-2048", NoMechanism, NeedsMaker, mustKey(t), 1},
		"opencryptoki": {pkcs11test.OpenCryptoki, "p-256", NoMechanism, NoMechanism, mustKey(t), 1},
		"TPM":          {pkcs11test.TPM, "p-256", 0, NeedsMaker, mustKey(t), 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := c.set(t)
			l, user := open(t, k, time.Hour), &person{}
			token := arrival(t, l, k.Label).Name
			before, _, err := l.Keys(t.Context(), token)
			if err != nil {
				t.Fatal(err)
			}
			key, err := l.Generate(with(t, user), token, Order{Kind: c.kind, Label: "mail", Sign: true})
			if c.generate == 0 && err == nil {
				err = key.Discard(with(t, user))
			}
			if c.generate == 0 && err != nil || c.generate != 0 && !is(err, c.generate) {
				t.Errorf("made there: %v", err)
			}
			if _, err := l.Import(with(t, user), token, c.private, Order{Label: "mail", Sign: true}); !is(err, c.brought) {
				t.Errorf("brought there: %v", err)
			}
			after, _, err := l.Keys(t.Context(), token)
			if err != nil || len(after) > len(before) {
				t.Errorf("%d keys, then %d, %v", len(before), len(after), err)
			}
			if user.asked() != c.prompts {
				t.Errorf("%d PINs asked for", user.asked())
			}
		})
	}
}
