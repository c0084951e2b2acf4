package terminal

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// What came from outside may hold anything: escape sequences that move the
// cursor or retitle the window, C1 controls that some terminals obey, marks
// that turn the direction of writing so that a name reads as another, line
// breaks that fake a line of ours.

// Clean neutralises text of several lines. Each harmful character becomes
// U+FFFD; line breaks and tabs stay.
func Clean(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return r
		case harmful(r):
			return utf8.RuneError
		}
		return r
	}, s)
}

// Line neutralises text that has to stay in one line.
func Line(s string) string {
	s = strings.ReplaceAll(s, "\r\n", " ")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t', r == '\r', r == '\u2028', r == '\u2029':
			return ' '
		case harmful(r):
			return utf8.RuneError
		}
		return r
	}, s)
}

// harmful tells whether a terminal may do something else with a character
// than show it: controls (C0, DEL, C1), separators of lines, and all format
// characters but the soft hyphen and the two joiners that scripts are written
// with.
func harmful(r rune) bool {
	switch r {
	case '\u00ad', '\u200c', '\u200d':
		return false
	case '\u2028', '\u2029':
		return true
	}
	return unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r)
}

// JSON escapes the same characters in JSON, where nothing is lost by it:
// they can stand in strings only.
func JSON(data []byte) []byte {
	var b []byte
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		switch {
		case r != '\n' && harmful(r):
			b = appendEscape(b, r)
		default:
			b = append(b, data[:n]...)
		}
		data = data[n:]
	}
	return b
}

func appendEscape(b []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	units := []rune{r}
	if r > 0xffff {
		units = []rune{0xd800 + (r-0x10000)>>10, 0xdc00 + (r-0x10000)&0x3ff}
	}
	for _, u := range units {
		b = append(b, '\\', 'u', hex[u>>12&15], hex[u>>8&15], hex[u>>4&15], hex[u&15])
	}
	return b
}
