package trust

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"countersign/vault/trust/path"
)

// Check judges one certificate.
func Check(q Question) Verdict {
	if q.Now.IsZero() {
		q.Now = q.At
	}
	v := Verdict{Status: Untrusted, Bound: BoundNone}
	if q.Certificate == nil {
		v.Reason = "There is no certificate."
		return v
	}
	c := q.Certificate
	q.pool = q.gather()
	v.Bound = Binds(c, q.Address)
	switch {
	case q.At.IsZero():
		v.Reason = "There is no time for which to check this certificate."
	case path.Unknown(c): // RFC 5280, section 4.2
		v.Reason = "This certificate sets conditions that this program does not know."
	case !strong(c):
		v.Reason = "The key of this certificate is of a kind or size that is not safe to use."
	case !q.Usage.keyUsage(c):
		v.Reason = fmt.Sprintf("This certificate was not made for %s.", q.Usage.words())
	case !forMail(c):
		v.Reason = "This certificate was not made for e-mail."
	}
	if v.Reason != "" {
		return v
	}
	paths, expired, reason := q.search()
	if len(paths) == 0 {
		v.Reason = reason
		v.Needs = q.missing()
		return v
	}
	v = q.best(paths, v)
	if expired != "" && v.Status != Revoked {
		v.Status, v.Reason = Expired, expired
		v.Needs = append(v.Needs, q.renewals(v.Path)...)
	}
	return v
}

// search finds the paths to judge. Where dates alone are in the way of all,
// expired says so.
func (q Question) search() (paths [][]*x509.Certificate, expired, reason string) {
	var dated [][]*x509.Certificate
	var broken []*path.Error
	weakly := false
	for _, p := range path.Find(q.Certificate, q.pool, q.anchors(), q.Memory) {
		err := path.Validate(p, q.options(q.At, x509.ExtKeyUsageEmailProtection))
		switch {
		case slices.ContainsFunc(p, weak):
			weakly = true
		case err == nil:
			paths = append(paths, p)
		case err.Dated():
			if dated = append(dated, p); expired == "" || err.Index == 0 {
				expired = q.dated(err)
			}
		default:
			broken = append(broken, err)
		}
	}
	switch {
	case len(paths) > 0:
		return paths, "", ""
	case q.Confirmed:
		c := q.Certificate
		expired = ""
		if q.At.Before(c.NotBefore) || q.At.After(c.NotAfter) {
			expired = q.dated(&path.Error{})
		}
		return append(dated, q.confirmedPath()), expired, ""
	case len(dated) > 0:
		return dated, expired, ""
	case weakly:
		return nil, "", "An authority above this certificate has a key that is not safe to use."
	}
	return nil, "", q.why(broken)
}

func weak(c *x509.Certificate) bool { return !strong(c) }

// dated words an error about dates.
func (q Question) dated(err *path.Error) string {
	c := q.Certificate
	switch {
	case err.Index > 0:
		return "An authority that vouches for this certificate has run out."
	case q.At.Before(c.NotBefore):
		return fmt.Sprintf("This certificate is not valid before %s.", day(c.NotBefore))
	}
	return fmt.Sprintf("This certificate ran out on %s.", day(c.NotAfter))
}

// why words the failure to find a path.
func (q Question) why(broken []*path.Error) string {
	c := q.Certificate
	for _, err := range broken {
		switch err.Problem {
		case path.Names:
			return "The authority that made this certificate may not vouch for this address."
		case path.NotCA, path.Length:
			return "This certificate was made by somebody who may not make certificates."
		case path.Use:
			return "An authority above this certificate may not vouch for e-mail."
		case path.Policy:
			return "This certificate was not made by the rules that an authority above it sets."
		case path.Critical:
			return "An authority above this certificate sets conditions that this program does not know."
		}
	}
	selfMade := bytes.Equal(c.RawIssuer, c.RawSubject)
	switch {
	case outdated(c) && !selfMade:
		return "This certificate is signed in an outdated way that no longer counts."
	case selfMade:
		return "Nobody vouches for this certificate: its owner made it."
	}
	return fmt.Sprintf("This certificate was made by %s, which you have not chosen to trust.", name(c.Issuer))
}

// rank orders verdicts on several paths: the best one counts.
var rank = []Status{Trusted, Unknown, Expired, Revoked, Untrusted}

