// Package waiting is about messages that wait for their key: it tells which do and why, and
// opens them in their order, two at a time, and has what is left to do of them done for some at
// once. It knows when to stop: nobody is asked for a PIN a second time, and a card that fails
// is left alone. One bad message stops no other.
package waiting

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"countersign/mailer/cms"
	"countersign/mailer/smime"
	"countersign/vault"
)

// errAway is for a key in the keychain.
var errAway = &vault.Problem{Code: "keychain-away", Says: "Your key cannot be used at this moment: the keychain is locked or away.", Next: "Try again."}

// NotKept is said of a message that asked the card and will again.
const NotKept = "Your organisation does not allow its key to be kept here, so your card is asked each time that it is opened."

// Why says why the key that opens a message cannot be used now, or is nil: another try
// may succeed.
func Why(o *smime.Opened) *vault.Problem {
	if o.Payload != nil || !errors.Is(o.Problem, smime.ErrKey) {
		return nil
	}
	if why := vault.WhyToken(o.Problem); why != nil {
		return why
	}
	return errAway
}

// ByToken says that one of these keys, on a token, opened the message this time.
func ByToken(o *smime.Opened, keys []cms.Key) bool {
	return slices.ContainsFunc(o.Layers, func(l smime.Layer) bool {
		return l.Enveloped != nil && l.Enveloped.Matched != nil && slices.ContainsFunc(keys, func(k cms.Key) bool {
			return k.Certificate.Equal(l.Enveloped.Matched) && vault.OnToken(k)
		})
	})
}

// Ready says whether the identities can sign now: those whose key is on a card sign
// something that goes nowhere. It is for what must not be begun unless it can be done.
func Ready(ctx context.Context, v *vault.Vault, identities ...vault.Identity) error {
	digest := sha256.Sum256([]byte("countersign trial of a signing key"))
	for _, i := range identities {
		if i.SigningToken == "" {
			continue
		}
		key, err := v.Signer(ctx, i.ID)
		if err != nil {
			return err
		}
		message, opts := digest[:], crypto.SignerOpts(crypto.SHA256)
		if _, ok := key.Public().(ed25519.PublicKey); ok {
			opts = crypto.Hash(0)
		}
		if _, err := key.Sign(rand.Reader, message, opts); err != nil {
			return fmt.Errorf("trying the signing key: %w", err)
		}
	}
	return nil
}

// pause is how long the cards are left alone in the background after one failed.
const pause = time.Minute

// State is what is remembered while the program runs. It keeps fetching from waiting for a
// card that hangs, once for each message.
type State struct {
	Following sync.Mutex // held by the one that is followed after it waited

	mu    sync.Mutex
	until time.Time // when the cards have rested
}

// Context is ctx, in which the cards are not asked while they rest. now is the time.
func (s *State) Context(ctx context.Context, now time.Time) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(s.until) {
		return vault.TokensUntouched(ctx)
	}
	return ctx
}

// Note notes why a message did not open.
func (s *State) Note(why *vault.Problem, now time.Time) {
	if why != nil && errors.Is(why, vault.ErrToken) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.until = now.Add(pause)
	}
}

// Opening is what came of it.
type Opening struct {
	Opened  int
	Waiting int              // still
	Why     []*vault.Problem // why those wait, each reason once
}

// maxTrouble is how many messages in a row a card may fail for before the rest is left
// alone: one that hangs would cost its time-out for each.
const maxTrouble = 3

// atOnce is how many messages are open at once.
const atOnce = 2

// What is left of messages is done for this many at once, or for those that are there when
// the first has waited so long: a card that is slow leaves little undone if all ends.
const (
	maxTogether = 16
	patience    = 50 * time.Millisecond
)

// Open opens each message of a list by open, which has its key open it and returns it for
// what is left to do, nil if that is nothing, or says why it goes on waiting. What is left is
// done by file for some at once, beside the opening of the next, so that the card does not
// stand idle: in their order, and file returns what comes of each. For the same reason, and
// while all goes well, two are open at once: a card that is being prompted for must not be
// prompted for by the other ([vault.TokensInTurn]). The error is of those that could not be
// read or filed at all, or the end of ctx.
func Open[L any](ctx context.Context, list []string, open func(id string) (*L, *vault.Problem, error), file func([]*L) []error) (o Opening, err error) {
	trouble := 0
	opened := func(failed error) {
		if failed == nil {
			o.Opened++
			return
		}
		o.Waiting++
		err = errors.Join(err, fmt.Errorf("opening what waits: %w", failed))
	}
	ready, filed := make(chan *L, maxTogether), make(chan []error)
	go func() { filed <- together(ready, file) }()
	begin := func(id string) <-chan tried[L] {
		c := make(chan tried[L], 1)
		go func() {
			l, why, failed := open(id)
			c <- tried[L]{l, why, failed}
		}()
		return c
	}
	well, over := false, false
	var begun []<-chan tried[L] // and not ended
	for n := range list {
		for !over && ctx.Err() == nil && n+len(begun) < len(list) && (len(begun) == 0 || well && len(begun) < atOnce) {
			begun = append(begun, begin(list[n+len(begun)]))
		}
		if len(begun) == 0 {
			o.Waiting += len(list) - n
			break
		}
		one := <-begun[0]
		begun, well = begun[1:], one.l != nil
		switch {
		case ctx.Err() != nil:
		case one.l != nil:
			ready <- one.l
			trouble = 0
		case one.why == nil:
			opened(one.failed)
			if one.failed == nil {
				trouble = 0
			}
		default:
			o.wait(one.why)
			if errors.Is(one.why, vault.ErrToken) {
				trouble++
			}
			over = over || final(one.why) || trouble == maxTrouble
		}
	}
	ended := ctx.Err()
	close(ready)
	for _, failed := range <-filed {
		opened(failed)
	}
	if ended != nil {
		o.Waiting, err = len(list)-o.Opened, ended
	}
	return o, err
}

// tried is what came of one message.
type tried[L any] struct {
	l      *L
	why    *vault.Problem
	failed error
}

// wait counts a message that goes on waiting.
func (o *Opening) wait(why *vault.Problem) {
	o.Waiting++
	if !slices.ContainsFunc(o.Why, func(p *vault.Problem) bool { return *p == *why }) {
		o.Why = append(o.Why, why)
	}
}

// together files what is ready, some at once, and returns what came of each.
func together[L any](ready <-chan *L, file func([]*L) []error) (all []error) {
	for first := range ready {
		list, over := []*L{first}, time.After(patience)
		for more := true; more && len(list) < maxTogether; {
			select {
			case l, is := <-ready:
				if more = is; is {
					list = append(list, l)
				}
			case <-over:
				more = false
			}
		}
		all = append(all, file(list)...)
	}
	return all
}

// final says that to go on would ask for a PIN again.
func final(why error) bool {
	return errors.Is(why, vault.ErrCancelled) || errors.Is(why, vault.ErrPIN) || errors.Is(why, vault.ErrPINBlocked)
}

// Says is one sentence or two for a person.
func (o Opening) Says() string {
	says := fmt.Sprintf("%d messages that were locked are open now.", o.Opened)
	if o.Opened == 1 {
		says = "The message that was locked is open now."
	}
	switch o.Waiting {
	case 0:
		return says
	case 1:
		return says + " One still waits."
	}
	return fmt.Sprintf("%s %d still wait.", says, o.Waiting)
}
