//go:build unix

package platform

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// defaultHome is the folder of the user's own profile.
func defaultHome() (string, error) {
	if runtime.GOOS == "darwin" {
		dir, err := os.UserConfigDir() // ~/Library/Application Support
		return filepath.Join(dir, "Countersign"), err
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "countersign"), nil
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".local", "share", "countersign"), err
}

// CheckPrivate fails with [ErrExposed] unless dir is a folder of this user's
// that nobody else can enter.
func CheckPrivate(dir string) error {
	info, err := ownFolder(dir)
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("%w: %s belongs to somebody else", ErrExposed, dir)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%w: %s has mode %04o; chmod 700 closes it", ErrExposed, dir, info.Mode().Perm())
	}
	return nil
}

// closeFolder keeps everybody else out of a folder.
func closeFolder(dir string) error {
	if _, err := ownFolder(dir); err != nil {
		return err
	}
	return os.Chmod(dir, 0o700)
}

// syncFolder makes a rename in dir last.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
