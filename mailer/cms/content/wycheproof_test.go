package content_test

import (
	"bytes"
	stdaes "crypto/aes"
	"crypto/cipher"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"countersign/mailer/cms/algorithm"
	"countersign/mailer/cms/ber"
	"countersign/mailer/cms/content"
)

type vector struct {
	TcID                                        int `json:"tcId"`
	Comment, Key, Iv, Aad, Msg, Ct, Tag, Result string
}

func wycheproof(t *testing.T, name string) (all []vector) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "shared", "vectors", "wycheproof", name+"_test.json"))
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("no ../shared/vectors/wycheproof beside the project")
	}
	must(t, err)
	var file struct{ TestGroups []struct{ Tests []vector } }
	must(t, json.Unmarshal(b, &file))
	for _, g := range file.TestGroups {
		all = append(all, g.Tests...)
	}
	return all
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

func octets(b []byte) []byte {
	return append(ber.AppendHeader(nil, ber.OctetString, false, int64(len(b))), b...)
}

// aes finds AES with a key of n octets: arc is that of the mode.
func aes(t *testing.T, n, arc int) *content.Algorithm {
	t.Helper()
	oid := asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, (n-16)/8*20 + arc}
	a, err := content.Find(algorithm.Identifier{OID: oid})
	must(t, err)
	if a.KeySize != n {
		t.Fatalf("%s has keys of %d octets", a.Name, a.KeySize)
	}
	return a
}

func TestCBC(t *testing.T) {
	for _, v := range wycheproof(t, "aes_cbc_pkcs5") {
		key, params := unhex(v.Key), octets(unhex(v.Iv))
		a := aes(t, len(key), 2)
		r, err := a.Open(iotest.OneByteReader(bytes.NewReader(unhex(v.Ct))), key, params, content.End{})
		must(t, err)
		got, err := io.ReadAll(r)
		if v.Result == "invalid" {
			if !errors.Is(err, content.ErrIntegrity) {
				t.Errorf("%d (%s): %v", v.TcID, v.Comment, err)
			}
			continue
		}
		if err != nil || !bytes.Equal(got, unhex(v.Msg)) {
			t.Errorf("%d (%s): %x, %v", v.TcID, v.Comment, got, err)
		}
		if sealed, _ := seal(t, a, key, params, nil, unhex(v.Msg)); !bytes.Equal(sealed, unhex(v.Ct)) {
			t.Errorf("%d (%s): sealed %x", v.TcID, v.Comment, sealed)
		}
	}
}

func gcmParams(nonce []byte, size int) []byte {
	return ber.Nest(ber.Sequence, octets(nonce), []byte{2, 1, byte(size)})
}

func TestGCM(t *testing.T) {
	for _, v := range wycheproof(t, "aes_gcm") {
		key, nonce, tag, aad := unhex(v.Key), unhex(v.Iv), unhex(v.Tag), unhex(v.Aad)
		a := aes(t, len(key), 6)
		params := gcmParams(nonce, len(tag))
		if len(nonce) == 0 {
			if err := a.Valid(params); v.Result != "invalid" || !errors.Is(err, algorithm.ErrUnsupported) {
				t.Errorf("%d: no nonce: %v", v.TcID, err)
			}
			continue
		}
		testAEAD(t, a, params, v, key, aad, tag)
	}
}

func testAEAD(t *testing.T, a *content.Algorithm, params []byte, v vector, key, aad, tag []byte) {
	t.Helper()
	end := content.End{Attributes: aad, Tag: tag}
	err := a.Check(bytes.NewReader(unhex(v.Ct)), key, params, aad, func() (content.End, error) { return end, nil })
	r, err2 := a.Open(iotest.OneByteReader(bytes.NewReader(unhex(v.Ct))), key, params, end)
	must(t, err2)
	got, err2 := io.ReadAll(r)
	if v.Result == "invalid" {
		if !errors.Is(err, content.ErrIntegrity) || !errors.Is(err2, content.ErrIntegrity) {
			t.Errorf("%d (%s): %v, %v", v.TcID, v.Comment, err, err2)
		}
		return
	}
	if err != nil || err2 != nil || !bytes.Equal(got, unhex(v.Msg)) {
		t.Errorf("%d (%s): %x, %v, %v", v.TcID, v.Comment, got, err, err2)
	}
	if a.AttributesFirst && len(aad) > 0 {
		return // not written
	}
	if sealed, mac := seal(t, a, key, params, aad, unhex(v.Msg)); !bytes.Equal(sealed, unhex(v.Ct)) || !bytes.Equal(mac, tag) {
		t.Errorf("%d (%s): sealed %x %x", v.TcID, v.Comment, sealed, mac)
	}
}

