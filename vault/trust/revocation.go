package trust

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"countersign/vault/trust/crl"
	"countersign/vault/trust/der"
	"countersign/vault/trust/ocsp"
	"countersign/vault/trust/path"
)

// skew is by how much an authority's clock may be ahead of ours.
const skew = 5 * time.Minute

// lookUp asks the evidence about one certificate of a path.
func (q Question) lookUp(path []*x509.Certificate, i int) Finding {
	c := path[i]
	asks := len(c.CRLDistributionPoints)+len(c.OCSPServer) > 0
	if i+1 >= len(path) { // confirmed, and its authority is not at hand
		if !asks || q.Memory.SignedBy(c, c) {
			return unpublished(c)
		}
		return Finding{Certificate: c, Status: Unknown, Why: "the certificate of its authority is missing",
			needs: needs(c.IssuingCertificateURL, NeedIssuer, false)}
	}
	lists, answer := q.askLists(path, i), q.askResponders(path, i)
	f := fresher(lists, answer)
	f.Certificate = c
	switch f.Status {
	case Revoked:
		return f
	case Unknown:
		if !asks && lists.By == "" && answer.By == "" {
			return unpublished(c)
		}
		f.needs = q.places(path, i)
	case Trusted:
		if f.InGrace { // good enough, but something fresher would be better
			f.needs = q.places(path, i)
		}
	}
	f.needs = append(f.needs, lists.needs...)
	if f.Status == Unknown {
		f.needs = append(f.needs, answer.needs...)
	}
	return f
}

func unpublished(c *x509.Certificate) Finding {
	return Finding{Certificate: c, Status: Unpublished, Why: "its authority names no place to ask"}
}

// noRevAvail says that an authority never withdraws a certificate, which lives too short a
// time for that (RFC 9608, section 2).
var noRevAvail = []int{2, 5, 29, 56}

// silent says that a certificate of which nothing is published does all the same.
func (q Question) silent(c *x509.Certificate) bool {
	_, never := der.Extension(c, noRevAvail)
	return q.Confirmed || q.Silent || never && !c.IsCA
}

// fresher chooses between what lists and what responders say. What is withdrawn
// stays so, but for a hold, which newer word may lift.
func fresher(a, b Finding) Finding {
	for _, f := range []Finding{a, b} {
		if f.Status == Revoked && f.Reason != crl.CertificateHold {
			return f
		}
	}
	switch {
	case b.Status == Unknown && (a.Status != Unknown || a.By != "" || b.By == ""):
		return a
	case a.Status == Unknown:
		return b
	case b.ThisUpdate.After(a.ThisUpdate), b.Status == Revoked && b.ThisUpdate.Equal(a.ThisUpdate):
		return b
	}
	return a
}

// revoke takes over what is said of a revoked certificate.
func (f *Finding) revoke(e crl.Entry) {
	f.Status, f.RevokedAt, f.Invalidity, f.From, f.Reason = Revoked, e.Date, e.Invalidity, e.From(), e.Reason
}

// places is where word about a certificate can be had.
func (q Question) places(path []*x509.Certificate, i int) []Need {
	c, anchored := path[i], q.anchored(path)
	want := needs(c.CRLDistributionPoints, NeedCRL, anchored)
	request, err := ocsp.NewRequest(c, path[i+1], nil)
	if err != nil {
		return want
	}
	for _, n := range needs(c.OCSPServer, NeedOCSP, anchored) {
		n.Request = string(request)
		want = append(want, n)
	}
	return want
}

// anchored says that a path ends at an anchor.
func (q Question) anchored(path []*x509.Certificate) bool {
	return slices.ContainsFunc(q.Anchors, func(a Anchor) bool { return path[len(path)-1].Equal(a.Certificate) })
}

