package der

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Tags of GeneralName (RFC 5280, section 4.2.1.6).
const (
	OtherName     = 0
	RFC822Name    = 1
	DNSName       = 2
	DirectoryName = 4
	URI           = 6
	IPAddress     = 7
)

// GeneralName is one alternative of GeneralName. Value is what the tag holds: the
// text, the octets, or the raw Name of a directory name.
type GeneralName struct {
	Tag   uint8
	Value []byte
}

// Key is the same for two names that are the same: directory names are compared
// as [SameName] does, others to the letter.
func (n GeneralName) Key() string {
	if n.Tag == DirectoryName {
		if rdns, ok := RDNs(n.Value); ok {
			return "\x04" + strings.Join(rdns, "\x00")
		}
	}
	return string(rune(n.Tag)) + string(n.Value)
}

// ReadGeneralNames reads the inside of GeneralNames: at least one.
func ReadGeneralNames(in cryptobyte.String) (names []GeneralName, ok bool) {
	for !in.Empty() {
		var value cryptobyte.String
		var tag cbasn1.Tag
		if !in.ReadAnyASN1(&value, &tag) {
			return nil, false
		}
		n, ok := generalName(tag, value)
		if !ok {
			return nil, false
		}
		names = append(names, n)
	}
	return names, len(names) > 0
}

// ReadGeneralName reads one.
func ReadGeneralName(in *cryptobyte.String) (n GeneralName, ok bool) {
	var value cryptobyte.String
	var tag cbasn1.Tag
	if !in.ReadAnyASN1(&value, &tag) {
		return n, false
	}
	return generalName(tag, value)
}

func generalName(tag cbasn1.Tag, value cryptobyte.String) (GeneralName, bool) {
	number := uint8(tag) & 0x1f
	if tag != Context(number) && tag != Context(number).Constructed() || number > 8 {
		return GeneralName{}, false
	}
	if number == DirectoryName && !IsName(value) {
		return GeneralName{}, false
	}
	return GeneralName{number, value}, true
}

// IsName says that raw bytes are a Name, which may be empty.
func IsName(raw []byte) bool {
	var n pkix.RDNSequence
	rest, err := asn1.Unmarshal(raw, &n)
	return err == nil && len(rest) == 0
}

// SameName compares two raw Names: text without regard to the case of ASCII
// letters, to outer spaces and to the length of inner ones, whatever its string
// type (RFC 5280, section 7.1), the rest to the letter. Other alphabets are
// compared as they are, where the RFC would fold them too.
func SameName(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, ok := RDNs(a)
	y, okay := RDNs(b)
	if !ok || !okay || len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i] != y[i] {
			return false
		}
	}
	return true
}

// RDNs gives a text for each relative name of a raw Name, the same for those that
// are the same by [SameName].
func RDNs(raw []byte) (keys []string, ok bool) {
	var n pkix.RDNSequence
	if rest, err := asn1.Unmarshal(raw, &n); err != nil || len(rest) > 0 {
		return nil, false
	}
	for _, rdn := range n {
		keys = append(keys, rdnKey(rdn))
	}
	return keys, true
}

func rdnKey(rdn pkix.RelativeDistinguishedNameSET) string {
	var b strings.Builder
	for _, a := range rdn {
		if s, ok := a.Value.(string); ok {
			fmt.Fprintf(&b, "%v=%q+", a.Type, strings.Join(strings.Fields(Fold(s)), " "))
		} else {
			fmt.Fprintf(&b, "%v:%T %v+", a.Type, a.Value, a.Value)
		}
	}
	return b.String()
}

// Under makes a Name of another and one relative name below it, given as the
// inside of its SET (RFC 5280, section 4.2.1.13, nameRelativeToCRLIssuer).
func Under(name []byte, set []byte) ([]byte, bool) {
	in := cryptobyte.String(name)
	var rdns cryptobyte.String
	if !in.ReadASN1(&rdns, cbasn1.SEQUENCE) || !in.Empty() {
		return nil, false
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(rdns)
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(set) })
	})
	out, err := b.Bytes()
	return out, err == nil && IsName(out)
}

// Fold lowers ASCII letters only: Unicode folding would take U+212A for k.
func Fold(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
