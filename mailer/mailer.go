// Package mailer is the one road out and the one road in.
//
// # Out (send.go)
//
// [Mailer.SendLetter] takes a draft: its people are looked up and their
// certificates checked, policy plans the envelopes or refuses, smime seals each
// of them, and one transaction accepts them all, keeps the sender's own copy
// (encrypted to the sender alone) and removes the draft. Fixed forms take the same
// road by [Mailer.SendForm], with policy's other plan; they leave no copy (V5).
// [Mailer.Again] is asked before each submission.
//
// # In (read.go)
//
// [Mailer.Deliver] stores a message as it travelled, opens it once, judges it,
// follows it if it is a fixed form or bears on a test, harvests candidates from
// what is validly signed, and writes a summary. [Mailer.Read] opens it again, by
// the content key that was kept (K1b), and judges it anew. A message counts once
// the row commits, in the transaction that also notes how far the mailbox was
// read. Messages with the same SHA-256 of their CMS are shown once (I3). The
// receipt, our own clock's time with the digest and the key that was confirmed
// then, is signed with the record key (I2).
//
// # People (people.go, verify.go, contacts.go)
//
// What policy needs to know of people is gathered in one place, whatever the
// road. Verification joins the contacts' state machine, their records, the fixed
// forms and the journal.
//
// Decisions are policy's, words about people are its and contacts'. Nothing here
// is shown without the verdict beside it.
package mailer

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"sync"
	"time"

	"countersign/mailer/body"
	"countersign/mailer/message"
	"countersign/mailer/outbox"
	"countersign/mailer/policy"
	"countersign/mailer/store"
	"countersign/vault"
	"countersign/vault/book"
	"countersign/vault/journal"
	"countersign/vault/sealed"
	"countersign/vault/settings"
	"countersign/vault/trust"
)

// Mailer joins the rooms. Its fields are set by whoever opens it and not changed
// afterwards.
type Mailer struct {
	DB      *sealed.DB
	Vault   *vault.Vault
	Book    *book.Book
	Journal *journal.Journal
	Drafts  *Drafts
	Outbox  *outbox.Box

	// Check judges a certificate; fetch allows it to ask the network about a
	// certificate that the user chose (I1).
	Check func(ctx context.Context, q trust.Question, fetch bool) trust.Verdict
	// Settings returns what the user prefers and the administrator allows. An
	// error (the policy file is ill-formed) stops all sending.
	Settings func(context.Context) (settings.Preferences, settings.Policy, error)
	// HasAccount tells whether there is an account to send with for an address.
	HasAccount func(ctx context.Context, address string) bool
	// Emit tells what happened. Its words may stand in a notification.
	Emit func(context.Context, Event)

	Clock func() time.Time
	Rand  io.Reader      // nil: crypto/rand
	Zone  *time.Location // in which days are told; nil: UTC

	mail  store.Mail
	words struct { // the user's own safety words, slow to make
		sync.Mutex
		address string
		id      [32]byte
		six     []string
	}
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
)

// The folders.
const (
	Inbox    = "inbox"
	SentMail = "sent"
)

// Event is one thing that happened.
type Event struct {
	Kind string // mail | unsecured | contact | outbox
	ID   string // of the message, or the address of the contact
	Says string // no subject, no body
}

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
	m.mail = store.Mail{DB: m.DB}
	if err := m.Drafts.Migrate(); err != nil {
		return err
	}
	return m.mail.Migrate()
}

// Changed tells the faces that an accepted message stands elsewhere. It is for the
// outbox to call.
func (m *Mailer) Changed(id string) {
	m.emit(context.Background(), "outbox", id, "A message that you sent has moved on.")
}

func (m *Mailer) emit(ctx context.Context, kind, id, says string) {
	if m.Emit != nil {
		m.Emit(ctx, Event{kind, id, says})
	}
}

func (m *Mailer) random() io.Reader {
	if m.Rand == nil {
		return rand.Reader
	}
	return m.Rand
}
