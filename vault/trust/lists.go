package trust

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"countersign/vault/trust/crl"
	"countersign/vault/trust/path"
)

// view is a full list, completed by a delta list where there is one (RFC 5280,
// section 5.2.4).
type view struct {
	full, delta *CRL
	reasons     crl.Reasons
}

func (v view) thisUpdate() time.Time {
	if v.delta != nil {
		return v.delta.ThisUpdate()
	}
	return v.full.ThisUpdate()
}

// until is when the view runs out: a delta list stands for the whole scope, and
// without it the full list still does.
func (v view) until() time.Time {
	if v.delta != nil && v.delta.NextUpdate().After(v.full.NextUpdate()) {
		return v.delta.NextUpdate()
	}
	return v.full.NextUpdate()
}

func (v view) find(c *x509.Certificate) (crl.Entry, bool) {
	if v.delta != nil {
		if e, ok := v.delta.Find(c.RawIssuer, c.SerialNumber); ok {
			return e, e.Reason != crl.RemoveFromCRL
		}
	}
	return v.full.Find(c.RawIssuer, c.SerialNumber)
}

// askLists asks the lists at hand about one certificate of a path (RFC 5280,
// section 6.3.3). Lists speak newest first, each for the reasons that it covers;
// a stale one is still believed where it says "withdrawn".
func (q Question) askLists(path []*x509.Certificate, i int) Finding {
	c := path[i]
	views := q.views(path, i)
	if len(views) == 0 {
		return Finding{Status: Unknown, Why: "there is no list that speaks for it"}
	}
	var seen, covered crl.Reasons
	f := Finding{Status: Unknown, By: NeedCRL}
	var ranOut time.Time
	for _, v := range views {
		if e, ok := v.find(c); ok && (e.Reason != crl.CertificateHold || v.reasons&^seen != 0) && (f.Status != Revoked || f.Reason == crl.CertificateHold) {
			f = Finding{By: NeedCRL, ThisUpdate: v.thisUpdate(), NextUpdate: v.until()}
			f.revoke(e)
		}
		if v.reasons&^seen == 0 {
			continue
		}
		seen |= v.reasons
		if q.Now.After(v.until().Add(q.Grace)) {
			ranOut = v.until()
			continue
		}
		covered |= v.reasons
		if f.Status == Revoked {
			continue
		}
		if f.ThisUpdate.IsZero() || v.thisUpdate().Before(f.ThisUpdate) {
			f.ThisUpdate = v.thisUpdate()
		}
		if f.NextUpdate.IsZero() || v.until().Before(f.NextUpdate) {
			f.NextUpdate = v.until()
		}
		f.InGrace = f.InGrace || q.Now.After(v.until())
	}
	switch {
	case f.Status == Revoked:
		return f
	case covered == crl.AllReasons:
		f.Status = Trusted
	case !ranOut.IsZero():
		f.Why = fmt.Sprintf("the last list about it ran out on %s", day(ranOut))
	default:
		f.Why = "the lists at hand tell of some reasons only"
	}
	f.needs = q.deltas(path, i, views)
	return f
}

// views are the lists that speak for a certificate and are signed by whom they
// have to be, newest first.
func (q Question) views(path []*x509.Certificate, i int) (views []view) {
	c := path[i]
	points := crl.Points(c)
	var deltas []*CRL
	for _, l := range q.Evidence.CRLs {
		if l == nil || l.ThisUpdate().After(q.Now.Add(skew)) {
			continue
		}
		reasons := l.Covers(c, points)
		if reasons == 0 || !q.signed(l, path, i) {
			continue
		}
		if l.Delta() {
			deltas = append(deltas, l)
		} else {
			views = append(views, view{full: l, reasons: reasons})
		}
	}
	for i := range views {
		for _, d := range deltas {
			if d.Updates(views[i].full) && (views[i].delta == nil || d.ThisUpdate().After(views[i].delta.ThisUpdate())) {
				views[i].delta = d
			}
		}
	}
	slices.SortStableFunc(views, func(a, b view) int { return b.thisUpdate().Compare(a.thisUpdate()) })
	return views
}

// deltas is where delta lists can be had for the newest list, if there are any and
// none is at hand that is still good. It is not worth waiting for, but worth
// asking.
func (q Question) deltas(path []*x509.Certificate, i int, views []view) []Need {
	newest := views[0]
	if newest.delta != nil && !q.Now.After(newest.delta.NextUpdate()) {
		return nil
	}
	urls := slices.Concat(crl.FreshestURLs(path[i]), newest.full.FreshestURLs())
	slices.Sort(urls)
	return needs(slices.Compact(urls), NeedCRL, q.anchored(path))
}

// signed says that a list is signed by the key above a certificate in its path, or
// by another authority of the list's name under the same anchor (RFC 5280, section
// 6.3.3 (f)), as one is that changed its key, keeps a key for lists alone, or
// issues lists for others. Such another one must not be withdrawn itself.
func (q Question) signed(l *CRL, p []*x509.Certificate, i int) bool {
	if l.SignedBy(p[i+1]) {
		return true
	}
	anchor := p[len(p)-1]
	for _, o := range append(slices.Clip(q.pool), anchor) {
		if !q.Memory.SameName(o.RawSubject, l.Issuer()) || !l.SignedBy(o) {
			continue
		}
		if o.Equal(anchor) {
			return true
		}
		for _, up := range path.Find(o, q.pool, []*x509.Certificate{anchor}, q.Memory) {
			if path.Validate(up, q.options(q.Now, x509.ExtKeyUsageAny)) == nil && len(up) > 1 && !q.pulled(o, up[1]) {
				return true
			}
		}
	}
	return false
}

// pulled says that the authority right above a certificate lists it as withdrawn.
// It looks at lists of that very key only, so it needs no other signer and cannot
// go round in circles.
func (q Question) pulled(c, issuer *x509.Certificate) bool {
	points := crl.Points(c)
	return slices.ContainsFunc(q.Evidence.CRLs, func(l *CRL) bool {
		if l == nil || l.Covers(c, points) == 0 || !l.SignedBy(issuer) {
			return false
		}
		e, ok := l.Find(c.RawIssuer, c.SerialNumber)
		return ok && e.Reason != crl.RemoveFromCRL
	})
}
