//go:build unix

package platform

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
)

// PolicyPath is where the administrator's policy file lies. Nothing moves it.
func PolicyPath() string {
	if runtime.GOOS == "darwin" {
		return "/Library/Application Support/Countersign/policy"
	}
	return "/etc/countersign/policy"
}

// checkAdministrators fails with [ErrExposed] unless a file or folder belongs
// to root and nobody else can write to it. The sticky bit does not help: a
// stranger may still put something there first.
func checkAdministrators(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode().Type() == os.ModeSymlink {
		return fmt.Errorf("%w: %s is a link", ErrExposed, path)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || stat.Uid != 0 {
		return fmt.Errorf("%w: %s does not belong to root", ErrExposed, path)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%w: others can write to %s", ErrExposed, path)
	}
	return nil
}
