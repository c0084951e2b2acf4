// Package beside keeps the program of the icon running beside the agent.
//
// The icon is a program of its own, since tray libraries die with their desktop (package
// tray/icon): here it is started, and started again when it fails, after pauses that double
// from one second to a minute. One that fails six times in a row within a minute of its start
// is given up, which the log says once; it comes back with the next start of the agent. One
// that its user put away stays away, and where the program is not installed there is none and
// nothing is said.
//
// The program lives no longer than the agent, however that ends: its standard input is a pipe
// whose other end the agent holds.
package beside

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"countersign/platform"
)

const (
	firstPause = time.Second
	lastPause  = time.Minute
	healthy    = time.Minute // one that ran so long did not fail at its start
	patience   = 6           // failures in a row
	endLimit   = 2 * time.Second
	soon       = 300 * time.Millisecond // keys are about to be dropped, which waits for no icon
	longestLog = 4 << 10                // bytes of what it says that are kept
)

// Exit codes of the program: those of package tray/icon, which say that no other start helps.
const (
	putAway    = 0
	wrongUsage = 2
	notHere    = 3
)

// Icon is one. Its fields are set by whoever makes it.
type Icon struct {
	Program platform.Program // as [Beside] finds it
	Log     *slog.Logger
	// Pause is the first pause before another start; 0: a second.
	Pause time.Duration

	mu      sync.Mutex
	running *platform.Attached
	gone    chan struct{} // closed when running has ended
	last    bool          // no other is to be started
}

// Beside is the icon's program in the folder of this one, for the profile in home.
func Beside(home string) platform.Program {
	name := "countersign-tray"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	self, err := os.Executable()
	if err != nil {
		self = "" // then it is not found
	}
	return platform.Program{Path: filepath.Join(filepath.Dir(self), name), Args: []string{"--attached", "--home", home}}
}

// Run keeps the program running until ctx ends, and returns when it has ended.
func (i *Icon) Run(ctx context.Context) {
	defer i.End()
	pause, failures := max(i.Pause, 0), 0
	if pause == 0 {
		pause = firstPause
	}
	for next := pause; ctx.Err() == nil; next = min(2*next, lastPause) {
		began := time.Now()
		said, err := i.once(ctx)
		switch code := exitCode(err); {
		case ctx.Err() != nil, errors.Is(err, errEnding), errors.Is(err, fs.ErrNotExist), code == putAway:
			return
		case code == wrongUsage, code == notHere:
			i.Log.Info("no icon is shown", "why", said)
			return
		case time.Since(began) > healthy:
			failures, next = 0, pause
		}
		if failures++; failures == patience {
			i.Log.Warn("the icon fails again and again, and is given up until the next start", "error", err, "said", said)
			return
		}
		select {
		case <-time.After(next):
		case <-ctx.Done():
		}
	}
}

var errEnding = errors.New("beside: this program is ending")

// once runs the program, and returns what it said and how it ended.
func (i *Icon) once(ctx context.Context) (said string, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer r.Close()
	p := i.Program
	p.Output = w
	gone := make(chan struct{})
	defer close(gone)
	i.mu.Lock()
	if i.last {
		err = errEnding
	} else if i.running, err = p.Attach(); err == nil {
		i.gone = gone
	}
	running := i.running
	i.mu.Unlock()
	w.Close()
	if err != nil {
		return "", err
	}
	text := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(io.LimitReader(r, longestLog))
		_, _ = io.Copy(io.Discard, r)
		text <- bytes.TrimSpace(b)
	}()
	select {
	case err = <-running.Ended:
	case <-ctx.Done():
		err = finish(running)
	}
	i.mu.Lock()
	i.running = nil
	i.mu.Unlock()
	running.Release()
	select {
	case b := <-text:
		return string(b), err
	case <-time.After(endLimit): // something that it started holds the pipe
		return "", err
	}
}

// finish has the program end, and ends it where it takes too long.
func finish(p *platform.Attached) error {
	p.Release()
	select {
	case err := <-p.Ended:
		return err
	case <-time.After(endLimit):
		p.Kill()
		return <-p.Ended
	}
}

// End has the program end, and no other start. It returns when that is done, or in less than a
// second.
func (i *Icon) End() {
	i.mu.Lock()
	i.last = true
	running, gone := i.running, i.gone
	i.mu.Unlock()
	if running == nil {
		return
	}
	running.Release()
	for _, last := range []func(){running.Kill, func() {}} {
		select {
		case <-gone:
			return
		case <-time.After(soon):
			last()
		}
	}
}

// exitCode is that of a program which ended by itself; -1: it did not, or never began.
func exitCode(err error) int {
	var e *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e.ExitCode()
	}
	return -1
}
