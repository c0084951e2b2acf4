package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// maxCRL is the largest list read, in bytes.
const maxCRL = 64 << 20

// ErrCRL is wrapped by every error of [ParseCRL].
var ErrCRL = errors.New("trust: not a revocation list")

// CRL is a full revocation list (RFC 5280, section 5), read but not believed:
// its signature is checked when it is used. The entries stay as they came and
// are searched in place, so that a list of 250,000 costs no more memory than its
// bytes. A CRL may be used by several goroutines.
type CRL struct {
	signed     []byte // tbsCertList
	signature  []byte
	algorithm  x509.SignatureAlgorithm
	issuer     []byte // raw Name
	thisUpdate time.Time
	nextUpdate time.Time // zero if absent
	entries    cryptobyte.String
	scope      scope
	unusable   bool // a critical extension that is not understood, or a kind of list not used

	mu      sync.Mutex
	checked map[[32]byte]bool // by the signer's SHA-256
}

// ThisUpdate is when the list was made.
func (l *CRL) ThisUpdate() time.Time { return l.thisUpdate }

// NextUpdate is when the next list is due; a list that does not say is good for
// seven days.
func (l *CRL) NextUpdate() time.Time { return l.until() }

func (l *CRL) until() time.Time {
	if l.nextUpdate.IsZero() {
		return l.thisUpdate.Add(noNextUpdate)
	}
	return l.nextUpdate
}

// ParseCRL reads a DER revocation list, version 1 or 2, of at most 64 MiB. It
// keeps der.
func ParseCRL(der []byte) (*CRL, error) {
	l := &CRL{checked: make(map[[32]byte]bool)}
	if len(der) > maxCRL {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrCRL, maxCRL)
	}
	in := cryptobyte.String(der)
	var outer, signed, algorithm cryptobyte.String
	if !in.ReadASN1(&outer, cbasn1.SEQUENCE) || !in.Empty() ||
		!outer.ReadASN1Element(&signed, cbasn1.SEQUENCE) ||
		!outer.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) ||
		!outer.ReadASN1BitStringAsBytes(&l.signature) || !outer.Empty() {
		return nil, fmt.Errorf("%w: outer structure", ErrCRL)
	}
	l.signed = signed
	var err error
	if l.algorithm, err = signatureAlgorithm(algorithm); err != nil {
		return nil, err
	}
	return l, l.parse(signed, algorithm)
}

// parse reads tbsCertList.
func (l *CRL) parse(in, outerAlgorithm cryptobyte.String) error {
	var tbs, algorithm, issuer cryptobyte.String
	version := int64(0)
	if !in.ReadASN1(&tbs, cbasn1.SEQUENCE) {
		return fmt.Errorf("%w: signed part", ErrCRL)
	}
	if tbs.PeekASN1Tag(cbasn1.INTEGER) && (!tbs.ReadASN1Integer(&version) || version != 1) {
		return fmt.Errorf("%w: version", ErrCRL)
	}
	if !tbs.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) || !bytes.Equal(algorithm, outerAlgorithm) {
		return fmt.Errorf("%w: the two signature algorithms differ", ErrCRL)
	}
	if !tbs.ReadASN1Element(&issuer, cbasn1.SEQUENCE) || !isName(issuer) {
		return fmt.Errorf("%w: issuer", ErrCRL)
	}
	l.issuer = issuer
	var ok bool
	if l.thisUpdate, ok = readTime(&tbs); !ok {
		return fmt.Errorf("%w: thisUpdate", ErrCRL)
	}
	if tbs.PeekASN1Tag(cbasn1.UTCTime) || tbs.PeekASN1Tag(cbasn1.GeneralizedTime) {
		if l.nextUpdate, ok = readTime(&tbs); !ok {
			return fmt.Errorf("%w: nextUpdate", ErrCRL)
		}
	}
	if tbs.PeekASN1Tag(cbasn1.SEQUENCE) {
		if !tbs.ReadASN1(&l.entries, cbasn1.SEQUENCE) || l.entries.Empty() {
			return fmt.Errorf("%w: revokedCertificates", ErrCRL)
		}
		if err := l.scan(version); err != nil {
			return err
		}
	}
	var extensions cryptobyte.String
	var present bool
	if !tbs.ReadOptionalASN1(&extensions, &present, cbasn1.Tag(0).Constructed().ContextSpecific()) || !tbs.Empty() {
		return fmt.Errorf("%w: trailing data", ErrCRL)
	}
	if present && version != 1 {
		return fmt.Errorf("%w: extensions in version 1", ErrCRL)
	}
	if !present {
		return nil
	}
	return l.parseExtensions(extensions)
}

var (
	oidReason       = asn1.ObjectIdentifier{2, 5, 29, 21}
	oidInvalidity   = asn1.ObjectIdentifier{2, 5, 29, 24}
	oidCRLNumber    = asn1.ObjectIdentifier{2, 5, 29, 20}
	oidAuthorityKey = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidIssuingPoint = asn1.ObjectIdentifier{2, 5, 29, 28}
	oidDistribution = asn1.ObjectIdentifier{2, 5, 29, 31}
)

