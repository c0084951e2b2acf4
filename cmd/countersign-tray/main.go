// Command countersign-tray is the icon: its menu, and the desktop's notifications. It is a
// client of the agent's socket, like the command line; countersign-agent starts it where there
// is a desktop, and starts it again when it fails.
package main

import (
	"os"

	"countersign/tray/icon"
)

func main() { os.Exit(icon.Main()) }
