package server

import (
	"errors"
	"io"
	"time"

	"countersign/mailer/message"
)

var (
	// ErrSignIn says that a user name or password is wrong.
	ErrSignIn = errors.New("server: the user name or password is wrong")
	// ErrFull says that a store takes no more.
	ErrFull = errors.New("server: the store is full")
	// ErrGone says that there is no such folder or message, or not any more.
	ErrGone = errors.New("server: there is no such folder or message")
)

// Store is where a server's mail lies. Its methods and those of its mailboxes are
// called from many goroutines.
type Store interface {
	// SignIn returns a user's mailbox, or ErrSignIn.
	SignIn(user, password string) (Mailbox, error)
	// Takes reports whether mail can be delivered to an address.
	Takes(address string) bool
	// Deliver puts a message into the inbox of every address, or returns an error
	// and puts it into none. It reads the message to its end.
	Deliver(from string, to []string, message io.Reader) error
}

// Mailbox is what one user has.
type Mailbox interface {
	// Owns reports whether the user may send from an address.
	Owns(address string) bool
	// Folders lists the folders, INBOX among them.
	Folders() []Folder
	// View tells what is in a folder now. The slices returned are not changed any more.
	View(folder string) (View, error)
	// Changed returns a channel that is closed at the next change of a folder.
	Changed(folder string) <-chan struct{}
	// Message gives the bytes of a message.
	Message(folder string, uid uint32) (message.Source, error)
	// Append adds a message of size bytes; its UID is given by the mailbox.
	Append(folder string, m Message, r io.Reader) (uid uint32, err error)
	// Flag changes the flags of a message: change takes what they are and returns
	// what they become.
	Flag(folder string, uid uint32, change func([]string) []string) error
	// Remove removes messages; those that are gone already are no error.
	Remove(folder string, uids []uint32) error
}

// Folder names one folder.
type Folder struct {
	Name string
	Use  string // its special use, "\Sent" for instance (RFC 6154), or ""
}

// View is the state of a folder.
type View struct {
	Validity uint32 // UIDVALIDITY
	Next     uint32 // UIDNEXT
	Version  uint64 // another one after every change
	Messages []Message
}

// Message is one message of a folder, without its bytes.
type Message struct {
	UID      uint32
	Size     int64
	Received time.Time // INTERNALDATE
	Flags    []string  // "\Seen" and so on, in the spelling of RFC 9051
}
