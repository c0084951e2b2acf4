package ocsp

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"countersign/mailer/cms/algorithm"
	"countersign/vault/trust/crl"
	"countersign/vault/trust/der"
)

// Bounds of a response.
const (
	maxResponse     = 1 << 20 // bytes
	maxSingles      = 1000
	maxCertificates = 16
)

// noNextUpdate is how long an answer without nextUpdate, whose responder always
// has a newer one (RFC 6960, section 4.2.2.1), is taken as fresh.
const noNextUpdate = 24 * time.Hour

var (
	// ErrResponse is wrapped by every error of [Parse] but ErrStatus.
	ErrResponse = errors.New("ocsp: not a response")
	// ErrStatus says that the responder answered without an answer.
	ErrStatus = errors.New("ocsp: the responder has no answer")
)

// statusWords are the OCSPResponseStatus (RFC 6960, section 4.2.1).
var statusWords = map[int]string{1: "malformed request", 2: "internal error", 3: "try later", 5: "signature required", 6: "unauthorized"}

// Status is what an answer says. The zero value says nothing.
type Status int

const (
	Good Status = iota + 1
	Revoked
	Unknown // the responder does not know the certificate
)

// Answer is what a response says about one certificate.
type Answer struct {
	Status     Status
	crl.Entry  // of Revoked
	ThisUpdate time.Time
	NextUpdate time.Time // 24 hours after ThisUpdate where the answer does not say

	id      certID
	unknown bool // a critical extension that is not understood
}

// Response is a basic OCSP response. It may be used by several goroutines.
type Response struct {
	ProducedAt   time.Time
	Nonce        []byte // nil if absent
	Certificates []*x509.Certificate

	algorithm der.Algorithm
	outdated  bool // the algorithm does not count
	signed    []byte
	signature []byte
	byName    []byte // raw Name, or
	byKey     []byte // SHA-1 of the key
	answers   []Answer
	size      int

	mu      sync.Mutex
	checked map[[32]byte]bool // by the signer's SHA-256
}

// Parse reads an OCSPResponse of at most 1 MiB. It keeps raw.
func Parse(raw []byte) (*Response, error) {
	in := cryptobyte.String(raw)
	var outer, wrapped, typed, octets, basic cryptobyte.String
	var status int
	var id asn1.ObjectIdentifier
	var present bool
	if len(raw) > maxResponse || !in.ReadASN1(&outer, cbasn1.SEQUENCE) || !in.Empty() || !outer.ReadASN1Enum(&status) ||
		!outer.ReadOptionalASN1(&wrapped, &present, der.Context(0).Constructed()) || !outer.Empty() {
		return nil, fmt.Errorf("%w: outer structure", ErrResponse)
	}
	if status != 0 {
		word := statusWords[status]
		if word == "" {
			return nil, fmt.Errorf("%w: status %d", ErrResponse, status)
		}
		return nil, fmt.Errorf("%w: %s", ErrStatus, word)
	}
	if !present || !wrapped.ReadASN1(&typed, cbasn1.SEQUENCE) || !wrapped.Empty() || !typed.ReadASN1ObjectIdentifier(&id) ||
		!id.Equal(oidBasic) || !typed.ReadASN1(&octets, cbasn1.OCTET_STRING) || !typed.Empty() ||
		!octets.ReadASN1(&basic, cbasn1.SEQUENCE) || !octets.Empty() {
		return nil, fmt.Errorf("%w: not a basic one", ErrResponse)
	}
	r := &Response{size: len(raw), checked: make(map[[32]byte]bool)}
	return r, r.parseBasic(basic)
}

func (r *Response) parseBasic(basic cryptobyte.String) error {
	var signed, algorithm, certs cryptobyte.String
	var present bool
	if !basic.ReadASN1Element(&signed, cbasn1.SEQUENCE) || !basic.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) ||
		!basic.ReadASN1BitStringAsBytes(&r.signature) ||
		!basic.ReadOptionalASN1(&certs, &present, der.Context(0).Constructed()) || !basic.Empty() {
		return fmt.Errorf("%w: signature", ErrResponse)
	}
	r.signed = signed
	var err error
	if r.algorithm, err = der.ReadAlgorithm(algorithm); err != nil {
		r.outdated = true
	}
	if present {
		var list cryptobyte.String
		if !certs.ReadASN1(&list, cbasn1.SEQUENCE) || !certs.Empty() {
			return fmt.Errorf("%w: certificates", ErrResponse)
		}
		for !list.Empty() {
			var one cryptobyte.String
			if !list.ReadASN1Element(&one, cbasn1.SEQUENCE) {
				return fmt.Errorf("%w: certificates", ErrResponse)
			}
			if c, err := x509.ParseCertificate(one); err == nil && len(r.Certificates) < maxCertificates {
				r.Certificates = append(r.Certificates, c)
			}
		}
	}
	return r.parseData(signed)
}

