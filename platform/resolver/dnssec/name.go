package dnssec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// name is a domain name as its labels from the root down, in lower case and
// without escapes: comparing slices is then the canonical order of RFC 4034,
// section 6.1.
type name []string

func parseName(s string) (name, error) {
	var wire [255]byte
	n, err := dns.PackDomainName(dns.Fqdn(s), wire[:], 0, nil, false)
	if err != nil {
		return nil, fmt.Errorf("%q is not a domain name: %w", s, err)
	}
	var out name
	for off := 0; off < n && wire[off] != 0; off += int(wire[off]) + 1 {
		out = append(out, string(lower(wire[off+1:off+1+int(wire[off])])))
	}
	slices.Reverse(out)
	return out, nil
}

// lower changes ASCII letters only.
func lower(label []byte) []byte {
	out := slices.Clone(label)
	for i, c := range out {
		if 'A' <= c && c <= 'Z' {
			out[i] = c + 'a' - 'A'
		}
	}
	return out
}

func (n name) String() string {
	var wire []byte
	for _, label := range slices.Backward(n) {
		wire = append(append(wire, byte(len(label))), label...)
	}
	s, _, err := dns.UnpackDomainName(append(wire, 0), 0)
	if err != nil { // only a name that was put together too long
		return strings.Repeat("?", 256)
	}
	return s
}

// under reports whether n is zone or below it.
func (n name) under(zone name) bool {
	return len(n) >= len(zone) && slices.Equal(n[:len(zone)], zone)
}

// common is the longest name that both lie under.
func (n name) common(other name) name {
	i := 0
	for i < len(n) && i < len(other) && n[i] == other[i] {
		i++
	}
	return n[:i]
}

// wildcard is the name *.n.
func (n name) wildcard() name { return append(slices.Clone(n), "*") }
