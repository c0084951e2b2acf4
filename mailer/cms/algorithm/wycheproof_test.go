package algorithm_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"countersign/mailer/cms/algorithm"
	"countersign/mailer/cms/ber"
)

// A group of test cases of Project Wycheproof, as far as it is used here.
type group struct {
	PublicKeyDer    string
	PrivateKeyPkcs8 string
	Sha, MgfSha     string
	SLen, KeySize   int
	Tests           []struct {
		TcID                               int `json:"tcId"`
		Comment, Msg, Ct, Sig, Key, Result string
		Label, Public, Private, Shared     string
		Flags                              []string
	}
}

func wycheproof(t *testing.T, name string) []group {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "shared", "vectors", "wycheproof", name+"_test.json"))
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("no ../shared/vectors/wycheproof beside the project")
	}
	must(t, err)
	var file struct{ TestGroups []group }
	must(t, json.Unmarshal(b, &file))
	return file.TestGroups
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func TestSignatures(t *testing.T) {
	sha256 := asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	pss := func(salt int) algorithm.Identifier {
		mask := unhex("301806092a864886f70d010108300b0609608648016503040201")
		params := unhex("a00d300b0609608648016503040201")
		params = append(append(params, 0xa1, byte(len(mask))), mask...)
		params = append(params, 0xa2, 3, 2, 1, byte(salt))
		return algorithm.Identifier{
			OID:    asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10},
			Params: append([]byte{0x30, byte(len(params))}, params...),
		}
	}
	for _, c := range []struct {
		file string
		hash crypto.Hash
		alg  algorithm.Identifier
	}{
		{"rsa_signature_2048_sha256", crypto.SHA256, algorithm.Identifier{OID: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}}},
		{"rsa_pss_2048_sha256_mgf1_32", crypto.SHA256, pss(32)},
		{"rsa_pss_2048_sha256_mgf1_0", crypto.SHA256, pss(0)},
		{"ecdsa_secp256r1_sha256", crypto.SHA256, algorithm.Identifier{OID: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}},
		{"ecdsa_secp384r1_sha384", crypto.SHA384, algorithm.Identifier{OID: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}}},
		{"ed25519", crypto.SHA512, algorithm.Identifier{OID: asn1.ObjectIdentifier{1, 3, 101, 112}}},
	} {
		for _, g := range wycheproof(t, c.file) {
			pub, err := x509.ParsePKIXPublicKey(unhex(g.PublicKeyDer))
			must(t, err)
			for _, test := range g.Tests {
				_, err := c.alg.Verify(pub, algorithm.Over(c.hash, unhex(test.Msg)), unhex(test.Sig))
				// The standard library may be stricter than the vectors: "acceptable" is either.
				if test.Result == "valid" && err != nil || test.Result == "invalid" && !errors.Is(err, algorithm.ErrSignature) {
					t.Errorf("%s %d (%s, %s): %v", c.file, test.TcID, test.Comment, test.Result, err)
				}
			}
		}
	}
	if h := (algorithm.Identifier{OID: sha256}).Hash(); h != crypto.SHA256 {
		t.Errorf("SHA-256 is %v", h)
	}
}

// A damaged block of RSA key transport gives some key or other, and never an error.
func TestTransport(t *testing.T) {
	_, transport, err := algorithm.Identifier{OID: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}}.Transport()
	must(t, err)
	for _, file := range []string{"rsa_pkcs1_2048", "rsa_pkcs1_3072"} {
		for _, g := range wycheproof(t, file) {
			key, err := x509.ParsePKCS8PrivateKey(unhex(g.PrivateKeyPkcs8))
			must(t, err)
			for _, test := range g.Tests {
				want := unhex(test.Msg)
				size := len(want)
				if test.Result == "invalid" || size == 0 {
					size = 32
				}
				got, err := transport(key.(crypto.Decrypter), unhex(test.Ct), size, rand.Reader)
				if err != nil || len(got) != size {
					t.Errorf("%s %d (%s): %d octets, %v", file, test.TcID, test.Comment, len(got), err)
				}
				if fits := bytes.Equal(got, want); fits != (test.Result == "valid" && len(want) > 0) {
					t.Errorf("%s %d (%s, %s): fits %v", file, test.TcID, test.Comment, test.Result, fits)
				}
			}
		}
	}
}

