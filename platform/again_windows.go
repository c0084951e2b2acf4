package platform

import (
	"io"
	"os"
)

// Again begins this program anew with other arguments, in a process of its own, with the
// same standard files. If err is nil, this one has to end: the other waits for the
// profile's lock.
func Again(args []string, _ io.Closer) (done bool, err error) {
	self, err := os.Executable()
	if err != nil {
		return false, err
	}
	p, err := os.StartProcess(self, args, &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	if err != nil {
		return false, err
	}
	return true, p.Release()
}
