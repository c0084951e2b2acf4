// Package phrase says times, sizes, fingerprints and levels as people read them, and reads
// addresses as people type them.
package phrase

import (
	"fmt"
	"net/mail"
	"strings"
	"time"
)

// Shape names the drawing beside a verdict: the shape alone tells the level, an
// open envelope that nothing protected the message.
func Shape(level, protection string) string {
	switch {
	case protection == "none":
		return "open"
	case level == "good" || level == "care" || level == "stop":
		return level
	}
	return "care"
}

// When tells a moment as people say it: 09:42, Yesterday, Fri 20 Nov.
func When(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	midnight := func(t time.Time) time.Time {
		return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	}
	switch days := int(midnight(now).Sub(midnight(t)) / (24 * time.Hour)); {
	case days == 0:
		return t.Format("15:04")
	case days == 1:
		return "Yesterday"
	case days == -1:
		return "Tomorrow"
	case t.Year() == now.Year():
		return t.Format("Mon 2 Jan")
	}
	return t.Format("2 Jan 2006")
}

// Moment tells a moment within a sentence: today at 09:42, on Fri 20 Nov at 16:08.
func Moment(t, now time.Time) string {
	day := When(t, now)
	switch day {
	case "Yesterday", "Tomorrow":
		day = strings.ToLower(day)
	case t.Format("15:04"):
		day = "today"
	default:
		day = "on " + day
	}
	return day + " at " + t.Format("15:04")
}

// Size tells bytes in units of a thousand.
func Size(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d bytes", n)
	case n < 1_000_000:
		return fmt.Sprintf("%d kB", (n+500)/1000)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

// Groups sets a fingerprint in fours, to be compared and read aloud.
func Groups(hex string) string {
	var b strings.Builder
	for i, r := range strings.ToUpper(hex) {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Addresses reads addresses as people type them: parted by commas, semicolons
// or lines, with or without a name before them.
func Addresses(line string) []string {
	var out []string
	add := func(s string) {
		if a, err := mail.ParseAddress(s); err == nil {
			s = a.Address
		}
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	quoted, start := false, 0
	for i, r := range line {
		switch {
		case r == '"':
			quoted = !quoted
		case !quoted && strings.ContainsRune(",;\r\n", r):
			add(line[start:i])
			start = i + 1
		}
	}
	add(line[start:])
	return out
}

// Quote puts a mark before each line of somebody else's text.
func Quote(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight("> "+l, " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

// Whole tells an address from something half typed. Whether it is a good one
// is the agent's to say.
func Whole(s string) bool {
	at := strings.LastIndexByte(s, '@')
	return at > 0 && strings.Contains(s[at:], ".") && !strings.HasSuffix(s, ".")
}
