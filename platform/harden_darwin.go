package platform

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Harden forbids core dumps.
func Harden() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbidding core dumps: %w", err)
	}
	return nil
}
