package message

import (
	"strconv"
	"strings"

	"countersign/mailer/message/transfer"
)

// describe reads the fields that say what a part is. It returns how many parameters
// there are, and reads no more of them than room, but for one in each field.
func (p *Part) describe(kind string, room int) int {
	value, params, n := parseParams(p.Get("Content-Type"), room)
	p.Type, p.Params = mediaType(value, kind), params
	p.Encoding, _, _ = parseParams(p.Get("Content-Transfer-Encoding"), 0)
	disposition, named, more := parseParams(p.Get("Content-Disposition"), room-n)
	p.Disposition = disposition
	switch p.Disposition {
	case "", "inline":
	default:
		p.Disposition = "attachment" // RFC 2183, section 2.8
	}
	name := named["filename"]
	if name == "" {
		name = params["name"]
	}
	if name != "" {
		p.Filename = SafeName(decodeWords(name))
	}
	return n + more
}

const maxType = 127 // characters of a type's or subtype's name (RFC 6838, section 4.2)

// mediaType is a stated type, or what to take instead: the default where nothing
// is stated, and octets where it makes no sense.
func mediaType(value, kind string) string {
	major, minor, ok := strings.Cut(value, "/")
	switch {
	case value == "":
		return kind
	case ok && isToken(major) && isToken(minor) && max(len(major), len(minor)) <= maxType:
		return value
	case major == "text":
		return "text/plain"
	}
	return "application/octet-stream"
}

// isToken tells whether s is a token of RFC 2045, section 5.1.
func isToken(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`()<>@,;:\"/[]?=`, r)
	}) < 0
}

// parseParams reads a value with parameters, as Content-Type has them, and makes
// the best of what is malformed: a missing semicolon, an unquoted file name.
// Value and names are in lower case; the first of repeated parameters counts. It
// ends after the first parameter beyond room; n is how many there were until then.
func parseParams(field string, room int) (value string, params map[string]string, n int) {
	s := scanner{field}
	s.skip(" \t")
	value = strings.ToLower(s.word(" \t;("))
	plain, pieces := map[string]string{}, map[string]map[int]piece{}
	for s.skip(" \t;"); s.rest != "" && n <= room; s.skip(" \t;") {
		name := strings.ToLower(s.word(" \t;=("))
		if s.skip(" \t"); !strings.HasPrefix(s.rest, "=") {
			if name == "" {
				s.rest = s.rest[1:] // a stray character
			}
			continue
		}
		s.rest = s.rest[1:]
		s.skip(" \t")
		v := s.value(name)
		n++
		base, at, encoded := continuation(name)
		if at < 0 {
			if _, again := plain[name]; !again && name != "" {
				plain[name] = v
			}
			continue
		}
		if pieces[base] == nil {
			pieces[base] = map[int]piece{}
		}
		if _, again := pieces[base][at]; !again {
			pieces[base][at] = piece{v, encoded}
		}
	}
	for base, list := range pieces {
		if v := assemble(list); v != "" {
			plain[base] = v
		}
	}
	return value, plain, n
}

// piece is one piece of a parameter by RFC 2231.
type piece struct {
	text    string
	encoded bool
}

// continuation takes a parameter's name apart: name, name*, name*3, name*3*. n
// is -1 if the name is an ordinary one.
func continuation(name string) (base string, n int, encoded bool) {
	base, suffix, ok := strings.Cut(name, "*")
	if !ok || base == "" {
		return name, -1, false
	}
	if suffix == "" {
		return base, 0, true
	}
	number, encoded := strings.CutSuffix(suffix, "*")
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n > 999 {
		return name, -1, false
	}
	return base, n, encoded
}

// assemble joins the pieces of a parameter, up to the first that is missing. The
// first names the character set (RFC 2231, section 4.1).
func assemble(list map[int]piece) string {
	var raw []byte
	charset := ""
	for n := 0; ; n++ {
		p, ok := list[n]
		if !ok {
			return toUTF8(charset, raw)
		}
		if n == 0 && p.encoded {
			if parts := strings.SplitN(p.text, "'", 3); len(parts) == 3 {
				charset, p.text = parts[0], parts[2]
			}
		}
		if p.encoded {
			raw = transfer.Unescape(raw, p.text, '%')
		} else {
			raw = append(raw, p.text...)
		}
	}
}

// scanner reads a structured field from the left.
type scanner struct{ rest string }

// word reads up to one of the ends.
func (s *scanner) word(ends string) string {
	i := strings.IndexAny(s.rest, ends)
	if i < 0 {
		i = len(s.rest)
	}
	word := s.rest[:i]
	s.rest = s.rest[i:]
	return word
}

// skip passes over the characters given and comments.
func (s *scanner) skip(chars string) {
	for {
		s.rest = strings.TrimLeft(s.rest, chars)
		if !strings.HasPrefix(s.rest, "(") {
			return
		}
		s.rest = s.rest[commentLength(s.rest):]
	}
}

// value reads a parameter's value. Unquoted it goes on to the semicolon, as file
// names with blanks do, except where a blank can't belong to it.
func (s *scanner) value(name string) string {
	if strings.HasPrefix(s.rest, `"`) {
		n := quotedLength(s.rest)
		quoted := s.rest[:n]
		s.rest = s.rest[n:]
		return unquote(quoted)
	}
	ends := ";"
	if name == "boundary" || name == "charset" {
		ends = " \t;("
	}
	return strings.TrimRight(s.word(ends), " \t")
}

// quotedLength is the length of the quoted string at the start of s, which
// begins with a quotation mark; all of s if it isn't closed.
func quotedLength(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}

// unquote removes the quotation marks. A backslash counts only before a mark or
// another backslash, because Windows paths occur.
func unquote(s string) string {
	s = strings.TrimPrefix(s, `"`)
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String()
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// quote is s as a quoted string.
func quote(s string) string {
	return `"` + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `"`, `\"`) + `"`
}

// commentLength is the length of the comment at the start of s, which begins
// with a parenthesis; comments nest. It is all of s if it isn't closed.
func commentLength(s string) int {
	for i, depth := 0, 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}

// cutComments returns s without comments, and the text of the last one. Quoted
// strings are left alone.
func cutComments(s string) (rest, comment string) {
	var b strings.Builder
	for i := 0; i < len(s); {
		n := 1
		switch s[i] {
		case '"':
			n = quotedLength(s[i:])
		case '\\':
			n = min(2, len(s)-i)
		case '(':
			n = commentLength(s[i:])
			comment = strings.TrimSuffix(s[i+1:i+n], ")")
			b.WriteByte(' ')
			i += n
			continue
		}
		b.WriteString(s[i : i+n])
		i += n
	}
	return b.String(), comment
}
