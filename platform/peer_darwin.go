package platform

import (
	"errors"
	"net"
)

// PeerIsMe can't tell on macOS without cgo: errors.ErrUnsupported.
func PeerIsMe(net.Conn) (bool, error) { return false, errors.ErrUnsupported }
