// Package pkcs11 uses keys on smartcards and security tokens: as [crypto.Signer],
// [crypto.Decrypter] and [ecdh.KeyExchanger], whatever the vendor's library does.
//
// A [Library] is one vendor's library behind one helper process (countersign-pkcs11,
// spoken to by package wire). The helper is started when it is needed, ended when it hangs,
// and started again when it dies. A request survives that: it is asked anew, a few times at
// most, and the count is the request's own. Each token does one thing at a time; requests
// wait in line, and time is counted from their turn, so a slow card is not a hung one. The
// next in line waits within the helper, if it needs no PIN: a fast token does not stand still.
//
// # Finding keys
//
// [Library.Tokens] lists tokens, [Library.Keys] their certificates and keys, both without
// any PIN. A key is remembered as its RFC 7512 [URI] and its public key; [Library.Use]
// makes a [Key] of these, and nothing is asked of the token before it is used. A token is
// recognised by its serial number together with manufacturer, model and label: some makers
// give all their tokens one number.
//
// # PINs
//
// Nobody is asked for a PIN except as the answer to something they just did: the context
// that [WithUser] made says who, how, and what for. In any other context a key that needs a
// PIN fails with [Unasked]. A PIN is asked for at most twice a request, and never again after
// a refusal that leaves one try. Those who wait for the same token while a prompt is
// dismissed, or ends in a refusal, are told so instead of prompting again.
//
// With [Config.KeepPIN] a PIN that a token accepted is kept in memory, for that token alone,
// for that long. It is dropped at the first refusal, is not used when one try is left (the
// helper looks just before), is not used for keys that ask at each use, and is wiped by
// [Library.Lock]. A PIN is shown to a token twice at most without an answer, which happens if
// the library dies meanwhile; one that was just typed, once: then the user is asked again.
//
// # Keys that are put on a token
//
// [Library.Generate] makes a key there, [Library.Import] brings one that was made in software,
// [Key.Store] puts the certificate beside it. Each can be asked again after any failure and does
// no more than once was asked for. [Key.Discard] takes back a key that came to nothing, and
// nothing else: not a key with a certificate, not one that was there before. Tried with these
// libraries: SoftHSM and NSS do all of it; opencryptoki does it with RSA; tpm2-pkcs11 makes keys and
// takes none; OpenSC leaves PIV cards to the program of their maker.
//
// # What the token lacks
//
// RSA is done by the operation of the key alone where the token offers it (CKM_RSA_X_509),
// with the padding checked here in constant time: then a hostile message learns nothing from
// how the token fails, and any hash and label works. Otherwise the token's own padding is
// used. For PSS it is the other way round. Every signature is checked with the public key
// before it is given out: what a confused card returns does not leave.
//
// [Error] says what went wrong, as a [Failure] to choose by and in words for a person.
package pkcs11

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"countersign/pkcs11/wire"
)

// CertificateStore is the Library of a [Config] that means the certificate store of Windows: its
// only token is called StoreName, a key's ID is the SHA-256 of its certificate, and Windows
// asks for PINs where a reader with a pad would.
const CertificateStore = wire.CertificateStore

// StoreName is the name of that token.
var StoreName = wire.StoreName

// Config is how a library is used.
type Config struct {
	Helper     string        // the path of countersign-pkcs11
	Env        []string      // the helper's environment; nil: this process's
	Library    string        // the vendor's library, as installed.Resolve returned it
	Reserved   string        // its initialisation string, for libraries that want one
	KeepPIN    time.Duration // how long an accepted PIN is kept; 0: not at all
	Timeout    time.Duration // of an operation; 0: 20 seconds
	PadTimeout time.Duration // of one in which somebody enters a PIN on the reader; 0: 2 minutes
}

// Library is one vendor's library. Its methods may be called from several goroutines.
type Library struct {
	config Config

	starting chan struct{} // held while a helper starts
	mu       sync.Mutex
	helper   *helper
	closed   bool
	locks    uint64 // how often Lock was called
	tokens   map[Name]*line
}

// line is what is known of a token, and the line of those who wait for it.
type line struct {
	turn chan struct{} // held by the request whose turn it is
	next chan struct{} // held by the one that waits within the helper

	declined atomic.Uint64 // how many prompts came to nothing

	mu     sync.Mutex
	pin    *kept
	offers wire.Set
	known  bool // offers was read
}

// Open prepares the use of a library. Nothing is started before it is needed.
func Open(c Config) *Library {
	if c.Timeout == 0 {
		c.Timeout = 20 * time.Second
	}
	if c.PadTimeout == 0 {
		c.PadTimeout = 2 * time.Minute
	}
	return &Library{config: c, starting: make(chan struct{}, 1), tokens: map[Name]*line{}}
}

// Lock forgets every PIN and logs out of every token, by ending the helper. Requests that
// came before, and would need a PIN now, fail with [Unasked]. The library stays usable.
func (l *Library) Lock() {
	l.mu.Lock()
	h := l.helper
	l.locks++
	for _, t := range l.tokens {
		t.forget()
	}
	l.mu.Unlock()
	if h != nil {
		h.dismiss()
	}
}

// Close is Lock for good.
func (l *Library) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.Lock()
	return nil
}

// keep keeps the PIN that a request was given, unless Lock was called since it came.
func (l *Library) keep(r *request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.locks == r.locks {
		r.line.keep(r.hand.pin, l.config.KeepPIN)
	}
}

func (l *Library) locked() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.locks
}

func (l *Library) line(name Name) *line {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tokens[name]
	if t == nil {
		t = &line{turn: make(chan struct{}, 1), next: make(chan struct{}, 1)}
		l.tokens[name] = t
	}
	return t
}

// running returns the helper, starting it if there is none.
func (l *Library) running(ctx context.Context) (*helper, error) {
	select {
	case l.starting <- struct{}{}:
		defer func() { <-l.starting }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	l.mu.Lock()
	h, closed := l.helper, l.closed
	l.mu.Unlock()
	if closed {
		return nil, &Error{Failure: Crashed, Says: "Countersign is closing."}
	}
	if h != nil && !h.over() {
		return h, nil
	}
	h, err := start(l.config)
	if err != nil {
		return nil, &Error{Failure: NotLoaded, Says: "The program that speaks to cards could not be started.", Err: err}
	}
	reply, err := h.ask(ctx, &wire.Request{Op: wire.Load, Path: l.config.Library, Reserved: l.config.Reserved}, l.config.Timeout)
	if err == nil && reply.Failure != wire.None {
		err = told(reply, "")
	}
	if err != nil {
		h.kill(wire.Crashed)
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		h.kill(wire.Crashed)
	}
	l.helper = h
	return h, nil
}
