// Package start reaches the agent of a profile, and starts the one beside this program where
// none runs.
package start

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"countersign/platform"
	"countersign/platform/localsock"
	"countersign/tray/control"
)

const (
	agentProgram = "countersign-agent"
	keychainFile = "keychain.age"  // in the profile, where the agent keeps it
	startLog     = "start.log"     // in the run folder: what the agent said while it started
	patience     = 4 * time.Minute // for an agent that starts: its keychain may ask its user
	afterEnd     = 3 * time.Second // for another's agent, where ours found that it was not the first
	lookAgain    = 20 * time.Millisecond
	tellAfter    = 3 * time.Second
)

// Options is which profile, and who can be asked.
type Options struct {
	Home, Keychain, PassphraseFile string

	// Secret takes a secret from the first line of a file, or asks for it.
	Secret func(file, flag, prompt string) ([]byte, error)
	Remark func(format string, args ...any)
	// Usage makes an error of a command line that makes no sense.
	Usage func(format string, args ...any) error
}

// Agent returns the profile's agent. It is started by the first call that
// finds nobody.
func Agent(c Options) (*control.Service, error) {
	dirs, err := platform.FindDirs(c.Home)
	if err != nil {
		return nil, err
	}
	var starting sync.Mutex
	return control.Dial(func(ctx context.Context) (net.Conn, error) {
		starting.Lock()
		defer starting.Unlock()
		conn, err := localsock.Dial(ctx, dirs.Run)
		if errors.Is(err, localsock.ErrNobody) {
			return c.start(ctx, dirs)
		}
		return conn, err
	}), nil
}

// start starts the agent and waits until it answers.
func (c Options) start(ctx context.Context, dirs platform.Dirs) (net.Conn, error) {
	program, err := c.Program(dirs)
	if err != nil {
		return nil, err
	}
	if err := dirs.Make(); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(dirs.Run, startLog), os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("starting the agent: %w", err)
	}
	defer log.Close()
	program.Output = log
	ended, err := program.Start()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no agent runs, and there is none to start: %s is missing", program.Path)
	}
	if err != nil {
		return nil, err
	}
	giveUp, tell := time.NewTimer(patience), time.NewTimer(tellAfter)
	defer giveUp.Stop()
	defer tell.Stop()
	for {
		conn, err := localsock.Dial(ctx, dirs.Run)
		if !errors.Is(err, localsock.ErrNobody) {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-ended:
			ended = nil
			giveUp.Reset(afterEnd) // somebody else's may be starting
			if !alreadyRuns(log.Name()) {
				return nil, notStarted(log.Name())
			}
		case <-giveUp.C:
			return nil, notStarted(log.Name())
		case <-tell.C:
			c.Remark("Countersign is starting. Your keychain may be asking for its password.")
		case <-time.After(lookAgain):
		}
	}
}

// Program is the agent beside this program, with our home and keychain. A
// passphrase goes to it through a pipe.
func (c Options) Program(dirs platform.Dirs) (platform.Program, error) {
	self, err := os.Executable()
	if err != nil {
		return platform.Program{}, fmt.Errorf("finding the agent: %w", err)
	}
	p := platform.Program{
		Path: filepath.Join(filepath.Dir(self), agentProgram),
		Args: []string{unseen(platform.HasDesktop()), "--home", dirs.Data},
	}
	if runtime.GOOS == "windows" {
		p.Path += ".exe"
	}
	there := exists(filepath.Join(dirs.Data, keychainFile))
	kind := c.Keychain
	switch {
	case kind == "" && there:
		kind = "file" // a profile that began with a file goes on with it
	case kind == "":
		return p, nil
	case kind != "system" && kind != "file":
		return p, c.Usage("--keychain is system or file, not %q", kind)
	}
	p.Args = append(p.Args, "--keychain", kind)
	if kind == "file" {
		passphrase, err := c.passphrase(there)
		if err != nil {
			return p, err
		}
		p.Args = append(p.Args, "--passphrase-file", "-")
		p.Input = append(passphrase, '\n')
	}
	return p, nil
}

// unseen has the agent open no browser, since a command was wanted and no page; on a desktop
// its icon shows.
func unseen(desktop bool) string {
	if desktop {
		return "--no-page"
	}
	return "--headless"
}

// passphrase asks for the file keychain's passphrase, twice where it is to be
// a new one.
func (c Options) passphrase(there bool) ([]byte, error) {
	if there || c.PassphraseFile != "" {
		return c.Secret(c.PassphraseFile, "passphrase-file", "Passphrase of the keychain file: ")
	}
	for {
		first, err := c.Secret("", "passphrase-file", "Choose a passphrase for the keychain file: ")
		if err != nil {
			return nil, err
		}
		again, err := c.Secret("", "passphrase-file", "The same again: ")
		if err != nil {
			return nil, err
		}
		if bytes.Equal(first, again) {
			return first, nil
		}
		c.Remark("They differ.")
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func alreadyRuns(log string) bool { return strings.Contains(lastLine(log), "already runs") }

// notStarted is the reason that the agent gave.
func notStarted(log string) error {
	e := &control.Error{Code: "not-started", Says: "Countersign's agent did not start."}
	if said := lastLine(log); said != "" {
		e.Next = strings.TrimPrefix(said, agentProgram+": ")
	}
	return e
}

func lastLine(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return lines[len(lines)-1]
}
