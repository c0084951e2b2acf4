//go:build unix

package resolver

import "github.com/miekg/dns"

// systemServers reads the file that the system's own resolver reads.
func systemServers() ([]string, error) {
	config, err := dns.ClientConfigFromFile("/etc/resolv.conf")
	if err != nil {
		return nil, err
	}
	return config.Servers, nil
}
