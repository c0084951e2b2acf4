package settings

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of the policy file.
const (
	maxPolicy   = 64 << 10 // bytes
	maxLines    = 2000
	maxHosts    = 100
	maxMessage  = 1000 // megabytes
	defaultSize = 25   // megabytes: what most mail servers take
	maxSoftware = 32
	maxPath     = 1024 // bytes
	maxPIN      = 480  // minutes: a working day
	defaultPIN  = 15 * time.Minute
)

// Policy is what the administrator decided. The zero value is no file at all:
// everything is left to the user.
type Policy struct {
	NoSummaries      bool
	NoContentKeys    bool     // K1b forbidden
	NoPrivate        bool     // nobody at private addresses is asked
	RequireAnchor    bool     // V6: a certificate confirmed by words needs an anchor as well
	GraceHours       *int     // the most the user may allow; nil: the user decides
	MessageMegabytes int      // the largest message to send; 0: 25
	RevocationHosts  []string // lower case; may be asked about a stranger's certificate (I1)
	NoFinding        bool     // people's certificates are not looked for
	Directories      []string // ldaps://host or ldap://host, where they are looked for as well
	DNSServers       []string // instead of the system's: IP addresses, with or without a port
	DNSAnchors       []string // instead of the root's keys: DS records (I5)
	DNSValidating    bool     // DNSServers, all on loopback, check signatures for us (I5)
	// KeyAnnouncements is what else a key announcement needs (V7): "words" are the safety
	// words on a call, "call" a whole verification; empty: its two signatures are enough.
	KeyAnnouncements string
	// SHA1Before is the day, UTC, before which a message must have been received here for
	// a signature with SHA-1 to count (I2); zero: none counts.
	SHA1Before time.Time
	// CardSoftware is the files and folders of card makers' software that may be loaded, by
	// absolute path; a file is used even where nobody would look for it. Empty: whatever is
	// installed where only the administrator can write.
	CardSoftware []string
	PINMinutes   *int // how long a card stays unlocked after its last use; nil: 15
}

// KeepPIN is how long a card stays unlocked, and its PIN known, after the last thing that
// a person did with it. Zero: not a moment longer than that takes.
func (p Policy) KeepPIN() time.Duration {
	if p.PINMinutes == nil {
		return defaultPIN
	}
	return time.Duration(*p.PINMinutes) * time.Minute
}

// MessageBytes is the largest message that may be sent, in bytes as it travels.
func (p Policy) MessageBytes() int64 {
	if p.MessageMegabytes == 0 {
		return defaultSize << 20
	}
	return int64(p.MessageMegabytes) << 20
}

// Limit lays the policy over what the user prefers: the administrator's word wins.
func (p Policy) Limit(u Preferences) Preferences {
	if p.NoSummaries {
		u.KeepSummaries = false
	}
	if p.NoPrivate {
		u.AllowPrivate = false
	}
	if p.GraceHours != nil {
		u.GraceHours = min(u.GraceHours, *p.GraceHours)
	}
	return u
}

// ParsePolicy reads the administrator's file. Any doubt is an error that wraps
// [ErrIllFormed] and names the line.
func ParsePolicy(data []byte) (Policy, error) {
	if len(data) > maxPolicy {
		return Policy{}, fmt.Errorf("%w: the policy file is over %d bytes", ErrIllFormed, maxPolicy)
	}
	if !utf8.Valid(data) {
		return Policy{}, fmt.Errorf("%w: the policy file is not UTF-8", ErrIllFormed)
	}
	lines := strings.Split(string(data), "\n")
	if len(lines) > maxLines {
		return Policy{}, fmt.Errorf("%w: the policy file has over %d lines", ErrIllFormed, maxLines)
	}
	var p Policy
	seen := map[string]bool{}
	for i, line := range lines {
		name, value, err := splitLine(line)
		if err == nil && name != "" {
			err = p.set(name, value, seen)
		}
		if err != nil {
			return Policy{}, fmt.Errorf("%w: policy file, line %d: %w", ErrIllFormed, i+1, err)
		}
	}
	if !seen["version"] {
		return Policy{}, fmt.Errorf("%w: the policy file does not say `version = 1`", ErrIllFormed)
	}
	if err := p.believable(); err != nil {
		return Policy{}, fmt.Errorf("%w: policy file: %w", ErrIllFormed, err)
	}
	return p, nil
}

// splitLine returns the name and value of a line, both empty for a blank line or
// a comment. A comment may follow a value after white space.
func splitLine(line string) (name, value string, err error) {
	line = strings.TrimSuffix(line, "\r")
	if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return "", "", fmt.Errorf("a control character")
	}
	line = strings.ReplaceAll(line, "\t", " ")
	if i := strings.Index(line, "#"); i == 0 || i > 0 && line[i-1] == ' ' {
		line = line[:i]
	}
	line = strings.Trim(line, " ")
	if line == "" {
		return "", "", nil
	}
	name, value, ok := strings.Cut(line, "=")
	name, value = strings.Trim(name, " "), strings.Trim(value, " ")
	if !ok || name == "" || value == "" {
		return "", "", fmt.Errorf("not of the form `name = value`")
	}
	return name, value, nil
}