// parseData reads ResponseData.
func (r *Response) parseData(in cryptobyte.String) error {
	var data, version, who, list, extensions cryptobyte.String
	var hasVersion, present bool
	var number int64
	if !in.ReadASN1(&data, cbasn1.SEQUENCE) || !data.ReadOptionalASN1(&version, &hasVersion, der.Context(0).Constructed()) ||
		hasVersion && (!version.ReadASN1Integer(&number) || number != 0 || !version.Empty()) {
		return fmt.Errorf("%w: version", ErrResponse)
	}
	switch {
	case data.PeekASN1Tag(der.Context(1).Constructed()):
		if !data.ReadASN1(&who, der.Context(1).Constructed()) || !der.IsName(who) {
			return fmt.Errorf("%w: responder's name", ErrResponse)
		}
		r.byName = who
	default:
		var hash cryptobyte.String
		if !data.ReadASN1(&who, der.Context(2).Constructed()) || !who.ReadASN1(&hash, cbasn1.OCTET_STRING) || !who.Empty() || len(hash) != 20 {
			return fmt.Errorf("%w: responder's key", ErrResponse)
		}
		r.byKey = hash
	}
	var ok bool
	if r.ProducedAt, ok = der.ReadTime(&data); !ok || !data.ReadASN1(&list, cbasn1.SEQUENCE) ||
		!data.ReadOptionalASN1(&extensions, &present, der.Context(1).Constructed()) || !data.Empty() {
		return fmt.Errorf("%w: data", ErrResponse)
	}
	for !list.Empty() {
		a, err := readSingle(&list)
		if err != nil {
			return err
		}
		if r.answers = append(r.answers, a); len(r.answers) > maxSingles {
			return fmt.Errorf("%w: more than %d answers", ErrResponse, maxSingles)
		}
	}
	if !present {
		return nil
	}
	return readExtensions(extensions, func(id asn1.ObjectIdentifier, critical bool, value cryptobyte.String) error {
		var nonce cryptobyte.String
		switch {
		case id.Equal(oidNonce):
			if !value.ReadASN1(&nonce, cbasn1.OCTET_STRING) || !value.Empty() {
				return fmt.Errorf("%w: nonce", ErrResponse)
			}
			r.Nonce = slices.Concat([]byte{}, nonce)
		case critical:
			return fmt.Errorf("%w: critical extension %v", ErrResponse, id)
		}
		return nil
	})
}

func readExtensions(in cryptobyte.String, each func(asn1.ObjectIdentifier, bool, cryptobyte.String) error) error {
	err := der.EachExtension(in, each)
	if errors.Is(err, der.ErrExtensions) {
		return fmt.Errorf("%w: %w", ErrResponse, err)
	}
	return err
}

// readSingle reads a SingleResponse.
func readSingle(list *cryptobyte.String) (a Answer, err error) {
	var single, id, next, extensions cryptobyte.String
	var hasNext, present, ok bool
	malformed := fmt.Errorf("%w: single answer", ErrResponse)
	if !list.ReadASN1(&single, cbasn1.SEQUENCE) || !single.ReadASN1(&id, cbasn1.SEQUENCE) {
		return a, malformed
	}
	if a.id, ok = readID(id); !ok || !a.readStatus(&single) {
		return a, malformed
	}
	if a.ThisUpdate, ok = der.ReadTime(&single); !ok ||
		!single.ReadOptionalASN1(&next, &hasNext, der.Context(0).Constructed()) ||
		!single.ReadOptionalASN1(&extensions, &present, der.Context(1).Constructed()) || !single.Empty() {
		return a, malformed
	}
	a.NextUpdate = a.ThisUpdate.Add(noNextUpdate)
	if hasNext {
		if a.NextUpdate, ok = der.ReadTime(&next); !ok || !next.Empty() {
			return a, malformed
		}
	}
	if !present {
		return a, nil
	}
	return a, readExtensions(extensions, func(id asn1.ObjectIdentifier, critical bool, value cryptobyte.String) error {
		switch { // the extensions of a list's entry count here too: RFC 6960, section 4.4.5
		case id.Equal(oidReason):
			ok = value.ReadASN1Enum(&a.Reason) && value.Empty()
		case id.Equal(oidInvalidity):
			a.Invalidity, ok = der.ReadTime(&value)
			ok = ok && value.Empty()
		case critical:
			a.unknown = true
		}
		if !ok {
			return malformed
		}
		return nil
	})
}

