// Package tokenkey is what the vault asks of a key that lies outside the keychain, on a
// smartcard, a security token or in the system's certificate store; and how such a key is
// lent.
//
// A key is known by its reference, which is noted with its certificate: a PKCS #11 URI
// (RFC 7512), or cng: and the certificate's SHA-256. [Tokens.Open] makes a [Key] of that and
// asks nothing of the token. Only using it does. Who may be asked for a PIN then is said by
// the context that the key was lent for (SECURITY K3).
//
// # What goes wrong
//
// Every error of a lent key wraps one of the problems below, which is how a message that
// has to wait for its card is told from one that is damaged. [Trouble] makes such an error
// of what a token said. What has none counts as [ErrToken]. A message that wants a key more
// often than any honest one does is at fault itself: that is cms.ErrLimit.
//
// # One occasion
//
// An [Occasion] is the opening of one message, or one signature. After a PIN entry that was
// dismissed or refused no other key is asked on it, so that there is no second prompt; and
// each key is used twice at most, so that a message which names the user a hundred times does
// not ask a hundred times. Several messages may be opened at once, in a context of [InTurn].
package tokenkey

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"countersign/mailer/cms"
	"countersign/vault/issued"
)

// Tokens finds keys by the reference that was noted with their certificate.
type Tokens interface {
	// Open asks nothing of the token. It fails if the reference leads nowhere: the
	// program for that kind of token is not installed, say.
	Open(ref string, public crypto.PublicKey) (Key, error)
}

// Key is a private key on a token. ctx bounds each use and says who may be asked.
type Key interface {
	Signer(ctx context.Context) crypto.Signer
	Decrypter(ctx context.Context) crypto.Decrypter  // nil: not an RSA key
	Exchanger(ctx context.Context) ecdh.KeyExchanger // nil: not on an elliptic curve
}

// Problem is an error that a person reads.
type Problem = issued.Problem

// Why a key on a token cannot be used now.
var (
	ErrLocked = &Problem{Code: "token-locked", Says: "The key for this is on your card, which is waiting for its PIN.",
		Next: "Open it again and enter the PIN, or unlock the card."}
	ErrAbsent = &Problem{Code: "token-absent", Says: "The key for this is on your card, which is not in the reader.",
		Next: "Insert the card and try again."}
	ErrCancelled = &Problem{Code: "pin-cancelled", Says: "The PIN of your card was not entered.",
		Next: "Try again when you have it at hand."}
	ErrPIN = &Problem{Code: "pin-wrong", Says: "The PIN of your card was wrong.",
		Next: "Try again with care: a few wrong PINs lock the card."}
	ErrPINBlocked = &Problem{Code: "pin-blocked", Says: "The PIN of your card is locked, or has to be changed first.",
		Next: "Whoever issued the card can help."}
	ErrToken = &Problem{Code: "token-trouble", Says: "Your card, or the software of its maker, could not do this.",
		Next: "Take the card out, put it back and try again."}
	// ErrUnable is no fault of the card's: the message, or the key, asks for what it has not.
	ErrUnable = &Problem{Code: "token-unable", Says: "Your card cannot do this with its key.",
		Next: "If it is about a message, ask the sender to send it in another way."}
)

var problems = []*Problem{ErrLocked, ErrAbsent, ErrCancelled, ErrPIN, ErrPINBlocked, ErrToken, ErrUnable}

// Trouble is an error that wraps kind, one of the problems above, and its cause. says is
// the token's own sentence for a person, with what to do in it; empty: that of kind.
func Trouble(kind *Problem, says string, cause error) error {
	p := *kind
	if says != "" {
		p.Says, p.Next = says, ""
	}
	if cause == nil {
		return &p
	}
	return fmt.Errorf("%w (%w)", &p, cause)
}

// Why returns the problem that an error of a lent key wraps, in its own words, or nil.
func Why(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) && slices.ContainsFunc(problems, func(known *Problem) bool { return known.Code == p.Code }) {
		return p
	}
	return nil
}

type untouched struct{}

// Untouched is a context in which keys on tokens are not asked at all: they answer
// [ErrLocked] at once. It is for lists, which are looked at often.
func Untouched(ctx context.Context) context.Context { return context.WithValue(ctx, untouched{}, true) }

type inTurn struct{}

// turns is in whose turn a PIN may be asked for.
type turns struct {
	mu   sync.Mutex // held by the one whose turn it is
	over error      // the entry of a PIN came to nothing
}

// InTurn is a context for several goroutines that use keys on tokens for one thing that the
// user did. A PIN is asked for by one of them at a time, and by none after an entry that came
// to nothing: that is the error of all the others then. Whoever comes while another has the
// turn tries without asking, so that a fast token, once it is unlocked, has enough to do.
func InTurn(ctx context.Context) context.Context {
	return context.WithValue(ctx, inTurn{}, new(turns))
}

// unasked is a context that says of nobody that they may be asked.
type unasked struct{ context.Context }

func (unasked) Value(any) any { return nil }

// take uses a key in its turn, or before that if nobody need be asked.
func (t *turns) take(ctx context.Context, use func(context.Context) error) error {
	if !t.mu.TryLock() {
		if err := use(unasked{ctx}); !errors.Is(err, ErrLocked) {
			return err
		}
		t.mu.Lock()
	}
	defer t.mu.Unlock()
	if t.over != nil {
		return t.over
	}
	err := use(ctx)
	if inVain(err) {
		t.over = err
	}
	return err
}

