package platform

import (
	"net/netip"
	"strings"
	"testing"
)

const sockets = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 11111 1 0000000000000000 100 0 0 10 0
   1: 0100007F:C350 0100007F:1F90 06 00000000:00000000 03:00000A6B 00000000     0        0 0 3 0000000000000000
   2: 0100007F:C351 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1001        0 22222 1 0000000000000000 20 4 30 10 -1
   3: 0000000000000000FFFF00000100007F:C352 0000000000000000FFFF00000100007F:1F90 01 00000000:00000000 00:00000000 00000000  1002        0 33333 1 0
   4: 00000000000000000000000001000000:C353 00000000000000000000000001000000:1F90 01 00000000:00000000 00:00000000 00000000  1003        0 44444 1 0
   5: nonsense
`

func TestFindSocket(t *testing.T) {
	tests := []struct {
		name, local, remote string
		uid                 int
		found               bool
	}{
		{"a connection", "127.0.0.1:50001", "127.0.0.1:8080", 1001, true},
		{"a mapped one", "127.0.0.1:50002", "127.0.0.1:8080", 1002, true},
		{"one of IPv6", "[::1]:50003", "[::1]:8080", 1003, true},
		{"one that was closed, which says uid 0", "127.0.0.1:50000", "127.0.0.1:8080", 0, false},
		{"the other end", "127.0.0.1:8080", "127.0.0.1:50001", 0, false},
		{"none", "127.0.0.1:50009", "127.0.0.1:8080", 0, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			uid, found, err := findSocket(strings.NewReader(sockets), netip.MustParseAddrPort(test.local), netip.MustParseAddrPort(test.remote))
			if err != nil || uid != test.uid || found != test.found {
				t.Errorf("got %d, %v, %v", uid, found, err)
			}
		})
	}
}
