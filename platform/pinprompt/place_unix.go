//go:build unix

package pinprompt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/term"

	"countersign/platform"
)

// place is where a prompt is shown.
type place struct {
	terminal string // its path; empty: the screen
	kind     string
	file     *os.File
	before   *term.State
}

// termName is what a terminal's kind may be called: a file of terminfo(5), and no path.
var termName = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z.+-]{0,31}$`)

var errTerminal = errors.New("not a terminal of this user")

// openPlace finds where a question is to be asked. Of a terminal it remembers the state.
func openPlace(q Question) (*place, error) {
	if q.Terminal == "" || q.ScreenFirst && hasScreen() {
		return &place{}, nil
	}
	at := &place{terminal: q.Terminal, kind: "vt100"}
	if termName.MatchString(q.TerminalType) {
		at.kind = q.TerminalType
	}
	refuse := func(err error) (*place, error) {
		return nil, &Unavailable{"The PIN cannot be asked for in this terminal.", err}
	}
	if !strings.HasPrefix(q.Terminal, "/dev/") || filepath.Clean(q.Terminal) != q.Terminal || clean(q.Terminal, maxLabel) != q.Terminal {
		return refuse(errTerminal)
	}
	info, err := os.Lstat(q.Terminal)
	if err != nil {
		return refuse(err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || int(stat.Uid) != os.Geteuid() || info.Mode()&os.ModeCharDevice == 0 {
		return refuse(errTerminal)
	}
	if at.file, err = os.OpenFile(q.Terminal, os.O_RDWR|syscall.O_NOCTTY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0); err != nil {
		return refuse(err)
	}
	if opened, err := at.file.Stat(); err != nil || !os.SameFile(info, opened) {
		at.file.Close()
		return refuse(errors.Join(errTerminal, err))
	}
	if at.before, err = term.GetState(int(at.file.Fd())); err != nil {
		at.file.Close()
		return refuse(fmt.Errorf("%w: %w", errTerminal, err))
	}
	return at, nil
}

// leave puts the terminal back as it was: a pinentry that was ended could not.
func (p *place) leave() {
	if p.file != nil {
		_ = term.Restore(int(p.file.Fd()), p.before) // it may be gone
		p.file.Close()
	}
}

// programs are the pinentries that may be run here, the best first.
func (p *place) programs() ([]string, error) {
	if p.terminal != "" {
		return trusted(onTerminal(), p.needs())
	}
	if !hasScreen() {
		return nil, &Unavailable{"There is no screen here to ask for the PIN on.", nil}
	}
	return trusted(onScreen(), p.needs())
}

// trusted are those of the paths that are installed and may be run.
func trusted(paths []string, needs string) ([]string, error) {
	var found []string
	var exposed error
	for _, path := range paths {
		real, err := platform.AdministratorsFile(path)
		switch {
		case errors.Is(err, platform.ErrExposed):
			exposed = err
		case err == nil && !slices.Contains(found, real):
			found = append(found, real)
		}
	}
	switch {
	case len(found) > 0:
		return found, nil
	case exposed != nil:
		return nil, &Unavailable{"The program that asks for PINs lies where others than the administrator could change it, so it is not used. Install " + needs + ".", exposed}
	}
	return nil, &Unavailable{"The program that asks for PINs is not installed. Install " + needs + ".", nil}
}