// readStatus reads CertStatus.
func (a *Answer) readStatus(in *cryptobyte.String) bool {
	var body, reason cryptobyte.String
	var present, ok bool
	switch {
	case in.PeekASN1Tag(der.Context(0)):
		a.Status = Good
		return in.ReadASN1(&body, der.Context(0)) && body.Empty()
	case in.PeekASN1Tag(der.Context(2)):
		a.Status = Unknown
		return in.ReadASN1(&body, der.Context(2)) && body.Empty()
	}
	a.Status = Revoked
	if !in.ReadASN1(&body, der.Context(1).Constructed()) {
		return false
	}
	a.Date, ok = der.ReadTime(&body)
	return ok && body.ReadOptionalASN1(&reason, &present, der.Context(0).Constructed()) && body.Empty() &&
		(!present || reason.ReadASN1Enum(&a.Reason) && reason.Empty())
}

func readID(in cryptobyte.String) (id certID, ok bool) {
	var algorithm, name, key cryptobyte.String
	var oid asn1.ObjectIdentifier
	id.serial = new(big.Int)
	if !in.ReadASN1(&algorithm, cbasn1.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&oid) ||
		!in.ReadASN1(&name, cbasn1.OCTET_STRING) || !in.ReadASN1(&key, cbasn1.OCTET_STRING) ||
		!in.ReadASN1Integer(id.serial) || !in.Empty() {
		return id, false
	}
	id.name, id.key = name, key
	for _, h := range hashes {
		if h.id.Equal(oid) {
			id.hash = h.hash
		}
	}
	return id, true
}

// Size is about how many bytes the response takes in memory.
func (r *Response) Size() int { return 1024 + r.size }

// ThisUpdate is the earliest of any answer's, and NextUpdate likewise.
func (r *Response) ThisUpdate() (at time.Time) {
	for i, a := range r.answers {
		if i == 0 || a.ThisUpdate.Before(at) {
			at = a.ThisUpdate
		}
	}
	return at
}

// NextUpdate is when the first of the answers runs out.
func (r *Response) NextUpdate() (at time.Time) {
	for i, a := range r.answers {
		if i == 0 || a.NextUpdate.Before(at) {
			at = a.NextUpdate
		}
	}
	return at
}

// Find returns what the response says of a certificate made by an issuer. Where it
// says several things the worst counts: revoked, then unknown, then good.
func (r *Response) Find(c, issuer *x509.Certificate) (found Answer, ok bool) {
	worse := []Status{Good, Unknown, Revoked}
	for _, a := range r.answers {
		if !a.id.is(c, issuer) || a.unknown {
			continue
		}
		if !ok || slices.Index(worse, a.Status) > slices.Index(worse, found.Status) {
			found, ok = a, true
		}
	}
	return found, ok
}

// Names says that a certificate is the one that the response calls its signer.
func (r *Response) Names(c *x509.Certificate) bool {
	if r.byName != nil {
		return der.SameName(r.byName, c.RawSubject)
	}
	return bytes.Equal(r.byKey, digest(crypto.SHA1, algorithm.KeyBits(c)))
}

// SignedBy checks the signature with the key of whom the response names, once for
// each.
func (r *Response) SignedBy(c *x509.Certificate) bool {
	if !r.Names(c) {
		return false
	}
	key := sha256.Sum256(c.Raw)
	r.mu.Lock()
	defer r.mu.Unlock()
	good, known := r.checked[key]
	if !known {
		good = !r.outdated && r.algorithm.CheckMessage(c, r.signed, r.signature) == nil
		r.checked[key] = good
	}
	return good
}
