package message

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Lengths of an address in bytes (RFC 5321, section 4.5.3.1).
const (
	maxLocal  = 64
	maxDomain = 255

	longestSpec  = 4 * (maxLocal + maxDomain) // in UTF-8: A-labels cost the square of a length
	maxAddresses = 10_000                     // of one list: more than any server takes
)

// An Address is a mailbox: the name shown, decoded, which anyone can choose, and
// the address, as it was written.
type Address struct{ Name, Addr string }

// String is the address as a header holds it: `"Dr A" <a@clinic.example>`.
func (a Address) String() string {
	name := readable(a.Name)
	switch {
	case name == "":
		return a.Addr
	case strings.IndexFunc(name, func(r rune) bool { return r > '~' }) >= 0 || strings.Contains(name, "=?"):
		name = encodeWords(name)
	case strings.IndexFunc(name, func(r rune) bool { return !isAtom(r) && r != ' ' }) >= 0:
		name = quote(name)
	}
	return name + " <" + a.Addr + ">"
}

// ParseAddress reads exactly one address, with or without a name.
func ParseAddress(s string) (Address, error) {
	list, err := ParseAddressList(s)
	if err == nil && len(list) != 1 {
		err = fmt.Errorf("%w: one is expected", ErrAddress)
	}
	if err != nil {
		return Address{}, err
	}
	return list[0], nil
}

// ParseAddressList reads the addresses of a To field and its like: with names,
// comments, groups (whose members it gives) and the obsolete routes (RFC 5322,
// section 3.4), also in UTF-8 (RFC 6532) and parted by semicolons. It returns
// what it can read together with the error for what it can't: ErrAddress, and
// ErrLimit where there are more than 10,000.
func ParseAddressList(s string) ([]Address, error) {
	var list []Address
	var bad error
	for s != "" {
		n := entryLength(s)
		entry := s[:n]
		if s = s[n:]; s != "" {
			if s[0] == ':' { // the name of a group
				s = s[1:]
				continue
			}
			s = s[1:] // a comma, or the semicolon that ends a group
		}
		if rest, _ := cutComments(entry); strings.TrimSpace(rest) == "" {
			continue
		}
		a, err := parseEntry(entry)
		switch {
		case err != nil:
			bad = err
		case len(list) == maxAddresses:
			return list, fmt.Errorf("%w: more than %d addresses", ErrLimit, maxAddresses)
		default:
			list = append(list, a)
		}
	}
	return list, bad
}

// entryLength is the length of the first entry of a list: up to a comma,
// semicolon or colon outside quotation marks, comments and brackets.
func entryLength(s string) int {
	angle := false
	for i := 0; i < len(s); {
		n := 1
		switch c := s[i]; {
		case c == '"':
			n = quotedLength(s[i:])
		case c == '(':
			n = commentLength(s[i:])
		case c == '\\':
			n = min(2, len(s)-i)
		case c == '[':
			if n = strings.IndexByte(s[i:], ']'); n < 0 {
				return len(s)
			}
		case c == '<':
			angle = true
		case c == '>':
			angle = false
		case c == ';', !angle && (c == ',' || c == ':'):
			return i
		}
		i += n
	}
	return len(s)
}

// parseEntry reads one mailbox.
func parseEntry(s string) (Address, error) {
	rest, comment := cutComments(s)
	open := unquotedIndex(rest, '<')
	if open < 0 {
		addr, err := parseSpec(rest)
		return Address{Name: readable(decodeWords(comment)), Addr: addr}, err
	}
	name, inside := rest[:open], rest[open+1:]
	end := unquotedIndex(inside, '>')
	if end < 0 || strings.TrimSpace(inside[end+1:]) != "" {
		return Address{}, fmt.Errorf("%w: brackets don't match", ErrAddress)
	}
	inside = strings.Trim(inside[:end], " \t")
	if strings.HasPrefix(inside, "@") { // a route, obsolete: @a,@b:user@host
		_, inside, _ = strings.Cut(inside, ":")
	}
	addr, err := parseSpec(inside)
	return Address{Name: phrase(name), Addr: addr}, err
}

