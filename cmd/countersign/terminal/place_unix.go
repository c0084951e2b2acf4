//go:build unix

package terminal

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// foreground tells whether what is typed at a terminal is meant for this process.
func foreground(f *os.File) bool {
	group, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// Suspend has Ctrl-Z call stop while another program asks at a lent terminal: that would go on
// reading what is typed for the shell. At any other time the process is suspended as ever.
func (l *Lent) Suspend(stop func()) {
	if l == nil {
		return
	}
	pressed := make(chan os.Signal, 1)
	signal.Notify(pressed, syscall.SIGTSTP)
	go func() {
		for range pressed {
			if l.Used() {
				stop()
			} else {
				_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
			}
		}
	}()
}
