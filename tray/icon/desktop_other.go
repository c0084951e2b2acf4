//go:build !linux

package icon

import "context"

// desktop has nothing to wait for: the system ends this program with the session.
func desktop(context.Context) (gone <-chan struct{}, err error) { return nil, nil }
