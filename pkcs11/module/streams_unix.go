//go:build linux || darwin

package module

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// takeStreams moves the protocol away from descriptors 0 and 1, where the library
// could print into it: 0 becomes empty, 1 the standard error. What else was inherited
// is closed; our own descriptors are marked to be closed by exec, so they are told apart.
func takeStreams() (in, out *os.File, err error) {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		return nil, nil, fmt.Errorf("listing descriptors: %w", err)
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd < 3 {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			unix.Close(fd)
		}
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	defer null.Close()
	if in, err = moved(0, int(null.Fd()), "requests"); err != nil {
		return nil, nil, err
	}
	if out, err = moved(1, 2, "replies"); err != nil {
		return nil, nil, err
	}
	return in, out, nil
}

// moved takes what stands at fd somewhere else and puts instead there.
func moved(fd, instead int, name string) (*os.File, error) {
	to, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("moving %s: %w", name, err)
	}
	if err := replace(instead, fd); err != nil {
		return nil, fmt.Errorf("moving %s: %w", name, err)
	}
	return os.NewFile(uintptr(to), name), nil
}