// best judges every path and keeps the best verdict, but what the certificate's
// own issuer says about it holds whatever lies above.
func (q Question) best(paths [][]*x509.Certificate, v Verdict) Verdict {
	var best Verdict
	for i, path := range paths {
		pv, own := q.judge(path)
		if own {
			best = pv
			break
		}
		if i == 0 || slices.Index(rank, pv.Status) < slices.Index(rank, best.Status) {
			best = pv
		}
	}
	best.Bound = v.Bound
	return best
}

// judge looks up every certificate of one path but the anchor. own says that the
// certificate itself, not an authority above it, is revoked.
func (q Question) judge(path []*x509.Certificate) (v Verdict, own bool) {
	v = Verdict{Status: Trusted, Path: path}
	look, ask := path[:len(path)-1], path
	alone := len(path) == 1 && slices.ContainsFunc(q.anchors(), path[0].Equal)
	if q.Confirmed {
		look = path[:1]
	}
	if alone { // a confirmed certificate that is an anchor itself is asked of its issuer all the same
		ask = q.confirmedPath()
	}
	if q.Confirmed && !q.anchored(path) {
		v.Notes = append(v.Notes, "You confirmed this certificate yourself, so it needs no authority.")
	}
	for i, c := range look {
		f := q.lookUp(ask, i)
		v.Needs = append(v.Needs, f.needs...)
		v.Checked = append(v.Checked, f)
		switch f.Status {
		case Revoked:
			if q.Usage == Sign && q.At.Before(f.From) {
				v.Notes = append(v.Notes, fmt.Sprintf("The certificate was withdrawn later, on %s; this was received before.", day(f.RevokedAt)))
				v.RevokedAt, v.RevocationReason = f.RevokedAt, f.Reason
				break
			}
			v.Status, v.RevokedAt, v.RevocationReason = Revoked, f.RevokedAt, f.Reason
			v.Reason = fmt.Sprintf("This certificate was withdrawn on %s: %s.", day(f.RevokedAt), reasonWords(f.Reason))
			if i > 0 {
				v.Reason = fmt.Sprintf("%s, an authority above this certificate, was withdrawn on %s.", name(c.Subject), day(f.RevokedAt))
			}
			return v, i == 0
		case Unknown:
			if alone {
				v.Notes = append(v.Notes, "Whether the certificate was withdrawn could not be found out; you trust it by itself.")
				break
			}
			v.Status = Unknown
			v.Reason = fmt.Sprintf("Whether this certificate was withdrawn could not be found out: %s.", f.Why)
		case Trusted:
			if v.FreshUntil.IsZero() || f.NextUpdate.Before(v.FreshUntil) {
				v.FreshUntil = f.NextUpdate
			}
			if f.InGrace {
				v.Notes = append(v.Notes, fmt.Sprintf("Whether the certificate was withdrawn is known as of %s, and newer word is overdue.", day(f.ThisUpdate)))
			}
		case Unpublished:
			switch {
			case !q.silent(c):
				v.Status = Unknown
				v.Reason = fmt.Sprintf("Whether this certificate was withdrawn could not be found out: %s.", f.Why)
				if i > 0 {
					v.Reason = fmt.Sprintf("Whether %s, an authority above this certificate, was withdrawn could not be found out: %s.", name(c.Subject), f.Why)
				}
			case i == 0:
				v.Notes = append(v.Notes, "The authority of the certificate does not publish whether certificates were withdrawn.")
			}
		}
	}
	return v, false
}

// words after "made for".
func (u Usage) words() string {
	if u == Encrypt {
		return "encryption"
	}
	return "signing"
}

// name is what to call an authority in a sentence. Whoever made the certificate
// chose it, so it is kept short and in one line.
func name(n pkix.Name) string {
	for _, s := range slices.Concat([]string{n.CommonName}, n.Organization, n.OrganizationalUnit) {
		s = strings.Map(func(r rune) rune {
			if unicode.IsPrint(r) {
				return r
			}
			return -1
		}, s)
		if r := []rune(s); len(r) > 60 {
			s = string(r[:60]) + "..."
		}
		if s != "" {
			return s
		}
	}
	return "an authority without a name"
}

// reasonWords words a CRLReason (RFC 5280, section 5.3.1).
func reasonWords(reason int) string {
	switch reason {
	case 1, 2, 10:
		return "its key may be in other hands"
	case 3:
		return "its owner no longer belongs there"
	case 4:
		return "it was replaced"
	case 5:
		return "it is no longer in use"
	case 6:
		return "it is on hold"
	case 9:
		return "its owner lost the right to it"
	}
	return "no reason was given"
}

func day(t time.Time) string { return t.UTC().Format("2 January 2006") }
