package localsock

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"
)

func peerUID(fd int) (int, error) {
	cred, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, err
	}
	return int(cred.Uid), nil
}

// maxPath is what fits into sockaddr_un (unix(4)) with its final zero.
const maxPath = 103

// shorten returns the name of the socket in dir, if it fits into a socket address.
func shorten(dir string) (name string, done func(), err error) {
	name = filepath.Join(dir, socketName)
	if len(name) > maxPath {
		return "", nil, fmt.Errorf("the path of %s is too long for a socket: choose a shorter --home", dir)
	}
	return name, func() {}, nil
}
