package cms_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/mailer/cms"
)

var (
	oidSHA1    = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	oidEd25519 = asn1.ObjectIdentifier{1, 3, 101, 112}

	oidECDSASHA256 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
)

// As many sign as may, by two digests, and no one's error is another's.
func TestManySigners(t *testing.T) {
	a, b, content := people()["rsa"], people()["rsa2"], text(500)
	l := letter{content: content, certs: certificates(a, b), announced: [][]byte{alg(oidSHA256), alg(oidSHA1)}}
	old := sha1.Sum(content)
	signature, err := b.key.Sign(rand.Reader, old[:], crypto.SHA1)
	must(err)
	for range 16 {
		l.infos = append(l.infos, crafted{who: a, attrs: usual(content)}.info(content),
			crafted{who: b, digestAlg: alg(oidSHA1), signature: signature}.info(content))
	}
	s := readSigned(t, l.der(), nil)
	if len(s.Signers) != 32 {
		t.Fatalf("%d signers", len(s.Signers))
	}
	for i, si := range s.Signers {
		want, hash := error(nil), "SHA-256"
		if i%2 == 1 {
			want, hash = cms.ErrSHA1, "SHA-1"
		}
		if !isError(si.Err, want) || si.Hash != hash || errors.Is(si.Err, cms.ErrShortKey) {
			t.Errorf("signer %d: %+v", i, si)
		}
	}
}

// Ed25519 signs the content itself where there are no attributes.
func TestWholeContent(t *testing.T) {
	p := people()["ed25519"]
	long := make([]byte, 16<<20+1)
	for _, c := range []struct {
		name    string
		content []byte
		signed  []byte
		want    error
	}{
		{"", nil, nil, nil},
		{"short", text(500), text(500), nil},
		{"as long as may be", long[1:], long[1:], nil},
		{"too long", long, long, cms.ErrTooLongWhole},
		{"other", text(500), text(501), cms.ErrSignature},
		{"the digest alone", text(500), func() []byte { d := sha512.Sum512(text(500)); return d[:] }(), cms.ErrSignature},
	} {
		signature := ed25519.Sign(p.key.(ed25519.PrivateKey), c.signed)
		info := crafted{who: p, digestAlg: alg(oidSHA512), signatureAlg: alg(oidEd25519), signature: signature}.info(nil)
		l := letter{announced: [][]byte{alg(oidSHA512)}, certs: certificates(p), infos: [][]byte{info, info}}
		s := readSigned(t, l.der(), source(c.content))
		for _, si := range s.Signers {
			if !isError(si.Err, c.want) || c.want == cms.ErrTooLongWhole && !errors.Is(si.Err, cms.ErrLimit) {
				t.Errorf("%s: %v, want %v", c.name, si.Err, c.want)
			}
		}
	}
}

// So many that sign the content itself take too long to check.
func TestManyWhole(t *testing.T) {
	p, content := people()["ed25519"], make([]byte, 16<<20)
	info := crafted{who: p, digestAlg: alg(oidSHA512), signatureAlg: alg(oidEd25519), signature: make([]byte, 64)}.info(nil)
	l := letter{announced: [][]byte{alg(oidSHA512)}, certs: certificates(p), infos: slices.Repeat([][]byte{info}, 32)}
	s := readSigned(t, l.der(), source(content))
	for i, want := range map[int]error{0: cms.ErrSignature, 3: cms.ErrSignature, 4: cms.ErrTooLongWhole, 31: cms.ErrTooLongWhole} {
		if !errors.Is(s.Signers[i].Err, want) {
			t.Errorf("signer %d: %v, want %v", i, s.Signers[i].Err, want)
		}
	}
}

// What is refused is named, and by whom it says it is.
func TestNamedSignatures(t *testing.T) {
	rsa, content := people()["rsa"], text(500)
	for _, c := range []struct {
		digest, signature asn1.ObjectIdentifier
		name              string
	}{
		{asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 5}, oidRSA, "MD5"},
		{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 8}, oidRSA, "SHA3-256"},
		{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 12}, asn1.ObjectIdentifier{1, 3, 101, 113}, "SHAKE256"},
		{oidSHA512, asn1.ObjectIdentifier{1, 3, 101, 113}, "Ed448"},
		{oidSHA512, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 18}, "ML-DSA-65"},
		{oidSHA256, asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 3}, "DSA with SHA-1"},
	} {
		info := crafted{who: rsa, digestAlg: alg(c.digest), signatureAlg: alg(c.signature), signature: []byte{1}}.info(content)
		s := readSigned(t, letter{content: content, certs: certificates(rsa), infos: [][]byte{info}}.der(), nil)
		if si := s.Signers[0]; !errors.Is(si.Err, cms.ErrUnsupported) || !strings.Contains(si.Err.Error(), c.name) || errors.Is(si.Err, cms.ErrObsolete) != (c.name == "MD5") || !rsa.cert.Equal(si.Certificate) {
			t.Errorf("%s: %+v", c.name, si)
		}
	}
}

// unidentified has a certificate that does not say what its key identifier is, and that
// has expired.
func unidentified() person {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	authority := people()["authority"]
	template := &x509.Certificate{
		SerialNumber: big.NewInt(77), Subject: pkix.Name{CommonName: "unidentified"},
		NotBefore: time.Date(2011, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2012, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, authority.cert, key.Public(), authority.key)
	must(err)
	cert, err := x509.ParseCertificate(der)
	must(err)
	if len(cert.SubjectKeyId) > 0 {
		panic("it says so all the same")
	}
	return person{key, cert}
}

// keyID is the usual key identifier of p: the SHA-1 of its point.
func keyID(p person) []byte {
	point, err := p.key.Public().(*ecdsa.PublicKey).ECDH()
	must(err)
	id := sha1.Sum(point.Bytes())
	return id[:]
}

func TestUnidentifiedSigner(t *testing.T) {
	p, content := unidentified(), text(500)
	for _, c := range []struct {
		id   []byte
		want error
	}{
		{keyID(p), nil},
		{slices.Repeat([]byte{7}, 20), cms.ErrNoCertificate},
	} {
		info := crafted{who: p, id: append([]byte{0x80, 20}, c.id...), attrs: usual(content), signatureAlg: alg(oidECDSASHA256)}.info(content)
		s := readSigned(t, letter{content: content, certs: certificates(people()["rsa"], p), infos: [][]byte{info}}.der(), nil)
		if !isError(s.Signers[0].Err, c.want) {
			t.Errorf("%x: %v, want %v", c.id, s.Signers[0].Err, c.want)
		}
	}
}
