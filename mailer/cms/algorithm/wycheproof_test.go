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
	"strings"
	"testing"

	"countersign/mailer/cms/algorithm"
)

// A group of test cases of Project Wycheproof, as far as it is used here.
type group struct {
	PublicKeyDer    string
	PrivateKeyPkcs8 string
	Sha, MgfSha     string
	SLen            int
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
				if c.file == "rsa_pss_2048_sha256_mgf1_0" && strings.HasPrefix(test.Comment, "s_len changed") {
					continue // no salt means any salt to the standard library: it is the key's signature all the same
				}
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
	_, transport := algorithm.Identifier{OID: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}}.Transport()
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
