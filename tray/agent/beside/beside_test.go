package beside

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/platform"
)

// TestMain makes the test binary a program that writes a line into the file named by its first
// argument, says something, and ends with the code that is its second; or, without a number
// there, when its standard input ends.
func TestMain(m *testing.M) {
	if len(os.Args) != 4 || os.Args[1] != "as-icon" {
		os.Exit(m.Run())
	}
	f, err := os.OpenFile(os.Args[2], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		os.Exit(9)
	}
	fmt.Fprintln(f, "began")
	fmt.Fprintln(os.Stderr, "words")
	code, err := strconv.Atoi(os.Args[3])
	if err != nil {
		_, _ = io.Copy(io.Discard, os.Stdin)
		fmt.Fprintln(f, "ended")
	}
	os.Exit(code)
}

type place struct {
	*Icon
	file string
	log  *safe
}

// safe is a buffer for several goroutines.
type safe struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safe) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safe) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func newPlace(t *testing.T, how string) place {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := place{file: filepath.Join(t.TempDir(), "file"), log: &safe{}}
	p.Icon = &Icon{
		Program: platform.Program{Path: self, Args: []string{"as-icon", p.file, how}},
		Log:     slog.New(slog.NewTextHandler(p.log, nil)), Pause: time.Microsecond,
	}
	return p
}

func (p place) lines(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(p.file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Fields(string(text))
}

// TestHowItEnds: what fails is started again, so many times; what is put away, or can't be,
// is not.
func TestHowItEnds(t *testing.T) {
	for how, want := range map[string]struct {
		starts int
		says   string
	}{
		"0": {1, ""}, "1": {patience, "given up"}, "7": {patience, "given up"}, "2": {1, "words"}, "3": {1, "words"},
	} {
		p := newPlace(t, how)
		p.Run(t.Context())
		if n := len(p.lines(t)); n != want.starts {
			t.Errorf("ended with %s: %d starts, not %d", how, n, want.starts)
		}
		if log := p.log.String(); !strings.Contains(log, want.says) || want.says == "" && log != "" {
			t.Errorf("ended with %s: the log has %q", how, log)
		}
	}
}

// TestNotInstalled: nothing is said where there is none.
func TestNotInstalled(t *testing.T) {
	p := newPlace(t, "0")
	p.Program.Path = filepath.Join(t.TempDir(), "countersign-tray")
	p.Run(t.Context())
	if log := p.log.String(); log != "" {
		t.Errorf("the log has %q", log)
	}
}

// TestEnds: it ends in order with the agent, and before the agent begins anew.
func TestEnds(t *testing.T) {
	for name, end := range map[string]func(place, context.CancelFunc){
		"with the agent": func(_ place, cancel context.CancelFunc) { cancel() },
		"before":         func(p place, _ context.CancelFunc) { p.End() },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t, "wait")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			over := make(chan struct{})
			go func() { p.Run(ctx); close(over) }()
			for len(p.lines(t)) == 0 {
				select {
				case <-over:
					t.Fatalf("it ended by itself: %s", p.log)
				default:
				}
			}
			end(p, cancel)
			<-over
			if got := p.lines(t); len(got) != 2 || got[1] != "ended" {
				t.Errorf("%q", got)
			}
		})
	}
}

// TestBeside: the program is looked for beside this one, and nowhere else.
func TestBeside(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := Beside("home")
	if filepath.Dir(p.Path) != filepath.Dir(self) || !strings.HasPrefix(filepath.Base(p.Path), "countersign-tray") || strings.Join(p.Args, " ") != "--attached --home home" {
		t.Errorf("%+v", p)
	}
}
