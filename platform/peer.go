package platform

import (
	"fmt"
	"net"
	"net/netip"
)

// ends returns the address of a loopback connection's other end and of ours.
// Anything but TCP from this machine to itself is an error.
func ends(c net.Conn) (peer, mine netip.AddrPort, err error) {
	p, ok1 := c.RemoteAddr().(*net.TCPAddr)
	m, ok2 := c.LocalAddr().(*net.TCPAddr)
	if !ok1 || !ok2 || !p.IP.IsLoopback() || !m.IP.IsLoopback() {
		return peer, mine, fmt.Errorf("asking whose connection it is: %s is no loopback TCP address", c.RemoteAddr())
	}
	return unmapped(p), unmapped(m), nil
}

func unmapped(a *net.TCPAddr) netip.AddrPort {
	ap := a.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}
