//go:build unix

package platform

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// lockVariable names the descriptor of the profile's lock to the program that begins
// anew, so that no other can come in between.
const lockVariable = "COUNTERSIGN_LOCK"

// Again begins this program anew with other arguments, in the same process: nothing of
// its memory is left to it, and what it had open ends, but for the profile's lock. Where
// that cannot be done it returns the error. Done says that a process of its own was
// started instead, and that this one has to end.
//
// On Linux it is the very file that runs, though another may lie in its place by now.
func Again(args []string, lock io.Closer) (done bool, err error) {
	self := "/proc/self/exe"
	if runtime.GOOS != "linux" {
		if self, err = os.Executable(); err != nil {
			return false, err
		}
	}
	env := os.Environ()
	if f, ok := lock.(*os.File); ok {
		fd := f.Fd()
		if _, err := unix.FcntlInt(fd, unix.F_SETFD, 0); err != nil {
			return false, fmt.Errorf("keeping the profile's lock: %w", err)
		}
		defer unix.CloseOnExec(int(fd))
		env = append(env, lockVariable+"="+strconv.Itoa(int(fd)))
	}
	return false, syscall.Exec(self, args, env)
}

// inherited is the lock of a profile that this program kept when it began anew, or nil.
func inherited(dir string) *os.File {
	fd, err := strconv.Atoi(os.Getenv(lockVariable))
	os.Unsetenv(lockVariable)
	if err != nil || fd < 3 {
		return nil
	}
	var has, wants unix.Stat_t
	if unix.Fstat(fd, &has) != nil || unix.Stat(filepath.Join(dir, "lock"), &wants) != nil || has.Dev != wants.Dev || has.Ino != wants.Ino {
		return nil
	}
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), filepath.Join(dir, "lock"))
}
