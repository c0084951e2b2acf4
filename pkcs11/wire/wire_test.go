package wire

import (
	"bytes"
	"crypto"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func requests() []*Request {
	name := Name{"SoftHSM project", "SoftHSM v2", "0a1b", "praxis"}
	key := Key{ID: []byte{1, 2}, Label: "signing", Kind: RSA}
	return []*Request{
		{ID: 1, Op: Load, Path: "/usr/lib/softhsm/libsofthsm2.so", Reserved: "configdir='x'"},
		{ID: 2, Op: Tokens},
		{ID: 3, Op: Objects, Token: name},
		{ID: 4, Op: Login, Token: name, Entry: Typed, PIN: []byte("123456")},
		{ID: 5, Op: Login, Token: name, Entry: Kept, PIN: []byte("123456")},
		{ID: 6, Op: Login, Token: name, Entry: OnPad, Purpose: "Sign your letter"},
		{ID: 7, Op: Sign, Token: name, Key: key, Mechanism: PKCS1, Data: []byte("digest info"), Size: 256},
		{ID: 8, Op: Sign, Token: name, Entry: Typed, PIN: []byte("1"), Key: key, Mechanism: PSS, Hash: crypto.SHA256, Mask: crypto.SHA1, Salt: 32, Data: make([]byte, 32), Size: 256},
		{ID: 9, Op: Decrypt, Token: name, Key: key, Mechanism: OAEP, Hash: crypto.SHA512, Mask: crypto.SHA512, Context: []byte("l"), Data: make([]byte, 256), Size: 256},
		{ID: 10, Op: Derive, Token: name, Key: Key{Label: "ka", Kind: EC}, Data: make([]byte, 65), Size: 32},
		{ID: 1<<32 - 1, Op: Watch, Period: 500},
		{ID: 11, Op: Login, Token: name},
		{ID: 12, Op: Generate, Token: name, Key: key, Uses: ForSigning, Bits: 3072},
		{ID: 13, Op: Generate, Token: name, Key: Key{ID: []byte{9}, Kind: EC}, Uses: ForSigning | ForOpening, Params: []byte{6, 1, 1}},
		{ID: 14, Op: Import, Token: name, Key: key, Uses: ForOpening, Parts: [][]byte{{1}, {2}, {3}, {4}, {5}, {6}, {7}, {8}}},
		{ID: 15, Op: Import, Token: name, Key: Key{ID: []byte{9}, Kind: EC}, Uses: ForOpening, Params: []byte{6}, Parts: [][]byte{{9}}},
		{ID: 16, Op: Store, Token: name, Key: key, Data: []byte("DER"), Parts: [][]byte{{1}, {2}, {3}}},
		{ID: 17, Op: Delete, Token: name, Key: key, Data: []byte{1}},
	}
}

func replies() []*Reply {
	return []*Reply{
		{ID: 1, Op: Load, Library: "SoftHSM"},
		{ID: 2, Op: Tokens, Tokens: []Token{{Name: Name{Serial: "1"}, Reader: "Slot", NeedsLogin: true, Pad: true, Ready: true, Tries: TriesLast, Offers: Set(0).With(PSS).With(ECDH)}, {}}},
		{ID: 3, Op: Objects, More: true, Objects: []Object{
			{Key: Key{ID: []byte{1}, Label: "c"}, Class: Certificate, Value: []byte("DER")},
			{Key: Key{Kind: EC}, Class: PublicKey, Value: []byte{4}, Params: []byte{6}},
			{Key: Key{ID: []byte{1}, Kind: RSA}, Class: PrivateKey, Always: true, Value: []byte{1}, Params: []byte{1, 0, 1}},
		}},
		{ID: 4, Op: Login},
		{ID: 5, Op: Login, Failure: WrongPIN, Code: 0xa0, Says: "CKR_PIN_INCORRECT", Tries: TriesLast},
		{ID: 6, Op: Sign, Data: make([]byte, 256)},
		{ID: 7, Op: Watch},
		{ID: 8, Op: Generate, Made: Object{Key: Key{ID: []byte{1}, Label: "k", Kind: EC}, Class: PublicKey, Value: []byte{4}, Params: []byte{6}}},
		{ID: 9, Op: Import, There: true},
		{ID: 10, Op: Store},
		{ID: 11, Op: Delete, Failure: HasCertificate},
	}
}

func TestRoundTrip(t *testing.T) {
	for _, want := range requests() {
		var b bytes.Buffer
		if err := Write(&b, want); err != nil {
			t.Fatalf("writing %+v: %v", want, err)
		}
		got, err := ReadRequest(iotest.OneByteReader(&b))
		if err != nil {
			t.Fatalf("reading %+v: %v", want, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	for _, want := range replies() {
		var b bytes.Buffer
		if err := Write(&b, want); err != nil {
			t.Fatalf("writing %+v: %v", want, err)
		}
		got, err := ReadReply(&b)
		if err != nil {
			t.Fatalf("reading %+v: %v", want, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

// TestBoundsWriting: what the other side would refuse is not sent at all.
func TestBoundsWriting(t *testing.T) {
	key := Key{ID: []byte{1}, Kind: RSA}
	for name, m := range map[string]Message{
		"no operation":        &Request{},
		"unknown operation":   &Request{Op: Delete + 1},
		"seven parts of RSA":  &Request{Op: Import, Key: key, Uses: ForOpening, Parts: make([][]byte, 7)},
		"long part":           &Request{Op: Store, Key: key, Parts: [][]byte{make([]byte, MaxValue+1), nil, nil}},
		"key for nothing":     &Request{Op: Generate, Key: key, Bits: 2048},
		"key without an ID":   &Request{Op: Generate, Key: Key{Label: "x", Kind: RSA}, Uses: ForSigning},
		"RSA on a curve":      &Request{Op: Generate, Key: key, Uses: ForSigning, Params: []byte{6}},
		"no curve":            &Request{Op: Generate, Key: Key{ID: []byte{1}, Kind: EC}, Uses: ForSigning},
		"Ed25519":             &Request{Op: Generate, Key: Key{ID: []byte{1}, Kind: Edwards}, Uses: ForSigning, Params: []byte{6}},
		"huge key":            &Request{Op: Generate, Key: key, Uses: ForSigning, Bits: MaxBits + 1},
		"certificate made":    &Reply{Op: Generate, Made: Object{Class: Certificate}},
		"long PIN":            &Request{Op: Login, Entry: Typed, PIN: make([]byte, MaxPIN+1)},
		"long data":           &Request{Op: Sign, Key: key, Mechanism: EdDSA, Data: make([]byte, MaxData+1)},
		"key without a name":  &Request{Op: Sign, Key: Key{Kind: RSA}, Mechanism: PKCS1},
		"key without a kind":  &Request{Op: Sign, Key: Key{ID: []byte{1}}, Mechanism: PKCS1},
		"MD5":                 &Request{Op: Sign, Key: key, Mechanism: PSS, Hash: crypto.MD5, Mask: crypto.SHA1},
		"hash far off":        &Request{Op: Sign, Key: key, Mechanism: PSS, Hash: 0x105, Mask: crypto.SHA1},
		"ECDH as a signature": &Request{Op: Sign, Key: key, Mechanism: ECDH},
		"long result":         &Request{Op: Sign, Key: key, Mechanism: PKCS1, Size: MaxResult + 1},
		"text not UTF-8":      &Request{Op: Load, Path: "\xff"},
		"long path":           &Request{Op: Load, Path: strings.Repeat("x", MaxPath+1)},
		"slow watch":          &Request{Op: Watch, Period: MaxPeriod + 1},
		"many tokens":         &Reply{Op: Tokens, Tokens: make([]Token, MaxTokens+1)},
		"agent's own finding": &Reply{Op: Sign, Failure: Hung},
		"long certificate":    &Reply{Op: Objects, Objects: []Object{{Class: Certificate, Value: make([]byte, MaxValue+1)}}},
		"frame": &Reply{Op: Objects, Objects: func() []Object {
			all := make([]Object, 128)
			for i := range all {
				all[i] = Object{Class: Certificate, Value: make([]byte, MaxValue)}
			}
			return all
		}()},
	} {
		var b bytes.Buffer
		if err := Write(&b, m); !errors.Is(err, ErrMalformed) || b.Len() != 0 {
			t.Errorf("%s: %v, %d bytes sent", name, err, b.Len())
		}
	}
}

func TestRefusedReading(t *testing.T) {
	for name, frame := range map[string]string{
		"too large":       "\x00\x10\x00\x01",
		"breaks off":      "\x00\x00\x00\x05\x00\x00\x00\x01",
		"empty":           "\x00\x00\x00\x00",
		"trailing":        "\x00\x00\x00\x06\x00\x00\x00\x01\x02\x00",
		"unknown":         "\x00\x00\x00\x05\x00\x00\x00\x01\x0d",
		"length of field": "\x00\x00\x00\x09\x00\x00\x00\x01\x01\xff\xff\xff\xff",
	} {
		if _, err := ReadRequest(strings.NewReader(frame)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadRequest(strings.NewReader("")); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	// A count of elements that the frame does not hold.
	if _, err := ReadReply(strings.NewReader("\x00\x00\x00\x0a\x00\x00\x00\x01\x02\x00\x00\x00\x00\x20")); !errors.Is(err, ErrMalformed) {
		t.Errorf("count: %v", err)
	}
}

// keeper keeps the very slice that it is given.
type keeper struct{ got []byte }

func (k *keeper) Write(b []byte) (int, error) {
	k.got = b
	return len(b), nil
}

func TestPINIsWiped(t *testing.T) {
	var k keeper
	pin := []byte("the PIN")
	if err := Write(&k, &Request{Op: Login, Entry: Typed, PIN: pin}); err != nil {
		t.Fatal(err)
	}
	if len(k.got) == 0 || !bytes.Equal(k.got, make([]byte, len(k.got))) {
		t.Errorf("the frame still holds %q", k.got)
	}
	if string(pin) != "the PIN" {
		t.Error("the caller's PIN is the caller's to wipe")
	}
}

func TestKeyIsWiped(t *testing.T) {
	r := &Request{Op: Import, PIN: []byte{1}, Parts: [][]byte{{1, 2}, {3}}}
	r.Wipe()
	if r.PIN[0]|r.Parts[0][0]|r.Parts[0][1]|r.Parts[1][0] != 0 {
		t.Errorf("left: %v", r)
	}
}

// TestKeyID: a modulus with a zero before it, as some libraries give it, is the same modulus.
func TestKeyID(t *testing.T) {
	if a, b := KeyID([]byte{0, 0x80, 1}), KeyID([]byte{0x80, 1}); len(a) != 20 || !bytes.Equal(a, b) {
		t.Errorf("%x and %x", a, b)
	}
}

func TestFailuresHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for f := None; f <= Unasked; f++ {
		if s := f.String(); s == "" || seen[s] {
			t.Errorf("failure %d is called %q", f, s)
		}
		seen[f.String()] = true
	}
}

func FuzzRequest(f *testing.F) {
	for _, m := range requests() {
		var b bytes.Buffer
		if err := Write(&b, m); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		r := bytes.NewReader(frame)
		if m, err := ReadRequest(r); err == nil {
			same(t, m, frame[:len(frame)-r.Len()])
		}
	})
}

func FuzzReply(f *testing.F) {
	for _, m := range replies() {
		var b bytes.Buffer
		if err := Write(&b, m); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		r := bytes.NewReader(frame)
		if m, err := ReadReply(r); err == nil {
			same(t, m, frame[:len(frame)-r.Len()])
		}
	})
}

// same checks that what was read is written back as it came.
func same(t *testing.T, m Message, frame []byte) {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, m); err != nil {
		t.Fatalf("%+v was read but can't be written: %v", m, err)
	}
	if !bytes.Equal(b.Bytes(), frame) {
		t.Fatalf("%+v was read from %x and is written as %x", m, frame, b.Bytes())
	}
}

func TestShort(t *testing.T) {
	for given, want := range map[string]string{
		"plain":                        "plain",
		"\x1b[31mred\n":                " [31mred ",
		"\xff":                         "?",
		strings.Repeat("x", 255) + "ö": strings.Repeat("x", 255),
		strings.Repeat("x", MaxText+9): strings.Repeat("x", MaxText),
	} {
		if got := Short(given); got != want {
			t.Errorf("%q becomes %q", given, got)
		}
	}
}
