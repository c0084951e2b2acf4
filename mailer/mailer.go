// Package mailer is the one road out and the one road in.
//
// # Out (send.go)
//
// [Mailer.SendLetter] takes a draft: its people are looked up and their
// certificates checked, policy plans the envelopes or refuses, smime seals each
// of them, and one transaction accepts them all, keeps the sender's own copy
// (encrypted to the sender alone) and removes the draft. Fixed forms take the same
// road by sealForm, with policy's other plan; they leave no copy (V5).
// [Mailer.Again] is asked before each submission.
//
// # In (read.go)
//
// [Mailer.Deliver] stores a message as it travelled, opens it once, judges it,
// follows it if it is a fixed form or bears on a test, harvests candidates from
// what is validly signed, and writes a summary. [Mailer.Read] opens it again, by
// the content key that was kept (K1b), and judges it anew. A message counts once
// the row commits, in the transaction that also notes how far the mailbox was
// read. Messages with the same SHA-256 of their CMS, and the same header where that is
// not in the CMS, are shown once (I3). The
// receipt, our own clock's time with the digest and the key that was confirmed
// then, is signed with the record key (I2).
//
// # Waiting for a card (waiting.go)
//
// A message whose key is on a card that may not be asked, or is not there, is filed as
// locked: nothing of it is followed, and no list or fetching asks for it again. It opens
// when a person opens it, or with all others by [Mailer.OpenWaiting]; then it is followed
// and filed as it would have been, a test or an answer in it takes effect, and its content
// key is kept, so that the card is asked once a message; of the sender's own copy it is
// kept from the beginning. Of all those two are open at once, and some are filed in one
// transaction, in their order and each with all that is kept of it, so a stop leaves the last
// few waiting as they were. What is signed by a card is signed in the call that the person
// made; nothing of the outbox needs a key. Copies of one message are told only when they
// open; the one that opens last stays, with the earlier receipt.
//
// # People
//
// What is known of people, and how they change, is mailer/people; the steps of a
// verification that send a form are here (verify.go), and so is what an arriving
// message means for them (forms.go).
//
// Decisions are policy's, words about people are its and contacts'. Nothing here
// is shown without the verdict beside it.
package mailer

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"strings"

	"countersign/mailer/body"
	"countersign/mailer/message"
	"countersign/mailer/outbox"
	"countersign/mailer/people"
	"countersign/mailer/policy"
	"countersign/mailer/store"
	"countersign/mailer/waiting"
	"countersign/vault/sealed"
)

// Mailer joins the rooms. Its fields are set by whoever opens it and not changed
// afterwards.
type Mailer struct {
	*people.People
	DB     *sealed.DB
	Drafts *Drafts
	Outbox *outbox.Box

	mail  store.Mail
	waits waiting.State
}

// What other rooms call by this room's name.
type (
	Draft      = store.Draft
	Drafts     = store.Drafts
	File       = store.File
	Query      = store.Query
	Problem    = store.Problem
	Attachment = body.File
	Field      = message.Field
	Layer      = policy.Layer
	Event      = people.Event
	Contact    = people.Contact
	NewContact = people.NewContact
	Incoming   = people.Incoming
	Candidate  = people.Candidate
	CallResult = people.CallResult
	OwnWords   = people.OwnWords

	RecipientState = people.RecipientState
)

// The folders.
const (
	Inbox    = "inbox"
	SentMail = "sent"
)

// Refused is the error of what policy does not allow. Nothing was done.
type Refused struct {
	Refusals []policy.Refusal
}

func (r *Refused) Error() string {
	if len(r.Refusals) == 0 {
		return "refused"
	}
	return fmt.Sprintf("refused: %s: %s", r.Refusals[0].Person, r.Refusals[0].Reason)
}

// Open makes the tables that are missing.
func (m *Mailer) Open() error {
	m.mail, m.Issuers, m.Moved = store.New(m.DB, m.Vault.RecordKey()), store.Issuers{DB: m.DB}, m.moved
	for _, migrate := range []func() error{m.Drafts.Migrate, m.mail.Migrate, m.Issuers.Migrate} {
		if err := migrate(); err != nil {
			return err
		}
	}
	if m.Book.Problem() != nil { // summaries may speak of people as they were before
		return m.mail.ForgetFolder(context.Background(), Inbox)
	}
	return nil
}

// Reconsider is for changes that concern everybody: authorities, the policy file, the
// address book as a whole. Every message is judged anew when it is next listed, and
// what is held in the outbox is asked about.
func (m *Mailer) Reconsider(ctx context.Context) error {
	m.Rethink()
	if err := m.mail.ForgetFolder(ctx, Inbox); err != nil {
		return err
	}
	return m.Outbox.Retry(ctx)
}

// moved follows a contact into another state: what its messages' summaries say has
// changed, and perhaps what is held in the outbox may go.
func (m *Mailer) moved(ctx context.Context, address string) error {
	forget := m.mail.Forget
	if !strings.Contains(address, "@") {
		forget = m.mail.ForgetDomain
	}
	if err := forget(ctx, address); err != nil {
		return err
	}
	return m.Outbox.Retry(ctx)
}

// Changed tells the faces that an accepted message stands elsewhere. It is for the
// outbox to call.
func (m *Mailer) Changed(id string) {
	m.Tell(context.Background(), "outbox", id, "A message that you sent has moved on.")
}

func (m *Mailer) random() io.Reader {
	if m.Rand == nil {
		return rand.Reader
	}
	return m.Rand
}
