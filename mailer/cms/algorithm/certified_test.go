package algorithm_test

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"strings"
	"testing"

	"countersign/mailer/cms/algorithm"
	"countersign/mailer/cms/ber"
)

var (
	oidRSA  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidOAEP = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 7}
	oidPSS  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
)

const (
	sha256 = "300b0609608648016503040201"
	sha384 = "300b0609608648016503040202"
)

// padding is the parameters of RSA-PSS or RSA-OAEP: salt is of PSS alone, or negative.
func padding(hash, mask string, salt int) []byte {
	mgf := ber.Nest(ber.Sequence, unhex("06092a864886f70d010108"), unhex(mask))
	parts := [][]byte{ber.Nest(ber.Context, unhex(hash)), ber.Nest(ber.Context+1, mgf)}
	if salt >= 0 {
		parts = append(parts, ber.Nest(ber.Context+2, []byte{2, 1, byte(salt)}))
	}
	return ber.Nest(ber.Sequence, parts...)
}

// certifying is a certificate as far as its key goes.
func certifying(t *testing.T, oid asn1.ObjectIdentifier, params []byte, key *rsa.PublicKey) *x509.Certificate {
	t.Helper()
	id, err := asn1.Marshal(oid)
	must(t, err)
	bits := append([]byte{0}, x509.MarshalPKCS1PublicKey(key)...)
	bits = append(ber.AppendHeader(nil, 3, false, int64(len(bits))), bits...)
	return &x509.Certificate{RawSubjectPublicKeyInfo: ber.Nest(ber.Sequence, ber.Nest(ber.Sequence, id, params), bits)}
}

