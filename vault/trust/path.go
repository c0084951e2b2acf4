package trust

import (
	"crypto/x509"
	"net/url"
	"slices"
	"time"

	"countersign/vault/trust/path"
)

// Bounds on what a stranger's message can make us do.
const (
	maxPool   = 512 // certificates considered as authorities,
	maxOwn    = 64  // and of these, such as came along with the one asked about
	maxClimb  = 8   // certificates climbed in search of a missing authority
	maxURLs   = 4   // URLs taken from one certificate
	maxURLLen = 1024
)

// gather makes a pool of every certificate at hand that may be an authority.
func (q Question) gather() []*x509.Certificate {
	var pool []*x509.Certificate
	seen := make(map[string]bool)
	for _, c := range slices.Concat(q.Enclosed[:min(len(q.Enclosed), maxOwn)], q.Evidence.Certificates) {
		if c != nil && len(pool) < maxPool && !seen[string(c.Raw)] && strong(c) {
			pool, seen[string(c.Raw)] = append(pool, c), true
		}
	}
	return pool
}

// anchors are the certificates of those that serve this question.
func (q Question) anchors() (certs []*x509.Certificate) {
	for _, a := range q.Anchors {
		if a.serves(q) {
			certs = append(certs, a.Certificate)
		}
	}
	return certs
}

// options are how a path of authorities is judged at a time.
func (q Question) options(at time.Time, use x509.ExtKeyUsage) path.Options {
	return path.Options{At: at, Use: use, Memory: q.Memory}
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
	for _, o := range slices.Concat(q.pool, q.anchors()) {
		if q.Memory.SameName(o.RawSubject, c.RawIssuer) && q.Memory.SignedBy(c, o) {
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

// renewals says where authorities that have run out may be had anew.
func (q Question) renewals(p []*x509.Certificate) (out []Need) {
	for i, c := range p[:len(p)-1] {
		if up := p[i+1]; q.At.Before(up.NotBefore) || q.At.After(up.NotAfter) {
			out = append(out, needs(c.IssuingCertificateURL, NeedIssuer, q.anchored(p))...)
		}
	}
	return out
}

// needs takes the URLs that can be fetched: from the web, then from directories, which
// answer no questions about withdrawal.
func needs(urls []string, kind NeedKind, anchored bool) []Need {
	var web, directories []Need
	for _, s := range urls {
		u, err := url.Parse(s)
		if err != nil || len(s) > maxURLLen || u.Host == "" || u.User != nil {
			continue
		}
		n := Need{URL: s, Kind: kind, Anchored: anchored}
		switch {
		case u.Scheme == "http" || u.Scheme == "https":
			web = append(web, n)
		case (u.Scheme == "ldap" || u.Scheme == "ldaps") && kind != NeedOCSP:
			directories = append(directories, n)
		}
	}
	all := append(web, directories...)
	return all[:min(len(all), maxURLs)]
}
