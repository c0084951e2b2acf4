// Package platform is what differs between operating systems and is not mail.
package platform

import (
	"errors"
	"io"
	"net"
)

var (
	ErrRunning   = errors.New("platform: another agent uses this profile")
	ErrNoDesktop = errors.New("platform: no desktop session to open a browser in")
)

// Dirs is the folders of one profile.
type Dirs struct {
	Data string // database, keychain file, recovery state
	Run  string // socket, lock, the page's opening file
}

func FindDirs(home string) (Dirs, error)       { return Dirs{}, nil }
func (d Dirs) Make() error                     { return nil }
func Lock(dir string) (io.Closer, error)       { return nil, nil }
func OpenBrowser(file, profile string) error   { return nil }
func Harden() error                            { return nil }
func PeerIsMe(c net.Conn) (bool, error)        { return false, nil }
func WriteFile(path string, data []byte) error { return nil }
