package path

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"strings"
	"sync"

	"countersign/vault/trust/der"
)

// Bounds on what a stranger's certificates can make us do.
const (
	maxDepth      = 10  // certificates in a path, its anchor included
	maxPaths      = 32  // found for one certificate
	maxSignatures = 100 // checked for one certificate
	maxSteps      = 200 // certificates climbed from for one, those known from before included
	maxMemory     = 8192
)

// Memory keeps which signatures were found good, and names ready to be compared,
// so that a certificate seen before costs no signature check. It is about
// mathematics alone, so nothing in it ever has to be forgotten but to save room.
// A nil Memory remembers nothing; one may be used by several goroutines.
type Memory struct {
	mu    sync.Mutex
	sigs  map[[32]byte]bool
	names map[string]string
}

// NewMemory returns an empty memory.
func NewMemory() *Memory {
	return &Memory{sigs: make(map[[32]byte]bool), names: make(map[string]string)}
}

// SignedBy says that a certificate is signed with the key of another, in a way
// that still counts: not with SHA-1, MD5 or DSA.
func (m *Memory) SignedBy(c, by *x509.Certificate) bool {
	good, known, key := m.known(c, by)
	if !known {
		good = der.SignedBy(c, by)
		m.keep(key, good)
	}
	return good
}

func (m *Memory) known(c, by *x509.Certificate) (good, known bool, key [32]byte) {
	if m == nil {
		return false, false, key
	}
	h := sha256.New()
	h.Write(c.Raw)
	h.Write(by.RawSubjectPublicKeyInfo)
	h.Sum(key[:0])
	m.mu.Lock()
	defer m.mu.Unlock()
	good, known = m.sigs[key]
	return good, known, key
}

func (m *Memory) keep(key [32]byte, good bool) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.sigs) >= maxMemory {
		clear(m.sigs)
	}
	m.sigs[key] = good
}

// SameName is [der.SameName], remembered.
func (m *Memory) SameName(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	if m == nil {
		return der.SameName(a, b)
	}
	x, y := m.nameKey(a), m.nameKey(b)
	return x == y && x != ""
}

func (m *Memory) nameKey(raw []byte) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	key, ok := m.names[string(raw)]
	if !ok {
		if rdns, ok := der.RDNs(raw); ok {
			key = strings.Join(rdns, "\x00") + "\x00"
		}
		if len(m.names) >= maxMemory {
			clear(m.names)
		}
		m.names[string(raw)] = key
	}
	return key
}

// search is one search for paths.
type search struct {
	pool, anchors []*x509.Certificate
	memory        *Memory
	budget        int // signatures that may yet be checked
	steps         int // that may yet be taken
	found         [][]*x509.Certificate
}

// Find returns paths from a certificate to an anchor, the certificate first and
// the anchor last, in which every name and signature fits: all of them, up to 32
// paths of 10 certificates, 100 signature checks and 200 steps. It looks at nothing else;
// [Validate] judges each. A certificate that is an anchor itself is a path of its
// own.
func Find(c *x509.Certificate, pool, anchors []*x509.Certificate, m *Memory) [][]*x509.Certificate {
	s := &search{pool: pool, anchors: anchors, memory: m, budget: maxSignatures, steps: maxSteps}
	if slices.ContainsFunc(anchors, c.Equal) {
		s.found = append(s.found, []*x509.Certificate{c})
	}
	s.climb([]*x509.Certificate{c})
	return s.found
}

// climb looks for issuers of the last certificate of a path.
func (s *search) climb(path []*x509.Certificate) {
	if len(path) == maxDepth || s.steps == 0 {
		return
	}
	s.steps--
	c := path[len(path)-1]
	for _, a := range s.issuers(s.anchors, path) {
		if len(s.found) < maxPaths && s.signed(c, a) {
			s.found = append(s.found, append(slices.Clone(path), a))
		}
	}
	for _, o := range s.issuers(s.pool, path) {
		if len(s.found) < maxPaths && !slices.ContainsFunc(s.anchors, o.Equal) && s.signed(c, o) {
			s.climb(append(slices.Clone(path), o))
		}
	}
}

// issuers picks those that bear the name of a path's last issuer and are not on
// it yet, which would be a circle; first those whose key identifier fits.
func (s *search) issuers(from []*x509.Certificate, path []*x509.Certificate) []*x509.Certificate {
	c := path[len(path)-1]
	var fits, others []*x509.Certificate
	for _, o := range from {
		if !s.memory.SameName(o.RawSubject, c.RawIssuer) || slices.ContainsFunc(path, func(p *x509.Certificate) bool { return sameParty(p, o) }) {
			continue
		}
		if len(c.AuthorityKeyId) > 0 && bytes.Equal(c.AuthorityKeyId, o.SubjectKeyId) {
			fits = append(fits, o)
		} else {
			others = append(others, o)
		}
	}
	return append(fits, others...)
}

func sameParty(a, b *x509.Certificate) bool {
	return bytes.Equal(a.RawSubject, b.RawSubject) && bytes.Equal(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo)
}

func (s *search) signed(c, by *x509.Certificate) bool {
	if good, known, _ := s.memory.known(c, by); known {
		return good
	}
	if s.budget == 0 {
		return false
	}
	s.budget--
	return s.memory.SignedBy(c, by)
}
