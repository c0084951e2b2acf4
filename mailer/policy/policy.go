// Package policy makes the two decisions that everything else serves: may this go
// out, and what may be said of what came in.
//
// # Out
//
// [PlanLetter] takes a letter, everyone it is addressed to and the state of the
// sender. It returns either a [Plan], whose envelopes name exactly which
// certificates are encrypted to, or the [Refusal]s, one a person, and then nothing
// goes to anyone. Each hidden recipient gets an envelope of their own, so that
// nobody's recipient list tells of them. How each is made ([Choice]) follows from what
// its recipients announced to read. [PlanForm] does the same for the six fixed
// forms, the only messages that may go to somebody not verified; it takes the
// form's data, in which there is no room for anything a person wrote. Forms are always
// made as every program reads them, AES-256-CBC: what somebody unverified announces
// is not relied on. [Again] is
// asked with current evidence immediately before each submission (SECURITY O1).
//
// # In
//
// [Judge] takes what mailer/smime describes and what vault knows of the people, and
// returns a [Verdict]: the weakest honest answer. It is good only for a message
// that was encrypted, and signed by the pinned signing key of the contact that From
// names (V3), while that contact and its certificate are in force. A signature made
// outside of the encryption, content of an unauthenticated envelope, and everything
// not signed by its From may not be quoted (O3). [PlainText] reduces HTML to words.
//
// The package is pure: the verdicts of vault/trust and the time come as arguments.
// Its sentences are what people read; faces show them unchanged.
package policy

import (
	"crypto/x509"
	"fmt"
	"strings"
	"unicode"

	"countersign/vault/contacts"
	"countersign/vault/trust"
)

// Refusal is one reason why something was not done: whom it concerns, why, and what
// to do about it. Faces show it unchanged.
type Refusal struct {
	Person  string `json:"person"`  // a name and address, or "you"
	Address string `json:"address"` // the address concerned, if any
	Code    string `json:"code"`    // stable, for programs
	Reason  string `json:"reason"`  // one sentence
	Next    string `json:"next"`    // what to do about it, one sentence
	Command string `json:"command"` // the command that does it
	Link    string `json:"link"`    // the page that does it: its first segment, the person is Address
	Button  string `json:"button"`  // the words on the button to Link
}

// Recipient is what is known of one address: the contact, and what may be said now
// of its pinned certificates. Both verdicts are zero while nothing is pinned.
type Recipient struct {
	Contact       contacts.Contact
	Sign, Encrypt trust.Verdict
}

// Sender is the state of the user's own side. Its zero value may send nothing.
type Sender struct {
	Address       string          // canonical
	Keys          contacts.KeySet // of the identity to sign with
	Sign, Encrypt trust.Verdict   // of those certificates, now (K2)
	Recovery      bool            // the recovery file is made and tested (K1)
	Account       bool            // there is an account to send with
	PolicyFile    error           // the administrator's file is there and cannot be understood (F2)
	Limit         int64           // the largest message that may be sent, in bytes as it travels
}

// who names a contact in a refusal.
func who(c contacts.Contact) string {
	if c.Name == "" {
		return c.Address
	}
	return c.Name + " <" + c.Address + ">"
}

// organisation says that what was verified is an organisation's certificate, which
// proves no person (V6).
func organisation(c contacts.Contact) bool {
	_, ok := c.ByOrganisation()
	return ok
}

// maxName is the longest common name, in characters (RFC 5280, appendix A.1).
const maxName = 64

// Named is how a certificate names its owner, in one line. Whoever made it chose the
// name.
func Named(c *x509.Certificate) string {
	if c == nil {
		return "somebody who did not say"
	}
	name, addresses := CleanLine(c.Subject.CommonName), CleanLine(strings.Join(trust.Names(c), ", "))
	if r := []rune(name); len(r) > maxName {
		name = string(r[:maxName]) + "..."
	}
	if strings.ContainsFunc(name, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsMark(r) && !strings.ContainsRune(" '-", r)
	}) && name != addresses {
		name = `"` + strings.ReplaceAll(name, `"`, "'") + `"` // where it is no plain name it could read on as a sentence of ours
	}
	switch {
	case name != "" && addresses != "" && name != addresses:
		return fmt.Sprintf("%s <%s>", name, addresses)
	case addresses != "":
		return addresses
	case name != "":
		return name
	}
	return "a certificate without a name"
}
