package terminal

import (
	"os"
	"path/filepath"
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

// Lend remembers the state of a terminal that another program may use. back waits until it is
// as it was.
func Lend(path string) (back func()) {
	f, err := os.Open(path)
	if err != nil {
		return func() {}
	}
	before, err := term.GetState(int(f.Fd()))
	return func() {
		defer f.Close()
		for end := time.Now().Add(settling); err == nil && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if now, err := term.GetState(int(f.Fd())); err != nil || *now == *before {
				return
			}
		}
	}
}
