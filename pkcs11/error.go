package pkcs11

import (
	"fmt"
	"strings"

	"countersign/pkcs11/form"
	"countersign/pkcs11/wire"
)

// Failure is why an operation came to nothing, for a program to choose by.
type Failure = wire.Failure

// The failures that a caller may see.
const (
	NotLoaded   = wire.NotLoaded
	Removed     = wire.Removed
	WrongPIN    = wire.WrongPIN
	PINLocked   = wire.PINLocked
	PINExpired  = wire.PINExpired
	Cancelled   = wire.Cancelled
	NoKey       = wire.NoKey
	NoMechanism = wire.NoMechanism
	BadInput    = wire.BadInput
	Lost        = wire.Lost
	Busy        = wire.Busy
	Confused    = wire.Confused
	Crashed     = wire.Crashed
	Hung        = wire.Hung
	Unasked     = wire.Unasked

	NoSpace        = wire.NoSpace
	ReadOnly       = wire.ReadOnly
	NeedsMaker     = wire.NeedsMaker
	HasCertificate = wire.HasCertificate
)

// Tries is what a token tells of the PIN entries left.
type Tries = wire.Tries

// What a token may tell.
const (
	TriesUntold = wire.TriesUntold
	TriesFewer  = wire.TriesFewer
	TriesLast   = wire.TriesLast
	TriesNone   = wire.TriesNone
)

// Error is why an operation with a token came to nothing.
type Error struct {
	Failure Failure
	Tries   Tries  // after a PIN was refused
	Says    string // a sentence or two for a person
	Err     error  // the cause, for a log; never shown
}

// Error returns the sentence and its cause.
func (e *Error) Error() string {
	if e.Err == nil {
		return "pkcs11: " + e.Says
	}
	return fmt.Sprintf("pkcs11: %s (%v)", e.Says, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// sentences are for a person, by failure; the token's label goes in.
var sentences = [...]string{
	wire.NotLoaded:      "The software of the card's maker could not be loaded. Install it anew, and try again.",
	wire.Removed:        "The card %s is not in the reader. Insert it and try again.",
	wire.NotLoggedIn:    "The card %s did not stay unlocked. Try again.",
	wire.AsksAlways:     "The card %s wants its PIN for each use of this key. Try again and enter it.",
	wire.WrongPIN:       "The PIN of the card %s is wrong.",
	wire.PINLocked:      "The PIN of the card %s is locked. Whoever issued the card can unlock it.",
	wire.PINExpired:     "The card %s wants a new PIN before it can be used. Set one with the program of its maker.",
	wire.LastTry:        "One more wrong PIN locks the card %s. Make sure of the PIN, then try again and enter it.",
	wire.Cancelled:      "The PIN of the card %s was not entered. Try again when you have it at hand.",
	wire.NoKey:          "The card %s does not hold this key. Insert the card that does, or choose another key.",
	wire.NoMechanism:    "The card %s cannot do this with this key. Choose another key, or another card.",
	wire.BadInput:       "The card %s did not accept the data. Choose another key, or another card.",
	wire.Lost:           "The card %s was disturbed. Leave it in the reader and try again.",
	wire.Busy:           "Another program is using the card %s. Close it and try again.",
	wire.Confused:       "The card %s or the software of its maker reports a fault. Take the card out, put it back and try again.",
	wire.NoSpace:        "There is no room left on the card %s. Delete what is no longer used with the program of its maker.",
	wire.ReadOnly:       "Nothing can be put on the card %s: it is read-only. Choose another card.",
	wire.NeedsMaker:     "The card %s lets only the program of its maker do this. Make the key there, then choose it here.",
	wire.HasCertificate: "The key on the card %s has a certificate, and is kept. Delete it with the program of the card's maker if nobody needs it.",
	wire.Malformed:      "Nothing of this kind can be asked of the card %s. Choose another key, or another card.",
	wire.Crashed:        "The software of the card's maker stopped working. Try again.",
	wire.Hung:           "The card %s did not answer in time. Take it out, put it back and try again.",
	unmade:              "The card %s has no keys of this kind. Choose another kind, or make the key with the program of the card's maker.",
	wire.Unasked:        "The card %s is waiting for its PIN. Open the message or send it again to enter it.",
}

// unmade stands beside the failures for its words alone.
const unmade = wire.Unasked + 1

// noSuch is NoMechanism where a key was to be put on a token.
func noSuch(token string, cause error) *Error {
	e := fail(unmade, token, cause)
	e.Failure = wire.NoMechanism
	return e
}

func fail(f Failure, token string, cause error) *Error {
	if token = form.Label(token); token == "" {
		token = "in the reader"
	} else {
		token = fmt.Sprintf("“%s”", token)
	}
	return &Error{Failure: f, Says: strings.Replace(sentences[f], "%s", token, 1), Err: cause}
}

// told is the error that a reply means.
func told(r *wire.Reply, token string) *Error {
	e := fail(r.Failure, token, fmt.Errorf("%v: %s (CKR %#x)", r.Failure, r.Says, r.Code))
	e.Tries = r.Tries
	switch {
	case r.Failure == wire.NoMechanism && (r.Op == wire.Generate || r.Op == wire.Import):
		e = noSuch(token, e.Err)
	case r.Failure != wire.WrongPIN:
	case r.Tries == wire.TriesLast:
		e.Says += " One more wrong PIN locks the card. Make sure of the PIN before you try again."
	case r.Tries == wire.TriesNone:
		e.Says += " The card is locked now. Whoever issued it can unlock it."
	default:
		e.Says += " Too many lock the card. Make sure of the PIN, then try again."
	}
	return e
}