// askResponders asks the OCSP responses at hand (RFC 6960, section 3.2). The
// freshest counts.
func (q Question) askResponders(path []*x509.Certificate, i int) Finding {
	c, issuer := path[i], path[i+1]
	best := Finding{Status: Unknown, Why: "there is no word about it"}
	for _, r := range q.Evidence.OCSP {
		if r == nil {
			continue
		}
		a, ok := r.Find(c, issuer)
		if !ok {
			continue
		}
		f := Finding{Status: Unknown, By: NeedOCSP, ThisUpdate: a.ThisUpdate, NextUpdate: a.NextUpdate}
		signed, need := q.responder(r, path, i)
		switch {
		case !signed:
			f.By, f.Why, f.needs = "", "the word about it is not signed by its authority", need
		case a.ThisUpdate.After(q.Now.Add(skew)) || r.ProducedAt.After(q.Now.Add(skew)) || a.NextUpdate.Before(a.ThisUpdate):
			f.Why = "the word about it is dated in the future"
		case r.ProducedAt.Before(c.NotBefore) || r.ProducedAt.After(c.NotAfter):
			f.Why = "the word about it is of a time when the certificate was not valid"
		case a.Status == ocsp.Revoked:
			f.revoke(a.Entry)
		case a.Status != ocsp.Good:
			f.Why = "its authority does not know it"
		case q.Now.After(a.NextUpdate.Add(q.Grace)):
			f.Why = fmt.Sprintf("the last word about it ran out on %s", day(a.NextUpdate))
		default:
			f.Status, f.InGrace = Trusted, q.Now.After(a.NextUpdate)
		}
		if best.By == "" && best.Status == Unknown && f.Status == Unknown && f.By == "" {
			best.Why, best.needs = f.Why, append(best.needs, f.needs...)
			continue
		}
		best = better(best, f)
	}
	return best
}

// better keeps the fresher of two answers that count; one that settles nothing
// gives way, and what is withdrawn stays so, but for a hold.
func better(a, b Finding) Finding {
	sticks := func(f Finding) bool { return f.Status == Revoked && f.Reason != crl.CertificateHold }
	switch {
	case sticks(a) != sticks(b):
		if sticks(a) {
			return a
		}
		return b
	case (a.Status == Unknown) != (b.Status == Unknown):
		if a.Status == Unknown {
			return b
		}
		return a
	case b.ThisUpdate.After(a.ThisUpdate):
		return b
	}
	return a
}

// noCheck is id-pkix-ocsp-nocheck (RFC 6960, section 4.2.2.2.1).
var noCheck = []int{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}

// responder says that a response is signed by the authority above a certificate,
// or by somebody whom that very authority appointed (RFC 6960, section 4.2.2.2).
// One appointed without nocheck must not be withdrawn; where that is not known,
// need says what would tell.
func (q Question) responder(r *OCSP, path []*x509.Certificate, i int) (signed bool, need []Need) {
	issuer := path[i+1]
	if r.SignedBy(issuer) {
		return true, nil
	}
	for _, d := range slices.Concat(r.Certificates, q.pool) {
		if !r.Names(d) || !q.appointed(d, issuer) || !r.SignedBy(d) {
			continue
		}
		if _, ok := der.Extension(d, noCheck); ok {
			return true, nil
		}
		f := q.askLists(append([]*x509.Certificate{d}, path[i+1:]...), 0)
		switch {
		case f.Status == Revoked:
		case f.Status == Unknown && len(d.CRLDistributionPoints) > 0:
			need = append(need, needs(d.CRLDistributionPoints, NeedCRL, q.anchored(path))...)
		default:
			return true, nil
		}
	}
	return false, need
}

// appointed says that a certificate makes its owner a responder of an authority.
func (q Question) appointed(d, issuer *x509.Certificate) bool {
	return slices.Contains(d.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) && strong(d) && !path.Unknown(d) &&
		(d.KeyUsage == 0 || d.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) != 0) &&
		!q.Now.Before(d.NotBefore) && !q.Now.After(d.NotAfter) &&
		der.SameName(d.RawIssuer, issuer.RawSubject) && q.Memory.SignedBy(d, issuer)
}