// The AES key wrap keeps keys of the sizes there are, and finds any damage to them.
func TestKeyWrap(t *testing.T) {
	for _, g := range wycheproof(t, "aes_wrap") {
		for _, test := range g.Tests {
			kek, want, wrapped := unhex(test.Key), unhex(test.Msg), unhex(test.Ct)
			got, err := algorithm.UnwrapKey(kek, wrapped)
			if test.Result == "invalid" && err == nil || test.Result == "valid" && (err != nil || !bytes.Equal(got, want)) {
				t.Errorf("%d (%s, %s): %x, %v", test.TcID, test.Comment, test.Result, got, err)
			}
			if test.Result == "valid" {
				if got, err := algorithm.WrapKey(kek, want); err != nil || !bytes.Equal(got, wrapped) {
					t.Errorf("%d (%s): wrapped %x, %v", test.TcID, test.Comment, got, err)
				}
			}
		}
	}
}

// The parameters of RSA-OAEP decide: every digest, mask and label.
func TestOAEP(t *testing.T) {
	digests := map[string]string{
		"SHA-1": "06052b0e03021a", "SHA-224": "0609608648016503040204", "SHA-256": "0609608648016503040201",
		"SHA-384": "0609608648016503040202", "SHA-512": "0609608648016503040203",
	}
	field := func(n byte, parts ...[]byte) []byte {
		return ber.Nest(ber.Context+ber.Tag(n), ber.Nest(ber.Sequence, parts...))
	}
	seen := 0
	for _, file := range []string{
		"rsa_oaep_2048_sha1_mgf1sha1", "rsa_oaep_2048_sha256_mgf1sha1", "rsa_oaep_2048_sha256_mgf1sha256",
		"rsa_oaep_2048_sha384_mgf1sha384", "rsa_oaep_2048_sha512_mgf1sha512", "rsa_oaep_3072_sha256_mgf1sha256", "rsa_oaep_misc",
	} {
		for _, g := range wycheproof(t, file) {
			digest, mask := unhex(digests[g.Sha]), unhex(digests[g.MgfSha])
			if digest == nil || mask == nil {
				t.Fatalf("%s: %s, %s", file, g.Sha, g.MgfSha)
			}
			key, err := x509.ParsePKCS8PrivateKey(unhex(g.PrivateKeyPkcs8))
			must(t, err)
			for _, test := range g.Tests {
				label := unhex(test.Label)
				params := ber.Nest(ber.Sequence,
					field(0, digest),
					field(1, unhex("06092a864886f70d010108"), ber.Nest(ber.Sequence, mask)),
					field(2, unhex("06092a864886f70d010109"), append(ber.AppendHeader(nil, ber.OctetString, false, int64(len(label))), label...)))
				name, transport, err := algorithm.Identifier{OID: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 7}, Params: params}.Transport()
				if err != nil {
					t.Fatalf("%s %d: %s: %v", file, test.TcID, name, err)
				}
				want := unhex(test.Msg)
				size := max(len(want), 1)
				got, err := transport(key.(crypto.Decrypter), unhex(test.Ct), size, rand.Reader)
				if err != nil || len(got) != size {
					t.Errorf("%s %d (%s): %d octets, %v", file, test.TcID, test.Comment, len(got), err)
				}
				if test.Result == "valid" && len(want) > 0 && !bytes.Equal(got, want) || test.Result == "invalid" && len(want) > 8 && bytes.Equal(got, want) {
					t.Errorf("%s %d (%s, %s): %x", file, test.TcID, test.Comment, test.Result, got)
				}
				seen++
			}
		}
	}
	if seen < 300 {
		t.Errorf("only %d cases", seen)
	}
	for _, params := range []string{"", "0500", "3000ff", "3003a00102", "3004a1020500", "300da00b300906072a864886f70d01"} {
		if name, transport, err := (algorithm.Identifier{OID: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 7}, Params: unhex(params)}).Transport(); transport != nil || !errors.Is(err, algorithm.ErrMalformed) && !errors.Is(err, algorithm.ErrUnsupported) {
			t.Errorf("parameters %q: %s", params, name)
		}
	}
}
