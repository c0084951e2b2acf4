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
//   - Path validation is RFC 5280, section 6.1, in vault/trust/path, with the
//     time, the anchors and the intermediates given and nothing of the system's.
//     Every candidate path is judged and the best one counts, so one expired
//     or withdrawn cross-certificate spoils nothing (RFC 8550, section 4).
//   - RFC 8550, section 4.4: key usage, extended key usage (emailProtection or
//     any, in every certificate of the path that has the extension), RSA of
//     2,048 to 8,192 bits, no signature made with SHA-1, MD5 or DSA.
//   - The address is matched here, against subjectAltName: rfc822Name, both parts
//     without regard to the case of ASCII letters (RFC 8550, section 3), and
//     SmtpUTF8Mailbox, the part before the @ octet for octet (RFC 9598, section 5),
//     else dNSName for a whole organisation. A common name is never an address. The old place in the
//     subject (emailAddress) counts only where subjectAltName names nobody, and
//     is told apart ([BoundLegacy]).
//   - Revocation is RFC 5280, section 6.3, with lists (vault/trust/crl), and RFC
//     6960 with OCSP answers (vault/trust/ocsp): whichever is fresher counts, but
//     only a hold can be lifted by it. Lists may be full, for a part, for some
//     reasons (until together they cover all), deltas, or issued by somebody else
//     whom the certificate names. Who signs a list is the authority above in the
//     path or another of the list's name under the same anchor that is not itself
//     withdrawn; who signs an answer is that authority or whom it appointed.
//   - Evidence counts from thisUpdate to nextUpdate and the grace given. Evidence
//     that says "withdrawn" counts for ever.
//   - A certificate that names no place to ask, and about which nothing at hand speaks, is
//     Unknown: nobody can tell whether it was withdrawn (RFC 5280, section 6.3.3, calls it
//     undetermined). It is trusted, with a note, where it was confirmed by telephone, where
//     the caller says that it will do (Question.Silent), and where its authority says in
//     it that it will never be withdrawn (noRevAvail, RFC 9608).
//   - The anchor itself is never looked up. An anchor may be for sending or
//     receiving only, and for some domains only ([Anchor]).
//
// A verdict is about the certificate. Whether it names the address asked about
// is Verdict.Bound, and a caller has to look at both; [Verdict.Good] does. What
// was found out about each certificate of the path, from what and how old that
// is, stays in Verdict.Checked.
package trust

import (
	"crypto/x509"
	"io"
	"slices"
	"strings"
	"time"

	"countersign/vault/trust/crl"
	"countersign/vault/trust/der"
	"countersign/vault/trust/ocsp"
	"countersign/vault/trust/path"
)

type (
	// CRL is a revocation list.
	CRL = crl.List
	// OCSP is the response of an OCSP responder.
	OCSP = ocsp.Response
	// Memory keeps which signatures were found good; it changes no verdict.
	Memory = path.Memory
)

// ErrCRL is wrapped by every error of [ParseCRL].
var ErrCRL = crl.ErrCRL

// ParseCRL reads a DER revocation list of at most 64 MiB.
func ParseCRL(list []byte) (*CRL, error) { return crl.Parse(list) }

// ReadCRL reads one from a stream, in a window of 64 KiB.
func ReadCRL(list io.Reader) (*CRL, error) { return crl.Read(list) }

// ParseOCSP reads a DER OCSPResponse of at most 1 MiB, which it keeps.
func ParseOCSP(response []byte) (*OCSP, error) { return ocsp.Parse(response) }

// NewMemory returns an empty memory.
func NewMemory() *Memory { return path.NewMemory() }

// Purpose is what an anchor is for.
type Purpose string

const (
	ForBoth      Purpose = ""
	ForSending   Purpose = "sending"   // it vouches for whom is encrypted to
	ForReceiving Purpose = "receiving" // it vouches for who signs
)