func (l *CRL) parseExtensions(in cryptobyte.String) error {
	return eachExtension(in, func(id asn1.ObjectIdentifier, critical bool, value cryptobyte.String) error {
		switch {
		case id.Equal(oidIssuingPoint):
			s, ok := parseScope(value)
			if !ok {
				return fmt.Errorf("%w: issuingDistributionPoint", ErrCRL)
			}
			l.scope = s
		case id.Equal(oidCRLNumber), id.Equal(oidAuthorityKey):
		case critical:
			l.unusable = true // deltaCRLIndicator is one of these
		}
		return nil
	})
}

// eachExtension reads Extensions: at least one, none twice.
func eachExtension(in cryptobyte.String, each func(asn1.ObjectIdentifier, bool, cryptobyte.String) error) error {
	var list cryptobyte.String
	if !in.ReadASN1(&list, cbasn1.SEQUENCE) || !in.Empty() || list.Empty() {
		return fmt.Errorf("%w: extensions", ErrCRL)
	}
	seen := make(map[string]bool)
	for !list.Empty() {
		var ext, value cryptobyte.String
		var id asn1.ObjectIdentifier
		var critical bool
		if !list.ReadASN1(&ext, cbasn1.SEQUENCE) || !ext.ReadASN1ObjectIdentifier(&id) ||
			!readFlag(&ext, &critical, cbasn1.BOOLEAN) ||
			!ext.ReadASN1(&value, cbasn1.OCTET_STRING) || !ext.Empty() || seen[id.String()] {
			return fmt.Errorf("%w: extension", ErrCRL)
		}
		seen[id.String()] = true
		if err := each(id, critical, value); err != nil {
			return err
		}
	}
	return nil
}

// entry is one withdrawn certificate.
type entry struct {
	date       time.Time
	reason     int
	invalidity time.Time
	extensions cryptobyte.String
}

// next reads an entry without looking into its extensions.
func next(in *cryptobyte.String) (e entry, ok bool) {
	var body, serial cryptobyte.String
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1(&serial, cbasn1.INTEGER) || len(serial) == 0 ||
		len(serial) > 1 && (serial[0] == 0 && serial[1] < 0x80 || serial[0] == 0xff && serial[1] >= 0x80) {
		return e, false
	}
	if e.date, ok = readTime(&body); !ok {
		return e, false
	}
	e.extensions = body
	return e, true
}

// scan checks every entry once.
func (l *CRL) scan(version int64) error {
	for in := l.entries; !in.Empty(); {
		e, ok := next(&in)
		if !ok || len(e.extensions) > 0 && version != 1 {
			return fmt.Errorf("%w: entry", ErrCRL)
		}
		if len(e.extensions) == 0 {
			continue
		}
		unknown, err := e.parseExtensions()
		if err != nil {
			return err
		}
		l.unusable = l.unusable || unknown // RFC 5280, section 5.3
	}
	return nil
}

// reasonAlone is what comes before the reason where that is the only extension,
// as in nearly all entries.
const reasonAlone = "\x30\x0c\x30\x0a\x06\x03\x55\x1d\x15\x04\x03\x0a\x01"

// parseExtensions reads reason and invalidity date; critical says that there was
// a critical extension that is not understood.
func (e *entry) parseExtensions() (critical bool, err error) {
	if n := len(reasonAlone); len(e.extensions) == n+1 && string(e.extensions[:n]) == reasonAlone {
		e.reason = int(int8(e.extensions[n]))
		return false, nil
	}
	err = eachExtension(e.extensions, func(id asn1.ObjectIdentifier, c bool, value cryptobyte.String) error {
		switch {
		case id.Equal(oidReason):
			if !value.ReadASN1Enum(&e.reason) || !value.Empty() {
				return fmt.Errorf("%w: reason", ErrCRL)
			}
		case id.Equal(oidInvalidity):
			var ok bool
			if e.invalidity, ok = readTime(&value); !ok || !value.Empty() {
				return fmt.Errorf("%w: invalidityDate", ErrCRL)
			}
		case c:
			critical = true
		}
		return nil
	})
	return critical, err
}

// find searches the entries for a serial number.
func (l *CRL) find(serial *big.Int) (entry, bool) {
	var b cryptobyte.Builder
	b.AddASN1BigInt(serial)
	var want cryptobyte.String
	if number := cryptobyte.String(b.BytesOrPanic()); !number.ReadASN1(&want, cbasn1.INTEGER) {
		return entry{}, false
	}
	for in := l.entries; !in.Empty(); {
		var whole, body, serial cryptobyte.String
		if !in.ReadASN1Element(&whole, cbasn1.SEQUENCE) {
			break
		}
		if inner := whole; !inner.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1(&serial, cbasn1.INTEGER) {
			break
		}
		if !bytes.Equal(serial, want) {
			continue
		}
		e, ok := next(&whole)
		if ok && len(e.extensions) > 0 {
			_, _ = e.parseExtensions() // checked by scan
		}
		return e, ok
	}
	return entry{}, false
}

// signedBy checks the signature with an authority's key (RFC 5280, section
// 6.3.3 (f) and (g)), once for each.
func (l *CRL) signedBy(c *x509.Certificate) bool {
	if !sameName(c.RawSubject, l.issuer) || c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCRLSign == 0 {
		return false
	}
	key := sha256.Sum256(c.Raw)
	l.mu.Lock()
	defer l.mu.Unlock()
	good, known := l.checked[key]
	if !known {
		good = c.CheckSignature(l.algorithm, l.signed, l.signature) == nil
		l.checked[key] = good
	}
	return good
}
