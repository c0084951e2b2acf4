package form

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/vault/contacts/keyset"
)

// sample makes a whole form of a kind.
func sample(t testing.TB, kind Kind) Form {
	t.Helper()
	f, err := New(rand.Reader, kind, "ada.osei@harbour.example", "imran&co@hill.example")
	if err != nil {
		t.Fatal(err)
	}
	other, err := New(rand.Reader, kind, "", "")
	if err != nil {
		t.Fatal(err)
	}
	a, b := &keyset.KeyHashes{Sign: keyset.Hash{1}, Encrypt: keyset.Hash{2}}, &keyset.KeyHashes{Sign: keyset.Hash{3}}
	switch kind {
	case Test:
		f.Keys, f.ToKeys, f.Code = a, b, keyset.Code{"harvest", "lemon", "tiger", "canyon"}
		f.Expires = time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC)
	case Answer:
		f.Keys, f.ToKeys, f.TestID, f.TestDigest = a, b, other.ID, &keyset.Hash{4}
	case KeyAnnouncement:
		f.Keys, f.NewKeys, f.Expires = a, b, time.Date(2026, 4, 9, 12, 0, 0, 0, time.UTC)
	case Receipt:
		f.MessageID, f.MessageDigest = "<1@harbour.example>", &keyset.Hash{5}
	}
	return f
}

func TestRoundTrip(t *testing.T) {
	for _, kind := range Kinds() {
		f := sample(t, kind)
		b, err := f.Marshal()
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		for _, end := range []string{"", "\r\n", "\n"} {
			got, err := Parse(append(slices.Clone(b), end...))
			if err != nil || !reflect.DeepEqual(got, f) {
				t.Errorf("%s ending in %q: %v\n%+v\n%+v", kind, end, err, got, f)
			}
			if got.Digest() != f.Digest() {
				t.Errorf("%s: the digest changes on the way", kind)
			}
		}
		g := f
		g.To = "eve@hill.example"
		if g.Digest() == f.Digest() {
			t.Errorf("%s: the digest does not cover the recipient", kind)
		}
	}
}

// TestRefused: what is not exactly a form is none.
func TestRefused(t *testing.T) {
	good, err := sample(t, Test).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	swap := func(old, new string) []byte {
		out := bytes.Replace(good, []byte(old), []byte(new), 1)
		if bytes.Equal(out, good) {
			t.Fatalf("the sample has no %q", old)
		}
		return out
	}
	for name, b := range map[string][]byte{
		"empty":                  nil,
		"no JSON":                []byte("hello"),
		"null":                   []byte("null"),
		"a list":                 []byte("[]"),
		"cut short":              good[:len(good)-1],
		"followed by another":    append(slices.Clone(good), good...),
		"with a space":           swap(`{"countersign":1,`, `{"countersign":1, `),
		"with a note":            swap(`{"countersign":1,`, `{"countersign":1,"note":"call me on 1234",`),
		"a member twice":         swap(`{"countersign":1,`, `{"countersign":1,"countersign":1,`),
		"a member in capitals":   swap(`"kind"`, `"Kind"`),
		"another version":        swap(`"countersign":1`, `"countersign":2`),
		"a seventh kind":         swap(`"kind":"test"`, `"kind":"letter"`),
		"members of another":     swap(`"kind":"test"`, `"kind":"answer"`),
		"members of none":        swap(`"kind":"test"`, `"kind":"invitation"`),
		"three words":            swap(`"harvest",`, ``),
		"a word off the list":    swap(`"harvest"`, `"harvester"`),
		"a short word":           swap(`"harvest"`, `"harv"`),
		"an address in capitals": swap(`"ada.osei@`, `"Ada.osei@`),
		"a name for an address":  swap(`"ada.osei@harbour.example"`, `"Ada Osei"`),
		"no expiry":              swap(`"expires":"2026-03-17T12:00:00Z",`, ``),
		"expiry elsewhere":       swap(`12:00:00Z`, `12:00:00+01:00`),
		"expiry to a fraction":   swap(`12:00:00Z`, `12:00:00.5Z`),
		"a hash in capitals":     swap(`"0100`, `"0A00`),
		"a short hash":           swap(`"0100`, `"01`),
		"an escaped letter":      swap(`"kind":"test"`, `"kind":"\u0074est"`),
		"an id too long":         swap(`"id":"`, `"id":"a`),
		"too large":              append(slices.Clone(good), bytes.Repeat([]byte(" "), MaxSize)...),
	} {
		if f, err := Parse(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
	for name, change := range map[string]func(*Form){
		"Message-ID without brackets": func(f *Form) { f.MessageID = "1@x.example" },
		"Message-ID with a line":      func(f *Form) { f.MessageID = "<1@x.example\r\nBcc: all>" },
		"Message-ID with words":       func(f *Form) { f.MessageID = "<please call 1234@x.example>" },
	} {
		f := sample(t, Receipt)
		change(&f)
		if _, err := f.Marshal(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestText: every kind reads well in any mail program, and the code stands in a
// test alone.
func TestText(t *testing.T) {
	subjects := map[string]bool{}
	for _, kind := range Kinds() {
		f := sample(t, kind)
		text := f.Text()
		for _, line := range strings.Split(text, "\n") {
			if len(line) > 76 {
				t.Errorf("%s: a line of %d: %q", kind, len(line), line)
			}
		}
		if text == "" || strings.ContainsAny(text, "{}%\r\t") || strings.IndexFunc(text, func(r rune) bool { return r > '~' }) >= 0 {
			t.Errorf("%s: %q", kind, text)
		}
		if strings.Contains(text, "harvest lemon tiger canyon") != (kind == Test) {
			t.Errorf("%s: the code is where it should not be, or missing", kind)
		}
		if kind == Test && !strings.Contains(text, "Reference: "+f.ID+"\n") {
			t.Errorf("the test does not show its id")
		}
		subjects[f.Subject()] = true
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
			if s := fmt.Sprintf(verb, f); strings.Contains(s, "harvest") {
				t.Errorf("%s prints the code with %s", kind, verb)
			}
		}
	}
	if len(subjects) != 6 || subjects[""] {
		t.Errorf("subjects: %v", subjects)
	}
	if (Form{}).Text() != "" || (Form{}).Subject() != "" {
		t.Error("a form of no kind says something")
	}
}

// TestSixKinds: the enumeration is closed, and three of them are encrypted (V4).
func TestSixKinds(t *testing.T) {
	encrypted := map[Kind]bool{Test: true, Answer: true, Receipt: true}
	for _, k := range Kinds() {
		if k.Encrypted() != encrypted[k] {
			t.Errorf("%s travels encrypted: %v", k, k.Encrypted())
		}
	}
	if len(Kinds()) != 6 || len(members) != 6 {
		t.Errorf("%d kinds", len(Kinds()))
	}
}

func FuzzParseForm(f *testing.F) {
	for _, kind := range Kinds() {
		b, err := sample(f, kind).Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"countersign":1,"kind":"invitation","id":"","from":"","to":""}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		form, err := Parse(b)
		if err != nil {
			return
		}
		again, err := form.Marshal()
		if err != nil || !bytes.Equal(again, bytes.TrimRight(b, "\r\n")) {
			t.Fatalf("%q parses but is written as %q (%v)", b, again, err)
		}
		if form.Text() == "" || form.Subject() == "" {
			t.Fatalf("%q parses but says nothing", b)
		}
	})
}