// set takes one setting. Version comes first, so that a later version's file is
// refused for what it is, not for a name it introduced.
func (p *Policy) set(name, value string, seen map[string]bool) (err error) {
	if !seen["version"] && name != "version" {
		return fmt.Errorf("`version = 1` must come first")
	}
	if seen[name] && !slices.Contains([]string{"revocation-host", "directory", "dns-server", "dns-anchor", "card-software"}, name) {
		return fmt.Errorf("%q is given twice", name)
	}
	seen[name] = true
	switch name {
	case "version":
		if value != "1" {
			return fmt.Errorf("version %q is not known to this program", value)
		}
	case "summaries":
		p.NoSummaries, err = forbidden(value)
	case "content-keys":
		p.NoContentKeys, err = forbidden(value)
	case "private-addresses":
		p.NoPrivate, err = forbidden(value)
	case "require-anchor":
		p.RequireAnchor, err = yes(value)
	case "grace-hours":
		var n int
		if n, err = number(value, 0, MaxGraceHours); err == nil {
			p.GraceHours = &n
		}
	case "message-megabytes":
		p.MessageMegabytes, err = number(value, 1, maxMessage)
	case "find-certificates":
		p.NoFinding, err = forbidden(value)
	case "directory":
		err = p.addDirectory(value)
	case "dns-server":
		err = p.addServer(value)
	case "dns-anchor":
		err = p.addAnchor(value)
	case "dns-validating":
		p.DNSValidating, err = yes(value)
	case "revocation-host":
		err = p.addHost(value)
	case "card-software":
		err = p.addSoftware(value)
	case "pin-minutes":
		var n int
		if n, err = number(value, 0, maxPIN); err == nil {
			p.PINMinutes = &n
		}
	case "key-announcements":
		if value != "words" && value != "call" && value != "signed" {
			err = fmt.Errorf("say signed, words or call, not %q", value)
		} else if value != "signed" {
			p.KeyAnnouncements = value
		}
	case "sha1-before":
		if p.SHA1Before, err = time.Parse(time.DateOnly, value); err != nil || p.SHA1Before.IsZero() {
			err = fmt.Errorf("say a day as 2027-01-31, not %q", value)
		}
	default:
		return fmt.Errorf("%q is not a setting this program knows", name)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (p *Policy) addHost(value string) error {
	host := strings.ToLower(value)
	if !isHostName(host) {
		return fmt.Errorf("%q is not a host name", value)
	}
	if slices.Contains(p.RevocationHosts, host) {
		return fmt.Errorf("%q is given twice", value)
	}
	if len(p.RevocationHosts) == maxHosts {
		return fmt.Errorf("more than %d hosts", maxHosts)
	}
	p.RevocationHosts = append(p.RevocationHosts, host)
	return nil
}

// addSoftware takes an absolute path, of any system.
func (p *Policy) addSoftware(value string) error {
	drive := len(value) > 2 && value[1] == ':' && (value[2] == '\\' || value[2] == '/')
	if !drive && value[0] != '/' || len(value) > maxPath {
		return fmt.Errorf("say the whole path of a file or folder, not %q", value)
	}
	if slices.Contains(p.CardSoftware, value) {
		return fmt.Errorf("%q is given twice", value)
	}
	if len(p.CardSoftware) == maxSoftware {
		return fmt.Errorf("more than %d files and folders", maxSoftware)
	}
	p.CardSoftware = append(p.CardSoftware, value)
	return nil
}

// Format writes the policy in its canonical form: what [ParsePolicy] reads back to
// the same value.
func (p Policy) Format() []byte {
	var b strings.Builder
	b.WriteString("version = 1\n")
	for _, s := range []struct {
		name, value string
		on          bool
	}{
		{"summaries", "no", p.NoSummaries},
		{"content-keys", "no", p.NoContentKeys},
		{"private-addresses", "no", p.NoPrivate},
		{"require-anchor", "yes", p.RequireAnchor},
		{"find-certificates", "no", p.NoFinding},
		{"dns-validating", "yes", p.DNSValidating},
	} {
		if s.on {
			b.WriteString(s.name + " = " + s.value + "\n")
		}
	}
	if p.GraceHours != nil {
		fmt.Fprintf(&b, "grace-hours = %d\n", *p.GraceHours)
	}
	if p.MessageMegabytes != 0 {
		fmt.Fprintf(&b, "message-megabytes = %d\n", p.MessageMegabytes)
	}
	if p.PINMinutes != nil {
		fmt.Fprintf(&b, "pin-minutes = %d\n", *p.PINMinutes)
	}
	if p.KeyAnnouncements != "" {
		b.WriteString("key-announcements = " + p.KeyAnnouncements + "\n")
	}
	if !p.SHA1Before.IsZero() {
		b.WriteString("sha1-before = " + p.SHA1Before.Format(time.DateOnly) + "\n")
	}
	for _, list := range []struct {
		name   string
		values []string
	}{{"revocation-host", p.RevocationHosts}, {"directory", p.Directories}, {"dns-server", p.DNSServers}, {"dns-anchor", p.DNSAnchors}, {"card-software", p.CardSoftware}} {
		for _, v := range list.values {
			b.WriteString(list.name + " = " + v + "\n")
		}
	}
	return []byte(b.String())
}

func yes(value string) (bool, error) {
	switch value {
	case "yes":
		return true, nil
	case "no":
		return false, nil
	}
	return false, fmt.Errorf("say yes or no, not %q", value)
}

func forbidden(value string) (bool, error) {
	allowed, err := yes(value)
	return !allowed && err == nil, err
}

// number reads plain decimal digits: no sign, no leading zero.
func number(value string, low, high int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || strconv.Itoa(n) != value || n < low || n > high {
		return 0, fmt.Errorf("say a number from %d to %d, not %q", low, high, value)
	}
	return n, nil
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
