//go:build unix

package platform

import "syscall"

// detached gives a program a session of its own: no terminal's end ends it.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
