package content_test

import (
	"bytes"
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
