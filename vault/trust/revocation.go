package trust

import (
	"crypto/x509"
	"slices"
	"time"
)

// unpublished is the status of a certificate that names no place to ask. It
// stays inside: such a certificate is trusted, with a note.
const unpublished Status = "unpublished"

// noNextUpdate is how long a list without nextUpdate, which RFC 5280, section
// 5.1.2.5, does not allow, is taken as fresh.
const noNextUpdate = 7 * 24 * time.Hour

// skew is by how much an authority's clock may be ahead of ours.
const skew = 5 * time.Minute

// finding is what the evidence says of one certificate.
type finding struct {
	status Status // Trusted: not withdrawn
	at     time.Time
	from   time.Time // signatures received from here on do not count (rule I2)
	reason int
	until  time.Time
	needs  []Need
}

// lookUp asks the evidence about one certificate of a path. Of the lists that
// cover it and are signed by its authority, the freshest counts. A stale list is
// still believed where it says "withdrawn".
func (q Question) lookUp(path []*x509.Certificate, i int) finding {
	c := path[i]
	points := distributionPoints(c)
	if i+1 >= len(path) { // confirmed, and its authority is not at hand
		if len(c.CRLDistributionPoints)+len(c.OCSPServer) == 0 || q.selfMade(c) {
			return finding{status: unpublished}
		}
		return finding{status: Unknown, needs: needs(c.IssuingCertificateURL, NeedIssuer, false)}
	}
	var list *CRL
	for _, l := range q.Evidence.CRLs {
		if l == nil || l.thisUpdate.After(q.Now.Add(skew)) || list != nil && !l.thisUpdate.After(list.thisUpdate) {
			continue
		}
		if l.covers(c, points) && q.signed(l, path, i) {
			list = l
		}
	}
	want := needs(c.CRLDistributionPoints, NeedCRL, q.anchored(path))
	if list == nil {
		if len(c.CRLDistributionPoints)+len(c.OCSPServer) == 0 {
			return finding{status: unpublished}
		}
		return finding{status: Unknown, needs: want}
	}
	if e, ok := list.find(c.SerialNumber); ok {
		return finding{status: Revoked, at: e.date, from: e.from(), reason: e.reason}
	}
	switch {
	case q.Now.After(list.until().Add(q.Grace)):
		return finding{status: Unknown, needs: want}
	case q.Now.After(list.until()): // good enough, but a fresher one would be better
		return finding{status: Trusted, until: list.until(), needs: want}
	}
	return finding{status: Trusted, until: list.until()}
}

// anchored says that a path ends at an anchor.
func (q Question) anchored(path []*x509.Certificate) bool {
	return slices.ContainsFunc(q.Anchors, func(a Anchor) bool { return path[len(path)-1].Equal(a.Certificate) })
}

func (q Question) selfMade(c *x509.Certificate) bool { return c.CheckSignatureFrom(c) == nil }

// signed says that the list is signed by the certificate's authority: the key
// above it in the path, or another of the same name under the same anchor (RFC
// 5280, section 6.3.3 (f)), as an authority has that changed its key.
func (q Question) signed(l *CRL, path []*x509.Certificate, i int) bool {
	if l.signedBy(path[i+1]) {
		return true
	}
	anchor := path[len(path)-1]
	for _, o := range q.pool() {
		if o.Equal(path[i+1]) || !sameName(o.RawSubject, l.issuer) || !l.signedBy(o) {
			continue
		}
		up, _ := q.paths(o, q.Now, true)
		if slices.ContainsFunc(up, func(p []*x509.Certificate) bool { return p[len(p)-1].Equal(anchor) }) {
			return true
		}
	}
	return false
}

// from is when signatures stop counting: for a key that may be in other hands,
// and where no reason is given, already when it may have got there (rule I2).
func (e entry) from() time.Time {
	compromise := e.reason == 0 || e.reason == 1 || e.reason == 2 || e.reason == 10
	if compromise && !e.invalidity.IsZero() && e.invalidity.Before(e.date) {
		return e.invalidity
	}
	return e.date
}
