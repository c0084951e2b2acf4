package terminal

import (
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/term"
)

// Path is the path of the terminal that one of the files is, such as /dev/pts/3. It is empty
// where none is, and in the background, where what is typed is meant for another program.
// On Windows it is always empty.
func Path(files ...*os.File) string {
	for _, f := range files {
		info, err := f.Stat()
		if err != nil || info.Mode()&os.ModeCharDevice == 0 || !foreground(f) {
			continue
		}
		for _, pattern := range []string{"/dev/pts/[0-9]*", "/dev/tty?*"} { // tty itself is another device
			found, _ := filepath.Glob(pattern) // the patterns are good
			for _, path := range found {
				if at, err := os.Stat(path); err == nil && os.SameFile(at, info) {
					return path
				}
			}
		}
	}
	return ""
}

// settling is how long another program may take to give a terminal back.
const settling = 3 * time.Second

// Lent is a terminal that another program may use.
type Lent struct {
	file   *os.File
	before *term.State
}

// Lend remembers the state of a terminal. Nil is one that is not there.
func Lend(path string) *Lent {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	before, err := term.GetState(int(f.Fd()))
	if err != nil {
		f.Close()
		return nil
	}
	return &Lent{f, before}
}

// Used tells whether the other program has it now.
func (l *Lent) Used() bool {
	if l == nil {
		return false
	}
	now, err := term.GetState(int(l.file.Fd()))
	return err == nil && *now != *l.before
}

// Back waits until the terminal is as it was. If the other program died over it, it is set so:
// else what is typed next would not be shown.
func (l *Lent) Back() {
	if l == nil {
		return
	}
	defer l.file.Close()
	for end := time.Now().Add(settling); l.Used(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			if foreground(l.file) {
				_ = term.Restore(int(l.file.Fd()), l.before) // it may be gone
			}
			return
		}
	}
}

// BeforeScreen tells whether the person at this terminal sees this computer's screen.
func BeforeScreen(env func(string) string) bool {
	if env("SSH_CONNECTION") != "" || env("SSH_TTY") != "" {
		return false // a screen that ssh(1) passes on is not the one that the agent knows
	}
	return runtime.GOOS == "darwin" || env("DISPLAY") != "" || env("WAYLAND_DISPLAY") != ""
}
