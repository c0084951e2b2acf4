package pkcs11

import (
	"os"
	"syscall"
)

// createNoWindow is CREATE_NO_WINDOW.
const createNoWindow = 0x08000000

// apart gives the helper no console window and keeps Ctrl-C from it.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{HideWindow: true, CreationFlags: createNoWindow | syscall.CREATE_NEW_PROCESS_GROUP}
}

// folder is where the helper runs: where it keeps nothing from being removed.
func folder() string { return os.Getenv("SystemRoot") }
