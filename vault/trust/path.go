package trust

import (
	"bytes"
	"crypto/x509"
	"net/url"
	"slices"
	"time"
)

// Bounds on what a stranger's message can make us do.
const (
	maxPool   = 128 // certificates considered as authorities
	maxClimb  = 8   // certificates climbed in search of a missing authority
	maxURLs   = 4   // URLs taken from one certificate
	maxURLLen = 1024
)

// pool is every certificate at hand that may be an authority.
func (q Question) pool() []*x509.Certificate {
	var pool []*x509.Certificate
	for _, c := range slices.Concat(q.Evidence.Certificates, q.Enclosed) {
		if c != nil && len(pool) < maxPool && strong(c) && !slices.ContainsFunc(pool, c.Equal) {
			pool = append(pool, c)
		}
	}
	return pool
}

// paths finds every path from a certificate to an anchor that holds at a time:
// signatures, names, dates, constraints and critical extensions by RFC 5280,
// section 6.1. With anyUse, extended key usage is not looked at.
func (q Question) paths(c *x509.Certificate, at time.Time, anyUse bool) ([][]*x509.Certificate, error) {
	if at.IsZero() { // crypto/x509 would take its own
		return nil, nil
	}
	roots, others := x509.NewCertPool(), x509.NewCertPool()
	for _, a := range q.Anchors {
		if a.Certificate != nil {
			roots.AddCert(a.Certificate)
		}
	}
	for _, o := range q.pool() {
		others.AddCert(o)
	}
	use := x509.ExtKeyUsageEmailProtection
	if anyUse {
		use = x509.ExtKeyUsageAny
	}
	return c.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: others, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{use},
	})
}

// confirmedPath is the path of a certificate confirmed by telephone: itself and,
// so that its revocation can be checked, the authority at hand that signed it.
func (q Question) confirmedPath() []*x509.Certificate {
	path := []*x509.Certificate{q.Certificate}
	if issuer := q.issuer(q.Certificate); issuer != nil && !issuer.Equal(q.Certificate) {
		path = append(path, issuer)
	}
	return path
}

// issuer finds the authority at hand that really signed a certificate.
func (q Question) issuer(c *x509.Certificate) *x509.Certificate {
	pool := q.pool()
	for _, a := range q.Anchors {
		pool = append(pool, a.Certificate)
	}
	for _, o := range pool {
		if o != nil && bytes.Equal(o.RawSubject, c.RawIssuer) && c.CheckSignatureFrom(o) == nil {
			return o
		}
	}
	return nil
}

// missing says where the next authority could be had, when no path was found:
// the caIssuers of the highest certificate that can be reached (RFC 5280,
// section 4.2.2.1).
func (q Question) missing() []Need {
	top := q.Certificate
	for range maxClimb {
		up := q.issuer(top)
		if up == nil || up.Equal(top) {
			break
		}
		top = up
	}
	return needs(top.IssuingCertificateURL, NeedIssuer, false)
}

// needs takes the URLs that can be fetched.
func needs(urls []string, kind NeedKind, anchored bool) []Need {
	var out []Need
	for _, s := range urls {
		u, err := url.Parse(s)
		if err == nil && len(s) <= maxURLLen && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && len(out) < maxURLs {
			out = append(out, Need{URL: s, Kind: kind, Anchored: anchored})
		}
	}
	return out
}
