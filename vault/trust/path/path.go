// Package path finds and judges certification paths: RFC 5280, section 6.1.
//
// [Find] gathers every path that names and signatures allow, so that one expired
// or odd cross-certificate hides no good one; [Validate] runs the state machine
// of section 6.1 over one path. It is our own rather than crypto/x509's Verify,
// which takes no path but looks for one, knows no directory names in constraints,
// compares names byte by byte, and does not say which of the rules was broken by
// whom. Parsing and the signature itself are crypto/x509's.
//
// What is done beyond, or other than, section 6.1:
//
//   - The anchor is a certificate, and what it says about itself holds: dates,
//     path length, name constraints, extended key usage (RFC 5937).
//   - Extended key usage: where a certificate of the path has it, it has to allow
//     the use asked for.
//   - rfc822Name constraints also bind SmtpUTF8Mailbox names (RFC 9598, section
//     6) and, where a certificate has neither, the subject's emailAddress.
//   - Names are compared as der.SameName says: ASCII letters without case.
//   - The policy tree is a graph, so that its size is bounded (RFC 9618).
//   - DSA, SHA-1 and MD5 do not count.
package path

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"
	"time"
)

// Problem is the rule that a path breaks.
type Problem int

const (
	Chaining    Problem = iota + 1 // names or signatures do not fit
	NotCA                          // basicConstraints or keyUsage do not allow to issue
	Length                         // more certificates than an authority allows below it
	Names                          // a name constraint
	Policy                         // certificate policies
	Use                            // extended key usage
	Critical                       // a critical extension that is not understood
	NotYetValid                    // before notBefore
	RunOut                         // after notAfter
)

func (p Problem) String() string {
	return [...]string{"", "chaining", "not a CA", "path length", "name constraints", "policies", "extended key usage",
		"critical extension", "not yet valid", "run out"}[p]
}

// Error says which rule is broken by which certificate of the path.
type Error struct {
	Problem Problem
	Index   int // 0 is the certificate asked about
}

func (e *Error) Error() string {
	return fmt.Sprintf("path: %v, certificate %d", e.Problem, e.Index)
}

// Dated says that dates alone are in the way.
func (e *Error) Dated() bool { return e.Problem == NotYetValid || e.Problem == RunOut }

// Options are the inputs of section 6.1.1 besides path and anchor.
type Options struct {
	At  time.Time        // for which validity is asked; required
	Use x509.ExtKeyUsage // [x509.ExtKeyUsageAny] asks for none

	Policies       []string // user-initial-policy-set, dotted; empty is anyPolicy
	ExplicitPolicy bool     // initial-explicit-policy
	InhibitMapping bool     // initial-policy-mapping-inhibit
	InhibitAny     bool     // initial-any-policy-inhibit

	Memory *Memory
}

// state is what section 6.1.2 initialises, without the policies.
type state struct {
	names  constraints
	policy policies
	length int // certificates that may still come
}

// Validate judges one path, the certificate first and the anchor last. Dates are
// looked at last, so an error about them says that nothing else is wrong.
func Validate(path []*x509.Certificate, o Options) *Error {
	last := len(path) - 1
	if last < 0 || o.At.IsZero() {
		return &Error{Chaining, 0}
	}
	for i, c := range path {
		if !allows(c, o.Use) {
			return &Error{Use, i}
		}
	}
	s := state{length: last, policy: newPolicies(last, o)}
	if last > 0 {
		if problem := s.descend(path[last], true); problem != 0 {
			return &Error{problem, last}
		}
	}
	if Unknown(path[last]) {
		return &Error{Critical, last}
	}
	for i := last - 1; i >= 0; i-- {
		if problem := s.step(path[i], path[i+1], i == 0, o.Memory); problem != 0 {
			return &Error{problem, i}
		}
	}
	if last > 0 && !s.policy.finish(path[0]) {
		return &Error{Policy, 0}
	}
	for i, c := range path {
		switch {
		case o.At.Before(c.NotBefore):
			return &Error{NotYetValid, i}
		case o.At.After(c.NotAfter):
			return &Error{RunOut, i}
		}
	}
	return nil
}

// step is sections 6.1.3 and, but for the last certificate, 6.1.4.
func (s *state) step(c, issuer *x509.Certificate, last bool, m *Memory) Problem {
	if !m.SameName(issuer.RawSubject, c.RawIssuer) || !m.SignedBy(c, issuer) {
		return Chaining
	}
	selfIssued := m.SameName(c.RawSubject, c.RawIssuer)
	if (last || !selfIssued) && !s.names.allow(c) {
		return Names
	}
	if !s.policy.step(c, last, selfIssued) {
		return Policy
	}
	if Unknown(c) {
		return Critical
	}
	if last {
		return 0
	}
	if !selfIssued {
		if s.length <= 0 {
			return Length
		}
		s.length--
	}
	if !s.policy.descend(c, selfIssued) {
		return Policy
	}
	return s.descend(c, false)
}

// descend is what section 6.1.4 asks of a certificate because it issued the next.
func (s *state) descend(c *x509.Certificate, anchor bool) Problem {
	old := anchor && c.Version < 3 // an anchor of before extensions
	if !old && !(c.BasicConstraintsValid && c.IsCA) || c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0 {
		return NotCA
	}
	if c.BasicConstraintsValid && (c.MaxPathLen > 0 || c.MaxPathLenZero) {
		s.length = min(s.length, c.MaxPathLen)
	}
	if !s.names.add(c) {
		return Names
	}
	return 0
}

func allows(c *x509.Certificate, use x509.ExtKeyUsage) bool {
	return use == x509.ExtKeyUsageAny || len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 ||
		slices.Contains(c.ExtKeyUsage, use) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// understood are the extensions that are looked at in this room and by trust.
var understood = []asn1.ObjectIdentifier{
	{2, 5, 29, 15}, {2, 5, 29, 17}, {2, 5, 29, 19}, {2, 5, 29, 30}, {2, 5, 29, 31}, {2, 5, 29, 32}, {2, 5, 29, 33},
	{2, 5, 29, 36}, {2, 5, 29, 37}, {2, 5, 29, 54},
}

// Unknown says that a certificate has a critical extension that is not understood
// (RFC 5280, section 4.2).
func Unknown(c *x509.Certificate) bool {
	for _, ext := range c.Extensions {
		if ext.Critical && !slices.ContainsFunc(understood, ext.Id.Equal) {
			return true
		}
	}
	return false
}
