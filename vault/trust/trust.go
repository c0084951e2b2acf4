// Package trust says whether a certificate may be relied on: for which
// address, for what use, on whose authority, and whether it was withdrawn.
//
// It is a pure function. The caller hands over the certificate, the anchors,
// every other certificate and revocation list at hand, and the time; [Check]
// answers with a [Verdict]. What it lacked to decide is in Verdict.Needs, and
// fetching that is another room's work (vault/discover).
//
// What it promises:
//
//   - Path validation is RFC 5280, section 6.1, by crypto/x509 with the time,
//     the anchors and the intermediates given and nothing of the system's.
//     Every candidate path is judged and the best one counts, so one expired
//     or withdrawn cross-certificate spoils nothing (RFC 8550, section 4).
//   - RFC 8550, section 4.4: key usage, extended key usage (emailProtection or
//     any, in every certificate of the path that has the extension), RSA of
//     2,048 to 8,192 bits, no signature made with SHA-1 or MD5.
//   - The address is matched here, against subjectAltName: rfc822Name without
//     regard to case (section 3), else dNSName for a whole organisation. A
//     common name is never an address. The old place in the subject
//     (emailAddress) counts only where subjectAltName names nobody, and is told
//     apart ([BoundLegacy]).
//   - Revocation is RFC 5280, section 6.3, with full revocation lists: scope by
//     issuingDistributionPoint, signature by the issuer of the certificate or a
//     key of the same name under the same anchor, thisUpdate and nextUpdate with
//     the grace given; the freshest list wins. Delta and indirect lists and
//     lists for some reasons only are not used.
//   - The anchor itself is never looked up on a list.
//
// A verdict is about the certificate. Whether it names the address asked about
// is Verdict.Bound, and a caller has to look at both; [Verdict.Good] does.
package trust

import (
	"crypto/x509"
	"time"
)

// Anchor is an authority that the user or the administrator trusts.
type Anchor struct {
	Certificate *x509.Certificate
}

// Usage is what a certificate is wanted for.
type Usage string

const (
	Sign    Usage = "sign"    // to check a signature
	Encrypt Usage = "encrypt" // to encrypt to its owner
)

// Evidence is what is at hand besides the certificate itself: revocation lists
// and certificates of authorities, from a cache, a message or a file. None of
// it is believed without a signature that leads to an anchor.
type Evidence struct {
	CRLs         []*CRL
	Certificates []*x509.Certificate
}

// NeedKind is what a needed URL should give.
type NeedKind string

const (
	NeedCRL    NeedKind = "crl"    // a revocation list
	NeedIssuer NeedKind = "issuer" // the certificate of the authority above
)

// Need is something that would help to decide.
type Need struct {
	URL  string
	Kind NeedKind
	// Anchored says that the certificate which names the URL has a signature
	// that chains to an anchor. Rule I1: others are fetched only where the user
	// chose to verify that certificate, or policy allows the host.
	Anchored bool
}

// Question is one certificate to be judged.
type Question struct {
	Certificate *x509.Certificate
	Address     string // canonical: ASCII lower case, A-labels; or a bare domain
	Usage       Usage
	Enclosed    []*x509.Certificate // that came along with it, in any order
	Anchors     []Anchor
	Evidence    Evidence

	// At is the time for which validity is asked: now, or the receipt time of a
	// message by our own clock (rule I2), never a time that a message states.
	At time.Time
	// Now is the present, by which revocation lists are fresh or stale. Zero
	// means At.
	Now time.Time
	// Grace is how long past its nextUpdate a list is still used.
	Grace time.Duration

	// Confirmed says that this very certificate was confirmed by telephone. It
	// then needs no anchor; its dates, its usage and what its issuer, if at
	// hand, says about revocation are still checked (SECURITY.md, V6).
	Confirmed bool
}

// Status is the outcome for one certificate. The zero value is not trusted.
type Status string

const (
	Untrusted Status = "untrusted" // no acceptable path to an anchor, or not made for this use
	Trusted   Status = "trusted"
	Expired   Status = "expired" // outside its dates, or an authority above it is
	Revoked   Status = "revoked"
	Unknown   Status = "unknown" // whether it was withdrawn could not be found out
)

// Bound is how a certificate names the address asked about.
type Bound string

const (
	BoundNone    Bound = "none"
	BoundAddress Bound = "address" // subjectAltName rfc822Name
	BoundDomain  Bound = "domain"  // subjectAltName dNSName: the organisation, not the person
	BoundLegacy  Bound = "legacy"  // only the emailAddress attribute of the subject
)

// Verdict is what may be said of a certificate.
type Verdict struct {
	Status Status
	Path   []*x509.Certificate // the certificate first, the anchor last; nil if there is none
	Reason string              // one sentence in plain words; empty when trusted
	Notes  []string            // what else a person may want to know, a sentence each
	Needs  []Need              // what would settle or improve the verdict
	Bound  Bound

	RevokedAt        time.Time // when Status is Revoked, or a later withdrawal is noted
	RevocationReason int       // CRLReason, RFC 5280, section 5.3.1
	// FreshUntil is when the revocation evidence used runs out; zero if none
	// was used.
	FreshUntil time.Time
}

// Good says that the certificate is trusted and names the address.
func (v Verdict) Good() bool {
	return v.Status == Trusted && (v.Bound == BoundAddress || v.Bound == BoundDomain || v.Bound == BoundLegacy)
}
