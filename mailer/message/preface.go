package message

import (
	"bufio"
	"io"
	"regexp"
	"sync"
)

// AtHeader passes over what some programs write before the header when they save a
// message: a byte order mark, and empty lines. late says that there was something.
func AtHeader(r io.Reader) (in *bufio.Reader, late bool) {
	in = bufio.NewReader(r)
	for _, before := range []string{"\uFEFF", "\r\n", "\n", "\r\n", "\n"} {
		if start, _ := in.Peek(len(before)); string(start) == before {
			_, _ = in.Discard(len(before)) // it has been peeked at
			late = true
		}
	}
	return in, late
}

var idForm = sync.OnceValue(func() *regexp.Regexp { // when it is wanted, and not whenever a program starts
	return regexp.MustCompile(`<[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,200}@[A-Za-z0-9.\[\]:-]{1,200}>`)
})

// IDs takes the message identifiers out of a field (RFC 5322, section 3.6.4), and nothing
// else; each is of 403 octets at most.
func IDs(field string) []string { return idForm().FindAllString(field, -1) }
