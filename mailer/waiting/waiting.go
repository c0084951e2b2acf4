// Package waiting is about messages that wait for their key: it tells which do and why, and
// opens them one after the other. It knows when to stop: nobody is asked for a PIN a second
// time, and a card that fails is left alone. One bad message stops no other.
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

// Open opens each message of a list by open, which has its key open it and returns what is
// left to do, or says why it goes on waiting. What is left of one is done beside the opening
// of the next, so that the card does not stand idle; each is done after the other. The error
// is that of the first which could not be read at all, or the end of ctx.
func Open(ctx context.Context, list []string, open func(id string) (rest func() error, why *vault.Problem, err error)) (o Opening, err error) {
	trouble := 0
	opened := func(failed error) {
		if failed == nil {
			o.Opened++
			return
		}
		o.Waiting++
		err = errors.Join(err, fmt.Errorf("opening what waits: %w", failed))
	}
	var before <-chan error // what comes of the one before
	for n, id := range list {
		rest, why, failed := open(id)
		if before != nil {
			opened(<-before)
			before = nil
		}
		if ctx.Err() != nil {
			o.Waiting = len(list) - o.Opened
			return o, ctx.Err()
		}
		switch {
		case failed != nil:
			opened(failed)
			continue
		case why == nil:
			before, trouble = beside(rest), 0
			continue
		}
		o.Waiting++
		if !slices.ContainsFunc(o.Why, func(p *vault.Problem) bool { return *p == *why }) {
			o.Why = append(o.Why, why)
		}
		if errors.Is(why, vault.ErrToken) {
			trouble++
		}
		if final(why) || trouble == maxTrouble {
			o.Waiting += len(list) - n - 1
			break
		}
	}
	if before != nil {
		opened(<-before)
	}
	return o, err
}

// beside does what is left to do beside the caller, and returns what came of it.
func beside(rest func() error) <-chan error {
	done := make(chan error, 1)
	if rest == nil {
		done <- nil
		return done
	}
	go func() { done <- rest() }()
	return done
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
