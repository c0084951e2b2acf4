package settings

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of the policy file.
const (
	maxPolicy   = 64 << 10 // bytes
	maxLines    = 2000
	maxMessage  = 1000 // megabytes
	defaultSize = 25   // megabytes: what most mail servers take
	maxPIN      = 480  // minutes: a working day
	defaultPIN  = 15 * time.Minute
)

// Policy is what the administrator decided. The zero value is no file at all:
// everything is left to the user.
type Policy struct {
	NoSummaries       bool
	NoContentKeys     bool     // K1b forbidden
	NoPrivate         bool     // nobody at private addresses is asked
	RequireAnchor     bool     // V6: a certificate confirmed by words needs an anchor as well
	GraceHours        *int     // the most the user may allow; nil: the user decides
	MessageMegabytes  int      // the largest message to send; 0: 25
	RevocationHosts   []string // lower case; may be asked about a stranger's certificate (I1)
	SilentAuthorities bool     // certificates that name no place to ask about withdrawal will do
	RespondersFirst   bool     // responders are asked about a certificate before lists are fetched
	NoFinding         bool     // people's certificates are not looked for
	Directories       []string // ldaps://host or ldap://host, where they are looked for as well
	DNSServers        []string // instead of the system's: IP addresses, with or without a port
	DNSAnchors        []string // instead of the root's keys: DS records (I5)
	DNSValidating     bool     // DNSServers, all on loopback, check signatures for us (I5)
	// KeyAnnouncements is what else a key announcement needs (V7): "words" are the safety
	// words on a call, "call" a whole verification; empty: its two signatures are enough.
	KeyAnnouncements string
	// LockWithScreen is whether keys are dropped with the screen's lock, "on" or "off",
	// whatever the user prefers (K2); empty: as the user prefers.
	LockWithScreen string
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
	if p.LockWithScreen != "" {
		u.LockWithScreen = p.LockWithScreen == "on"
	}
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
	if l := p.list(name); l != nil {
		err = l.add(value)
	} else if seen[name] {
		return fmt.Errorf("%q is given twice", name)
	} else if s := p.choice(name); s != nil {
		*s.on, err = is(value, s.word)
	} else if n := p.number(name); n != nil {
		err = n.set(value)
	} else {
		err = p.setOther(name, value)
	}
	seen[name] = true
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (p *Policy) setOther(name, value string) (err error) {
	switch name {
	case "version":
		if value != "1" {
			err = fmt.Errorf("%q is not known to this program", value)
		}
	case "message-megabytes":
		p.MessageMegabytes, err = number(value, 1, maxMessage)
	case "key-announcements":
		if value != "words" && value != "call" && value != "signed" {
			err = fmt.Errorf("say signed, words or call, not %q", value)
		} else if value != "signed" {
			p.KeyAnnouncements = value
		}
	case "lock-with-screen":
		if p.LockWithScreen = value; value != "on" && value != "off" {
			err = fmt.Errorf("say on or off, not %q", value)
		}
	case "sha1-before":
		if p.SHA1Before, err = time.Parse(time.DateOnly, value); err != nil || p.SHA1Before.IsZero() {
			err = fmt.Errorf("say a day as 2027-01-31, not %q", value)
		}
	default:
		err = fmt.Errorf("this is not a setting this program knows")
	}
	return err
}

// Format writes the policy in its canonical form: what [ParsePolicy] reads back to
// the same value.
func (p Policy) Format() []byte {
	var b strings.Builder
	b.WriteString("version = 1\n")
	for _, c := range p.choices() {
		if *c.on {
			b.WriteString(c.name + " = " + c.word + "\n")
		}
	}
	for _, n := range p.numbers() {
		if *n.into != nil {
			fmt.Fprintf(&b, "%s = %d\n", n.name, **n.into)
		}
	}
	if p.MessageMegabytes != 0 {
		fmt.Fprintf(&b, "message-megabytes = %d\n", p.MessageMegabytes)
	}
	if p.KeyAnnouncements != "" {
		b.WriteString("key-announcements = " + p.KeyAnnouncements + "\n")
	}
	if p.LockWithScreen != "" {
		b.WriteString("lock-with-screen = " + p.LockWithScreen + "\n")
	}
	if !p.SHA1Before.IsZero() {
		b.WriteString("sha1-before = " + p.SHA1Before.Format(time.DateOnly) + "\n")
	}
	for _, l := range p.lists() {
		for _, v := range *l.into {
			b.WriteString(l.name + " = " + v + "\n")
		}
	}
	return []byte(b.String())
}
