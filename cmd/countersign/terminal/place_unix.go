//go:build unix

package terminal

import (
	"os"

	"golang.org/x/sys/unix"
)

// foreground tells whether what is typed at a terminal is meant for this process.
func foreground(f *os.File) bool {
	group, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
