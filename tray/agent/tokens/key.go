package tokens

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"countersign/pkcs11"
	"countersign/pkcs11/installed"
	"countersign/platform/pinprompt"
	"countersign/vault/tokenkey"
)

// Open gives the vault a key by its reference: a pkcs11: URI, or the name of a certificate
// in the system's store. Nothing is asked of a token.
func (t *Tokens) Open(ref string, public crypto.PublicKey) (tokenkey.Key, error) {
	if isStored(ref) {
		return t.openStored(ref, public)
	}
	uri, err := pkcs11.ParseURI(ref)
	if err != nil {
		return nil, fmt.Errorf("finding a key on a card: %w", err)
	}
	return key{onCard{t, uri}, public}, nil
}

// key is a private key outside the keychain.
type key struct {
	place
	public crypto.PublicKey
}

// place is where a key is.
type place interface {
	// do uses the key. Its errors are those of [trouble].
	do(ctx context.Context, public crypto.PublicKey, use func(tokenkey.Key) error) error
}

// onCard is a key on a token, wherever that is at the time of use.
type onCard struct {
	t   *Tokens
	uri pkcs11.URI
}

// do finds the token and uses its key.
func (c onCard) do(ctx context.Context, public crypto.PublicKey, use func(tokenkey.Key) error) error {
	s, err := c.t.holder(ctx, c.uri.Token)
	if err != nil {
		return trouble(err)
	}
	on, err := s.Use(c.uri, public)
	if err != nil {
		return fmt.Errorf("finding a key on a card: %w", err)
	}
	defer c.t.use(ctx, s)()
	defer c.t.impatient(ctx, c.uri.Token)()
	err = use(on)
	if e := (*pkcs11.Error)(nil); errors.As(err, &e) && e.Failure == pkcs11.Removed {
		s.mu.Lock()
		delete(s.there, c.uri.Token) // it may be in another's reader
		s.mu.Unlock()
		_, _ = c.t.look(ctx, s)
	}
	return trouble(err)
}

// holder is the software that shows a token now, or showed it last. Where several may, the
// first of them is waited for as long as the patience lasts: it is the one that is listed.
func (t *Tokens) holder(ctx context.Context, name pkcs11.Name) (*software, error) {
	all := t.all()
	for _, s := range all {
		s.mu.Lock()
		_, there := s.there[name]
		s.mu.Unlock()
		if there {
			return s, nil
		}
	}
	type answer struct {
		of            int
		looked, found bool
	}
	answers := make(chan answer, len(all))
	for i, s := range all {
		go func() {
			tokens, err := t.look(ctx, s)
			answers <- answer{i, true, err == nil && slices.ContainsFunc(tokens, func(one pkcs11.Token) bool { return one.Name == name })}
		}()
	}
	heard := make([]answer, len(all))
	patience := time.After(t.o.Patience)
	for inOrder, pending := true, len(all); pending > 0 && ctx.Err() == nil; {
		select {
		case a := <-answers:
			heard[a.of], pending = a, pending-1
		case <-patience:
			inOrder = false
		case <-ctx.Done():
		}
		for i, s := range all {
			if heard[i].found {
				return s, nil
			}
			if inOrder && !heard[i].looked {
				break
			}
		}
	}
	return nil, cmp.Or(ctx.Err(), error(&pkcs11.Error{Failure: pkcs11.Removed, Says: missing(name, all)}))
}

// missing says that a token is not there, and tells it from one of the same label that is.
func missing(name pkcs11.Name, all []*software) string {
	for _, s := range all {
		s.mu.Lock()
		there := slices.Collect(maps.Keys(s.there))
		s.mu.Unlock()
		for _, other := range there {
			if name.Label != "" && other.Label == name.Label && other.Serial != name.Serial {
				return fmt.Sprintf("Another card %s is in the reader, with the serial number %s. Insert the one with the serial number %s and try again.",
					quoted(name), clean(other.Serial), clean(name.Serial))
			}
		}
	}
	return "The card " + quoted(name) + " is not in the reader. Insert it and try again."
}