// unquotedIndex is the place of the first c outside quotation marks, or -1.
func unquotedIndex(s string, c byte) int {
	for i := 0; i < len(s); {
		switch s[i] {
		case c:
			return i
		case '"':
			i += quotedLength(s[i:])
		default:
			i++
		}
	}
	return -1
}

// phrase is a display name, decoded.
func phrase(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] == '"' {
			n := quotedLength(s[i:])
			b.WriteString(unquote(s[i : i+n]))
			i += n
			continue
		}
		b.WriteByte(s[i])
		i++
	}
	return strings.Join(strings.Fields(readable(decodeWords(b.String()))), " ")
}

// parseSpec reads local@domain and nothing else, and returns it with a quoted
// local part in its shortest form.
func parseSpec(s string) (string, error) {
	s = strings.Trim(s, " \t")
	if len(s) > longestSpec {
		return "", fmt.Errorf("%w: it is too long", ErrAddress)
	}
	if !utf8.ValidString(s) {
		return "", fmt.Errorf("%w: it is not UTF-8", ErrAddress)
	}
	at := strings.IndexByte(s, '@')
	quoted := strings.HasPrefix(s, `"`)
	if quoted {
		at = quotedLength(s)
	}
	if at < 1 || at >= len(s) || s[at] != '@' {
		return "", fmt.Errorf("%w: it has no @", ErrAddress)
	}
	local, domain := s[:at], s[at+1:]
	if quoted {
		local = unquote(local)
	}
	switch {
	case isDotAtom(local):
	case !quoted || local == "" || strings.IndexFunc(local, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0:
		return "", fmt.Errorf("%w: the part before @", ErrAddress)
	default:
		local = quote(local)
	}
	if !isDomain(domain) {
		return "", fmt.Errorf("%w: the part after @", ErrAddress)
	}
	return local + "@" + domain, nil
}

// isDotAtom allows what RFC 5322 does, RFC 6532 adds and some providers once
// gave out (dots in any place).
func isDotAtom(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return !isAtom(r) && r != '.' }) < 0
}

// isAtom tells whether r may stand in an atom. unicode.IsPrint excludes blanks
// other than the ASCII one, and what hides or reorders text.
func isAtom(r rune) bool {
	if r >= utf8.RuneSelf {
		return unicode.IsPrint(r) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
	}
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
}

func isDomain(s string) bool {
	if inside, ok := strings.CutPrefix(s, "["); ok {
		inside, ok = strings.CutSuffix(inside, "]")
		return ok && inside != "" && strings.IndexFunc(inside, func(r rune) bool {
			return r >= utf8.RuneSelf || !isAtom(r) && r != '.' && r != ':'
		}) < 0
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || strings.IndexFunc(label, func(r rune) bool {
			return !isAtom(r) || strings.ContainsRune("!#$%&'*+/=?^`{|}~", r)
		}) >= 0 {
			return false
		}
	}
	return true
}

// Canonical returns the form under which an address is known and compared: in lower
// case, the domain in A-labels (RFC 5890), without a name. RFC 8550, section 3, wants the
// domain compared so and advises it for the rest. What stands before the @ stays as it
// is where it is beyond ASCII (RFC 9598, section 5).
func Canonical(addr string) (string, error) {
	addr, err := parseSpec(strings.TrimSuffix(strings.Trim(addr, " \t"), "."))
	if err != nil {
		return "", err
	}
	at := strings.LastIndexByte(addr, '@')
	local, domain := addr[:at], addr[at+1:]
	if domain[0] != '[' && strings.IndexFunc(domain, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0 {
		domain, err = idna.Lookup.ToASCII(domain)
		domain = strings.TrimSuffix(domain, ".") // other scripts have dots of their own
		if err != nil || !isDomain(domain) {
			return "", fmt.Errorf("%w: the part after @", ErrAddress)
		}
	}
	if len(local) > maxLocal || len(domain) > maxDomain {
		return "", fmt.Errorf("%w: it is too long", ErrAddress)
	}
	if strings.IndexFunc(local, func(r rune) bool { return r >= utf8.RuneSelf }) < 0 {
		local = lowerASCII(local)
	}
	return local + "@" + lowerASCII(domain), nil
}

func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}
