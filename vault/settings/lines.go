package settings

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"countersign/platform/resolver/dnssec"
)

// Bounds of what may be given more than once.
const (
	maxHosts       = 100
	maxDirectories = 8
	maxServers     = 4
	maxSoftware    = 32
	maxPath        = 1024 // bytes
)

// choice is a setting that is yes or no; word is the one that changes something.
type choice struct {
	name, word string
	on         *bool
}

func (p *Policy) choices() []choice {
	return []choice{
		{"summaries", "no", &p.NoSummaries},
		{"content-keys", "no", &p.NoContentKeys},
		{"private-addresses", "no", &p.NoPrivate},
		{"require-anchor", "yes", &p.RequireAnchor},
		{"silent-authorities", "yes", &p.SilentAuthorities},
		{"responders-first", "yes", &p.RespondersFirst},
		{"find-certificates", "no", &p.NoFinding},
		{"dns-validating", "yes", &p.DNSValidating},
	}
}

func (p *Policy) choice(name string) *choice {
	for _, c := range p.choices() {
		if c.name == name {
			return &c
		}
	}
	return nil
}

// is says whether a value is the word of the two, and that it is one of them.
func is(value, word string) (bool, error) {
	if value != "yes" && value != "no" {
		return false, fmt.Errorf("say yes or no, not %q", value)
	}
	return value == word, nil
}

// figure is a number that may be missing.
type figure struct {
	name string
	high int
	into **int
}

func (p *Policy) numbers() []figure {
	return []figure{{"grace-hours", maxGraceHours, &p.GraceHours}, {"pin-minutes", maxPIN, &p.PINMinutes}}
}

func (p *Policy) number(name string) *figure {
	for _, n := range p.numbers() {
		if n.name == name {
			return &n
		}
	}
	return nil
}

func (f *figure) set(value string) error {
	n, err := number(value, 0, f.high)
	if err == nil {
		*f.into = &n
	}
	return err
}

// number reads plain decimal digits: no sign, no leading zero.
func number(value string, low, high int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || strconv.Itoa(n) != value || n < low || n > high {
		return 0, fmt.Errorf("say a number from %d to %d, not %q", low, high, value)
	}
	return n, nil
}

// list is a setting that may be repeated.
type list struct {
	name  string
	most  int
	into  *[]string
	check func(value string) error
}

func (p *Policy) lists() []list {
	return []list{
		{"revocation-host", maxHosts, &p.RevocationHosts, checkHost},
		{"directory", maxDirectories, &p.Directories, checkDirectory},
		{"dns-server", maxServers, &p.DNSServers, checkServer},
		{"dns-anchor", maxServers, &p.DNSAnchors, checkAnchor},
		{"card-software", maxSoftware, &p.CardSoftware, checkSoftware},
	}
}

func (p *Policy) list(name string) *list {
	for _, l := range p.lists() {
		if l.name == name {
			return &l
		}
	}
	return nil
}

func (l *list) add(value string) error {
	if l.name == "revocation-host" {
		value = strings.ToLower(value)
	}
	switch err := l.check(value); {
	case err != nil:
		return err
	case slices.Contains(*l.into, value):
		return fmt.Errorf("%q is given twice", value)
	case len(*l.into) == l.most:
		return fmt.Errorf("more than %d", l.most)
	}
	*l.into = append(*l.into, value)
	return nil
}

func checkHost(value string) error {
	if !isHostName(value) {
		return fmt.Errorf("%q is not a host name", value)
	}
	return nil
}

// checkDirectory accepts ldaps://host or ldap://host, with or without a port.
func checkDirectory(value string) error {
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "ldaps" && u.Scheme != "ldap" || u.User != nil || !isHostName(u.Hostname()) && !isAddress(u.Hostname()) ||
		strings.TrimPrefix(value, u.Scheme+"://") != u.Host || strings.HasSuffix(u.Host, ":") {
		return fmt.Errorf("say ldaps://host or ldap://host, with or without a port, not %q", value)
	}
	return nil
}

func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

// checkServer accepts an IP address, with or without a port.
func checkServer(value string) error {
	if _, err := serverAddress(value); err != nil {
		return fmt.Errorf("a DNS server is an IP address, with or without a port, not %q", value)
	}
	return nil
}

func serverAddress(value string) (netip.Addr, error) {
	if a, err := netip.ParseAddr(value); err == nil {
		return a, nil
	}
	a, err := netip.ParseAddrPort(value)
	return a.Addr(), err
}

// checkAnchor accepts a DS record, as zone files have it.
func checkAnchor(value string) error {
	if _, err := dnssec.ParseAnchor(value); err != nil {
		return fmt.Errorf("say a DS record, as . IN DS 20326 8 2 E06D..., not %q", value)
	}
	return nil
}

// checkSoftware accepts an absolute path, of any system.
func checkSoftware(value string) error {
	drive := len(value) > 2 && value[1] == ':' && (value[2] == '\\' || value[2] == '/')
	if !drive && value[0] != '/' || len(value) > maxPath {
		return fmt.Errorf("say the whole path of a file or folder, not %q", value)
	}
	return nil
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

// isHostName takes lower-case A-labels (RFC 1123, section 2.1).
func isHostName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		if strings.ContainsFunc(label, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
		}) {
			return false
		}
	}
	return true
}