// impatient tells of a token that takes long: many wait for a touch without a word.
func (t *Tokens) impatient(ctx context.Context, name pkcs11.Name) (done func()) {
	ctx, done = context.WithCancel(ctx)
	go func() {
		tick := time.NewTicker(t.o.Patience)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if t.prompting.Load() == 0 {
				t.tell(ctx, "token-waits", identifier(name), "The card "+quoted(name)+" is at work. If it blinks, touch it.")
				return
			}
		}
	}()
	return done
}

// Signer lends the key for signing.
func (k key) Signer(ctx context.Context) crypto.Signer { return lent{ctx, k} }

// Decrypter lends the key for decrypting, or is nil if it is not an RSA key.
func (k key) Decrypter(ctx context.Context) crypto.Decrypter {
	if _, ok := k.public.(*rsa.PublicKey); !ok {
		return nil
	}
	return decrypter{lent{ctx, k}}
}

// Exchanger lends the key for agreeing on a secret, or is nil if it is on no curve for that.
func (k key) Exchanger(ctx context.Context) ecdh.KeyExchanger {
	if on, ok := k.public.(*ecdsa.PublicKey); ok {
		if point, err := on.ECDH(); err == nil {
			return exchanger{lent{ctx, k}, point}
		}
	}
	return nil
}

// lent is a key for one occasion.
type lent struct {
	ctx context.Context // of the operation that the key was lent for
	key
}

// Public returns the public key, without asking the token.
func (l lent) Public() crypto.PublicKey { return l.public }

// Sign implements [crypto.Signer].
func (l lent) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) (signature []byte, err error) {
	err = l.do(l.ctx, l.public, func(k tokenkey.Key) error {
		signature, err = k.Signer(l.ctx).Sign(random, digest, opts)
		return err
	})
	return signature, err
}

type decrypter struct{ lent }

// Decrypt implements [crypto.Decrypter].
func (d decrypter) Decrypt(random io.Reader, message []byte, opts crypto.DecrypterOpts) (plain []byte, err error) {
	err = d.do(d.ctx, d.public, func(k tokenkey.Key) error {
		plain, err = k.Decrypter(d.ctx).Decrypt(random, message, opts)
		return err
	})
	return plain, err
}

type exchanger struct {
	lent
	point *ecdh.PublicKey
}

// PublicKey implements [ecdh.KeyExchanger], without asking the token.
func (e exchanger) PublicKey() *ecdh.PublicKey { return e.point }

// Curve implements [ecdh.KeyExchanger], without asking the token.
func (e exchanger) Curve() ecdh.Curve { return e.point.Curve() }

// ECDH implements [ecdh.KeyExchanger].
func (e exchanger) ECDH(peer *ecdh.PublicKey) (secret []byte, err error) {
	err = e.do(e.ctx, e.public, func(k tokenkey.Key) error {
		secret, err = k.Exchanger(e.ctx).ECDH(peer)
		return err
	})
	return secret, err
}

// trouble makes of an error one that wraps the vault's own for it, with the token's
// sentence. What is no trouble with a token stays as it is.
func trouble(err error) error {
	var e *pkcs11.Error
	if !errors.As(err, &e) {
		return err
	}
	kind := tokenkey.ErrToken
	switch e.Failure {
	case pkcs11.Unasked:
		kind = tokenkey.ErrLocked
	case pkcs11.Removed, pkcs11.NotLoaded:
		kind = tokenkey.ErrAbsent
	case pkcs11.Cancelled:
		kind = tokenkey.ErrCancelled
	case pkcs11.WrongPIN:
		kind = tokenkey.ErrPIN
	case pkcs11.PINLocked, pkcs11.PINExpired:
		kind = tokenkey.ErrPINBlocked
	case pkcs11.NoMechanism:
		kind = tokenkey.ErrUnable
	}
	return tokenkey.Trouble(kind, sentence(err), err)
}

// sentence is what an error says to a person.
func sentence(err error) string {
	var (
		prompt *pinprompt.Unavailable
		card   *pkcs11.Error
		barred *installed.Refusal
	)
	switch {
	case errors.As(err, &prompt):
		return prompt.Says
	case errors.Is(err, pinprompt.ErrTimeout):
		return "Nobody entered the PIN in time. Try again."
	case errors.As(err, &card):
		return card.Says
	case errors.As(err, &barred):
		return barred.Says
	}
	return unanswered
}
