package harden

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Process keeps the memory of this process from core dumps and from other
// processes of the same user: no debugger attaches, /proc shows no memory.
// A process with root's rights still can.
func Process() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbidding core dumps: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("closing this process to others: %w", err)
	}
	return nil
}
