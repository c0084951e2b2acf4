package pkcs12

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"countersign/mailer/cms/ber"
)

func pair(t testing.TB) (crypto.Signer, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return key, c
}

func file(t testing.TB, e *pkcs12.Encoder, key crypto.Signer, cert *x509.Certificate, more ...*x509.Certificate) []byte {
	t.Helper()
	data, err := e.Encode(key, cert, more, "secret")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// joined makes one file of the containers of several.
func joined(t testing.TB, files ...[]byte) []byte {
	t.Helper()
	var containers [][]byte
	for _, f := range files {
		p, err := parse(f)
		if err != nil {
			t.Fatal(err)
		}
		containers = append(containers, p.containers...)
	}
	content := ber.Nest(ber.Sequence, containers...)
	mac, err := authenticate(content, "secret")
	if err == nil {
		content, err = encode(content, mac)
	}
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// loose writes DER as BER: every constructed value of indefinite length, every
// OCTET STRING in pieces.
func loose(t testing.TB, der []byte) []byte {
	t.Helper()
	var out []byte
	for len(der) > 0 {
		var v asn1.RawValue
		rest, err := asn1.Unmarshal(der, &v)
		if err != nil {
			t.Fatal(err)
		}
		der = rest
		switch {
		case v.IsCompound:
			out = append(append(append(out, v.FullBytes[0], 0x80), loose(t, v.Bytes)...), 0, 0)
		case v.Class == asn1.ClassUniversal && v.Tag == asn1.TagOctetString && len(v.Bytes) > 1:
			half := len(v.Bytes) / 2
			out = append(out, 0x24, 0x80)
			out = append(out, primitive(ber.OctetString, v.Bytes[:half])...)
			out = append(out, primitive(ber.OctetString, v.Bytes[half:])...)
			out = append(out, 0, 0)
		default:
			out = append(out, v.FullBytes...)
		}
	}
	return out
}

func TestRead(t *testing.T) {
	key, cert := pair(t)
	other, otherCert := pair(t)
	_, ca := pair(t)
	modern, legacy := file(t, pkcs12.Modern2023, key, cert, ca), file(t, pkcs12.LegacyDES, other, otherCert, ca)
	for name, c := range map[string]struct {
		data        []byte
		keys, certs int
	}{
		"modern":                 {modern, 1, 2},
		"newest":                 {file(t, pkcs12.Modern2026, key, cert), 1, 1},
		"triple DES":             {legacy, 1, 2},
		"RC2":                    {file(t, pkcs12.LegacyRC2, key, cert), 1, 1},
		"two keys":               {joined(t, modern, legacy), 2, 3},
		"the same twice":         {joined(t, modern, modern), 1, 2},
		"BER":                    {loose(t, modern), 1, 2},
		"BER, legacy":            {loose(t, legacy), 1, 2},
		"BER, two keys":          {loose(t, joined(t, modern, legacy)), 2, 3},
		"BER, of authentication": {loose(t, file(t, pkcs12.Modern2026, key, cert)), 1, 1},
	} {
		got, err := Read(c.data, "secret")
		if err != nil || len(got.Keys) != c.keys || len(got.Certificates) != c.certs {
			t.Errorf("%s: %d keys, %d certificates, %v; want %d and %d", name, len(got.Keys), len(got.Certificates), err, c.keys, c.certs)
		}
		for _, wrong := range []string{"Secret", "", "secret "} {
			if _, err := Read(c.data, wrong); !errors.Is(err, ErrPassphrase) {
				t.Errorf("%s, with another passphrase: got %v, want ErrPassphrase", name, err)
			}
		}
	}
}

func TestRefuses(t *testing.T) {
	key, cert := pair(t)
	good := file(t, pkcs12.Modern2023, key, cert)
	trust, err := pkcs12.Modern2023.EncodeTrustStore([]*x509.Certificate{cert}, "secret")
	if err != nil {
		t.Fatal(err)
	}
	open, err := pkcs12.Passwordless.Encode(key, cert, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	costly := file(t, pkcs12.Modern2023.WithIterations(100_000), key, cert)
	if _, err := Read(costly, "secret"); err != nil {
		t.Errorf("100,000 iterations: %v", err)
	}
	costly = bytes.Replace(costly, []byte{2, 3, 0x01, 0x86, 0xa0}, []byte{2, 3, 0x7f, 0xff, 0xff}, 1)
	costlyMAC := file(t, pkcs12.LegacyDES.WithIterations(100_000), key, cert)
	at := bytes.LastIndex(costlyMAC, []byte{2, 3, 0x01, 0x86, 0xa0})
	costlyMAC = append(costlyMAC[:at:at], 2, 3, 0x7f, 0xff, 0xff)
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"nothing":                      {nil, ErrFormat},
		"text":                         {[]byte("-----BEGIN CERTIFICATE-----"), ErrFormat},
		"half":                         {good[:len(good)/2], ErrFormat},
		"no MAC":                       {open, ErrFormat},
		"too large":                    {make([]byte, MaxSize+1), ErrFormat},
		"certificates only":            {trust, ErrNoKey},
		"certificates only, BER":       {loose(t, trust), ErrNoKey},
		"too many containers":          {joined(t, good, good, good, good, good), ErrFormat},
		"a passphrase hashed for ever": {costly, ErrFormat},
		"the same for the MAC":         {costlyMAC, ErrFormat},
	} {
		if _, err := Read(c.data, "secret"); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// TestAltered changes one octet at a time. Whatever is under the MAC cannot be
// changed, in a file that is read in pieces neither.
func TestAltered(t *testing.T) {
	key, cert := pair(t)
	other, otherCert := pair(t)
	one := file(t, pkcs12.Modern2023, key, cert)
	for name, good := range map[string][]byte{"one key": one, "two keys": joined(t, one, file(t, pkcs12.Modern2023, other, otherCert))} {
		p, err := parse(good)
		if err != nil {
			t.Fatal(err)
		}
		begin := bytes.Index(good, p.content)
		for at := begin; at < begin+len(p.content); at += 13 {
			bad := bytes.Clone(good)
			bad[at] ^= 0x04
			if c, err := Read(bad, "secret"); err == nil {
				t.Errorf("%s: octet %d altered, and %d keys are read", name, at, len(c.Keys))
			}
		}
	}
}

// TestVectors reads the files of other projects.
func TestVectors(t *testing.T) {
	root := "../../../shared/vectors"
	if _, err := os.Stat(root); err != nil {
		t.Skip("the vectors are not beside the project: see README")
	}
	for name, c := range map[string]struct {
		passphrase  string
		keys, certs int
	}{
		"rfc9216/4.5.p12":                 {"alice", 2, 3},
		"rfc9216/5.5.p12":                 {"bob", 2, 3},
		"rfc9216/7.5.p12":                 {"carlos", 2, 3}, // Ed25519 and X25519
		"rfc9216/8.5.p12":                 {"dana", 2, 3},
		"nss-interop/Fran.p12":            {"nss", 1, 1},
		"nss-interop/Fran-ec.p12":         {"nss", 1, 1},
		"thunderbird/Alice.p12":           {"nss", 1, 2}, // BER
		"thunderbird/Alice-ec.p12":        {"nss", 1, 2},
		"thunderbird/Bob.p12":             {"nss", 1, 2},
		"thunderbird/Dave.p12":            {"nss", 1, 2},
		"thunderbird/Eve.p12":             {"nss", 1, 2},
		"thunderbird-interop/Fran-ec.p12": {"nss", 1, 1},
	} {
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Errorf("reading a vector: %v", err)
			continue
		}
		got, err := Read(data, c.passphrase)
		if err != nil || len(got.Keys) != c.keys || len(got.Certificates) != c.certs {
			t.Errorf("%s: %d keys, %d certificates, %v; want %d and %d", name, len(got.Keys), len(got.Certificates), err, c.keys, c.certs)
		}
	}
}

// FuzzRead looks that hostile files neither panic nor run for ever, and that
// what can be read has a key.
func FuzzRead(f *testing.F) {
	key, cert := pair(f)
	one := file(f, pkcs12.Modern2023.WithIterations(1), key, cert)
	f.Add(one)
	f.Add(loose(f, one))
	f.Add(joined(f, one, one))
	f.Add(file(f, pkcs12.LegacyRC2.WithIterations(1), key, cert))
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := Read(data, "secret"); err == nil && len(c.Keys) == 0 {
			t.Error("read, and there is no key")
		}
	})
}
