package ocsp

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	xocsp "golang.org/x/crypto/ocsp"
)

var today = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

func pair(t testing.TB) (leaf, issuer *x509.Certificate, key crypto.Signer) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	make := func(serial int64, name string, parent *x509.Certificate) *x509.Certificate {
		c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: today, NotAfter: today.AddDate(1, 0, 0)}
		if parent == nil {
			parent = c
		}
		raw, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		if c, err = x509.ParseCertificate(raw); err != nil {
			t.Fatal(err)
		}
		return c
	}
	issuer = make(1, "Harbour Root", nil)
	return make(0x1234567890, "Ada", issuer), issuer, key
}

func response(t testing.TB, leaf, issuer *x509.Certificate, key crypto.Signer) []byte {
	t.Helper()
	raw, err := xocsp.CreateResponse(issuer, issuer, xocsp.Response{Status: xocsp.Good, SerialNumber: leaf.SerialNumber,
		ThisUpdate: today, NextUpdate: today.Add(time.Hour), Certificate: issuer}, key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestRequest: what we ask is what another library asks, and reads.
func TestRequest(t *testing.T) {
	leaf, issuer, _ := pair(t)
	theirs, err := xocsp.CreateRequest(leaf, issuer, nil)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := NewRequest(leaf, issuer, nil)
	if err != nil || !bytes.Equal(ours, theirs) {
		t.Fatalf("%x, want %x (%v)", ours, theirs, err)
	}
	nonce := []byte("0123456789abcdef")
	atOnce, err := NewRequest(leaf, issuer, nonce)
	if err != nil {
		t.Fatal(err)
	}
	later, err := WithNonce(ours, nonce)
	if err != nil || !bytes.Equal(atOnce, later) || !bytes.Contains(later, nonce) {
		t.Fatalf("%x, want %x (%v)", later, atOnce, err)
	}
	if read, err := xocsp.ParseRequest(later); err != nil || read.SerialNumber.Cmp(leaf.SerialNumber) != 0 {
		t.Fatal(err)
	}
	if _, err := WithNonce([]byte{1}, nonce); err == nil {
		t.Error("a nonce was put into something else")
	}
}

// TestGetURL is RFC 6960, appendix A.1, and RFC 5019, section 5.
func TestGetURL(t *testing.T) {
	request := []byte{0xfb, 0xff, 0xfe, 0x3f, 0x01}
	for base, want := range map[string]bool{
		"http://a.example": true, "http://a.example/": true, "http://a.example/x?y=1": false,
		"http://a.example/" + strings.Repeat("x", 215): true, "http://a.example/" + strings.Repeat("x", 250): false,
	} {
		get, ok := GetURL(base, request)
		if ok != want {
			t.Errorf("%s: %v, %s", base, ok, get)
		}
		if !ok {
			continue
		}
		u, err := url.Parse(get)
		if err != nil || strings.ContainsAny(u.EscapedPath()[strings.LastIndexByte(u.EscapedPath(), '/')+1:], "+=/") {
			t.Fatalf("%s: %v", get, err)
		}
		last, err := url.PathUnescape(u.EscapedPath()[strings.LastIndexByte(u.EscapedPath(), '/')+1:])
		if back, _ := base64.StdEncoding.DecodeString(last); err != nil || !bytes.Equal(back, request) {
			t.Errorf("%s reads as %x, %v", get, back, err)
		}
	}
}

// TestDamaged: a response cut short anywhere is not read; one changed anywhere is
// not read, or not signed.
func TestDamaged(t *testing.T) {
	leaf, issuer, key := pair(t)
	raw := response(t, leaf, issuer, key)
	r, err := Parse(raw)
	if err != nil || !r.SignedBy(issuer) || !r.SignedBy(issuer) || len(r.Certificates) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if a, ok := r.Find(leaf, issuer); !ok || a.Status != Good || !a.ThisUpdate.Equal(today) || !r.NextUpdate().Equal(today.Add(time.Hour)) || !r.ThisUpdate().Equal(today) {
		t.Fatalf("%+v", a)
	}
	if _, ok := r.Find(issuer, issuer); ok {
		t.Error("found for another certificate")
	}
	for i := range raw {
		if _, err := Parse(raw[:i]); err == nil {
			t.Fatalf("cut to %d bytes, and read", i)
		}
		bad := slices.Clone(raw)
		bad[i] ^= 0x41
		if r, err := Parse(bad); err == nil && r.SignedBy(issuer) {
			if a, ok := r.Find(leaf, issuer); ok && (a.Status != Good || !a.ThisUpdate.Equal(today)) {
				t.Fatalf("byte %d changed what it says, and still signed", i)
			}
		}
	}
	for name, bad := range map[string][]byte{"more": append(slices.Clone(raw), 0), "huge": make([]byte, maxResponse+1), "nothing": nil} {
		if _, err := Parse(bad); !errors.Is(err, ErrResponse) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if r.Size() < len(raw) {
		t.Error("it takes less than it is")
	}
}

// TestStatus: without an answer, and why.
func TestStatus(t *testing.T) {
	for code, want := range map[byte]error{1: ErrStatus, 2: ErrStatus, 3: ErrStatus, 4: ErrResponse, 5: ErrStatus, 6: ErrStatus, 7: ErrResponse, 0: ErrResponse} {
		if _, err := Parse([]byte{0x30, 3, 0x0a, 1, code}); !errors.Is(err, want) {
			t.Errorf("%d: %v", code, err)
		}
	}
}

// seeds are one response by x/crypto, and the vectors.
func seeds(f *testing.F) {
	leaf, issuer, key := pair(f)
	f.Add(response(f, leaf, issuer, key))
	files, _ := filepath.Glob("../../../../shared/vectors/boringssl-ocsp/*.pem")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
			if block.Type == "OCSP RESPONSE" {
				f.Add(block.Bytes)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	seeds(f)
	leaf, issuer, _ := pair(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := Parse(raw)
		if err != nil {
			return
		}
		if r.SignedBy(issuer) {
			t.Fatal("signed by a key made a moment ago")
		}
		r.Find(leaf, issuer)
		if r.NextUpdate().IsZero() != (len(r.answers) == 0) {
			t.Fatal("an answer without an end")
		}
	})
}
