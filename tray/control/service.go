package control

import (
	"context"
	"io"
)

// Service is everything a person or a program can ask of the agent. It has
// two implementations: the agent's own, and the one that [Dial] returns, which
// asks the agent over its socket. A caller cannot tell them apart.
//
// Every method takes one plain value and returns one. A refusal is an error of
// type [*Refused]; any other failure that a person should read is an [*Error].
type Service struct {
	Mail       Mail
	Contacts   Contacts
	Identities Identities
	Anchors    Anchors
	Tokens     Tokens
	Accounts   Accounts
	Journal    Journal
	Settings   Settings
	Events     Events
	Simulation Simulation // nil unless the agent runs as a demo
}

// Mail is writing and reading.
type Mail interface {
	// Fetch asks every account for new mail and returns when it is stored.
	Fetch(context.Context, None) (Fetched, error)
	// List returns summaries, newest first.
	List(context.Context, ListQuery) ([]Summary, error)
	// Show opens one message: what was checked, and what it says.
	Show(context.Context, MessageQuery) (Message, error)
	// Attachment streams one attachment of a message.
	Attachment(context.Context, AttachmentQuery) (Attachment, io.ReadCloser, error)
	// Raw streams a message as it travelled.
	Raw(context.Context, MessageQuery) (io.ReadCloser, error)
	// MarkRead records that the user has seen a message, or has not.
	MarkRead(context.Context, ReadMark) (None, error)

	// Check tells, for each address, whether a message could go to it now.
	Check(context.Context, CheckQuery) ([]RecipientState, error)

	// SaveDraft stores a draft under the identifier that the face chose (26
	// characters of NewID) and returns it as stored, attachments included.
	SaveDraft(context.Context, Draft) (Draft, error)
	Draft(context.Context, DraftQuery) (Draft, error)
	Drafts(context.Context, None) ([]Draft, error)
	DiscardDraft(context.Context, DraftQuery) (None, error)
	// Attach streams one file into a draft.
	Attach(context.Context, AttachOrder, io.Reader) (Attachment, error)
	Detach(context.Context, DetachOrder) (None, error)
	// Send accepts a draft: when it returns, every envelope is committed to
	// the outbox. Asking twice for the same draft is accepted once.
	Send(context.Context, DraftQuery) (Sent, error)
	// Outbox lists what was accepted and where each envelope stands.
	Outbox(context.Context, None) ([]Outgoing, error)
	// Withdraw takes back a message that no server has taken yet.
	Withdraw(context.Context, OutgoingQuery) (None, error)

	// Inspect describes a message file: layers, algorithms, verdict.
	Inspect(context.Context, InspectQuery, io.Reader) (Inspection, error)
}

// Contacts is the address book and the verification of the people in it.
type Contacts interface {
	List(context.Context, SearchQuery) ([]Contact, error)
	Show(context.Context, ContactQuery) (Contact, error)
	// Add makes a contact, or gives an existing one a new name, a profile or
	// a certificate to consider. It never verifies.
	Add(context.Context, NewContact) (Contact, error)
	Remove(context.Context, ContactQuery) (None, error)
	// Find looks for somebody's certificate where such are published, for at most a
	// minute. The DNS servers on the way and the directories asked learn that somebody
	// here asks for this address. What is found is a candidate; it never verifies.
	Find(context.Context, ContactQuery) (Search, error)
	// Invite sends the fixed invitation: please answer with a signed message.
	Invite(context.Context, ContactQuery) (Contact, error)
	// StartTest sends the fixed test message, encrypted to the key set of the
	// candidate named (or to the only one there is).
	StartTest(context.Context, TestOrder) (Contact, error)
	// Answer answers the test that this person sent to the user.
	Answer(context.Context, ContactQuery) (Contact, error)
	// Call records what was heard on a call that the user placed. Any part
	// may come alone; what matched is kept.
	Call(context.Context, CallReport) (CallResult, error)
	// Misheard leaves the state mismatch; a fresh test follows.
	Misheard(context.Context, ContactQuery) (Contact, error)
	// Suspend stops sending to a verified contact until verified anew.
	Suspend(context.Context, ContactQuery) (Contact, error)
	// Mine returns what the user reads out when somebody verifies them.
	Mine(context.Context, None) (OwnWords, error)
	// WordList returns the 2,048 words that codes and safety words are made of.
	WordList(context.Context, None) ([]string, error)
	// Programs returns, for other mail programs, the clicks to say aloud until a
	// person sees the fingerprint of their own certificate.
	Programs(context.Context, None) ([]Program, error)
	// StartOver begins the signed records of the address book anew, after they
	// were found changed from outside. Everybody stays suspended until verified.
	StartOver(context.Context, None) (None, error)
}

// Identities is the user's own keys and certificates, and their recovery.
type Identities interface {
	List(context.Context, None) ([]Identity, error)
	// ImportPKCS12 reads a PKCS #12 file of at most 1 MiB.
	ImportPKCS12(context.Context, PKCS12Order, io.Reader) ([]Identity, error)
	// Recovery tells whether the recovery file is made and tested (K1).
	Recovery(context.Context, None) (Recovery, error)
	// MakeRecovery returns the recovery file and the eight words that open it.
	// It stays unconfirmed until ConfirmRecovery.
	MakeRecovery(context.Context, None) (RecoveryFile, error)
	// ConfirmRecovery takes two of the words back, opens the file once as a
	// test and records it as made.
	ConfirmRecovery(context.Context, RecoveryCheck) (Recovery, error)
	// Backup writes a copy of the database, still encrypted, to a new file. With
	// the recovery file it brings everything back on another machine.
	Backup(context.Context, BackupOrder) (None, error)
	Renewals
}

// Accounts is the mailboxes and how to reach them.
type Accounts interface {
	List(context.Context, None) ([]Account, error)
	// Add signs in to both servers and, if both answer, stores the account.
	Add(context.Context, NewAccount) (Account, error)
	Remove(context.Context, AccountQuery) (None, error)
}

// Journal is the hash-chained record of what was done.
type Journal interface {
	List(context.Context, JournalQuery) ([]Entry, error)
	Verify(context.Context, None) (JournalProof, error)
}

// Settings is the state of the agent and the few things that can be set.
type Settings interface {
	Status(context.Context, None) (Status, error)
	Get(context.Context, None) (Preferences, error)
	Set(context.Context, Preferences) (Preferences, error)
	// PageAddress returns an address that signs this user's browser in once.
	PageAddress(context.Context, None) (PageAddress, error)
	// Lock drops keys, PINs, the database key and the page's sessions (K2). Until the
	// agent is unlocked only Status, Unlock and Stop are answered.
	Lock(context.Context, None) (None, error)
	// Unlock opens a locked agent, if its keychain answers; else an error of the code
	// [CodePassphrase] says that it has to be started anew with its passphrase.
	Unlock(context.Context, None) (None, error)
	// Stop ends the agent in order.
	Stop(context.Context, None) (None, error)
}

// Events tells what happened, in order, from a stored and numbered list.
type Events interface {
	// Watch calls each for every event after the cursor, waiting for more,
	// until the context ends or each returns an error, which it returns.
	Watch(ctx context.Context, after Cursor, each func(Event) error) error
}

// Simulation is the other end of the telephone in the demo.
type Simulation interface {
	// Stage tells who can be called, and what can be made to happen.
	Stage(context.Context, None) (Stage, error)
	// Dial calls a number; if it is the colleague's, she reads out what she has.
	Dial(context.Context, DialOrder) (Conversation, error)
	// Play makes one of the stage's acts happen.
	Play(context.Context, ActQuery) (None, error)
}