func TestChaCha(t *testing.T) {
	a, err := content.Find(algorithm.Identifier{OID: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 18}})
	must(t, err)
	for _, v := range wycheproof(t, "chacha20_poly1305") {
		params, aad := octets(unhex(v.Iv)), unhex(v.Aad)
		if len(unhex(v.Iv)) != 12 {
			if err := a.Valid(params); !errors.Is(err, ber.ErrMalformed) {
				t.Errorf("%d: %v", v.TcID, err)
			}
			continue
		}
		if len(aad) == 0 {
			aad = nil // as where a message has no attributes
		}
		testAEAD(t, a, params, v, unhex(v.Key), aad, unhex(v.Tag))
	}
}

// Segments join to what the standard library makes of the whole.
func TestSegmentsOfGCM(t *testing.T) {
	key, nonce, aad := bytes.Repeat([]byte{7}, 32), bytes.Repeat([]byte{3}, 12), []byte("attributes")
	block, err := stdaes.NewCipher(key)
	must(t, err)
	whole, err := cipher.NewGCM(block)
	must(t, err)
	a := aes(t, 32, 6)
	for _, n := range []int{0, 1, 16, content.Segment - 1, content.Segment, content.Segment + 1, 3*content.Segment + 17} {
		msg := bytes.Repeat([]byte("abc"), n)[:n]
		want := whole.Seal(nil, nonce, msg, aad)
		got, tag := seal(t, a, key, gcmParams(nonce, 16), aad, msg)
		if !bytes.Equal(append(got, tag...), want) {
			t.Errorf("%d octets: not the same", n)
		}
	}
}

// The key that RFC 9709 derives in its example (appendix B) for AES-128-GCM.
func TestDerived(t *testing.T) {
	key, derived := unhex("c702e7d0a9e064b09ba55245fb733cf3"), unhex("2124ffb29fac4e0fbbc7d5d87492bff3")
	params := unhex("301b0609608648016503040106300e040c5c79058ba2f43447639d29e2")
	id := algorithm.Identifier{OID: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 31}, Params: params}
	a, err := content.Find(id)
	must(t, err)
	msg := []byte("potassium 4.1")
	got, tag := seal(t, a, key, params, nil, msg)
	want, wantTag := seal(t, aes(t, 16, 6), derived, unhex("300e040c5c79058ba2f43447639d29e2"), nil, msg)
	if !bytes.Equal(got, want) || !bytes.Equal(tag, wantTag) || !a.Authenticated || a.Name != "AES-128-GCM with HKDF" {
		t.Errorf("%s: %x %x, want %x %x", a.Name, got, tag, want, wantTag)
	}
	id.Params = ber.Nest(ber.Sequence, unhex("060b2a864886f70d010910031f"), params)
	if _, err := content.Find(id); !errors.Is(err, algorithm.ErrUnsupported) {
		t.Errorf("derived twice: %v", err)
	}
}

// seal encrypts msg octet by octet.
func seal(t *testing.T, a *content.Algorithm, key, params, attributes, msg []byte) (ciphertext, tag []byte) {
	t.Helper()
	var out bytes.Buffer
	w, err := a.Seal(&out, key, params, func(int) []byte { return nil })
	must(t, err)
	for i := range msg {
		_, err := w.Write(msg[i : i+1])
		must(t, err)
	}
	tag, err = w.Close(attributes)
	must(t, err)
	if int64(out.Len()) != a.Length(int64(len(msg))) {
		t.Errorf("%d octets became %d, not %d", len(msg), out.Len(), a.Length(int64(len(msg))))
	}
	return out.Bytes(), tag
}
