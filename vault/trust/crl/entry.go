package crl

import (
	"cmp"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash/maphash"
	"math/big"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"countersign/vault/trust/der"
)

// Reasons that an entry may give (CRLReason, RFC 5280, section 5.3.1).
const (
	KeyCompromise   = 1
	CACompromise    = 2
	CertificateHold = 6
	RemoveFromCRL   = 8
	AACompromise    = 10
	unlisted        = 15 // a number that the standard does not know
)

// Bounds of one list beside its size.
const (
	maxIssuers         = 1 << 16
	maxInvalidityDates = 1 << 20
)

// Entry is what is said of one revoked certificate, by a list or a responder.
type Entry struct {
	Date       time.Time
	Reason     int       // CRLReason; 0 if none is given
	Invalidity time.Time // since when the key may be in other hands; zero if not said
}

// From is when signatures stop counting: for a key that may be in other hands,
// and where no reason is given, already when it may have got there (rule I2).
func (e Entry) From() time.Time {
	compromise := e.Reason == 0 || e.Reason == KeyCompromise || e.Reason == CACompromise || e.Reason == AACompromise
	if compromise && !e.Invalidity.IsZero() && e.Invalidity.Before(e.Date) {
		return e.Invalidity
	}
	return e.Date
}

// row is an entry as it is kept: the hash of its serial number and, from the
// top, 16 bits of issuer, 1 bit for an invalidity date, 4 bits of reason and 40
// of the date, in seconds from the year 1.
type row struct{ key, says uint64 }

const (
	dateBits  = 40
	issuerAt  = 48
	invalidAt = 44
	reasonAt  = dateBits
)

// table holds the entries of a list. It is walked when first asked, and sorted
// for those who ask again.
type table struct {
	seed       maphash.Seed
	rows       []row
	issuers    [][]byte             // raw Names; the first is the list's own issuer
	invalidity map[uint64]time.Time // by key

	mu    sync.Mutex
	asked int
}

// year1 counts seconds from a date before any that a list can have.
var year1 = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Unix()

func (t *table) add(serial []byte, issuer int, e Entry) bool {
	reason := e.Reason
	if reason < 0 || reason > AACompromise {
		reason = unlisted
	}
	key := maphash.Bytes(t.seed, serial)
	says := uint64(e.Date.Unix()-year1) | uint64(reason)<<reasonAt | uint64(issuer)<<issuerAt
	if !e.Invalidity.IsZero() {
		if len(t.invalidity) == maxInvalidityDates {
			return false
		}
		says |= 1 << invalidAt
		t.invalidity[key] = e.Invalidity
	}
	t.rows = append(t.rows, row{key, says})
	return true
}

// Find searches for a certificate by its issuer's raw Name and serial number.
func (l *List) Find(issuer []byte, serial *big.Int) (Entry, bool) {
	t := &l.entries
	var b cryptobyte.Builder
	b.AddASN1BigInt(serial)
	var want cryptobyte.String
	number := cryptobyte.String(b.BytesOrPanic())
	if len(t.rows) == 0 || !number.ReadASN1(&want, cbasn1.INTEGER) {
		return Entry{}, false
	}
	key := maphash.Bytes(t.seed, want)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.asked++; t.asked == 1 {
		for _, r := range t.rows {
			if r.key == key && der.SameName(t.issuers[r.says>>issuerAt], issuer) {
				return t.entry(r), true
			}
		}
		return Entry{}, false
	}
	if t.asked == 2 {
		slices.SortStableFunc(t.rows, func(a, b row) int { return cmp.Compare(a.key, b.key) })
	}
	i, _ := slices.BinarySearchFunc(t.rows, key, func(r row, k uint64) int { return cmp.Compare(r.key, k) })
	for ; i < len(t.rows) && t.rows[i].key == key; i++ {
		if der.SameName(t.issuers[t.rows[i].says>>issuerAt], issuer) {
			return t.entry(t.rows[i]), true
		}
	}
	return Entry{}, false
}

func (t *table) entry(r row) Entry {
	e := Entry{
		Date:   time.Unix(int64(r.says&(1<<dateBits-1))+year1, 0).UTC(),
		Reason: int(r.says >> reasonAt & 0xf),
	}
	if r.says>>invalidAt&1 == 1 {
		e.Invalidity = t.invalidity[r.key]
	}
	return e
}

