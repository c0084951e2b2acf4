package attribute_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"countersign/mailer/cms/algorithm"
	"countersign/mailer/cms/attribute"
	"countersign/mailer/cms/ber"
	"countersign/mailer/cms/content"
)

var (
	oidData   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSHA256 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidRSA    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
)

// certified is not a certificate, but has what names one.
var certified = &x509.Certificate{Raw: []byte("certificate"), RawIssuer: []byte{0x30, 0}}

func message() attribute.Message {
	digest := sha256.Sum256(nil)
	return attribute.Message{
		Type: oidData, Digest: digest[:], Certificate: certified,
		DigestBy: algorithm.Identifier{OID: oidSHA256}, SignedBy: algorithm.Identifier{OID: oidRSA, Params: []byte{5, 0}},
	}
}

var at = time.Date(2026, 3, 3, 9, 12, 0, 0, time.UTC)

func written(t testing.TB) []byte {
	t.Helper()
	m := message()
	var w attribute.Writer
	w.Type(m.Type)
	w.Time(at)
	w.Capabilities(attribute.Capabilities{Ciphers: []content.Cipher{content.AES256GCM, content.AES256CBC}, Derives: true, OAEP: true})
	w.Protection(m.DigestBy, m.SignedBy)
	w.SigningCertificate(certified)
	set, err := w.Set(m.Digest)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// What is written is read, and fits the message that it was written for and no other.
func TestWritten(t *testing.T) {
	set := written(t)
	all, err := attribute.Parse(ber.Contents(set))
	if err != nil {
		t.Fatal(err)
	}
	if forms := all.Encodings(); len(forms) != 1 || !bytes.Equal(forms[0], set) {
		t.Errorf("%x", forms)
	}
	can := all.Capabilities()
	if !all.SigningTime().Equal(at) || !can.Derives || !can.OAEP || !slices.Equal(can.Ciphers, []content.Cipher{content.AES256GCM, content.AES256CBC}) {
		t.Errorf("%v, %+v", all.SigningTime(), can)
	}
	for name, c := range map[string]struct {
		change func(*attribute.Message)
		want   error
	}{
		"the same":            {func(*attribute.Message) {}, nil},
		"no parameters":       {func(m *attribute.Message) { m.SignedBy.Params = nil }, nil},
		"another type":        {func(m *attribute.Message) { m.Type = oidRSA }, attribute.ErrMismatch},
		"another digest":      {func(m *attribute.Message) { m.Digest = m.Digest[1:] }, attribute.ErrDigest},
		"by another digest":   {func(m *attribute.Message) { m.DigestBy.OID = oidRSA }, attribute.ErrMismatch},
		"by another method":   {func(m *attribute.Message) { m.SignedBy.OID = oidSHA256 }, attribute.ErrMismatch},
		"another certificate": {func(m *attribute.Message) { m.Certificate = &x509.Certificate{Raw: []byte("other")} }, attribute.ErrMismatch},
	} {
		m := message()
		c.change(&m)
		if err := all.Check(m); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// FuzzParse demands that what is read is written the same, and that nothing panics.
func FuzzParse(f *testing.F) {
	f.Add(ber.Contents(written(f)))
	f.Add([]byte("\x30\x0f\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x05\x31\x02\x17\x00"))
	f.Add([]byte("\x30\x17\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0f\x31\x0a\x30\x08\x30\x06\x06\x04\x55\x1d\x0e\x00"))
	f.Add([]byte("\x30\x22\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x05\x31\x15\x18\x1399991231235959-1200"))
	f.Fuzz(func(t *testing.T, body []byte) {
		all, err := attribute.Parse(cryptobyte.String(body))
		if err != nil {
			return
		}
		forms := all.Encodings()
		if last := forms[len(forms)-1]; len(forms) > 2 || !bytes.Equal(ber.Contents(last), body) {
			t.Errorf("%x", forms)
		}
		if all.Check(message()) == nil && !all.FitsType(oidData) {
			t.Error("fits without a type")
		}
		if year := all.SigningTime().UTC().Year(); year < 1 || year > 9999 {
			t.Errorf("signed in the year %d", year)
		}
		if can := all.Capabilities(); len(can.Ciphers) > 64 {
			t.Errorf("%d ciphers", len(can.Ciphers))
		}
		all.EncryptionCertificate([]*x509.Certificate{certified})
	})
}
