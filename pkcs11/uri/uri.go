// Package uri names keys on tokens as RFC 7512 has it. The room is pure.
package uri

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"countersign/pkcs11/wire"
)

// URI names a key on a token (RFC 7512): the token by manufacturer, model, serial and
// label, the key by CKA_ID and label. Its text has one form.
type URI struct {
	Token  wire.Name
	ID     []byte
	Object string
}

// ErrURI is what a text is that is no URI of a key.
var ErrURI = errors.New("pkcs11: not a URI of a key")

// Max is how many bytes a URI may have.
const Max = 4 << 10

// String is the URI, with what is empty left out.
func (u URI) String() string {
	var parts []string
	for _, a := range u.attributes() {
		if *a.text != "" {
			parts = append(parts, a.name+"="+escaped(*a.text, false))
		}
	}
	if len(u.ID) > 0 {
		parts = append(parts, "id="+escaped(string(u.ID), true))
	}
	return "pkcs11:" + strings.Join(parts, ";")
}

type attribute struct {
	name string
	text *string
}

func (u *URI) attributes() []attribute {
	return []attribute{
		{"manufacturer", &u.Token.Manufacturer}, {"model", &u.Token.Model},
		{"serial", &u.Token.Serial}, {"token", &u.Token.Label}, {"object", &u.Object},
	}
}

// Parse reads a URI. The attributes type (private, cert or public) and what follows a
// question mark are passed over (section 2.3: how, not which); others that are not known
// are refused, because they would choose among keys.
func Parse(text string) (URI, error) {
	var u URI
	rest, ok := strings.CutPrefix(text, "pkcs11:")
	if !ok || len(text) > Max {
		return u, ErrURI
	}
	rest, _, _ = strings.Cut(rest, "?")
	seen := map[string]bool{}
	for part := range strings.SplitSeq(rest, ";") {
		if part == "" && rest == "" {
			break
		}
		name, value, ok := strings.Cut(part, "=")
		value, fine := unescaped(value)
		if !ok || !fine || seen[name] {
			return URI{}, fmt.Errorf("%w: %q", ErrURI, part)
		}
		seen[name] = true
		if err := u.set(name, value); err != nil {
			return URI{}, err
		}
	}
	return u, nil
}

func (u *URI) set(name, value string) error {
	switch name {
	case "id":
		if len(value) > wire.MaxID {
			return fmt.Errorf("%w: an id of %d bytes", ErrURI, len(value))
		}
		if value != "" {
			u.ID = []byte(value)
		}
		return nil
	case "type":
		return nil
	}
	for _, a := range u.attributes() {
		if a.name == name && len(value) <= wire.MaxText && utf8.ValidString(value) {
			*a.text = value
			return nil
		}
	}
	return fmt.Errorf("%w: attribute %q", ErrURI, name)
}

// escaped writes what RFC 3986 does not reserve as it is (all of a CKA_ID is written in
// hexadecimal digits, section 2.3), the rest as %XX.
func escaped(s string, all bool) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if !all && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func unescaped(s string) (string, bool) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if i+2 >= len(s) {
				return "", false
			}
			high, low := digit(s[i+1]), digit(s[i+2])
			if high < 0 || low < 0 {
				return "", false
			}
			c = byte(high<<4 | low)
			i += 2
		} else if c <= ' ' || c >= 0x7f {
			return "", false
		}
		b = append(b, c)
	}
	return string(b), true
}

// digit is the value of a hexadecimal digit, or negative.
func digit(c byte) int { return strings.IndexByte("0123456789abcdef", lower(c)) }

func lower(c byte) byte {
	if c >= 'A' && c <= 'F' {
		return c + 'a' - 'A'
	}
	return c
}
