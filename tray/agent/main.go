package agent

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"countersign/platform"
	"countersign/platform/harden"
	"countersign/platform/keychain"
	"countersign/platform/localsock"
	"countersign/tray/agent/beside"
	"countersign/tray/agent/guard"
	"countersign/tray/agent/tokens"
)

// Work is scrypt's work factor for what people's passphrases protect, a file
// keychain and the recovery file: about a second for each try.
const Work = 18

type flags struct {
	home, keychain, passphrase string
	restore, database          string
	headless, noPage           bool
	locked                     string // why it was locked before it began anew
}

// Main is the program countersign-agent. Of the options only Work counts, [Work] and
// less only in tests, and DNS and Cards, which tests bring along; the rest comes from the
// command line. It returns the exit code: 0 ended in order, 1 failed, 2 wrong usage.
func Main(o Options) int {
	var f flags
	set := flag.NewFlagSet("countersign-agent", flag.ContinueOnError)
	set.StringVar(&f.home, "home", "", "keep the whole profile in this `folder` (or COUNTERSIGN_HOME)")
	set.StringVar(&f.keychain, "keychain", "", "where private keys are kept: `system or file`; a profile that began with a file goes on with it")
	set.StringVar(&f.passphrase, "passphrase-file", "", "the `file` that holds the file keychain's passphrase; - reads a line from standard input")
	set.BoolVar(&f.headless, "headless", false, "open no browser and show no icon")
	set.BoolVar(&f.noPage, "no-page", false, "open no browser")
	set.StringVar(&f.restore, "restore", "", "bring a profile back from this recovery `file`, and end; its eight words come by standard input")
	set.StringVar(&f.database, "database", "", "with --restore: the `file` that holds a copy of the database")
	set.StringVar(&f.locked, guard.Flag, "", "begin locked; given by the agent to itself, with the `reason`")
	set.Bool("demo", false, "run on an embedded mail server with a colleague to write to")
	if err := set.Parse(os.Args[1:]); err != nil {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, f, o); err != nil {
		fmt.Fprintln(os.Stderr, "countersign-agent:", sentence(words(err)))
		return 1
	}
	return 0
}

func run(ctx context.Context, f flags, o Options) error {
	if err := harden.Process(); err != nil {
		return fmt.Errorf("keeping keys out of core dumps: %w", err)
	}
	o.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := platform.Background(); err != nil {
		o.Log.Warn("it runs in the foreground", "error", err)
	}
	dirs, err := platform.FindDirs(f.home)
	if err != nil {
		return err
	}
	if err := dirs.Make(); err != nil {
		return err
	}
	lock, err := onlyOne(ctx, dirs.Run)
	if errors.Is(err, platform.ErrRunning) {
		return errors.New("an agent already runs for this profile; countersign page opens its page")
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	if f.restore != "" {
		store, err := openKeychain(ctx, f, dirs, o.Work)
		if err != nil {
			return err
		}
		return restore(ctx, f, dirs, store)
	}
	if o.Cards == nil {
		o.Cards = &tokens.World{}
	}
	o.Dirs, o.Policy = dirs, platform.PolicyPath()
	icon := &beside.Icon{Program: beside.Beside(dirs.Data), Log: o.Log}
	if !f.headless && platform.HasDesktop() {
		defer keep(ctx, icon)()
	}
	g := guard.Guard{
		Open: func(ctx context.Context, first bool) (guard.Agent, error) {
			store, err := openKeychain(ctx, f, dirs, o.Work)
			if err != nil {
				return nil, err
			}
			o := o
			o.Keychain = store
			a, err := Open(ctx, o)
			if err != nil {
				return nil, err
			}
			a.lockable, a.openPage = true, first && !f.headless && !f.noPage
			return a, nil
		},
		Once: f.passphrase == "-", Folder: dirs.Run, Only: lock, Leaving: icon.End, Locked: f.locked, Version: version(), Log: o.Log, Words: words,
	}
	return g.Run(ctx)
}

// keep runs the icon until the function returned is called, which waits for its end.
func keep(ctx context.Context, icon *beside.Icon) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		icon.Run(ctx)
	}()
	return func() { cancel(); <-over }
}

// onlyOne takes the profile's lock. One that is held by an agent which no longer
// answers is on its way out, and worth a few seconds.
func onlyOne(ctx context.Context, dir string) (io.Closer, error) {
	for deadline := time.Now().Add(10 * time.Second); ; {
		lock, err := platform.Lock(dir)
		if !errors.Is(err, platform.ErrRunning) || time.Now().After(deadline) {
			return lock, err
		}
		conn, dialled := localsock.Dial(ctx, dir)
		if dialled == nil {
			conn.Close()
			return nil, err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// openKeychain opens the place of the private keys.
func openKeychain(ctx context.Context, f flags, dirs platform.Dirs, work int) (keychain.Store, error) {
	path := filepath.Join(dirs.Data, "keychain.age")
	if _, err := os.Lstat(path); err == nil && f.keychain == "" {
		f.keychain = "file"
	}
	switch f.keychain {
	case "", "system":
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		store, err := keychain.OpenSystem(ctx, dirs.Data)
		if err != nil {
			return nil, fmt.Errorf("%w. Unlock the keychain, or start with --keychain file on a machine that has none", err)
		}
		return store, nil
	case "file":
		if f.restore != "" && f.passphrase == "-" {
			return nil, errors.New("with --restore standard input is for the eight words: put the passphrase into a file")
		}
		passphrase, err := readPassphrase(f.passphrase)
		if err != nil {
			return nil, err
		}
		return keychain.OpenFile(path, passphrase, work)
	}
	return nil, fmt.Errorf("--keychain is system or file, not %q", f.keychain)
}

// readPassphrase reads the first line of the file, or of standard input.
func readPassphrase(name string) ([]byte, error) {
	in := io.Reader(os.Stdin)
	switch name {
	case "":
		return nil, errors.New("a file keychain needs its passphrase: name it with --passphrase-file")
	case "-":
	default:
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("reading the passphrase: %w", err)
		}
		defer f.Close()
		in = f
	}
	line, err := bufio.NewReader(io.LimitReader(in, 4096)).ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading the passphrase: %w", err)
	}
	line = bytes.TrimRight(line, "\r\n")
	if len(line) == 0 {
		return nil, errors.New("the passphrase is empty")
	}
	return line, nil
}
