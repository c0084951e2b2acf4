package control

import (
	"errors"
	"strings"
)

// ErrNotRunning says that no agent answers on the socket.
var ErrNotRunning = errors.New("control: the agent is not running")

// Refused is the answer to something that policy does not allow. Nothing was
// done, for anybody. Every face shows the refusals as they are.
type Refused struct {
	Refusals []Refusal `json:"refusals"`
}

// Error gives every refusal as one line: whom it concerns and why.
func (r *Refused) Error() string {
	lines := make([]string, len(r.Refusals))
	for i, f := range r.Refusals {
		lines[i] = f.Person + ": " + f.Reason
	}
	return strings.Join(lines, "\n")
}

// Error is any other failure that a person should read.
type Error struct {
	Code string `json:"code"`           // stable, for programs: "not-found", "sign-in" ...
	Says string `json:"says"`           // one sentence in a clinician's words
	Next string `json:"next,omitempty"` // what to do about it, one sentence
}

// Error is what the failure says.
func (e *Error) Error() string { return e.Says }

// The codes that this package gives itself. The agent may use them too.
const (
	CodeInvalid  = "invalid"   // the request is ill-formed
	CodeNotFound = "not-found" // no such message, contact, draft ...
	CodeNotHere  = "not-here"  // this agent does not offer that
	CodeFailed   = "failed"    // a failure that has no words of its own
	CodeLocked   = "locked"    // keys and sessions are dropped until somebody unlocks (K2)
	// CodePassphrase says that only a new start, with its passphrase, opens the keychain.
	CodePassphrase = "passphrase"
)
