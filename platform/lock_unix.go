//go:build unix

package platform

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Lock makes this process the only agent of the profile whose run folder is
// dir, until the lock is closed or the process ends in any way. Where another
// is, it fails at once with [ErrRunning]. What began anew ([Again]) has it still.
func Lock(dir string) (io.Closer, error) {
	f, err := inherited(dir), error(nil)
	if f == nil {
		f, err = os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("locking the profile: %w", err)
	}
	// flock, not fcntl: an fcntl lock is lost when any other part of this
	// process closes the file.
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrRunning
		}
		return nil, fmt.Errorf("locking the profile: %w", err)
	}
	return f, nil // the file stays: removing it would let two agents lock two files
}
