package bundle

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"countersign/mailer/cms"
	"countersign/mailer/server/servertest"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

type owner struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func somebody(t testing.TB, name string) owner {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, EmailAddresses: []string{"bundle@authority.example"},
		NotBefore: noon.Add(-48 * time.Hour), NotAfter: noon.Add(48 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return owner{c, key}
}

// unsigned is a SignedData that nobody signed, around the certificates.
func unsigned(t testing.TB, certs ...*x509.Certificate) []byte {
	t.Helper()
	type info struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue
	}
	var all []byte
	for _, c := range certs {
		all = append(all, c.Raw...)
	}
	data, err := asn1.Marshal(struct {
		Version int
		Digests []int `asn1:"set"`
		Content struct{ Type asn1.ObjectIdentifier }
		Certs   asn1.RawValue
		Signers []int `asn1:"set"`
	}{1, []int{}, struct{ Type asn1.ObjectIdentifier }{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}},
		asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: all}, []int{}})
	if err == nil {
		data, err = asn1.Marshal(info{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}, asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: data}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (o owner) signs(t testing.TB, content []byte, at time.Time, also ...*x509.Certificate) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := cms.NewSigned(&b, int64(len(content)), []cms.Signer{{Certificate: o.cert, Key: o.key}}, cms.SignOptions{Time: at, Certificates: also})
	if err == nil {
		_, err = w.Write(content)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func armour(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func TestRead(t *testing.T) {
	a, b, signer := somebody(t, "a").cert, somebody(t, "b").cert, somebody(t, "signer")
	both := []*x509.Certificate{a, b}
	altered := signer.signs(t, unsigned(t, a, b), noon)
	altered[bytes.Index(altered, a.Raw)+len(a.Raw)-1] ^= 1
	for name, c := range map[string]struct {
		data   []byte
		want   []*x509.Certificate
		signed bool
		err    error
	}{
		"DER":                     {a.Raw, both[:1], false, nil},
		"two in DER":              {slices.Concat(a.Raw, b.Raw), both, false, nil},
		"PEM, one twice":          {slices.Concat(armour("CERTIFICATE", a.Raw), armour("X509 CERTIFICATE", b.Raw), armour("CERTIFICATE", a.Raw)), both, false, nil},
		"with text around":        {slices.Concat([]byte("Our root:\n"), armour("CERTIFICATE", a.Raw)), both[:1], false, nil},
		"CMS":                     {unsigned(t, a, b), both, false, nil},
		"CMS in PEM":              {armour("PKCS7", unsigned(t, a, b)), both, false, nil},
		"signed":                  {signer.signs(t, unsigned(t, a, b), noon), both, true, nil},
		"signed, in PEM":          {armour("CMS", signer.signs(t, unsigned(t, a, b), noon)), both, true, nil},
		"signed around PEM":       {signer.signs(t, armour("CERTIFICATE", a.Raw), noon), both[:1], true, nil},
		"beside the signature":    {signer.signs(t, []byte("nothing"), noon, a, b), nil, false, ErrNothingSigned},
		"more beside than inside": {signer.signs(t, unsigned(t, a), noon, b), both[:1], true, nil},
		"signed twice over":       {signer.signs(t, signer.signs(t, unsigned(t, a), noon), noon), nil, false, ErrNothingSigned},
		"altered":                 {altered, nil, false, ErrSignature},
		"empty":                   {nil, nil, false, ErrNone},
		"empty CMS":               {unsigned(t), nil, false, ErrNone},
		"a key in PEM":            {armour("PRIVATE KEY", a.Raw), nil, false, ErrNone},
		"half a certificate":      {a.Raw[:len(a.Raw)/2], nil, false, ErrNone},
		"rubbish in PEM":          {armour("CERTIFICATE", a.Raw[:40]), nil, false, ErrNone},
		"a certificate, then CMS": {slices.Concat(armour("CERTIFICATE", a.Raw), armour("PKCS7", unsigned(t, b))), nil, false, ErrNone},
		"cut CMS":                 {unsigned(t, a, b)[:400], nil, false, ErrNone},
		"over a megabyte":         {make([]byte, MaxFile+1), nil, false, ErrSize},
	} {
		f, err := Read(c.data)
		if !errors.Is(err, c.err) || !slices.EqualFunc(f.Certificates, c.want, (*x509.Certificate).Equal) {
			t.Errorf("%s: %d certificates, %v; want %d, %v", name, len(f.Certificates), err, len(c.want), c.err)
		}
		if c.signed != (f.Signer != nil) || c.signed && (!f.Signer.Equal(signer.cert) || !f.Signed.Equal(noon)) {
			t.Errorf("%s: signed by %v at %v", name, f.Signer != nil, f.Signed)
		}
	}
}

func TestRenews(t *testing.T) {
	signer, other := somebody(t, "signer"), somebody(t, "signer")
	list := unsigned(t, other.cert)
	for name, c := range map[string]struct {
		data []byte
		last time.Time
		want error
	}{
		"the first":           {signer.signs(t, list, noon), time.Time{}, nil},
		"a newer one":         {signer.signs(t, list, noon), noon.Add(-time.Hour), nil},
		"the same again":      {signer.signs(t, list, noon), noon, nil},
		"an older one":        {signer.signs(t, list, noon.Add(-time.Hour)), noon, ErrOlder},
		"unsigned":            {list, time.Time{}, ErrSigner},
		"signed by another":   {other.signs(t, list, noon), time.Time{}, ErrSigner},
		"in two days":         {signer.signs(t, list, noon.Add(47*time.Hour)), time.Time{}, ErrUndated},
		"before it was valid": {signer.signs(t, list, noon.Add(-72*time.Hour)), time.Time{}, ErrUndated},
	} {
		f, err := Read(c.data)
		if err != nil {
			t.Fatal(name, err)
		}
		if err := f.Renews(signer.cert, c.last, noon); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if err := (File{Signer: signer.cert}).Renews(signer.cert, time.Time{}, noon); !errors.Is(err, ErrUndated) {
		t.Errorf("without a time: %v", err)
	}
	if err := (File{}).Renews(nil, time.Time{}, noon); !errors.Is(err, ErrSigner) {
		t.Errorf("without a pin: %v", err)
	}
}

func TestCompare(t *testing.T) {
	a, b, c := somebody(t, "a").cert, somebody(t, "b").cert, somebody(t, "c").cert
	gone, come := File{Certificates: []*x509.Certificate{b, c}}.Compare([]*x509.Certificate{a, b})
	if len(gone) != 1 || !gone[0].Equal(a) || len(come) != 1 || !come[0].Equal(c) {
		t.Errorf("gone %d, come %d", len(gone), len(come))
	}
}

// TestPeerBundles reads what OpenSSL packs.
func TestPeerBundles(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		servertest.Absent(t, "openssl is not installed: make setup installs it")
	}
	dir := t.TempDir()
	for _, args := range [][]string{
		{"req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "root.key", "-out", "root.pem", "-subj", "/CN=Root", "-days", "30"},
		{"req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "signer.key", "-out", "signer.pem", "-subj", "/CN=Signer", "-days", "30"},
		{"crl2pkcs7", "-nocrl", "-certfile", "root.pem", "-outform", "DER", "-out", "root.p7b"},
		{"cms", "-sign", "-binary", "-nodetach", "-in", "root.p7b", "-signer", "signer.pem", "-inkey", "signer.key", "-outform", "DER", "-out", "root.p7m"},
	} {
		cmd := exec.Command("openssl", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("openssl %s: %v\n%s", args[0], err, out)
		}
	}
	for name, signed := range map[string]bool{"root.p7b": false, "root.p7m": true} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		f, err := Read(data)
		if err != nil || len(f.Certificates) != 1 || f.Certificates[0].Subject.CommonName != "Root" || (f.Signer != nil) != signed || f.Signed.IsZero() == signed {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
}

// FuzzRead: whatever the bytes, an answer within the bounds.
func FuzzRead(f *testing.F) {
	a, signer := somebody(f, "a").cert, somebody(f, "signer")
	f.Add(a.Raw)
	f.Add(armour("CERTIFICATE", a.Raw))
	f.Add(unsigned(f, a))
	f.Add(signer.signs(f, unsigned(f, a), noon))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Read(data)
		if (err == nil) == (len(got.Certificates) == 0) {
			t.Errorf("%d certificates and %v", len(got.Certificates), err)
		}
	})
}

// TestCertificates: where each certificate is judged by itself a signature makes no
// difference, and what stands beside the content counts.
func TestCertificates(t *testing.T) {
	a, b, signer := somebody(t, "a").cert, somebody(t, "b").cert, somebody(t, "signer")
	for name, c := range map[string]struct {
		data []byte
		want []*x509.Certificate // none: refused
	}{
		"DER":                      {append(slices.Clone(a.Raw), b.Raw...), []*x509.Certificate{a, b}},
		"PEM, and a key beside":    {slices.Concat([]byte("Bag Attributes\n"), armour("PRIVATE KEY", []byte("x")), armour("CERTIFICATE", a.Raw)), []*x509.Certificate{a}},
		"certs-only":               {unsigned(t, a, b), []*x509.Certificate{a, b}},
		"certs-only in PEM":        {armour("PKCS7", unsigned(t, b)), []*x509.Certificate{b}},
		"beside something signed":  {signer.signs(t, []byte("a letter"), noon, a), []*x509.Certificate{signer.cert, a}},
		"nothing":                  {nil, nil},
		"text":                     {[]byte("hello"), nil},
		"only a key":               {armour("PRIVATE KEY", []byte("x")), nil},
		"truncated":                {a.Raw[:len(a.Raw)-1], nil},
		"followed by something":    {append(slices.Clone(a.Raw), 1, 2, 3), nil},
		"a CMS of no certificates": {unsigned(t), nil},
		"too large":                {make([]byte, MaxFile+1), nil},
		"too many":                 {bytes.Repeat(a.Raw, maxCertificates+1), nil},
	} {
		got, err := Certificates(c.data)
		same := len(got) == len(c.want) && !slices.ContainsFunc(c.want, func(w *x509.Certificate) bool { return !slices.ContainsFunc(got, w.Equal) })
		if c.want == nil && err == nil || c.want != nil && (err != nil || !same) {
			t.Errorf("%s: %d, %v", name, len(got), err)
		}
	}
}
