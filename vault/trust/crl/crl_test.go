package crl

import (
	"archive/zip"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/iotest"
	"time"

	"countersign/vault/trust/der"
)

var today = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

func authority(t testing.TB, key crypto.Signer) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Harbour  Lists"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCRLSign, NotBefore: today, NotAfter: today.AddDate(1, 0, 0), SubjectKeyId: []byte{1}}
	raw, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(raw); err != nil {
		t.Fatal(err)
	}
	return c
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// list signs a list, of today unless it says otherwise.
func list(t testing.TB, by *x509.Certificate, key crypto.Signer, l x509.RevocationList) []byte {
	t.Helper()
	if l.Number == nil {
		l.Number = big.NewInt(7)
	}
	if l.ThisUpdate.IsZero() {
		l.ThisUpdate, l.NextUpdate = today, today.AddDate(0, 0, 7)
	}
	raw, err := x509.CreateRevocationList(rand.Reader, &l, by, key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func parse(t testing.TB, raw []byte) *List {
	t.Helper()
	l, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestSerialNumbers: any that a certificate can have is found, asked once or
// often, and no other.
func TestSerialNumbers(t *testing.T) {
	key := newKey(t)
	by := authority(t, key)
	var all []*big.Int
	var entries []x509.RevocationListEntry
	for i, bits := range []uint{0, 6, 7, 8, 62, 63, 64, 127, 159, 1016, 1500} {
		n := new(big.Int).Lsh(big.NewInt(1), bits)
		all = append(all, n)
		e := x509.RevocationListEntry{SerialNumber: n, RevocationTime: today.AddDate(-i, 0, i), ReasonCode: []int{0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 1}[i]}
		if i%2 == 0 {
			since, _ := asn1.MarshalWithParams(today.AddDate(-i-1, 0, 0), "generalized")
			e.ExtraExtensions = []pkix.Extension{{Id: oidInvalidity, Value: since}}
		}
		entries = append(entries, e)
	}
	raw := list(t, by, key, x509.RevocationList{RevokedCertificateEntries: entries})
	often := parse(t, raw)
	for i, n := range all {
		once := parse(t, raw)
		for _, l := range []*List{once, often, often} {
			e, ok := l.Find(by.RawSubject, n)
			if !ok || !e.Date.Equal(entries[i].RevocationTime) || e.Reason != entries[i].ReasonCode || e.Invalidity.IsZero() == (i%2 == 0) {
				t.Errorf("%x: %v, %+v", n, ok, e)
			}
			if i%2 == 0 && !e.Invalidity.Equal(today.AddDate(-i-1, 0, 0)) {
				t.Errorf("%x is invalid since %v", n, e.Invalidity)
			}
			if _, ok := l.Find(by.RawSubject, new(big.Int).Add(n, big.NewInt(2))); ok {
				t.Errorf("%x + 2 is found", n)
			}
			if _, ok := l.Find([]byte{0x30, 0}, n); ok {
				t.Errorf("%x is found for another authority", n)
			}
		}
	}
}

// TestSignedBy: by the right key, of the right name, that may sign lists.
func TestSignedBy(t *testing.T) {
	ec := newKey(t)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []crypto.Signer{ec, ed} {
		by := authority(t, key)
		l := parse(t, list(t, by, key, x509.RevocationList{}))
		mayNot := *by
		mayNot.KeyUsage, mayNot.Raw = x509.KeyUsageCertSign, []byte("mayNot")
		called := *by
		called.RawSubject, called.Raw = []byte{0x30, 0}, []byte("called")
		again := l.SignedBy(by) // from here on from memory
		if !again || !l.SignedBy(by) || l.SignedBy(&mayNot) || l.SignedBy(&called) || l.SignedBy(authority(t, newKey(t))) {
			t.Errorf("%T: wrong about who signed", key)
		}
	}
}

// TestDamaged: a list cut short anywhere is not read; one changed anywhere is not
// read, or not by its authority.
func TestDamaged(t *testing.T) {
	key := newKey(t)
	by := authority(t, key)
	raw := list(t, by, key, x509.RevocationList{RevokedCertificateEntries: []x509.RevocationListEntry{
		{SerialNumber: big.NewInt(5), RevocationTime: today}, {SerialNumber: big.NewInt(6), RevocationTime: today, ReasonCode: 1}}})
	for i := range raw {
		if _, err := Parse(raw[:i]); !errors.Is(err, ErrCRL) {
			t.Fatalf("cut to %d bytes: %v", i, err)
		}
		bad := slices.Clone(raw)
		bad[i] ^= 0x41
		if l, err := Parse(bad); err == nil && l.SignedBy(by) {
			t.Fatalf("byte %d changed, and still signed", i)
		}
	}
	if _, err := Parse(append(slices.Clone(raw), 0)); !errors.Is(err, ErrCRL) {
		t.Errorf("with a byte more: %v", err)
	}
	if _, err := Read(io.MultiReader(bytes.NewReader(raw[:50]), iotest.ErrReader(io.ErrNoProgress))); !errors.Is(err, ErrCRL) {
		t.Errorf("broken off: %v", err)
	}
	if l, err := Read(iotest.OneByteReader(bytes.NewReader(raw))); err != nil || !l.SignedBy(by) {
		t.Errorf("in single bytes: %v", err)
	}
}

// TestHuge: what says that it is larger than can be is refused at once.
func TestHuge(t *testing.T) {
	for _, head := range []string{"\x30\x84\x7f\xff\xff\xff", "\x30\x85\x01\x00\x00\x00\x00", "\x30\x80", "\x30\x84\x03\xff\xff\xf0\x30\x84\x03\xff\xff\xe0"} {
		if _, err := Read(io.MultiReader(bytes.NewReader([]byte(head)), endless{})); !errors.Is(err, ErrCRL) {
			t.Errorf("%x: %v", head, err)
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestDelta is RFC 5280, section 5.2.4: which list completes which.
func TestDelta(t *testing.T) {
	key := newKey(t)
	by := authority(t, key)
	make := func(number, base int64, ext ...pkix.Extension) *List {
		if base > 0 {
			n, _ := asn1.Marshal(base)
			ext = append(ext, pkix.Extension{Id: oidDelta, Critical: true, Value: n})
		}
		return parse(t, list(t, by, key, x509.RevocationList{Number: big.NewInt(number), ExtraExtensions: ext}))
	}
	users := pkix.Extension{Id: oidIssuingPoint, Critical: true, Value: []byte("\x30\x03\x81\x01\xff")}
	for name, c := range map[string]struct {
		delta, full *List
		want        bool
	}{
		"for this list":         {make(6, 5), make(5, 0), true},
		"for an earlier one":    {make(9, 5), make(7, 0), true},
		"for a later one":       {make(9, 6), make(5, 0), false},
		"not newer":             {make(7, 5), make(7, 0), false},
		"not a delta":           {make(9, 0), make(7, 0), false},
		"of another scope":      {make(6, 5, users), make(5, 0), false},
		"of the same scope":     {make(6, 5, users), make(5, 0, users), true},
		"for a delta":           {make(9, 5), make(7, 5), false},
		"of another of its key": {make(6, 5), func() *List { l := make(5, 0); l.authorityKey = []byte{9}; return l }(), false},
	} {
		if got := c.delta.Updates(c.full); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestRelative: a name relative to the issuer's stands for the whole one.
func TestRelative(t *testing.T) {
	key := newKey(t)
	by := authority(t, key)
	rdn := "\x30\x08\x06\x03\x55\x04\x03\x13\x01A" // CN=A
	names, ok := pointName([]byte("\xa1\x0a"+rdn), by.RawSubject)
	full, okay := der.Under(by.RawSubject, []byte(rdn))
	if !ok || !okay || len(names) != 1 || names[0] != (der.GeneralName{Tag: der.DirectoryName, Value: full}).Key() {
		t.Fatalf("%q", names)
	}
}

// pkits reads the lists of NIST's suite.
func pkits(t testing.TB) map[string][]byte {
	t.Helper()
	z, err := zip.OpenReader("../testdata/pkits-crls.zip")
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	all := map[string][]byte{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if all[f.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestReadsAsGoDoes: the lists of NIST's suite, beside crypto/x509.
func TestReadsAsGoDoes(t *testing.T) {
	for name, raw := range pkits(t) {
		l, err := Parse(raw)
		if name == "DSACACRL.crl" || name == "DSAParametersInheritedCACRL.crl" {
			if !errors.Is(err, der.ErrAlgorithm) {
				t.Errorf("%s is signed with DSA: %v", name, err)
			}
			continue
		}
		if name == "BadCRLSignatureCACRL.crl" && errors.Is(err, ErrCRL) {
			continue // its signature is not whole octets
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		agree(t, l, raw)
	}
}

// agree compares a list with crypto/x509's reading of it, if it has one.
func agree(t *testing.T, l *List, raw []byte) {
	t.Helper()
	theirs, err := x509.ParseRevocationList(raw)
	if err != nil {
		return
	}
	if !l.thisUpdate.Equal(theirs.ThisUpdate) || !l.nextUpdate.Equal(theirs.NextUpdate) || !bytes.Equal(l.issuer, theirs.RawIssuer) ||
		theirs.Number != nil && (l.number == nil || l.number.Cmp(theirs.Number) != 0) {
		t.Fatalf("crypto/x509 has %v, %v, %v, number %v", theirs.Issuer, theirs.ThisUpdate, theirs.NextUpdate, theirs.Number)
	}
	if len(l.entries.rows) != len(theirs.RevokedCertificateEntries) {
		t.Fatalf("%d entries; crypto/x509 has %d", len(l.entries.rows), len(theirs.RevokedCertificateEntries))
	}
	for i, e := range theirs.RevokedCertificateEntries {
		if len(l.entries.issuers) > 1 {
			break
		}
		got, ok := l.Find(l.issuer, e.SerialNumber)
		twice := slices.ContainsFunc(theirs.RevokedCertificateEntries[:i], func(o x509.RevocationListEntry) bool { return o.SerialNumber.Cmp(e.SerialNumber) == 0 })
		if !ok || !twice && !got.Date.Equal(e.RevocationTime) {
			t.Fatalf("entry %v: %v, %v", e.SerialNumber, ok, got)
		}
		_ = got.From()
	}
}

func FuzzParse(f *testing.F) {
	for name, raw := range pkits(f) {
		if len(name)%8 == 0 {
			f.Add(raw)
		}
	}
	files, _ := filepath.Glob("../../../../shared/vectors/boringssl-crl/*.pem")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
			if block.Type == "CRL" {
				f.Add(block.Bytes)
			}
		}
	}
	f.Add([]byte{0x30, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if l, err := Parse(raw); err == nil {
			agree(t, l, raw)
		}
	})
}

// BenchmarkLarge reads, believes and asks a list of 250,000 entries; the peer is
// crypto/x509 with a search of its slice.
func BenchmarkLarge(b *testing.B) {
	key := newKey(b)
	by := authority(b, key)
	entries := make([]x509.RevocationListEntry, 250_000)
	for i := range entries {
		entries[i] = x509.RevocationListEntry{SerialNumber: big.NewInt(int64(i)<<32 + 7), RevocationTime: today, ReasonCode: i % 5}
	}
	raw := list(b, by, key, x509.RevocationList{RevokedCertificateEntries: entries})
	last := big.NewInt(249_999<<32 + 7)
	b.Run("ours", func(b *testing.B) {
		b.SetBytes(int64(len(raw)))
		b.ReportAllocs()
		for b.Loop() {
			l, err := Parse(raw)
			if err != nil || !l.SignedBy(by) {
				b.Fatal(err)
			}
			if _, ok := l.Find(by.RawSubject, last); !ok {
				b.Fatal("not found")
			}
		}
	})
	b.Run("again", func(b *testing.B) {
		l := parse(b, raw)
		for b.Loop() {
			if _, ok := l.Find(by.RawSubject, last); !ok {
				b.Fatal("not found")
			}
		}
	})
	b.Run("crypto/x509", func(b *testing.B) {
		b.SetBytes(int64(len(raw)))
		b.ReportAllocs()
		for b.Loop() {
			l, err := x509.ParseRevocationList(raw)
			if err != nil || l.CheckSignatureFrom(by) != nil {
				b.Fatal(err)
			}
			if !slices.ContainsFunc(l.RevokedCertificateEntries, func(e x509.RevocationListEntry) bool { return e.SerialNumber.Cmp(last) == 0 }) {
				b.Fatal("not found")
			}
		}
	})
}
