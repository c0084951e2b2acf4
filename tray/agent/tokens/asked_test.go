package tokens

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"countersign/pkcs11"
)

// TestBackgroundKeepsNothingUnlocked: mail that comes, however often, does not keep a card
// unlocked beyond the time after what a person did last; else anybody could who sends some.
func TestBackgroundKeepsNothingUnlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &software{Library: pkcs11.Open(pkcs11.Config{})}
		told := 0
		tk := &Tokens{software: []*software{s}, store: &software{Library: pkcs11.Open(pkcs11.Config{})}, keep: 10 * time.Minute}
		tk.o.Tell = func(_ context.Context, kind, _, _ string) error {
			if kind == "token-locked" {
				told++
			}
			return nil
		}
		locked := func() bool {
			synctest.Wait()
			s.mu.Lock()
			defer s.mu.Unlock()
			return !s.used
		}
		person, done := context.WithCancel(t.Context())
		asked := tk.Asked(person, "Open the message that you chose")
		tk.use(asked, s)()
		done()
		time.Sleep(6 * time.Minute)
		again, done := context.WithCancel(t.Context())
		tk.use(tk.Asked(again, "Sign your letter"), s)()
		done()
		for range 3 {
			time.Sleep(3 * time.Minute)
			tk.use(t.Context(), s)()
		}
		if locked() {
			t.Error("locked 9 minutes after the last thing that a person did")
		}
		time.Sleep(2 * time.Minute)
		if !locked() || told != 1 || !tk.until().IsZero() {
			t.Errorf("mail that came kept the card unlocked; %d times told", told)
		}
		// What is under way when the time is over ends first.
		third, done := context.WithCancel(t.Context())
		tk.use(tk.Asked(third, "Sign your letter"), s)()
		done()
		time.Sleep(9 * time.Minute)
		end := tk.use(t.Context(), s)
		time.Sleep(2 * time.Minute)
		if locked() {
			t.Error("locked in the middle of an operation")
		}
		end()
		if !locked() {
			t.Error("not locked at its end")
		}
		// A card that nobody unlocked is left alone in time as well: some need no PIN.
		tk.use(t.Context(), s)()
		time.Sleep(11 * time.Minute)
		if !locked() {
			t.Error("never left alone")
		}
	})
}
