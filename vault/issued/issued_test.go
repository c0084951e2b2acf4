package issued_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"testing"
	"time"

	"countersign/vault/issued"
	"countersign/vault/pkcs10"
)

func certificate(t testing.TB, key *ecdsa.PrivateKey, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Ada"}, NotBefore: time.Unix(1e9, 0), NotAfter: time.Unix(2e9, 0),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement, EmailAddresses: []string{"ada@clinic.example"}}
	if change != nil {
		change(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestJudge: what a certificate may be used for, or why it may not be used at all.
func TestJudge(t *testing.T) {
	key := newKey(t)
	for name, c := range map[string]struct {
		change     func(*x509.Certificate)
		sign, open bool
		want       error
	}{
		"both":           {nil, true, true, nil},
		"signing":        {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageContentCommitment }, true, false, nil},
		"agreement":      {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }, false, true, nil},
		"no usage said":  {func(c *x509.Certificate) { c.KeyUsage = 0 }, true, true, nil},
		"encipherment":   {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }, false, false, issued.ErrNotForMail},
		"a web server's": {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, false, false, issued.ErrNotForMail},
		"an authority's": {func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }, false, false, issued.ErrNotForMail},
		"nobody's":       {func(c *x509.Certificate) { c.EmailAddresses = nil }, false, false, issued.ErrNoAddress},
	} {
		o := issued.Own{Certificate: certificate(t, key, c.change)}
		if err := o.Judge(); !errors.Is(err, c.want) || o.Sign != c.sign || o.Open != c.open {
			t.Errorf("%s: %v, signs %v, opens %v", name, err, o.Sign, o.Open)
		}
	}
}

func TestKeyKind(t *testing.T) {
	if got := issued.KeyKind(certificate(t, newKey(t), nil)); got != "P-256" {
		t.Error(got)
	}
}

// TestReadCertificates: what is none is refused, and what is too much.
func TestReadCertificates(t *testing.T) {
	one := certificate(t, newKey(t), nil)
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: one.Raw})
	for name, c := range map[string]struct {
		data []byte
		want int
	}{
		"PEM": {block, 1}, "DER": {one.Raw, 1}, "two": {append(bytes.Clone(block), block...), 2}, "two in a row": {append(bytes.Clone(one.Raw), one.Raw...), 2},
		"with words before it": {append([]byte("Here it is:\n"), block...), 1}, "a key before it": {append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}}), block...), 1},
		"nothing": {nil, 0}, "text": {[]byte("hello"), 0}, "cut short": {one.Raw[:len(one.Raw)-1], 0}, "something after it": {append(bytes.Clone(one.Raw), 0), 0},
		"seventeen": {bytes.Repeat(block, 17), 0}, "huge": {make([]byte, issued.MaxCertificates+1), 0},
	} {
		got, err := issued.ReadCertificates(c.data)
		if len(got) != c.want || (err != nil) != (c.want == 0) || err != nil && !errors.Is(err, issued.ErrNotCertificate) {
			t.Errorf("%s: %d, %v", name, len(got), err)
		}
	}
}

// FuzzReadCertificates: whatever the file, an answer; and what it answers fits no
// request that it is not for.
func FuzzReadCertificates(f *testing.F) {
	one := certificate(f, newKey(f), nil)
	f.Add(one.Raw)
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: one.Raw}))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: []byte{0x30, 0x80, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2, 0xa0, 0x80, 0, 0, 0, 0}}))
	other := newKey(f)
	public, err := x509.MarshalPKIXPublicKey(other.Public())
	if err != nil {
		f.Fatal(err)
	}
	r := issued.Request{Address: "ada@clinic.example", Keys: []issued.RequestedKey{{Use: pkcs10.Both, Public: public}}}
	f.Fuzz(func(t *testing.T, data []byte) {
		certs, err := issued.ReadCertificates(data)
		if err != nil && !errors.Is(err, issued.ErrNotCertificate) {
			t.Fatal(err)
		}
		var found []issued.Own
		for _, c := range certs {
			o := issued.Own{Certificate: c}
			if o.Judge() == nil {
				found = append(found, o)
			}
		}
		if _, fits, _ := r.Take(found); fits {
			t.Fatal("it fits a key that nobody has certified")
		}
	})
}
