// Package people is what the rest of the mailer needs to know of people: the user's
// own side, and everybody in the address book, each with the evidence of the
// moment. It is the one place where contacts change.
//
// What policy judges ([policy.Sender], [policy.Recipient]) is gathered here,
// whatever the road. A contact whose pinned certificate has run out or was
// withdrawn is suspended on the way (V3). Certificates of authorities that a path
// to an anchor went through are remembered, since the next message or file may
// come without them; they are evidence, never anchors.
//
// Calls that the user placed are recorded here ([People.Call]): they are the only
// way to be verified (V1). What is shown of a contact who is not ([Contact]) holds
// nothing that would be read out on a call (V5). Steps of a verification that send
// something are the mailer's.
package people

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"countersign/mailer/store"
	"countersign/vault"
	"countersign/vault/book"
	"countersign/vault/contacts"
	"countersign/vault/discover"
	"countersign/vault/journal"
	"countersign/vault/settings"
	"countersign/vault/trust"
)

// People joins the vault and the address book. Its fields are set by whoever makes
// it and not changed afterwards.
type People struct {
	Vault   *vault.Vault
	Book    *book.Book
	Journal *journal.Journal
	Issuers store.Issuers

	// Check judges a certificate; chosen says that the user chose to verify it, so
	// that its sources may be asked (I1).
	Check func(ctx context.Context, q trust.Question, chosen bool) trust.Verdict
	// Published looks where certificates are published, and judges what it finds; nil:
	// nowhere.
	Published func(ctx context.Context, address string, judge Judge) []discover.Finding
	// Settings returns what the user prefers and the administrator allows. An
	// error (the policy file is ill-formed) stops all sending.
	Settings func(context.Context) (settings.Preferences, settings.Policy, error)
	// HasAccount tells whether there is an account to send with for an address.
	HasAccount func(ctx context.Context, address string) bool
	// Emit tells what happened. Its words may stand in a notification.
	Emit func(context.Context, Event)
	// Moved is told of each contact whose state changed, after it is stored. A bare domain
	// stands for everybody there.
	Moved func(ctx context.Context, address string) error

	Clock func() time.Time
	Rand  io.Reader      // nil: crypto/rand
	Zone  *time.Location // in which days are told; nil: UTC

	epoch atomic.Uint64 // counts the changes that concern every verdict
	words struct {      // the user's own safety words, slow to make
		sync.Mutex
		six map[string][]string // by address and key set: the one in use, and the one to come
	}
}

// Judge says whether a certificate does for an address, with others found beside it.
type Judge = func(ctx context.Context, c *x509.Certificate, u trust.Usage, others []*x509.Certificate) trust.Verdict

// Event is one thing that happened.
type Event struct {
	Kind string // mail | unsecured | contact | outbox | status
	ID   string // of the message, or the address of the contact
	Says string // no subject, no body
}

// Problem is an error that a person reads.
type Problem = store.Problem

// ErrAddress says that something typed is no address.
var ErrAddress = &Problem{Code: "bad-address", Says: "That is not an e-mail address.", Next: "Check the spelling."}

// Tell emits one event.
func (p *People) Tell(ctx context.Context, kind, id, says string) {
	if p.Emit != nil {
		p.Emit(ctx, Event{kind, id, says})
	}
}

// Note writes a line of the journal. A journal that cannot be written stops nothing
// that is already done, but the user is told.
func (p *People) Note(ctx context.Context, kind, person, says string) {
	if err := p.Journal.Append(ctx, kind, person, says); err != nil {
		p.Tell(ctx, "status", "", "The activity record could not be written.")
	}
}

// Moment is what the contacts' state machine may use of the world.
func (p *People) Moment() contacts.Moment {
	return contacts.Moment{Now: p.Clock(), Rand: p.Rand, CodeKey: p.Vault.CodeKey()}
}

// transition changes a contact, with the record of it where one is due.
type transition = func(contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error)

// ErrUnchanged, returned by a [transition], ends it without a change and without an
// error.
var ErrUnchanged = errors.New("people: nothing to change")

// Change changes a contact, and makes one that is not there. Faces are told if what
// they show of it is another.
func (p *People) Change(ctx context.Context, address string, t transition) (contacts.Contact, error) {
	var before contacts.Contact
	moved := address
	c, err := p.Book.Change(ctx, address, func(c contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) {
		before = c
		next, draft, err := t(c)
		if draft != nil {
			moved = draft.Address
		}
		return next, draft, err
	})
	if errors.Is(err, ErrUnchanged) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	if (c.State != before.State || moved != address) && p.Moved != nil {
		if err := p.Moved(ctx, moved); err != nil {
			return c, err
		}
	}
	if c.Label(p.Zone) != before.Label(p.Zone) || c.Next(p.Zone) != before.Next(p.Zone) {
		kind := "contact"
		if c.State != before.State && (c.State == contacts.Mismatch || c.State == contacts.Suspended) {
			kind = "stopped"
		}
		p.Tell(ctx, kind, address, c.Who()+": "+c.Label(p.Zone)+".")
	}
	return c, nil
}
