// Package guard is the program between its locks (SECURITY.md, K2).
//
// When the session is locked, or the user says so, the agent ends in order: the database
// and the vault are closed, the page and the socket are gone, and with them all sessions.
// Then the program begins anew in the same process (on Windows, in another), locked, so
// that nothing of the memory that held keys and mail is left to it. Locked it has no key
// and answers little. When the session is open again it opens the keychain and goes on:
// what waited in the outbox and on the servers waits there.
package guard

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"countersign/platform"
	"countersign/platform/localsock"
	"countersign/platform/session"
	"countersign/tray/control"
)

// ErrLocked is why an agent ended whose keys are to be dropped.
var ErrLocked = errors.New("guard: locked")

// Agent is what is opened and closed.
type Agent interface {
	// Run works until ctx ends (nil), or with ErrLocked after Drop.
	Run(ctx context.Context) error
	Close() error
	// Drop has Run end with ErrLocked. Dropping is done when it was called.
	Drop()
	Dropping() <-chan struct{}
	// LocksWithScreen says whether keys are dropped when the session is locked.
	LocksWithScreen(ctx context.Context) bool
}

// Guard is one. Its fields are set by whoever makes it.
type Guard struct {
	// Open opens the keychain and the profile; first says that the program has just begun.
	Open func(ctx context.Context, first bool) (Agent, error)
	// Once says that the keychain cannot be opened a second time: its passphrase came by
	// a pipe.
	Once    bool
	Folder  string    // of the socket
	Only    io.Closer // the profile's lock
	Locked  string    // why the program begins locked; empty: it does not
	Leaving func()    // called before the program begins anew; may be nil
	Version string
	Log     *slog.Logger
	Words   func(error) error // turns an error into what a person reads

	opened chan struct{}   // the session was opened; holds one
	asked  chan chan error // somebody asks to unlock

	mu    sync.Mutex
	shut  bool          // the session is locked now
	was   bool          // it was, since the program began
	agent Agent         // that runs
	gone  chan struct{} // closed when the agent has ended, and its memory could not be dropped with it
}

// Why an agent is locked.
const (
	byScreen = "screen" // the session was locked, or the computer slept
	byHand   = "hand"
)

// Flag is the option that begins the program locked, for a reason.
const Flag = "locked"

const (
	dropLimit  = 3 * time.Second  // for what is under way when keys are to be dropped
	retryPause = 15 * time.Second // between attempts to open, once the session is open
)

// Run is the program, until ctx ends or somebody stops it.
func (g *Guard) Run(ctx context.Context) error {
	g.opened, g.asked = make(chan struct{}, 1), make(chan chan error)
	go session.Watch(ctx, func(locked bool) { g.session(ctx, locked) })
	why := g.Locked
	for {
		a, err := g.open(ctx, why)
		if a == nil {
			return err
		}
		err = g.serve(ctx, a)
		if !errors.Is(err, ErrLocked) {
			return err
		}
		done, err := g.again()
		if done {
			return err
		}
		// It could not be done: then at least what is not referred to goes.
		g.Log.Warn("beginning anew", "error", err)
		debug.FreeOSMemory()
		why = g.ended()
	}
}

// ended notes that an agent is gone whose place this program takes itself, locked, and
// returns why.
func (g *Guard) ended() string {
	why := g.why()
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.gone)
	if why == byHand { // what the session was before says nothing
		g.was = false
		select {
		case <-g.opened:
		default:
		}
	}
	return why
}

// open opens the profile; where it is locked, once it may be. It returns nil if the
// program is to end.
func (g *Guard) open(ctx context.Context, why string) (Agent, error) {
	if why != "" {
		return g.wait(ctx, why)
	}
	return g.Open(ctx, true)
}

// serve runs an agent and closes it. What does not end soon after keys are to be dropped
// is cut off: every room survives that.
func (g *Guard) serve(ctx context.Context, a Agent) error {
	gone := make(chan struct{})
	g.mu.Lock()
	g.agent, g.gone = a, gone
	shut := g.shut
	g.mu.Unlock()
	if shut && a.LocksWithScreen(ctx) {
		a.Drop()
	}
	go func() {
		select {
		case <-gone:
			return
		case <-a.Dropping():
		}
		select {
		case <-gone:
		case <-time.After(dropLimit):
			if done, err := g.again(); done && err == nil {
				os.Exit(0)
			}
		}
	}()
	err := a.Run(ctx)
	if closed := a.Close(); err == nil {
		err = closed
	}
	g.mu.Lock()
	g.agent = nil
	g.mu.Unlock()
	return err
}

func (g *Guard) locked() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shut
}

