package trust

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// scope is an issuingDistributionPoint (RFC 5280, section 5.2.5). The zero value
// is a list for everything its authority issued.
type scope struct {
	names     [][]byte // GeneralNames, raw; nil without a distribution point
	usersOnly bool
	casOnly   bool
	unusable  bool // indirect, some reasons only, attributes only, or a relative name
}

func context(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific() }

func parseScope(in cryptobyte.String) (s scope, ok bool) {
	var seq cryptobyte.String
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() || seq.Empty() {
		return s, false
	}
	var point, reasons cryptobyte.String
	var hasPoint, hasReasons, indirect, attributes bool
	if !seq.ReadOptionalASN1(&point, &hasPoint, context(0).Constructed()) ||
		!readFlag(&seq, &s.usersOnly, context(1)) || !readFlag(&seq, &s.casOnly, context(2)) ||
		!seq.ReadOptionalASN1(&reasons, &hasReasons, context(3)) ||
		!readFlag(&seq, &indirect, context(4)) || !readFlag(&seq, &attributes, context(5)) || !seq.Empty() {
		return s, false
	}
	if s.usersOnly && s.casOnly {
		return s, false
	}
	s.unusable = hasReasons || indirect || attributes
	if hasPoint {
		var relative bool
		if s.names, relative, ok = parsePointName(point); !ok {
			return s, false
		}
		s.unusable = s.unusable || relative
	}
	return s, true
}

// readFlag reads an optional BOOLEAN DEFAULT FALSE.
func readFlag(in *cryptobyte.String, out *bool, tag cbasn1.Tag) bool {
	var value cryptobyte.String
	var present bool
	if !in.ReadOptionalASN1(&value, &present, tag) {
		return false
	}
	*out = present && len(value) == 1 && value[0] == 0xff
	return !present || len(value) == 1 && (value[0] == 0xff || value[0] == 0)
}

// parsePointName reads DistributionPointName: full names, or one relative to the
// issuer, which nobody uses and is not followed here.
func parsePointName(in cryptobyte.String) (names [][]byte, relative, ok bool) {
	if in.PeekASN1Tag(context(1).Constructed()) {
		var set cryptobyte.String
		return nil, true, in.ReadASN1(&set, context(1).Constructed()) && in.Empty()
	}
	var list cryptobyte.String
	if !in.ReadASN1(&list, context(0).Constructed()) || !in.Empty() || list.Empty() {
		return nil, false, false
	}
	for !list.Empty() {
		var name cryptobyte.String
		var tag cbasn1.Tag
		if !list.ReadAnyASN1Element(&name, &tag) {
			return nil, false, false
		}
		names = append(names, name)
	}
	return names, false, true
}

// points is where a certificate says that the lists about it are.
type points struct {
	named bool     // it says anything at all
	whole bool     // there is a full list of its own issuer's
	names [][]byte // GeneralNames of those
}

// distributionPoints reads cRLDistributionPoints (RFC 5280, section 4.2.1.13).
// Points with another issuer, or for some reasons only, are not whole.
func distributionPoints(c *x509.Certificate) (p points) {
	for _, ext := range c.Extensions {
		if !ext.Id.Equal(oidDistribution) {
			continue
		}
		p.named = true
		in := cryptobyte.String(ext.Value)
		var list cryptobyte.String
		if !in.ReadASN1(&list, cbasn1.SEQUENCE) {
			return p
		}
		for !list.Empty() {
			var point, name, other cryptobyte.String
			var hasName, hasReasons, hasIssuer bool
			if !list.ReadASN1(&point, cbasn1.SEQUENCE) ||
				!point.ReadOptionalASN1(&name, &hasName, context(0).Constructed()) ||
				!point.ReadOptionalASN1(&other, &hasReasons, context(1)) ||
				!point.ReadOptionalASN1(&other, &hasIssuer, context(2).Constructed()) {
				return p
			}
			if hasName && !hasReasons && !hasIssuer {
				names, _, _ := parsePointName(name)
				p.names, p.whole = append(p.names, names...), true
			}
		}
	}
	return p
}

// covers says that the list speaks for a certificate (RFC 5280, section 6.3.3
// (b)).
func (l *CRL) covers(c *x509.Certificate, p points) bool {
	s := l.scope
	switch {
	case l.unusable || s.unusable || !sameName(l.issuer, c.RawIssuer):
		return false
	case s.usersOnly && (c.IsCA || c.Version < 3), s.casOnly && !c.IsCA:
		return false
	case p.named && !p.whole:
		return false
	case s.names == nil:
		return true
	}
	for _, have := range s.names {
		for _, want := range p.names {
			if bytes.Equal(have, want) {
				return true
			}
		}
	}
	return false
}

// isName says that raw bytes are a Name.
func isName(raw []byte) bool {
	var n pkix.RDNSequence
	rest, err := asn1.Unmarshal(raw, &n)
	return err == nil && len(rest) == 0 && len(n) > 0
}

// sameName compares two Names: text without regard to case and inner spaces,
// whatever its string type (RFC 5280, section 7.1), the rest to the letter.
func sameName(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y pkix.RDNSequence
	if _, err := asn1.Unmarshal(a, &x); err != nil {
		return false
	}
	if _, err := asn1.Unmarshal(b, &y); err != nil || len(x) != len(y) {
		return false
	}
	for i := range x {
		if len(x[i]) != len(y[i]) {
			return false
		}
		for j := range x[i] {
			if !x[i][j].Type.Equal(y[i][j].Type) || plain(x[i][j].Value) != plain(y[i][j].Value) {
				return false
			}
		}
	}
	return true
}

func plain(v any) string {
	s, ok := v.(string)
	if !ok {
		return fmt.Sprintf("%T %v", v, v)
	}
	return strings.Join(strings.Fields(fold(s)), " ")
}

// readTime reads a UTCTime or GeneralizedTime in the form that RFC 5280, section
// 4.1.2.5, allows: whole seconds, Z.
func readTime(in *cryptobyte.String) (time.Time, bool) {
	var text cryptobyte.String
	year := 0
	switch {
	case in.PeekASN1Tag(cbasn1.UTCTime):
		if !in.ReadASN1(&text, cbasn1.UTCTime) || len(text) != 13 || !decimal(text[:12]) {
			return time.Time{}, false
		}
		if year = 1900 + two(text); year < 1950 {
			year += 100
		}
		text = text[2:]
	case in.PeekASN1Tag(cbasn1.GeneralizedTime):
		if !in.ReadASN1(&text, cbasn1.GeneralizedTime) || len(text) != 15 || !decimal(text[:14]) {
			return time.Time{}, false
		}
		year = two(text)*100 + two(text[2:])
		text = text[4:]
	default:
		return time.Time{}, false
	}
	month, dayOf, hour, minute, second := two(text), two(text[2:]), two(text[4:]), two(text[6:]), two(text[8:])
	t := time.Date(year, time.Month(month), dayOf, hour, minute, second, 0, time.UTC)
	ok := text[10] == 'Z' && t.Month() == time.Month(month) && t.Day() == dayOf && hour < 24 && minute < 60 && second < 60
	return t, ok
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