// readEntries reads revokedCertificates.
func (l *List) readEntries(s *stream, outer, version int64) error {
	end, err := s.header(cbasn1.SEQUENCE)
	if err != nil || end > outer || s.at() == end {
		return fmt.Errorf("%w: revokedCertificates", ErrCRL)
	}
	t := &l.entries
	t.seed, t.invalidity = maphash.MakeSeed(), make(map[uint64]time.Time)
	t.issuers = [][]byte{l.issuer}
	t.rows = make([]row, 0, min((end-s.at())/32, 1<<19))
	for s.at() < end {
		serial, e, extensions, ok := readEntry(s, end)
		if !ok || len(extensions) > 0 && version != 1 {
			return fmt.Errorf("%w: entry", ErrCRL)
		}
		if len(extensions) > 0 {
			if err := l.readEntryExtensions(&e, extensions); err != nil {
				return err
			}
		}
		if !t.add(serial, len(t.issuers)-1, e) {
			return fmt.Errorf("%w: too many invalidity dates", ErrCRL)
		}
	}
	return nil
}

// readEntry reads an entry without looking into its extensions.
func readEntry(s *stream, end int64) (serial cryptobyte.String, e Entry, extensions cryptobyte.String, ok bool) {
	serial, date, extensions, ok := s.plainEntry(end)
	if ok {
		e.Date, ok = der.UTCTime(date)
	} else {
		whole, err := s.element(cbasn1.SEQUENCE, end)
		if err != nil || !whole.ReadASN1(&extensions, cbasn1.SEQUENCE) || !extensions.ReadASN1(&serial, cbasn1.INTEGER) || len(serial) == 0 {
			return nil, e, nil, false
		}
		e.Date, ok = der.ReadTime(&extensions)
	}
	shortest := len(serial) == 1 || len(serial) > 1 && (serial[0] != 0 || serial[1] >= 0x80) && (serial[0] != 0xff || serial[1] < 0x80)
	return serial, e, extensions, ok && shortest && e.Date.Unix() >= year1
}

// reasonAlone is what comes before the reason where that is the only extension,
// as in nearly all entries.
const reasonAlone = "\x30\x0c\x30\x0a\x06\x03\x55\x1d\x15\x04\x03\x0a\x01"

var (
	oidReason     = asn1.ObjectIdentifier{2, 5, 29, 21}
	oidInvalidity = asn1.ObjectIdentifier{2, 5, 29, 24}
	oidIssuer     = asn1.ObjectIdentifier{2, 5, 29, 29}
)

// readEntryExtensions reads reason, invalidity date and, of an indirect list, the
// issuer of this certificate and those that follow (RFC 5280, section 5.3.3).
func (l *List) readEntryExtensions(e *Entry, in cryptobyte.String) error {
	if n := len(reasonAlone); len(in) == n+1 && string(in[:n]) == reasonAlone {
		e.Reason = int(int8(in[n]))
		return nil
	}
	err := der.EachExtension(in, func(id asn1.ObjectIdentifier, critical bool, value cryptobyte.String) error {
		ok := true
		switch {
		case id.Equal(oidReason):
			ok = value.ReadASN1Enum(&e.Reason) && value.Empty()
		case id.Equal(oidInvalidity):
			e.Invalidity, ok = der.ReadTime(&value)
			ok = ok && value.Empty()
		case id.Equal(oidIssuer):
			ok = l.addIssuer(value)
		case critical:
			l.unusable = true // RFC 5280, section 5.3
		}
		if !ok {
			return fmt.Errorf("%w: extension %v of an entry", ErrCRL, id)
		}
		return nil
	})
	if errors.Is(err, der.ErrExtensions) {
		return fmt.Errorf("%w: %w", ErrCRL, err)
	}
	return err
}

// addIssuer reads certificateIssuer.
func (l *List) addIssuer(value cryptobyte.String) bool {
	var inner cryptobyte.String
	if !value.ReadASN1(&inner, cbasn1.SEQUENCE) || !value.Empty() || len(l.entries.issuers) == maxIssuers {
		return false
	}
	names, ok := der.ReadGeneralNames(inner)
	i := slices.IndexFunc(names, func(n der.GeneralName) bool { return n.Tag == der.DirectoryName })
	if !ok || i < 0 {
		return false
	}
	l.entries.issuers = append(l.entries.issuers, slices.Clone(names[i].Value))
	return true
}
