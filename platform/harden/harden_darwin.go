package harden

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Process forbids core dumps.
func Process() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbidding core dumps: %w", err)
	}
	return nil
}
