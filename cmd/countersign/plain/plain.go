// Package plain writes times, sizes, counts and names as people read them. What it is given may come
// from outside and is not neutralised here: package terminal does that where it is printed.
package plain

import (
	"fmt"
	"strings"
	"time"
)

// Person is somebody as people write them: "Dr A <a@x.example>".
func Person(name, address string) string {
	switch {
	case name == "", name == address:
		return address
	case address == "", strings.Contains(name, address):
		return name
	}
	return name + " <" + address + ">"
}

// Moment is a time as people write it; none is empty.
func Moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2 Jan 2006 15:04")
}

// Day is a date; none is empty.
func Day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2 Jan 2006")
}

// Bytes is a size.
func Bytes(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1000*1000:
		return fmt.Sprintf("%d kB", (n+500)/1000)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

// Count says "1 message", "2 messages".
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Some is Count, or empty for none.
func Some(n int, what string) string {
	if n == 0 {
		return ""
	}
	return Count(n, what)
}

// Groups sets a fingerprint in groups of four, as it is read aloud.
func Groups(fingerprint string) string {
	var b strings.Builder
	for i, r := range fingerprint {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}