// inVain says that somebody was asked for a PIN and it came to nothing.
func inVain(err error) bool {
	return errors.Is(err, ErrCancelled) || errors.Is(err, ErrPIN) || errors.Is(err, ErrPINBlocked)
}

// maxUses of one key on one occasion. A message may hold an envelope in an envelope.
const maxUses = 2

// Occasion lends keys for one message or one signature. Its methods may be called from
// several goroutines.
type Occasion struct {
	mu   sync.Mutex
	over error // the entry of a PIN came to nothing
	uses map[string]int
}

// Lent is a key for one occasion.
type Lent struct {
	occasion *Occasion
	ctx      context.Context
	tokens   Tokens
	ref      string
	public   crypto.PublicKey
}

// Lend lends a key. Nothing is asked of the token before it is used; tokens may be nil,
// and then every use fails.
func (o *Occasion) Lend(ctx context.Context, tokens Tokens, ref string, public crypto.PublicKey) Lent {
	return Lent{o, ctx, tokens, ref, public}
}

// use opens the key and asks it, in a context that says who may be asked.
func (l Lent) use(ask func(context.Context, Key) error) error {
	if l.ctx.Value(untouched{}) != nil {
		return ErrLocked
	}
	if l.tokens == nil {
		return Trouble(ErrAbsent, "", errors.New("cards are not in use here"))
	}
	o := l.occasion
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over != nil {
		return o.over
	}
	if o.uses[l.ref] >= maxUses {
		return fmt.Errorf("%w: it asks for the same card again and again", cms.ErrLimit) // the message's fault
	}
	if o.uses == nil {
		o.uses = map[string]int{}
	}
	o.uses[l.ref]++
	try := func(ctx context.Context) error {
		key, err := l.tokens.Open(l.ref, l.public)
		if err == nil {
			err = ask(ctx, key)
		}
		return err
	}
	var err error
	if t, several := l.ctx.Value(inTurn{}).(*turns); several {
		err = t.take(l.ctx, try)
	} else {
		err = try(l.ctx)
	}
	switch {
	case err == nil, errors.Is(err, rsa.ErrDecryption), l.ctx.Err() != nil:
		return err
	case Why(err) == nil:
		return Trouble(ErrToken, "", err)
	case inVain(err):
		o.over = err
	}
	return err
}

// ErrKind is the error of a use that no key of the kind has.
var ErrKind = errors.New("tokenkey: not with a key of this kind")

// Signer is the key for signing.
func (l Lent) Signer() crypto.Signer { return signer{l} }

// Decrypter is the key for decrypting, or nil if it is not an RSA key.
func (l Lent) Decrypter() crypto.Decrypter {
	if _, ok := l.public.(*rsa.PublicKey); !ok {
		return nil
	}
	return decrypter{signer{l}}
}

// Exchanger is the key for agreeing on a secret, or nil if it is not on an elliptic curve.
func (l Lent) Exchanger() ecdh.KeyExchanger {
	switch public := l.public.(type) {
	case *ecdh.PublicKey:
		return exchanger{l, public}
	case *ecdsa.PublicKey:
		if point, err := public.ECDH(); err == nil {
			return exchanger{l, point}
		}
	}
	return nil
}

// OnToken says that a key is one lent from a token.
func OnToken(k cms.Key) bool {
	_, decrypts := k.Decrypter.(decrypter)
	_, agrees := k.Exchanger.(exchanger)
	return decrypts || agrees
}

type signer struct{ lent Lent }

// Public returns the public key, without asking the token.
func (s signer) Public() crypto.PublicKey { return s.lent.public }

// Sign implements [crypto.Signer].
func (s signer) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) (signature []byte, err error) {
	err = s.lent.use(func(ctx context.Context, k Key) error {
		key := k.Signer(ctx)
		if key == nil {
			return ErrKind
		}
		signature, err = key.Sign(random, digest, opts)
		return err
	})
	return signature, err
}

type decrypter struct{ signer }

// Decrypt implements [crypto.Decrypter].
func (d decrypter) Decrypt(random io.Reader, message []byte, opts crypto.DecrypterOpts) (plain []byte, err error) {
	err = d.lent.use(func(ctx context.Context, k Key) error {
		key := k.Decrypter(ctx)
		if key == nil {
			return ErrKind
		}
		plain, err = key.Decrypt(random, message, opts)
		return err
	})
	return plain, err
}

type exchanger struct {
	lent   Lent
	public *ecdh.PublicKey
}

// PublicKey implements [ecdh.KeyExchanger], without asking the token.
func (e exchanger) PublicKey() *ecdh.PublicKey { return e.public }

// Curve implements [ecdh.KeyExchanger], without asking the token.
func (e exchanger) Curve() ecdh.Curve { return e.public.Curve() }

// ECDH implements [ecdh.KeyExchanger].
func (e exchanger) ECDH(peer *ecdh.PublicKey) (secret []byte, err error) {
	err = e.lent.use(func(ctx context.Context, k Key) error {
		key := k.Exchanger(ctx)
		if key == nil {
			return ErrKind
		}
		secret, err = key.ECDH(peer)
		return err
	})
	return secret, err
}