// Anchor is an authority, or a single certificate, that the user or the
// administrator trusts.
type Anchor struct {
	Certificate *x509.Certificate
	For         Purpose
	// Domains are those of addresses that the anchor vouches for: "a.example", or
	// ".a.example" for all below it. None means all.
	Domains []string
}

// serves says that the anchor counts for a question.
func (a Anchor) serves(q Question) bool {
	if a.Certificate == nil || !q.Standing && (a.For == ForSending && q.Usage != Encrypt || a.For == ForReceiving && q.Usage != Sign) {
		return false
	}
	domain := der.Fold(q.Address[strings.LastIndexByte(q.Address, '@')+1:])
	return len(a.Domains) == 0 || slices.ContainsFunc(a.Domains, func(d string) bool {
		d = der.Fold(d)
		return d == domain || strings.HasPrefix(d, ".") && strings.HasSuffix(domain, d)
	})
}

// Usage is what a certificate is wanted for.
type Usage string

const (
	Sign    Usage = "sign"    // to check a signature
	Encrypt Usage = "encrypt" // to encrypt to its owner
)

// Evidence is what is at hand besides the certificate itself: revocation lists,
// OCSP responses and certificates of authorities, from a cache, a message or a
// file. None of it is believed without a signature that leads to an anchor.
type Evidence struct {
	CRLs         []*CRL
	OCSP         []*OCSP
	Certificates []*x509.Certificate
}

// NeedKind is what a needed URL should give.
type NeedKind string

const (
	NeedCRL    NeedKind = "crl"    // a revocation list
	NeedOCSP   NeedKind = "ocsp"   // an answer to Need.Request
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
	// Request is the DER OCSPRequest to send, for NeedOCSP.
	Request string
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
	// Grace is how long past its nextUpdate evidence is still used.
	Grace time.Duration
	// Memory, if any, saves signature checks.
	Memory *Memory

	// Confirmed says that this very certificate was confirmed by telephone. It
	// then needs no anchor; its dates, its usage and what its issuer, if at
	// hand, says about revocation are still checked (SECURITY.md, V6).
	Confirmed bool
	// Silent says that an authority which publishes nothing about withdrawal will do, as
	// for a confirmed certificate it always does.
	Silent bool

	// Standing asks whether the certificate is in force at all, and not whether it may be
	// relied on for the one use: an anchor then counts whatever it is for.
	Standing bool

	pool []*x509.Certificate // of authorities, by gather
}

// Status is the outcome for one certificate. The zero value is not trusted.
type Status string

const (
	Untrusted Status = "untrusted" // no acceptable path to an anchor, or not made for this use
	Trusted   Status = "trusted"
	Expired   Status = "expired" // outside its dates, or an authority above it is
	Revoked   Status = "revoked"
	Unknown   Status = "unknown" // whether it was withdrawn could not be found out
	// Unpublished is a [Finding]'s alone: the certificate names no place to ask. Its
	// verdict is Unknown, or Trusted with a note where Question.Silent or the certificate allows it.
	Unpublished Status = "unpublished"
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
	// Checked is what was found about each certificate of the path but its anchor,
	// in the path's order, up to the first that is withdrawn.
	Checked []Finding
}

// Finding is what the evidence says about one certificate of a path.
type Finding struct {
	Certificate *x509.Certificate
	Status      Status // Trusted: not withdrawn; Revoked; Unknown; Unpublished
	Why         string // of Unknown and Unpublished, a few plain words

	By         NeedKind  // what kind of evidence settled it; "" if none
	ThisUpdate time.Time // when that evidence was made, the oldest part of it
	NextUpdate time.Time // when it runs out
	InGrace    bool      // it ran out already

	// Of Revoked. From is since when signatures do not count (rule I2): the
	// earlier of RevokedAt and Invalidity where the key may be in other hands.
	RevokedAt, Invalidity, From time.Time
	Reason                      int

	needs []Need
}

// Good says that the certificate is trusted and names the address.
func (v Verdict) Good() bool {
	return v.Status == Trusted && (v.Bound == BoundAddress || v.Bound == BoundDomain || v.Bound == BoundLegacy)
}
