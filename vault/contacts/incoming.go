package contacts

import (
	"fmt"
	"time"

	"countersign/vault/contacts/form"
	"countersign/vault/contacts/keyset"
)

// Incoming is a test message that the contact sent to the user.
type Incoming struct {
	ID       string      `json:"id"`
	Keys     KeySet      `json:"keys"`         // the contact's, as named in the test
	Own      Hash        `json:"own,omitzero"` // the ID of the user's key set to which it was encrypted
	Digest   Hash        `json:"digest"`
	Code     keyset.Code `json:"code"` // to read out when they call
	Received time.Time   `json:"received"`
	Expires  time.Time   `json:"expires"`
	Answered time.Time   `json:"answered,omitzero"`
}

// ReceiveTest notes a test message from the contact. It is recognised by the
// rules of [Received.Recognise]; its keys become a candidate. It verifies
// nobody, whoever telephones and whatever they say (V1).
//
// A test that waits is not pushed aside by one with other keys for which no authority
// vouches, nor that of a confirmed key by anybody's: else a stranger could have the
// user read out other words than those that the caller expects.
func (c Contact) ReceiveTest(m Moment, r Received, own Own, seen func(id string) bool) (Contact, error) {
	if err := r.Recognise(own, seen); err != nil {
		return c, err
	}
	f := r.Form
	switch {
	case f.Kind != TestForm || f.From != c.Address:
		return c, ErrFormTest
	case r.Encryption == nil || f.Keys.Encrypt != keyset.SPKI(r.Encryption):
		return c, ErrFormKeys
	case !m.now().Before(f.Expires) || f.Expires.After(m.now().Add(form.TestLife+24*time.Hour)):
		return c, ErrFormExpired
	case c.waits(m) && c.Incoming.Keys.ID() != r.keys().ID() && (!r.Trusted || c.Pin.Signs(c.Incoming.Keys)):
		return c, ErrFormWaiting
	}
	c = c.clone()
	c.note(m.now(), r.keys(), FromTest)
	c.Incoming = &Incoming{
		ID: f.ID, Keys: r.keys(), Own: own.Keys.ID(), Digest: f.Digest(), Code: f.Code, Received: m.now(), Expires: f.Expires,
	}
	c.settle()
	return c, nil
}

// waits says that a test of theirs is in force.
func (c Contact) waits(m Moment) bool { return c.Incoming != nil && m.now().Before(c.Incoming.Expires) }

// AnswerTest makes the answer to the contact's test: signed by the user,
// encrypted to c.Incoming.Keys. It quotes the test's id and digest, never its
// code. It may be asked for again; the state gets no further than Answered.
func (c Contact) AnswerTest(m Moment, own Own) (Contact, Form, error) {
	if c.Incoming == nil {
		return c, Form{}, ErrNoTest
	}
	if !m.now().Before(c.Incoming.Expires) {
		return c, Form{}, ErrFormExpired
	}
	f, err := form.New(m.random(), Invitation, own.Address, c.Address)
	if err != nil {
		return c, Form{}, fmt.Errorf("answering a test: %w", err)
	}
	mine, theirs, digest := own.Keys.Hashes(), c.Incoming.Keys.Hashes(), c.Incoming.Digest
	f.Kind, f.Keys, f.ToKeys, f.TestID, f.TestDigest = AnswerForm, &mine, &theirs, c.Incoming.ID, &digest
	c = c.clone()
	c.Incoming.Answered = m.now()
	c.settle()
	return c, f, nil
}

// Advice is what the page of the person called says: that a call received
// proves nothing, and what to do instead (V1).
func (c Contact) Advice() string {
	if c.State == Verified {
		return "When " + c.Who() + " has heard the words, that is all. You have confirmed them already."
	}
	return "When " + c.Who() + " has heard the words: hang up. To be sure of them in your turn, send your own test " +
		"and call " + c.Who() + " on a number of your own."
}
