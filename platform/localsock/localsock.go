// Package localsock is a stream between two programs of the same user, both
// ends checked: nobody else reaches the one that listens, and nobody else can
// pretend to be it.
//
// On Unix it is a socket of mode 0600 in a folder of mode 0700, and each end
// asks the kernel who is at the other: SO_PEERCRED on Linux, LOCAL_PEERCRED on
// macOS. On Windows it is a named pipe that refuses remote clients and whose
// access list names this user alone; the end that dials also asks whose
// process serves it.
//
// This keeps out other users. It does not keep out a program that runs as the
// same user: that one can do whatever the user can.
package localsock

import "errors"

// Errors that callers tell apart.
var (
	ErrNobody   = errors.New("localsock: nobody is listening")
	ErrStranger = errors.New("localsock: the other end belongs to another user")
)
