// Package localsock is a stream between two programs of the same user.
package localsock

import (
	"context"
	"errors"
	"net"
)

var (
	ErrNobody   = errors.New("localsock: nobody is listening")
	ErrStranger = errors.New("localsock: the other end belongs to another user")
)

func Listen(dir string) (net.Listener, error)                { return nil, nil }
func Dial(ctx context.Context, dir string) (net.Conn, error) { return nil, nil }
