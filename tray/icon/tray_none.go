//go:build darwin && !cgo

package icon

import "fmt"

// newTray fails: the menu bar of macOS is reached through Objective-C.
func newTray() (tray, error) {
	return nil, fmt.Errorf("%w: on macOS the program has to be built with cgo", errNotHere)
}
