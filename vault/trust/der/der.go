// Package der reads the pieces that certificates, revocation lists and answers
// of OCSP responders share: names, times, extensions and signature algorithms,
// in the Distinguished Encoding Rules (X.690) and as RFC 5280 narrows them.
//
// Whatever is not exactly as the standard has it is refused: a revocation list
// that can be read in two ways could hide an entry.
package der

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// ErrExtensions says that a list of extensions is malformed.
var ErrExtensions = errors.New("der: malformed extensions")

// Context is the tag of a context-specific element.
func Context(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific() }

// ReadFlag reads an optional BOOLEAN DEFAULT FALSE under a tag.
func ReadFlag(in *cryptobyte.String, out *bool, tag cbasn1.Tag) bool {
	var value cryptobyte.String
	var present bool
	if !in.ReadOptionalASN1(&value, &present, tag) {
		return false
	}
	*out = present && len(value) == 1 && value[0] == 0xff
	return !present || len(value) == 1 && (value[0] == 0xff || value[0] == 0)
}

// EachExtension reads Extensions (RFC 5280, section 4.1): at least one, none
// twice. Errors of each are returned as they are, others wrap [ErrExtensions].
func EachExtension(in cryptobyte.String, each func(id asn1.ObjectIdentifier, critical bool, value cryptobyte.String) error) error {
	var list cryptobyte.String
	if !in.ReadASN1(&list, cbasn1.SEQUENCE) || !in.Empty() || list.Empty() {
		return ErrExtensions
	}
	seen := make(map[string]bool)
	for !list.Empty() {
		var ext, value cryptobyte.String
		var id asn1.ObjectIdentifier
		var critical bool
		if !list.ReadASN1(&ext, cbasn1.SEQUENCE) || !ext.ReadASN1ObjectIdentifier(&id) ||
			!ReadFlag(&ext, &critical, cbasn1.BOOLEAN) ||
			!ext.ReadASN1(&value, cbasn1.OCTET_STRING) || !ext.Empty() || seen[id.String()] {
			return ErrExtensions
		}
		seen[id.String()] = true
		if err := each(id, critical, value); err != nil {
			return err
		}
	}
	return nil
}

// Extension returns the value of a certificate's extension.
func Extension(c *x509.Certificate, id asn1.ObjectIdentifier) (value cryptobyte.String, ok bool) {
	for _, ext := range c.Extensions {
		if ext.Id.Equal(id) {
			return ext.Value, true
		}
	}
	return nil, false
}

// ReadTime reads a UTCTime or GeneralizedTime in the form that RFC 5280, section
// 4.1.2.5, allows: whole seconds, Z.
func ReadTime(in *cryptobyte.String) (time.Time, bool) {
	var text cryptobyte.String
	switch {
	case in.PeekASN1Tag(cbasn1.UTCTime):
		if !in.ReadASN1(&text, cbasn1.UTCTime) {
			return time.Time{}, false
		}
		return UTCTime(text)
	case in.PeekASN1Tag(cbasn1.GeneralizedTime):
		if !in.ReadASN1(&text, cbasn1.GeneralizedTime) || len(text) != 15 || !decimal(text[:14]) {
			return time.Time{}, false
		}
		return within(two(text)*100+two(text[2:]), text[4:])
	}
	return time.Time{}, false
}

// UTCTime reads the inside of one, in the same form.
func UTCTime(text []byte) (time.Time, bool) {
	if len(text) != 13 || !decimal(text[:12]) {
		return time.Time{}, false
	}
	year := 1900 + two(text)
	if year < 1950 {
		year += 100
	}
	return within(year, text[2:])
}

// daysOf are the days of each month in a leap year.
var daysOf = [13]int{0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// within reads a time from the month on, whose digits are digits.
func within(year int, text []byte) (time.Time, bool) {
	month, day, hour, minute, second := two(text), two(text[2:]), two(text[4:]), two(text[6:]), two(text[8:])
	leap := year%4 == 0 && (year%100 != 0 || year%400 == 0)
	if text[10] != 'Z' || month < 1 || month > 12 || day < 1 || day > daysOf[month] || month == 2 && day == 29 && !leap ||
		hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC), true
}

func decimal(b []byte) bool {
	for _, d := range b {
		if d < '0' || d > '9' {
			return false
		}
	}
	return true
}

// two reads two decimal digits.
func two(b []byte) int { return int(b[0]-'0')*10 + int(b[1]-'0') }
