package terminal

import "os"

// foreground: a console has no path by which another program could ask there.
func foreground(*os.File) bool { return false }

// Suspend: nothing is lent on Windows.
func (*Lent) Suspend(func()) {}
