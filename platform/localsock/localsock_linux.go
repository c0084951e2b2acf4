package localsock

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"
)

func peerUID(fd int) (int, error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, err
	}
	return int(cred.Uid), nil
}

// maxPath is what fits into sockaddr_un (unix(7)) with its final zero.
const maxPath = 107

// shorten returns a name for the socket in dir that fits into a socket
// address, good until done is called: a long one is reached by way of an open
// folder.
func shorten(dir string) (name string, done func(), err error) {
	name = filepath.Join(dir, socketName)
	if len(name) <= maxPath {
		return name, func() {}, nil
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, fmt.Errorf("opening the socket's folder: %w", err)
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", fd, socketName), func() { unix.Close(fd) }, nil
}