// A key certified for one thing alone is used for nothing else, and with no other parameters.
func TestCertifiedAlone(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	usual, pss := algorithm.Identifier{OID: oidRSA, Params: []byte{5, 0}}, algorithm.Identifier{OID: oidPSS, Params: padding(sha256, sha256, 32)}
	oaep := algorithm.OAEPCapability()
	for name, c := range map[string]struct {
		certified asn1.ObjectIdentifier
		params    []byte
		used      algorithm.Identifier
		allowed   bool
	}{
		"any":                    {oidRSA, []byte{5, 0}, pss, true},
		"PSS for PSS":            {oidPSS, nil, pss, true},
		"PSS for another way":    {oidPSS, nil, usual, false},
		"PSS for OAEP":           {oidPSS, nil, oaep, false},
		"PSS with the same":      {oidPSS, padding(sha256, sha256, 32), pss, true},
		"PSS with a longer salt": {oidPSS, padding(sha256, sha256, 20), pss, true},
		"PSS with a shorter":     {oidPSS, padding(sha256, sha256, 33), pss, false},
		"PSS with another hash":  {oidPSS, padding(sha384, sha384, 32), pss, false},
		"PSS with another mask":  {oidPSS, padding(sha256, sha384, 32), pss, false},
		"PSS with nonsense":      {oidPSS, []byte{4, 0}, pss, false},
		"OAEP for OAEP":          {oidOAEP, nil, oaep, true},
		"OAEP for another way":   {oidOAEP, nil, usual, false},
		"OAEP with others":       {oidOAEP, padding(sha384, sha384, -1), oaep, false},
	} {
		cert := certifying(t, c.certified, c.params, &key.PublicKey)
		if err := c.used.AllowedBy(cert); (err == nil) != c.allowed || err != nil && !errors.Is(err, algorithm.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
		if pub := algorithm.PublicKey(cert); !key.PublicKey.Equal(pub) {
			t.Errorf("%s: %T", name, pub)
		}
	}

	bound := certifying(t, oidPSS, padding(sha384, sha384, 48), &key.PublicKey)
	if m, err := algorithm.Choose(bound, crypto.SHA384, false); err != nil || !m.Algorithm.OID.Equal(oidPSS) {
		t.Errorf("signing: %+v, %v", m, err)
	}
	if _, err := algorithm.Choose(bound, crypto.SHA256, false); !errors.Is(err, algorithm.ErrUnsupported) {
		t.Errorf("signing with another hash: %v", err)
	}
	if _, _, err := algorithm.TransportTo(bound, &key.PublicKey, make([]byte, 32), true, rand.Reader); !errors.Is(err, algorithm.ErrUnsupported) {
		t.Errorf("encrypting to a signing key: %v", err)
	}
	a, encrypted, err := algorithm.TransportTo(certifying(t, oidOAEP, nil, &key.PublicKey), &key.PublicKey, make([]byte, 32), false, rand.Reader)
	must(t, err)
	_, transport, err := a.Transport()
	must(t, err)
	if got, err := transport(key, encrypted, 32, rand.Reader); err != nil || string(got) != string(make([]byte, 32)) || !a.OID.Equal(oidOAEP) {
		t.Errorf("encrypting to a key for OAEP: %v, %x, %v", a, got, err)
	}
}

// Masks by another hash and salts of other lengths verify as they were made, and no others do.
func TestPSS(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2049) // a length at which the first octet is empty
	must(t, err)
	signed := algorithm.Over(crypto.SHA256, []byte("message"))
	for _, salt := range []int{-1, 20, 32, 100} {
		sig, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, signed.Digest, &rsa.PSSOptions{SaltLength: max(salt, rsa.PSSSaltLengthEqualsHash)})
		must(t, err)
		if salt < 0 {
			salt = 32
		}
		for name, c := range map[string]struct {
			params []byte
			valid  bool
		}{
			"as made":          {padding(sha256, sha256, salt), true},
			"another mask":     {padding(sha256, sha384, salt), false},
			"a shorter salt":   {padding(sha256, sha256, salt-1), false},
			"no salt":          {padding(sha256, sha256, 0), false},
			"too long a salt":  {padding(sha256, sha384, 127), false},
			"another's digest": {padding(sha384, sha384, salt), false},
		} {
			_, err := algorithm.Identifier{OID: oidPSS, Params: c.params}.Verify(&key.PublicKey, signed, sig)
			if (err == nil) != c.valid {
				t.Errorf("salt %d, %s: %v", salt, name, err)
			}
		}
	}
	for _, params := range []string{"", "0500", "3000ff", "3003a00102", "3005a303020102", "3005a2030201ff"} {
		if _, err := (algorithm.Identifier{OID: oidPSS, Params: unhex(params)}).Verify(&key.PublicKey, signed, nil); !errors.Is(err, algorithm.ErrMalformed) {
			t.Errorf("parameters %q: %v", params, err)
		}
	}
	sha3 := strings.Replace(sha256, "0201", "0208", 1)
	_, err = algorithm.Identifier{OID: oidPSS, Params: padding(sha3, sha3, 32)}.Verify(&key.PublicKey, signed, nil)
	if !errors.Is(err, algorithm.ErrUnsupported) || !strings.Contains(err.Error(), "SHA3-256") {
		t.Errorf("SHA-3: %v", err)
	}
}

// Each kind of certificate has its key, and what is none has nil.
func TestPublicKey(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	x, err := ecdh.X25519().GenerateKey(rand.Reader)
	must(t, err)
	for _, pub := range []interface{ Equal(crypto.PublicKey) bool }{&ec.PublicKey, x.PublicKey()} {
		spki, err := x509.MarshalPKIXPublicKey(pub)
		must(t, err)
		c := &x509.Certificate{RawSubjectPublicKeyInfo: spki}
		if got := algorithm.PublicKey(c); !pub.Equal(got) {
			t.Errorf("%T is %T", pub, got)
		}
		if len(algorithm.KeyBits(c)) == 0 {
			t.Errorf("%T has no octets", pub)
		}
	}
	for _, spki := range []string{"", "3000", "300d300b06092a864886f70d01010a", "3012300b06092a864886f70d01010a0303003000"} {
		if got := algorithm.PublicKey(&x509.Certificate{RawSubjectPublicKeyInfo: unhex(spki)}); got != nil {
			t.Errorf("%s: %T", spki, got)
		}
	}
}
