//go:build !linux

package platform

// Background makes this process one that works behind what the user is doing. On this system
// it does nothing: what there is of that here makes a process slower at its own work, too.
func Background() error { return nil }

func foreground(start func() error) error { return start() }
