// Package crl reads revocation lists (RFC 5280, section 5): full ones, those for
// a part of what an authority issued, delta lists and indirect lists.
//
// A list is read once, as a stream, in a window of 64 KiB: what it signs is
// hashed, and of each entry 16 bytes are kept, so that a list of 250,000 entries
// costs 4 MB and not its 10. It is read, not believed: [List.SignedBy] checks the
// signature, once for each signer, and [List.Covers] says whether the list speaks
// for a certificate at all (RFC 5280, section 6.3.3 (b)).
//
// An entry is found by a 64-bit keyed hash of its serial number. Two numbers of
// one list fall together with a chance of one in 10^13; a certificate would then
// be taken for revoked, never the other way round.
//
// A critical extension that is not understood, of the list or of any entry, makes
// the whole list speak for nobody. So does one that ends early, goes on after its
// end or is signed with SHA-1 or MD5: those are not read at all.
package crl

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"countersign/vault/trust/der"
)

// maxCRL is the largest list read, in bytes.
const maxCRL = 64 << 20

// noNextUpdate is how long a list without nextUpdate, which RFC 5280, section
// 5.1.2.5, does not allow, is taken as fresh.
const noNextUpdate = 7 * 24 * time.Hour

// ErrCRL is wrapped by every error of [Read].
var ErrCRL = errors.New("crl: not a revocation list")

// List is a revocation list. It may be used by several goroutines.
type List struct {
	algorithm    der.Algorithm
	digest       []byte // of tbsCertList, or it itself
	signature    []byte
	issuer       []byte // raw Name
	thisUpdate   time.Time
	nextUpdate   time.Time // zero if absent
	number, base *big.Int  // nil if absent
	authorityKey []byte
	scope        scope
	unusable     bool     // a critical extension that is not understood
	freshest     []string // URLs of delta lists

	entries table

	mu      sync.Mutex
	checked map[[32]byte]bool // by the signer's SHA-256
}

// ThisUpdate is when the list was made.
func (l *List) ThisUpdate() time.Time { return l.thisUpdate }

// NextUpdate is when the next list is due; a list that does not say is good for
// seven days.
func (l *List) NextUpdate() time.Time {
	if l.nextUpdate.IsZero() {
		return l.thisUpdate.Add(noNextUpdate)
	}
	return l.nextUpdate
}

// Issuer is the raw Name of who issued the list.
func (l *List) Issuer() []byte { return l.issuer }

// Delta says that the list only tells what changed since a full one (section
// 5.2.4).
func (l *List) Delta() bool { return l.base != nil }

// FreshestURLs is where the list says that delta lists for it are.
func (l *List) FreshestURLs() []string { return l.freshest }

// Size is about how many bytes the list takes in memory.
func (l *List) Size() int {
	return 1024 + 16*len(l.entries.rows) + len(l.digest) + len(l.signature) + len(l.issuer)
}

// Updates says that a delta list completes a full one (RFC 5280, section 6.3.3
// (c)): same issuer, scope and key, made for that list or an earlier one, and
// newer than it.
func (l *List) Updates(full *List) bool {
	return l.base != nil && full.base == nil && full.number != nil && l.number != nil &&
		der.SameName(l.issuer, full.issuer) && bytes.Equal(l.scope.raw, full.scope.raw) &&
		bytes.Equal(l.authorityKey, full.authorityKey) &&
		l.base.Cmp(full.number) <= 0 && l.number.Cmp(full.number) > 0
}

// Parse reads a list that is in memory.
func Parse(list []byte) (*List, error) { return Read(bytes.NewReader(list)) }

// Read reads a DER revocation list, version 1 or 2, of at most 64 MiB, to the end
// of r.
func Read(r io.Reader) (*List, error) {
	s := &stream{r: r, buf: make([]byte, window)}
	l := &List{checked: make(map[[32]byte]bool), scope: scope{reasons: AllReasons}}
	end, err := s.header(cbasn1.SEQUENCE)
	if err != nil {
		return nil, err
	}
	algorithm, err := l.readSigned(s, end)
	if err != nil {
		return nil, err
	}
	l.digest = s.digest()
	outer, err := s.element(cbasn1.SEQUENCE, end)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(outer, algorithm) {
		return nil, fmt.Errorf("%w: the two signature algorithms differ", ErrCRL)
	}
	signature, err := s.element(cbasn1.BIT_STRING, end)
	if err != nil {
		return nil, err
	}
	if !signature.ReadASN1BitStringAsBytes(&l.signature) || s.at() != end || s.need(1) {
		return nil, fmt.Errorf("%w: signature", ErrCRL)
	}
	l.signature = slices.Clone(l.signature)
	return l, nil
}

