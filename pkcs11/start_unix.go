//go:build unix

package pkcs11

import "syscall"

// apart keeps the helper from our terminal: its signals, and a library that would ask there.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// folder is where the helper runs: where it keeps nothing from being removed.
func folder() string { return "/" }
