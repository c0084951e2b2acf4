package resolver

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/windows"
)

// systemServers asks Windows for the servers of the interfaces that are up.
func systemServers() ([]string, error) {
	const flags = windows.GAA_FLAG_SKIP_UNICAST | windows.GAA_FLAG_SKIP_ANYCAST | windows.GAA_FLAG_SKIP_MULTICAST | windows.GAA_FLAG_SKIP_FRIENDLY_NAME
	size := uint32(15 << 10) // what Microsoft recommends to begin with
	for range 3 {
		memory := make([]byte, size) // not of the record's type: what Windows writes there is not for the garbage collector
		first := (*windows.IpAdapterAddresses)(unsafe.Pointer(&memory[0]))
		err := windows.GetAdaptersAddresses(windows.AF_UNSPEC, flags, 0, first, &size)
		switch {
		case errors.Is(err, windows.ERROR_BUFFER_OVERFLOW):
			continue
		case err != nil:
			return nil, fmt.Errorf("listing network interfaces: %w", err)
		}
		return adapterServers(first), nil
	}
	return nil, errors.New("listing network interfaces: they change all the time")
}

func adapterServers(first *windows.IpAdapterAddresses) []string {
	var servers []string
	for a := first; a != nil; a = a.Next {
		if a.OperStatus != windows.IfOperStatusUp {
			continue
		}
		for s := a.FirstDnsServerAddress; s != nil; s = s.Next {
			ip, ok := netip.AddrFromSlice(bytes.Clone(s.Address.IP()))
			// fec0:0:0:ffff:: is what Windows fills in where nothing is configured.
			if !ok || netip.MustParsePrefix("fec0:0:0:ffff::/64").Contains(ip) {
				continue
			}
			if ip = ip.Unmap(); ip.IsLinkLocalUnicast() && ip.Is6() {
				ip = ip.WithZone(fmt.Sprint(a.Ipv6IfIndex))
			}
			servers = append(servers, ip.String())
		}
	}
	return servers
}
