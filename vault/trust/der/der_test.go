package der

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

func name(t *testing.T, cn string) []byte {
	t.Helper()
	raw, err := asn1.Marshal(pkix.Name{Country: []string{"GB"}, CommonName: cn}.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestSameName is RFC 5280, section 7.1, as far as it is followed.
func TestSameName(t *testing.T) {
	for other, want := range map[string]bool{
		"Harbour Root": true, "HARBOUR  root ": true, "HarbourRoot": false, "Harbour Root A": false, "": false,
		"Harbour Root\x00": false, "h\u00e4rbour Root": false,
	} {
		if got := SameName(name(t, "Harbour Root"), name(t, other)); got != want {
			t.Errorf("%q: %v", other, got)
		}
	}
	if SameName(name(t, "\u212a"), name(t, "k")) || SameName(name(t, "\u00c4"), name(t, "\u00e4")) {
		t.Error("letters beyond ASCII are folded")
	}
	if SameName([]byte{1}, name(t, "x")) || SameName(name(t, "x"), name(t, "x")[:9]) {
		t.Error("something else is a name")
	}
	n := GeneralName{DirectoryName, name(t, "A B")}
	if n.Key() != (GeneralName{DirectoryName, name(t, "a  b")}).Key() || n.Key() == (GeneralName{URI, n.Value}).Key() {
		t.Error("keys of general names")
	}
}

// TestReadTime: whole seconds of Greenwich, on days that exist.
func TestReadTime(t *testing.T) {
	for in, want := range map[string]string{
		"\x17\x0d260310120000Z": "2026-03-10T12:00:00Z", "\x17\x0d491231235959Z": "2049-12-31T23:59:59Z", "\x17\x0d500101000000Z": "1950-01-01T00:00:00Z",
		"\x18\x0f20500101000000Z": "2050-01-01T00:00:00Z", "\x18\x0f00010101000000Z": "0001-01-01T00:00:00Z",
		"\x17\x0b2603101200Z": "", "\x17\x0d260310120000+": "", "\x17\x0d260230120000Z": "", "\x17\x0d260310240000Z": "", "\x17\x0d260310126000Z": "",
		"\x17\x0d280229120000Z": "2028-02-29T12:00:00Z", "\x17\x0d270229120000Z": "", "\x18\x0f21000229000000Z": "", "\x18\x0f20000229000000Z": "2000-02-29T00:00:00Z",
		"\x17\x0d260431120000Z": "", "\x17\x0d261301120000Z": "", "\x17\x0d260310120060Z": "", "\x17\x0d260010120000Z": "", "\x17\x0d260300120000Z": "", "\x17\x0d26031012000 Z": "", "\x18\x1120260310120000.1Z": "",
		"\x17\x0f20260310120000Z": "", "": "", "\x04\x00": "",
	} {
		s := cryptobyte.String(in)
		got, ok := ReadTime(&s)
		if ok != (want != "") || ok && got.Format(time.RFC3339) != want {
			t.Errorf("%q: %v, %v", in, got, ok)
		}
	}
}

// TestEachExtension: at least one, none twice, and nothing else.
func TestEachExtension(t *testing.T) {
	none := func(asn1.ObjectIdentifier, bool, cryptobyte.String) error { return nil }
	one := "\x30\x06\x06\x02\x2a\x03\x04\x00"
	for in, want := range map[string]error{
		"\x30\x08" + one: nil, "\x30\x10" + one + one: ErrExtensions, "\x30\x00": ErrExtensions, "": ErrExtensions, "\x30\x08" + one + "\x05\x00": ErrExtensions,
		"\x30\x0b\x30\x09\x06\x02\x2a\x03\x01\x01\xff\x04\x00": nil, "\x30\x0b\x30\x09\x06\x02\x2a\x03\x01\x01\x01\x04\x00": ErrExtensions,
	} {
		if err := EachExtension(cryptobyte.String(in), none); !errors.Is(err, want) {
			t.Errorf("%x: %v", in, err)
		}
	}
	broken := errors.New("broken")
	each := func(asn1.ObjectIdentifier, bool, cryptobyte.String) error { return broken }
	if err := EachExtension(cryptobyte.String("\x30\x08"+one), each); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

// TestReadAlgorithm: what counts, and nothing older.
func TestReadAlgorithm(t *testing.T) {
	rsa := func(last string) string { return "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01" + last }
	for in, want := range map[string]error{
		"\x30\x0d" + rsa("\x0b\x05\x00"):              nil,          // SHA-256
		"\x30\x0d" + rsa("\x05\x05\x00"):              ErrAlgorithm, // SHA-1
		"\x30\x0d" + rsa("\x04\x05\x00"):              ErrAlgorithm, // MD5
		"\x30\x0b" + rsa("\x0a"):                      ErrAlgorithm, // PSS with its defaults, SHA-1
		"\x30\x0d" + rsa("\x0b\x04\x00"):              ErrAlgorithm, // parameters that are none
		"\x30\x0d" + rsa("\x0b\x05\x00") + "\x05\x00": ErrAlgorithm,
		"\x30\x05\x06\x03\x2b\x65\x70":                nil, // Ed25519
		"\x30\x00":                                    ErrAlgorithm,
	} {
		if _, err := ReadAlgorithm(cryptobyte.String(in)); !errors.Is(err, want) {
			t.Errorf("%x: %v", in, err)
		}
	}
	if (Algorithm{}).Check(nil, nil, nil) == nil {
		t.Error("no key signs")
	}
}
