package settings

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"countersign/platform/resolver/dnssec"
)

// Bounds of where certificates are looked for.
const (
	maxDirectories = 8
	maxServers     = 4
)

// addDirectory takes ldaps://host or ldap://host, with or without a port.
func (p *Policy) addDirectory(value string) error {
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "ldaps" && u.Scheme != "ldap" || u.User != nil || !isHostName(u.Hostname()) && !isAddress(u.Hostname()) ||
		strings.TrimPrefix(value, u.Scheme+"://") != u.Host || strings.HasSuffix(u.Host, ":") {
		return fmt.Errorf("say ldaps://host or ldap://host, with or without a port, not %q", value)
	}
	if slices.Contains(p.Directories, value) {
		return fmt.Errorf("%q is given twice", value)
	}
	if len(p.Directories) == maxDirectories {
		return fmt.Errorf("more than %d directories", maxDirectories)
	}
	p.Directories = append(p.Directories, value)
	return nil
}

func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

// addServer takes an IP address, with or without a port.
func (p *Policy) addServer(value string) error {
	if _, err := serverAddress(value); err != nil {
		return fmt.Errorf("a DNS server is an IP address, with or without a port, not %q", value)
	}
	if slices.Contains(p.DNSServers, value) {
		return fmt.Errorf("%q is given twice", value)
	}
	if len(p.DNSServers) == maxServers {
		return fmt.Errorf("more than %d DNS servers", maxServers)
	}
	p.DNSServers = append(p.DNSServers, value)
	return nil
}

// addAnchor takes a DS record, as zone files have it.
func (p *Policy) addAnchor(value string) error {
	if _, err := dnssec.ParseAnchor(value); err != nil {
		return fmt.Errorf("say a DS record, as . IN DS 20326 8 2 E06D..., not %q", value)
	}
	if slices.Contains(p.DNSAnchors, value) {
		return fmt.Errorf("%q is given twice", value)
	}
	if len(p.DNSAnchors) == maxServers {
		return fmt.Errorf("more than %d anchors", maxServers)
	}
	p.DNSAnchors = append(p.DNSAnchors, value)
	return nil
}

func serverAddress(value string) (netip.Addr, error) {
	if a, err := netip.ParseAddr(value); err == nil {
		return a, nil
	}
	a, err := netip.ParseAddrPort(value)
	return a.Addr(), err
}

// believable says that a DNS server which is believed cannot be another machine (I5).
func (p *Policy) believable() error {
	if !p.DNSValidating {
		return nil
	}
	if len(p.DNSServers) == 0 {
		return fmt.Errorf("dns-validating needs a dns-server")
	}
	for _, s := range p.DNSServers {
		if a, err := serverAddress(s); err != nil || !a.IsLoopback() {
			return fmt.Errorf("dns-validating needs servers on this machine, and %s is not", s)
		}
	}
	return nil
}
