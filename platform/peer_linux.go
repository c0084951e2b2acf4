package platform

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// PeerIsMe tells whether the other end of a loopback TCP connection belongs to
// a process of this user. The kernel knows the owner of each socket
// (/proc/net/tcp, proc_net_tcp(5)); a peer that has closed already is nobody.
func PeerIsMe(c net.Conn) (bool, error) {
	peer, mine, err := ends(c)
	if err != nil {
		return false, err
	}
	// A program may reach an IPv4 address through an IPv6 socket.
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		uid, found, err := socketOwner(table, peer, mine)
		if err != nil {
			return false, fmt.Errorf("asking whose connection it is: %w", err)
		}
		if found {
			return uid == os.Geteuid(), nil
		}
	}
	return false, nil
}

func socketOwner(table string, local, remote netip.AddrPort) (uid int, found bool, err error) {
	f, err := os.Open(table)
	if errors.Is(err, os.ErrNotExist) { // a kernel without IPv6
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	defer f.Close()
	return findSocket(f, local, remote)
}

// findSocket looks for the socket between two addresses in a table of
// sockets. One without an inode belongs to nobody any more: its uid is 0.
func findSocket(r io.Reader, local, remote netip.AddrPort) (uid int, found bool, err error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		// sl local_address rem_address st tx:rx tr:tm->when retrnsmt uid timeout inode
		f := strings.Fields(lines.Text())
		if len(f) < 10 || f[9] == "0" {
			continue
		}
		l, err1 := parseSocket(f[1])
		r, err2 := parseSocket(f[2])
		if err1 != nil || err2 != nil || l != local || r != remote {
			continue
		}
		uid, err := strconv.Atoi(f[7])
		return uid, err == nil, err
	}
	return 0, false, lines.Err()
}

// parseSocket reads "0100007F:1F90": the address as the kernel's 32-bit words
// in the machine's order, the port as a number.
func parseSocket(s string) (netip.AddrPort, error) {
	addr, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	for i := 0; i+4 <= len(b); i += 4 {
		binary.BigEndian.PutUint32(b[i:], binary.NativeEndian.Uint32(b[i:]))
	}
	ip, ok := netip.AddrFromSlice(b)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("address of %d bytes", len(b))
	}
	p, err := strconv.ParseUint(port, 16, 16)
	return netip.AddrPortFrom(ip.Unmap(), uint16(p)), err
}