// readSigned reads tbsCertList and returns the algorithm that it names.
func (l *List) readSigned(s *stream, outer int64) (algorithm []byte, err error) {
	s.begin()
	end, err := s.header(cbasn1.SEQUENCE)
	if err != nil || end > outer {
		return nil, fmt.Errorf("%w: signed part", ErrCRL)
	}
	version := int64(0)
	if s.next(cbasn1.INTEGER, end) {
		e, err := s.element(cbasn1.INTEGER, end)
		if err != nil || !e.ReadASN1Integer(&version) || version != 1 {
			return nil, fmt.Errorf("%w: version", ErrCRL)
		}
	}
	e, err := s.element(cbasn1.SEQUENCE, end)
	if err != nil {
		return nil, err
	}
	algorithm = slices.Clone(e)
	if l.algorithm, err = der.ReadAlgorithm(e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCRL, err)
	}
	s.choose(l.algorithm.Hash)
	if e, err = s.element(cbasn1.SEQUENCE, end); err != nil || len(e) <= 2 || !der.IsName(e) {
		return nil, fmt.Errorf("%w: issuer", ErrCRL)
	}
	l.issuer = slices.Clone(e)
	if l.thisUpdate, err = readTime(s, end); err != nil {
		return nil, err
	}
	if s.next(cbasn1.UTCTime, end) || s.next(cbasn1.GeneralizedTime, end) {
		if l.nextUpdate, err = readTime(s, end); err != nil {
			return nil, err
		}
	}
	if s.next(cbasn1.SEQUENCE, end) {
		if err := l.readEntries(s, end, version); err != nil {
			return nil, err
		}
	}
	if s.at() < end {
		e, err := s.element(der.Context(0).Constructed(), end)
		if err != nil || version != 1 || !e.ReadASN1(&e, der.Context(0).Constructed()) {
			return nil, fmt.Errorf("%w: extensions", ErrCRL)
		}
		if err := l.readExtensions(e); err != nil {
			return nil, err
		}
	}
	if s.at() != end {
		return nil, fmt.Errorf("%w: trailing data", ErrCRL)
	}
	// Only an indirect list may name other issuers (section 5.3.3).
	l.unusable = l.unusable || len(l.entries.issuers) > 1 && !l.scope.indirect
	return algorithm, nil
}

func readTime(s *stream, end int64) (time.Time, error) {
	tag := cbasn1.UTCTime
	if s.next(cbasn1.GeneralizedTime, end) {
		tag = cbasn1.GeneralizedTime
	}
	e, err := s.element(tag, end)
	if err != nil {
		return time.Time{}, err
	}
	t, ok := der.ReadTime(&e)
	if !ok {
		return t, fmt.Errorf("%w: time", ErrCRL)
	}
	return t, nil
}

var (
	oidCRLNumber    = asn1.ObjectIdentifier{2, 5, 29, 20}
	oidDelta        = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidIssuingPoint = asn1.ObjectIdentifier{2, 5, 29, 28}
	oidAuthorityKey = asn1.ObjectIdentifier{2, 5, 29, 35}
)

func (l *List) readExtensions(in cryptobyte.String) error {
	err := der.EachExtension(in, func(id asn1.ObjectIdentifier, critical bool, value cryptobyte.String) error {
		ok := true
		switch {
		case id.Equal(oidIssuingPoint):
			l.scope, ok = parseScope(value, l.issuer)
		case id.Equal(oidCRLNumber):
			l.number = new(big.Int)
			ok = value.ReadASN1Integer(l.number) && value.Empty() && l.number.Sign() >= 0
		case id.Equal(oidDelta):
			l.base = new(big.Int)
			ok = value.ReadASN1Integer(l.base) && value.Empty() && l.base.Sign() >= 0
		case id.Equal(oidFreshest):
			_, l.freshest, ok = readPoints(value, l.issuer)
		case id.Equal(oidAuthorityKey):
			l.authorityKey = slices.Clone(value)
		case critical:
			l.unusable = true
		}
		if !ok {
			return fmt.Errorf("%w: extension %v", ErrCRL, id)
		}
		return nil
	})
	if errors.Is(err, der.ErrExtensions) {
		return fmt.Errorf("%w: %w", ErrCRL, err)
	}
	return err
}

// SignedBy checks the signature with an authority's key (RFC 5280, section 6.3.3
// (f) and (g)), once for each.
func (l *List) SignedBy(c *x509.Certificate) bool {
	if !der.SameName(c.RawSubject, l.issuer) || c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCRLSign == 0 {
		return false
	}
	key := sha256.Sum256(c.Raw)
	l.mu.Lock()
	defer l.mu.Unlock()
	good, known := l.checked[key]
	if !known {
		good = l.algorithm.Check(c, l.digest, l.signature) == nil
		l.checked[key] = good
	}
	return good
}
