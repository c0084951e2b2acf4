// Package pinprompt asks the person at this machine for the PIN of a card, outside the page
// (rule K3): by pinentry on Linux and macOS, by the system's credential dialog on Windows.
//
// Nothing here decides whether somebody may be asked: who calls [Prompter.Ask] does it as the
// answer to what a person just did. One thing is shown at a time; others wait in line, and
// their time is counted from when they are shown.
//
// # What is shown
//
// Which card, which key, what for, whether the last PIN was wrong, and a warning where few
// tries are left. Labels of cards and keys, and what a request is for, may be an attacker's:
// control and formatting characters, quotation marks and angle brackets (pinentry-qt takes
// them for markup) are replaced, and long ones cut.
//
// # Which pinentry
//
// One under its well-known name, which with every folder above belongs to root alone: not
// from PATH, and not from a variable or a file of the user's. It gets of the environment only
// what it needs to reach the screen, and speaks Assuan, the line protocol of libassuan:
// bounded lines, percent-encoded both ways. One that hangs, dies or talks nonsense is ended;
// one that does not come as far as showing something gives way to the next. Homebrew's on macOS is not used,
// for its folder is the user's.
//
// Where [Question.Terminal] is set it is asked there: a command line names its own. Only a
// terminal of this process's user is one. It is left as it was found, also when pinentry has
// to be ended: pinentry is told to leave before it is killed.
//
// # The PIN
//
// It is a []byte that the caller wipes, and is in no string, error or log. Buffers here are
// wiped. What the pinentry, the pipe to it and the screen's own programs hold is not ours.
//
// # How far
//
// Tests run pinentry-curses and pinentry-tty on a terminal, and the credential dialog under wine.
// pinentry-gnome3, -qt and -gtk-2 were tried by hand; pinentry-mac and the dialog of a real
// Windows were not.
package pinprompt

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Again is why a PIN is asked for once more.
type Again uint8

const (
	FirstTime    Again = iota
	AfterRefusal       // the last one was wrong
	AfterTrouble       // the card did not answer the last one
)

// Tries is what the card tells of the PIN entries left.
type Tries uint8

const (
	TriesUntold Tries = iota
	TriesFewer        // a wrong one was entered before
	TriesLast
)

// Question is all that a person must know to enter a PIN. Its text may be anybody's.
type Question struct {
	Token   string // the card's label; may be empty
	Key     string // the key's label; may be empty
	Purpose string // what for, in the words of who asked; may be empty
	Again   Again
	Tries   Tries

	Terminal     string // where to ask, such as /dev/pts/3; empty: on the screen. Unix only.
	TerminalType string // $TERM there; empty: vt100
	ScreenFirst  bool   // Terminal is for where this process has no screen
}

// MaxPIN is how many bytes a PIN may have.
const MaxPIN = 255

// Errors that callers tell apart. Both mean that no PIN was given.
var (
	ErrCancelled = errors.New("pinprompt: the person cancelled")
	ErrTimeout   = errors.New("pinprompt: nobody answered in time")
)

// Unavailable is the error where nobody can be asked.
type Unavailable struct {
	Says string // a sentence or two for a person: what to do about it
	Err  error  // the cause, for a log; may be nil
}

// Error returns the sentence and its cause.
func (u *Unavailable) Error() string {
	if u.Err == nil {
		return "pinprompt: " + u.Says
	}
	return fmt.Sprintf("pinprompt: %s (%v)", u.Says, u.Err)
}

// Unwrap returns the cause.
func (u *Unavailable) Unwrap() error { return u.Err }

// Config is how people are asked.
type Config struct {
	Programs []string      // asked in place of the pinentries that are installed, and not checked: for tests alone
	Timeout  time.Duration // how long a person may take; 0: 2 minutes
}

// Prompter asks. A process has one: it shows one thing at a time. Its methods may be called
// from several goroutines.
type Prompter struct {
	config  Config
	turn    chan struct{} // held while something is shown
	prepare time.Duration // how long pinentry may take for anything but a person's answer
	end     time.Duration // ... and to end after it
}

// New makes a Prompter. Nothing is looked for before it is needed.
func New(c Config) *Prompter {
	if c.Timeout == 0 {
		c.Timeout = 2 * time.Minute
	}
	return &Prompter{config: c, turn: make(chan struct{}, 1), prepare: 10 * time.Second, end: time.Second}
}

// Ask asks for a PIN and returns it, never empty. The caller wipes it. The end of ctx takes
// the prompt away. It fails with [ErrCancelled], [ErrTimeout], an [*Unavailable], or the error
// of ctx.
func (p *Prompter) Ask(ctx context.Context, q Question) ([]byte, error) {
	var pin []byte
	err := p.inTurn(ctx, func(ctx context.Context) (err error) {
		pin, err = p.ask(ctx, q, asking(q))
		if err == nil && len(pin) == 0 {
			err = ErrCancelled
		}
		return err
	})
	if err != nil {
		clear(pin)
		return nil, fmt.Errorf("asking for a PIN: %w", err)
	}
	return pin, nil
}

// Tell shows that the PIN is to be entered on the reader, and returns at once. done takes that
// away again; its error says why nothing was shown. A person may close it before.
func (p *Prompter) Tell(ctx context.Context, q Question) (done func() error) {
	ctx, cancel := context.WithCancel(ctx)
	over := make(chan error, 1)
	go func() {
		over <- p.inTurn(ctx, func(ctx context.Context) error { return p.tell(ctx, q, telling(q)) })
	}()
	return sync.OnceValue(func() error {
		cancel()
		var none *Unavailable
		if err := <-over; errors.As(err, &none) {
			return fmt.Errorf("showing that a PIN is awaited: %w", err)
		}
		return nil
	})
}

// inTurn shows one thing once nothing else is shown, for as long as a person may take.
func (p *Prompter) inTurn(ctx context.Context, show func(context.Context) error) error {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, p.config.Timeout, ErrTimeout)
	defer cancel()
	err := context.Cause(ctx)
	if err == nil {
		err = show(ctx)
	}
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
