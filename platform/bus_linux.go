package platform

import (
	"fmt"
	"os"
)

// SessionBus is the address of the desktop's D-Bus session bus, or empty. It never starts a
// bus, as libraries do where none is named.
func SessionBus() string {
	if a := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); a != "" && a != "autolaunch:" {
		return a
	}
	path := fmt.Sprintf("/run/user/%d/bus", os.Getuid())
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return "unix:path=" + path
}
