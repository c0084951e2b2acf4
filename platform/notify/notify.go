// Package notify shows desktop notifications, and says which one was clicked.
//
// # Slots
//
// A notification has a slot, a name of the caller's: a new one in the same slot takes the
// place of the one there, so that a desktop is never full of ours. Texts are plain: what a
// desktop would take for markup is escaped, control and formatting characters are replaced,
// and long texts are cut. Who may read the screen may read them, so no subject and no body
// belongs in one.
//
// # How far
//
// Linux: org.freedesktop.Notifications on the session bus, by a connection of our own. Each
// call has five seconds; a desktop without such a service, or one that does not answer, is an
// error and never a hang. Windows: toasts, through go-toast's COM half and never its
// PowerShell one; compiled and vetted, never run on a real Windows (under wine there is no
// such service). What is shown there cannot be replaced or taken away. macOS: not here.
package notify

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Name is the program's, as desktops show it.
const Name = "Countersign"

// ErrNotHere says that this system shows no notifications of ours.
var ErrNotHere = errors.New("notify: this desktop shows no notifications")

// Note is one notification.
type Note struct {
	Title, Text string
	Urgent      bool          // somebody is waited for
	For         time.Duration // how long it is shown; 0: as long as the desktop likes
}

// Notifier shows notifications. Its methods may be called from several goroutines.
type Notifier interface {
	// Show shows a note in a slot, in the place of what is there.
	Show(ctx context.Context, slot string, n Note) error
	// Withdraw takes away what is shown in a slot, if anything is.
	Withdraw(ctx context.Context, slot string) error
	// Close takes away all that is shown.
	Close() error
}

// The longest texts, in characters.
const (
	longestTitle = 80
	longestText  = 300
)

// callLimit is for one question to the desktop.
const callLimit = 5 * time.Second

// plain is a text on one line, fit to be shown, of so many characters at most.
func plain(s string, longest int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r):
			return '\uFFFD'
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) > longest {
		s = string([]rune(s)[:longest-1]) + "…"
	}
	return s
}
