package cms_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"sync"
	"testing"
	"time"

	"countersign/mailer/cms"
)

// source is a message in memory.
type source []byte

func (s source) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(s)), nil }

// person has a key and a certificate that says so.
type person struct {
	key  crypto.Signer
	cert *x509.Certificate
}

func (p person) signer() cms.Signer { return cms.Signer{Key: p.key, Certificate: p.cert} }

func (p person) opener() cms.Key {
	k := cms.Key{Certificate: p.cert}
	k.Decrypter, _ = p.key.(crypto.Decrypter)
	switch key := p.key.(type) {
	case *ecdsa.PrivateKey:
		k.Exchanger, _ = key.ECDH()
	case exchanger:
		k.Exchanger = key.PrivateKey
	}
	return k
}

// exchanger is an X25519 key, which can only agree, where a signing key is asked for.
type exchanger struct{ *ecdh.PrivateKey }

func (e exchanger) Public() crypto.PublicKey { return e.PublicKey() }

func (exchanger) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("X25519 keys do not sign")
}

// people are made once: RSA keys take their time.
var people = sync.OnceValue(func() map[string]person {
	rsaKey := func(bits int) crypto.Signer {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		must(err)
		return k
	}
	ec := func(c elliptic.Curve) crypto.Signer {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		must(err)
		return k
	}
	authority := certify("Authority", ec(elliptic.P256()), nil)
	all := map[string]person{"authority": authority, "ed25519": certify("ed25519", ed25519.NewKeyFromSeed(make([]byte, 32)), nil)}
	for name, key := range map[string]crypto.Signer{
		"rsa": rsaKey(2048), "rsa2": rsaKey(2048), "rsa1024": rsaKey(1024),
		"p256": ec(elliptic.P256()), "p384": ec(elliptic.P384()), "p521": ec(elliptic.P521()),
	} {
		all[name] = certify(name, key, &authority)
	}
	all["x25519"] = certifyX25519()
	return all
})

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// certifyX25519 makes a certificate for a key that the standard library certifies none
// for: that of an Ed25519 key with another name. (Its own signature is void then.)
func certifyX25519() person {
	key, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{9}, 32))
	must(err)
	ed := certify("x25519", ed25519.NewKeyFromSeed(make([]byte, 32)), nil)
	der := bytes.Clone(ed.cert.Raw)
	spki := bytes.Index(der, ed.cert.RawSubjectPublicKeyInfo)
	der[spki+8] = 110
	copy(der[spki+12:], key.PublicKey().Bytes())
	cert, err := x509.ParseCertificate(der)
	must(err)
	return person{exchanger{key}, cert}
}

// certify makes a certificate by issuer, or one of an authority by itself. That of the
// Ed25519 key is the same in every run, which fuzzing needs.
func certify(name string, key crypto.Signer, issuer *person) person {
	serial := new(big.Int).SetBytes(sha([]byte(name))[:8])
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2046, 1, 1, 0, 0, 0, 0, time.UTC),
		EmailAddresses: []string{name + "@clinic.example"}, SubjectKeyId: serial.Bytes(),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	}
	if issuer == nil {
		template.IsCA, template.BasicConstraintsValid, template.ExtKeyUsage = true, true, nil
		template.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign
		issuer = &person{key, template}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer.cert, key.Public(), issuer.key)
	must(err)
	cert, err := x509.ParseCertificate(der)
	must(err)
	return person{key, cert}
}

// text is content of n octets that is not all alike.
func text(n int) []byte {
	line := []byte("Mrs A. was seen on Tuesday; her potassium is 4.1.\r\n")
	return bytes.Repeat(line, n/len(line)+1)[:n]
}

// writeIn writes p in pieces that fit nothing.
func writeIn(w io.Writer, p []byte, piece int) error {
	for len(p) > 0 {
		n := min(piece, len(p))
		if _, err := w.Write(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

func readAll(t testing.TB, src cms.Source) []byte {
	t.Helper()
	b, err := read(src)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func read(src cms.Source) ([]byte, error) {
	f, err := src.Open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

func copyAll(w io.Writer, src cms.Source) (int64, error) {
	f, err := src.Open()
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return io.CopyBuffer(w, f, make([]byte, 64<<10))
}

// detached signs content apart from it.
func detached(t testing.TB, content []byte, o cms.SignOptions, who ...person) []byte {
	t.Helper()
	var signers []cms.Signer
	for _, p := range who {
		signers = append(signers, p.signer())
	}
	d, err := cms.NewDetached(signers, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeIn(d, content, 1000); err != nil {
		t.Fatal(err)
	}
	der, err := d.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// opaque signs content within the message.
func opaque(t testing.TB, content []byte, size int64, o cms.SignOptions, who ...person) []byte {
	t.Helper()
	var signers []cms.Signer
	for _, p := range who {
		signers = append(signers, p.signer())
	}
	var out bytes.Buffer
	w, err := cms.NewSigned(&out, size, signers, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeIn(w, content, 1000); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// enveloped encrypts content.
func enveloped(t testing.TB, content []byte, o cms.EncryptOptions, to ...person) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := cms.NewEnveloped(&out, certificates(to...), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeIn(w, content, 1000); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func certificates(people ...person) (certs []*x509.Certificate) {
	for _, p := range people {
		certs = append(certs, p.cert)
	}
	return certs
}

// fixed are the same random numbers in every run: a damaged block looks well
// padded once in 256 times, and a test should not.
func fixed() io.Reader { return mathrand.NewChaCha8([32]byte{1}) }

// sizes are lengths around every boundary there is.
var sizes = []int{0, 1, 15, 16, 17, 1000, 64<<10 - 1, 64 << 10, 64<<10 + 1, 64<<10 + 16, 200_000}

// isError tells whether err is the one wanted; nil wants none.
func isError(err, want error) bool {
	if want == nil {
		return err == nil
	}
	return errors.Is(err, want)
}
