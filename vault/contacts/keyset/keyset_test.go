package keyset

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestSafetyWords holds the words against vectors that another implementation
// of Argon2 made.
func TestSafetyWords(t *testing.T) {
	data, err := os.ReadFile("testdata/safety-words.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Version int
		Salt    string
		Vectors []struct {
			Note, Address string
			SignSPKI      string `json:"sign_spki"`
			EncryptSPKI   string `json:"encrypt_spki"`
			Words         []string
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	salt := sha256.Sum256([]byte("countersign safety words 1"))
	if file.Version != 1 || file.Salt != hex.EncodeToString(salt[:16]) || len(file.Vectors) < 5 {
		t.Fatalf("the vectors are of another version: %d, %s", file.Version, file.Salt)
	}
	for _, v := range file.Vectors {
		got := SafetyWords(v.Address, KeySet{key(t, v.SignSPKI), key(t, v.EncryptSPKI)})
		if !slices.Equal(got[:], v.Words) {
			t.Errorf("%s: %v, want %v", v.Note, got, v.Words)
		}
	}
	if got := SafetyWords("a@b.example", KeySet{Sign: key(t, "00")}); got != [6]string{} {
		t.Errorf("half a key set has words: %v", got)
	}
}

func key(t *testing.T, spki string) *x509.Certificate {
	t.Helper()
	der, err := hex.DecodeString(spki)
	if err != nil {
		t.Fatal(err)
	}
	return &x509.Certificate{Raw: der, RawSubjectPublicKeyInfo: der}
}

func TestWordList(t *testing.T) {
	words := Words()
	short := make(map[string]bool)
	for _, w := range words {
		short[first4(w)] = true
		if got, ok := Listed(w); !ok || got != w {
			t.Fatalf("%q reads as %q", w, got)
		}
	}
	if len(words) != 2048 || len(short) != 2048 || !slices.IsSorted(words) {
		t.Fatalf("%d words, %d beginnings", len(words), len(short))
	}
	words[0] = "changed"
	if Words()[0] != "abandon" {
		t.Fatal("the list can be changed from outside")
	}
}

// TestListed is what typing forgives: case, spaces, all but the first four
// letters. A wrong letter among those is another word or none.
func TestListed(t *testing.T) {
	for typed, want := range map[string]string{
		"harvest": "harvest", "HARVEST": "harvest", " har vest ": "harvest", "harv": "harvest", "harvester": "harvest",
		"act": "act", "zoo": "zoo", "Act ": "act", "actr": "actress",
		"acts": "", "zoos": "", "har": "", "ha": "", "": "", "   ": "", "hbrv": "", "harwest": "", "h@rvest": "", "zzzz": "",
		"\u212aitchen": "kitchen", // strings.ToLower knows the Kelvin sign: harmless, it is a k on paper too
	} {
		got, ok := Listed(typed)
		if got != want || ok != (want != "") {
			t.Errorf("%q reads as %q, want %q", typed, got, want)
		}
	}
}

func TestHeard(t *testing.T) {
	for _, c := range []struct {
		typed   []string
		words   string
		unknown []int
	}{
		{[]string{"harvest", "Lemon", " tig er", "cany"}, "harvest lemon tiger canyon", nil},
		{[]string{"harvest lemon  tiger canyon"}, "harvest lemon tiger canyon", nil},
		{[]string{"harvest", "lemmon", "", "canyon"}, "harvest   canyon", []int{2, 3}},
		{[]string{"harvest lemon tiger"}, "harvest lemon tiger ", []int{4}},
		{[]string{"harvest lemon tiger canyon zoo"}, "harvest lemon tiger canyon ", []int{5}},
		{nil, "   ", []int{1, 2, 3, 4}},
	} {
		words, unknown := Heard(c.typed, 4)
		if strings.Join(words, " ") != c.words || !slices.Equal(unknown, c.unknown) {
			t.Errorf("%q: %q, %v", c.typed, words, unknown)
		}
	}
}

func TestNewCode(t *testing.T) {
	// 44 bits, most significant first: indices 1, 2, 3 and 2047.
	n := new(big.Int)
	for _, i := range []int64{1, 2, 3, 2047} {
		n.Add(n.Lsh(n, 11), big.NewInt(i))
	}
	code, err := NewCode(bytes.NewReader(n.Lsh(n, 4).FillBytes(make([]byte, 6))))
	if err != nil || strings.Join(code, " ") != "ability able about zoo" {
		t.Fatalf("%v, %v", code, err)
	}
	if _, err := NewCode(bytes.NewReader([]byte{1, 2})); err == nil {
		t.Fatal("a code was drawn from too little")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d"} {
		if s := fmt.Sprintf(verb, code); s != "[secret]" {
			t.Errorf("a code prints as %q with %s", s, verb)
		}
	}
}

// certificate makes one with the subject and uses given.
func certificate(t *testing.T, subject string, use x509.KeyUsage) *x509.Certificate {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: subject}, KeyUsage: use,
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1e9, 0), EmailAddresses: []string{"a@b.example"}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

const (
	forSigning    = x509.KeyUsageDigitalSignature
	forEncryption = x509.KeyUsageKeyAgreement
)

func TestPair(t *testing.T) {
	both := certificate(t, "Both", forSigning|forEncryption)
	s, e := certificate(t, "Ada", forSigning), certificate(t, "Ada", forEncryption)
	lone, left := certificate(t, "Lone", forSigning), certificate(t, "Left", forEncryption)
	none := certificate(t, "None", x509.KeyUsageCRLSign)
	got := Pair([]*x509.Certificate{none, e, lone, both, s, left})
	want := []KeySet{{both, both}, {s, e}, {Sign: lone}, {Encrypt: left}}
	if len(got) != len(want) {
		t.Fatalf("%d sets, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("set %d differs", i)
		}
	}
}

func TestKeySet(t *testing.T) {
	s, e := certificate(t, "Ada", forSigning), certificate(t, "Ada", forEncryption)
	for _, k := range []KeySet{{s, e}, {s, s}, {Sign: s}, {Encrypt: e}, {}} {
		b, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		var again KeySet
		if err := json.Unmarshal(b, &again); err != nil || again.ID() != k.ID() || again.One() != k.One() ||
			again.Complete() != k.Complete() {
			t.Errorf("%s comes back as another: %v", b, err)
		}
	}
	ids := map[Hash]bool{}
	for _, k := range []KeySet{{s, e}, {e, s}, {s, s}, {e, e}, {Sign: s}, {Encrypt: s}, {}} {
		ids[k.ID()] = true
	}
	if len(ids) != 7 {
		t.Errorf("different key sets share an ID")
	}
	if err := new(KeySet).UnmarshalJSON([]byte(`{"sign":"AAAA"}`)); err == nil {
		t.Error("a certificate of three zeros was read")
	}
}

// TestFingerprint is what is typed off somebody's screen.
func TestFingerprint(t *testing.T) {
	s, e := certificate(t, "Ada", forSigning), certificate(t, "Ada", forEncryption)
	k := KeySet{s, e}
	long, short := sha256.Sum256(s.Raw), sha1.Sum(s.Raw)
	full := hex.EncodeToString(long[:])
	colons := strings.ToUpper(strings.ReplaceAll(Fingerprint(s), " ", ":"))
	changed := []byte(full[40:])
	if changed[23] == '0' {
		changed[23] = '1'
	} else {
		changed[23] = '0'
	}
	for _, c := range []struct {
		name, typed string
		match       *x509.Certificate
		how         Read
		ok          bool
	}{
		{"as shown", Fingerprint(s), s, ReadFingerprint, true},
		{"with colons, in capitals", colons, s, ReadFingerprint, true},
		{"all of it", full, s, ReadFingerprint, true},
		{"the other certificate", Fingerprint(e), e, ReadFingerprint, true},
		{"the thumbprint", Thumbprint(s), s, ReadThumbprint, true},
		{"the end of the thumbprint only", hex.EncodeToString(short[8:]), nil, "", true},
		{"the beginning instead of the end", full[:24], nil, "", true},
		{"one digit wrong", string(changed), nil, "", true},
		{"too short", full[41:], nil, "", false},
		{"no digit", "g" + full[41:], nil, "", false},
		{"nothing", "", nil, "", false},
	} {
		match, how, ok := k.MatchFingerprint(c.typed)
		if match != c.match || how != c.how || ok != c.ok {
			t.Errorf("%s: %v, %q, %v", c.name, match != nil, how, ok)
		}
	}
	if n := len(strings.ReplaceAll(Fingerprint(s), " ", "")); n != 24 {
		t.Errorf("a fingerprint has %d digits", n)
	}
}

func TestCanonical(t *testing.T) {
	for address, want := range map[string]bool{
		"ada@harbour.example": true, "harbour.example": true, "a+b@x.example": true,
		"": false, "Ada@harbour.example": false, "a b@x.example": false, "@x.example": false, "a@": false,
		"a@b\u00fccher.example": false, "a\n@x.example": false, strings.Repeat("a", 250) + "@x.example": false,
	} {
		if Canonical(address) != want {
			t.Errorf("%q: %v", address, !want)
		}
	}
}

func TestPrograms(t *testing.T) {
	names := map[string]bool{}
	for _, p := range Programs() {
		names[p.Name] = len(p.Steps) > 3 && p.Shows != ""
	}
	if !names["Outlook for Windows"] || !names["Apple Mail"] || !names["Thunderbird"] {
		t.Errorf("%v", names)
	}
}
