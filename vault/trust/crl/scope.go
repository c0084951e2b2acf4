package crl

import (
	"crypto/x509"
	"encoding/asn1"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"countersign/vault/trust/der"
)

// Reasons is a set of reasons for revocation: bit n is bit n of ReasonFlags (RFC
// 5280, section 4.2.1.13).
type Reasons uint16

// AllReasons is what has to be covered before a certificate is known not to be
// revoked.
const AllReasons Reasons = 0b1_1111_1110

// scope is an issuingDistributionPoint (RFC 5280, section 5.2.5).
type scope struct {
	raw        []byte
	names      []string // keys of GeneralNames; nil without a distribution point
	usersOnly  bool
	casOnly    bool
	attributes bool
	indirect   bool
	reasons    Reasons
}

func parseScope(in cryptobyte.String, issuer []byte) (s scope, ok bool) {
	s.raw = slices.Clone(in)
	var seq cryptobyte.String
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() || seq.Empty() {
		return s, false
	}
	var point, reasons cryptobyte.String
	var hasPoint, hasReasons bool
	if !seq.ReadOptionalASN1(&point, &hasPoint, der.Context(0).Constructed()) ||
		!der.ReadFlag(&seq, &s.usersOnly, der.Context(1)) || !der.ReadFlag(&seq, &s.casOnly, der.Context(2)) ||
		!seq.ReadOptionalASN1(&reasons, &hasReasons, der.Context(3)) ||
		!der.ReadFlag(&seq, &s.indirect, der.Context(4)) || !der.ReadFlag(&seq, &s.attributes, der.Context(5)) || !seq.Empty() {
		return s, false
	}
	if s.usersOnly && s.casOnly {
		return s, false
	}
	s.reasons = AllReasons
	if hasReasons {
		if s.reasons, ok = readReasons(reasons); !ok {
			return s, false
		}
	}
	if hasPoint {
		if s.names, ok = pointName(point, issuer); !ok {
			return s, false
		}
	}
	return s, true
}

// readReasons reads the inside of ReasonFlags.
func readReasons(in cryptobyte.String) (r Reasons, ok bool) {
	if len(in) == 0 || len(in) > 3 || in[0] > 7 {
		return 0, false
	}
	bits := asn1.BitString{Bytes: in[1:], BitLength: 8*(len(in)-1) - int(in[0])}
	for i := range 9 {
		r |= Reasons(bits.At(i)) << i
	}
	return r & AllReasons, true
}

// pointName reads DistributionPointName: full names, or one relative to the name
// of whoever issues the list.
func pointName(in cryptobyte.String, issuer []byte) (keys []string, ok bool) {
	var inner cryptobyte.String
	if in.PeekASN1Tag(der.Context(1).Constructed()) {
		if !in.ReadASN1(&inner, der.Context(1).Constructed()) || !in.Empty() {
			return nil, false
		}
		full, ok := der.Under(issuer, inner)
		return []string{der.GeneralName{Tag: der.DirectoryName, Value: full}.Key()}, ok
	}
	if !in.ReadASN1(&inner, der.Context(0).Constructed()) || !in.Empty() {
		return nil, false
	}
	names, ok := der.ReadGeneralNames(inner)
	for _, n := range names {
		keys = append(keys, n.Key())
	}
	return keys, ok
}

// Point is a place where a certificate says that a list about it is.
type Point struct {
	names   []string // keys of GeneralNames; nil if none
	reasons Reasons
	issuers [][]byte // raw Names of who else issues the list; nil for the certificate's own issuer
	indir   bool     // somebody else issues the list
}

var (
	oidDistribution = asn1.ObjectIdentifier{2, 5, 29, 31}
	oidFreshest     = asn1.ObjectIdentifier{2, 5, 29, 46}
)

// Points reads a certificate's cRLDistributionPoints (RFC 5280, section
// 4.2.1.13). Where it names none, and where the extension cannot be read, that is
// one point with every reason and no name.
func Points(c *x509.Certificate) []Point {
	value, ok := der.Extension(c, oidDistribution)
	if ok {
		if points, _, ok := readPoints(value, c.RawIssuer); ok {
			return points
		}
	}
	return []Point{{reasons: AllReasons}}
}

// FreshestURLs reads a certificate's freshestCRL: where delta lists are.
func FreshestURLs(c *x509.Certificate) []string {
	value, ok := der.Extension(c, oidFreshest)
	if !ok {
		return nil
	}
	_, urls, _ := readPoints(value, c.RawIssuer)
	return urls
}

func readPoints(in cryptobyte.String, issuer []byte) (points []Point, urls []string, ok bool) {
	var list cryptobyte.String
	if !in.ReadASN1(&list, cbasn1.SEQUENCE) || !in.Empty() {
		return nil, nil, false
	}
	for !list.Empty() {
		var point, name, reasons, other cryptobyte.String
		var hasName, hasReasons, hasIssuer bool
		if !list.ReadASN1(&point, cbasn1.SEQUENCE) ||
			!point.ReadOptionalASN1(&name, &hasName, der.Context(0).Constructed()) ||
			!point.ReadOptionalASN1(&reasons, &hasReasons, der.Context(1)) ||
			!point.ReadOptionalASN1(&other, &hasIssuer, der.Context(2).Constructed()) || !point.Empty() {
			return nil, nil, false
		}
		p := Point{reasons: AllReasons}
		if hasReasons {
			if p.reasons, ok = readReasons(reasons); !ok {
				return nil, nil, false
			}
		}
		base := issuer
		if hasIssuer {
			names, ok := der.ReadGeneralNames(other)
			if !ok {
				return nil, nil, false
			}
			p.indir = true
			for _, n := range names {
				if n.Tag == der.DirectoryName {
					p.issuers, base = append(p.issuers, n.Value), n.Value
				}
			}
		}
		if hasName {
			if p.names, ok = pointName(name, base); !ok {
				return nil, nil, false
			}
			urls = append(urls, nameURLs(p.names)...)
		}
		points = append(points, p)
	}
	return points, urls, len(points) > 0
}

func nameURLs(keys []string) (urls []string) {
	for _, k := range keys {
		if k != "" && k[0] == der.URI {
			urls = append(urls, k[1:])
		}
	}
	return urls
}

// Covers says for which reasons the list speaks for a certificate whose points
// are given (RFC 5280, section 6.3.3 (b) and (d)): none for a list that is not
// about it or that has a critical extension which is not understood.
func (l *List) Covers(c *x509.Certificate, points []Point) (covered Reasons) {
	s := l.scope
	if l.unusable || s.attributes || s.usersOnly && (c.IsCA || c.Version < 3) || s.casOnly && !c.IsCA {
		return 0
	}
	for _, p := range points {
		if l.at(c, p) {
			covered |= s.reasons & p.reasons
		}
	}
	return covered
}

// at says that the list is the one that a certificate's point stands for.
func (l *List) at(c *x509.Certificate, p Point) bool {
	if p.indir {
		if !l.scope.indirect || !slices.ContainsFunc(p.issuers, func(n []byte) bool { return der.SameName(n, l.issuer) }) {
			return false
		}
	} else if !der.SameName(l.issuer, c.RawIssuer) {
		return false
	}
	if l.scope.names == nil {
		return true
	}
	wanted := p.names
	if wanted == nil {
		names := p.issuers
		if !p.indir {
			names = [][]byte{c.RawIssuer}
		}
		for _, n := range names {
			wanted = append(wanted, der.GeneralName{Tag: der.DirectoryName, Value: n}.Key())
		}
	}
	return slices.ContainsFunc(l.scope.names, func(k string) bool { return slices.Contains(wanted, k) })
}
