package platform

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/windows"
)

// PeerIsMe tells whether the other end of a loopback TCP connection belongs to
// a process of this user. Windows knows the process of each connection
// (GetExtendedTcpTable); a peer that has closed already is nobody.
func PeerIsMe(c net.Conn) (bool, error) {
	peer, mine, err := ends(c)
	if err != nil {
		return false, err
	}
	for _, layout := range []tcpLayout{ipv4, ipv6} {
		table, err := layout.table()
		if err != nil {
			return false, fmt.Errorf("asking whose connection it is: %w", err)
		}
		if pid, found := layout.owner(table, peer, mine); found {
			return ProcessIsMine(pid)
		}
	}
	return false, nil
}

// tcpLayout is where things stand in a row of the table of connections:
// MIB_TCPROW_OWNER_PID and MIB_TCP6ROW_OWNER_PID. All numbers are 32 bits.
type tcpLayout struct {
	family                                            uintptr
	row, addr                                         int // sizes in bytes
	localAddr, localPort, remoteAddr, remotePort, pid int // offsets
}

var (
	ipv4 = tcpLayout{windows.AF_INET, 24, 4, 4, 8, 12, 16, 20}
	ipv6 = tcpLayout{windows.AF_INET6, 56, 16, 0, 20, 24, 44, 52}
)

// connections is TCP_TABLE_OWNER_PID_CONNECTIONS.
const connections = 4

func (l tcpLayout) table() ([]byte, error) {
	get := windows.NewLazySystemDLL("iphlpapi.dll").NewProc("GetExtendedTcpTable")
	if err := get.Find(); err != nil {
		return nil, err
	}
	size := uint32(16 << 10)
	for range 5 { // it may grow between two calls
		table := make([]byte, size)
		code, _, _ := get.Call(uintptr(unsafe.Pointer(&table[0])), uintptr(unsafe.Pointer(&size)), 0, l.family, connections, 0)
		switch windows.Errno(code) {
		case 0:
			return table, nil
		case windows.ERROR_INSUFFICIENT_BUFFER:
		default:
			return nil, windows.Errno(code)
		}
	}
	return nil, windows.ERROR_INSUFFICIENT_BUFFER
}

// owner finds the process that holds the local end of a connection.
func (l tcpLayout) owner(table []byte, local, remote netip.AddrPort) (pid uint32, found bool) {
	n := int(binary.LittleEndian.Uint32(table))
	for rows := table[4:]; n > 0 && len(rows) >= l.row; n, rows = n-1, rows[l.row:] {
		if l.end(rows, l.localAddr, l.localPort) == local && l.end(rows, l.remoteAddr, l.remotePort) == remote {
			return binary.LittleEndian.Uint32(rows[l.pid:]), true
		}
	}
	return 0, false
}

// end reads an address and a port, both in network order.
func (l tcpLayout) end(row []byte, addr, port int) netip.AddrPort {
	ip, _ := netip.AddrFromSlice(row[addr : addr+l.addr])
	return netip.AddrPortFrom(ip.Unmap(), binary.BigEndian.Uint16(row[port:]))
}