// session follows the user's session. It returns when keys that are to be dropped are.
func (g *Guard) session(ctx context.Context, locked bool) {
	g.mu.Lock()
	g.shut, g.was = locked, g.was || locked
	a, gone := g.agent, g.gone
	g.mu.Unlock()
	switch {
	case !locked:
		select {
		case g.opened <- struct{}{}:
		default:
		}
	case a != nil && a.LocksWithScreen(ctx):
		a.Drop()
		select {
		case <-gone:
		case <-ctx.Done():
		}
	}
}

// wait answers for the locked agent until it is opened.
func (g *Guard) wait(ctx context.Context, why string) (Agent, error) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	l, err := localsock.Listen(g.Folder)
	if err != nil {
		return nil, err
	}
	closed := &closedAgent{guard: g, stop: end, why: why}
	served := make(chan error, 1)
	serving, stop := context.WithCancel(ctx)
	go func() {
		served <- control.ServeLocked(serving, l, closed, closed.reason())
	}()
	defer func() { stop(); <-served }()
	retry := time.NewTicker(retryPause)
	defer retry.Stop()
	open := false
	for {
		var answer chan error
		select {
		case <-ctx.Done():
			return nil, nil
		case <-g.opened:
			open = why == byScreen || g.once()
		case <-retry.C:
		case answer = <-g.asked:
		}
		if answer == nil && (!open || g.locked() || g.Once) {
			continue
		}
		a, err := g.Open(ctx, false)
		if answer != nil {
			answer <- err
		}
		if err == nil {
			return a, nil
		}
		if ctx.Err() == nil {
			g.Log.Warn("unlocking", "error", err)
		}
		closed.failed(err)
	}
}

// once says that the session was locked since the program began.
func (g *Guard) once() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.was
}

// closedAgent answers control.Settings while the agent is locked.
type closedAgent struct {
	guard *Guard
	stop  context.CancelFunc
	why   string

	mu      sync.Mutex
	problem string // why it did not open
}

func (c *closedAgent) failed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.problem = says(c.guard.Words(err))
}

func says(err error) string {
	var e *control.Error
	if errors.As(err, &e) {
		return strings.TrimSpace(e.Says + " " + e.Next)
	}
	return err.Error()
}

// reason is the answer to everything else.
func (c *closedAgent) reason() *control.Error {
	e := &control.Error{Code: control.CodeLocked, Says: "Countersign is locked.", Next: "Unlock it: countersign unlock"}
	switch {
	case c.guard.Once:
		e.Next += ". It needs the passphrase of the keychain file."
	case c.why == byScreen:
		e.Next = "It opens again when you unlock the screen, or by: countersign unlock"
	}
	return e
}

// Status says that it is locked, and why it did not open.
func (c *closedAgent) Status(context.Context, control.None) (control.Status, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return control.Status{Shut: true, Version: c.guard.Version, Problem: c.problem}, nil
}

func (c *closedAgent) Get(context.Context, control.None) (control.Preferences, error) {
	return control.Preferences{}, c.reason()
}

func (c *closedAgent) Set(context.Context, control.Preferences) (control.Preferences, error) {
	return control.Preferences{}, c.reason()
}

func (c *closedAgent) PageAddress(context.Context, control.None) (control.PageAddress, error) {
	return control.PageAddress{}, c.reason()
}

// Lock has nothing to do.
func (c *closedAgent) Lock(context.Context, control.None) (control.None, error) {
	return control.None{}, nil
}

// Unlock opens it by hand, whatever the session says.
func (c *closedAgent) Unlock(ctx context.Context, _ control.None) (control.None, error) {
	if c.guard.Once {
		return control.None{}, &control.Error{Code: control.CodePassphrase, Says: "The keychain file needs its passphrase.", Next: "Start Countersign again: countersign unlock"}
	}
	answer := make(chan error, 1)
	select {
	case c.guard.asked <- answer:
	case <-ctx.Done():
		return control.None{}, ctx.Err()
	}
	select {
	case err := <-answer:
		return control.None{}, c.guard.Words(err)
	case <-ctx.Done():
		return control.None{}, ctx.Err()
	}
}

// Stop ends the program; the socket lets this answer out first.
func (c *closedAgent) Stop(context.Context, control.None) (control.None, error) {
	c.stop()
	return control.None{}, nil
}

// anew is the command line of the program that takes this one's place, locked.
func anew(args []string, why string) []string {
	args = slices.DeleteFunc(slices.Clone(args), func(a string) bool {
		return strings.HasPrefix(strings.TrimLeft(a, "-"), Flag+"=")
	})
	return slices.Insert(args, 1, "--"+Flag+"="+why)
}

// again begins the program anew, locked. Done says that this one has to end, if err is
// nil; where it can be replaced in its process again does not return.
func (g *Guard) again() (done bool, err error) {
	if g.Leaving != nil {
		g.Leaving()
	}
	return platform.Again(anew(os.Args, g.why()), g.Only)
}

// why is the reason for which keys are dropped now.
func (g *Guard) why() string {
	if g.locked() {
		return byScreen
	}
	return byHand
}
