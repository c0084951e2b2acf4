package ber_test

import (
	"bytes"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"countersign/mailer/cms/ber"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

func reader(in []byte) *ber.Reader {
	return ber.NewReader(iotest.OneByteReader(bytes.NewReader(in)), 1000)
}

func TestValue(t *testing.T) {
	for _, c := range []struct {
		name, in, want string
		err            error
	}{
		{"an integer", "02 01 05", "02 01 05", nil},
		{"an empty sequence", "30 00", "30 00", nil},
		{"a long form length that need not be", "02 83 00 00 01 05", "02 01 05", nil},
		{"a long length", "04 81 80" + strings.Repeat("aa", 128), "04 81 80" + strings.Repeat("aa", 128), nil},
		{"an indefinite sequence", "30 80 02 01 05 30 80 00 00 00 00", "30 05 02 01 05 30 00", nil},
		{"octets in pieces", "24 80 04 01 aa 24 05 04 01 bb 04 00 00 00", "04 02 aa bb", nil},
		{"octets in no pieces", "24 00", "04 00", nil},
		{"a text in pieces", "2c 06 0c 01 41 0c 01 42", "0c 02 41 42", nil},
		{"a high tag", "bf 81 00 03 02 01 05", "bf 81 00 03 02 01 05", nil},
		{"what follows is left alone", "05 00 ff ff", "05 00", nil},

		{"nothing", "", "", ber.ErrMalformed},
		{"half a header", "30", "", ber.ErrMalformed},
		{"half a length", "30 82 01", "", ber.ErrMalformed},
		{"half the contents", "04 03 aa", "", ber.ErrMalformed},
		{"no end", "30 80 02 01 05", "", ber.ErrMalformed},
		{"a primitive without end", "04 80 00 00", "", ber.ErrMalformed},
		{"an end of nothing", "00 00", "", ber.ErrMalformed},
		{"an end within definite lengths", "30 02 00 00", "", ber.ErrMalformed},
		{"an end with contents", "30 80 00 01 00 00 00", "", ber.ErrMalformed},
		{"a child larger than its parent", "30 03 04 05 aa aa aa aa aa", "", ber.ErrMalformed},
		{"a child's header beyond its parent", "30 01 04 00", "", ber.ErrMalformed},
		{"an indefinite child beyond its parent", "30 04 30 80 04 01 aa 00 00", "", ber.ErrMalformed},
		{"pieces of another kind", "24 03 02 01 05", "", ber.ErrMalformed},
		{"a length of nine octets", "04 89 01 00 00 00 00 00 00 00 00", "", ber.ErrMalformed},
		{"a negative length", "04 88 ff ff ff ff ff ff ff ff", "", ber.ErrMalformed},
		{"an endless tag", "1f ff ff ff ff ff", "", ber.ErrMalformed},
		{"a tag that begins with nothing", "1f 80 01 00", "", ber.ErrMalformed},
		{"a promise too large", "04 84 7f ff ff ff", "", ber.ErrTooLarge},
		{"too much at last", "30 80" + strings.Repeat("04 08 aaaaaaaaaaaaaaaa", 70), "", ber.ErrTooLarge},
		{"too deep", strings.Repeat("30 80", ber.MaxDepth+1), "", ber.ErrTooDeep},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := reader(unhex(c.in)).Value("it")
			if c.err == nil && err != nil || !errors.Is(err, c.err) || !bytes.Equal(got, unhex(c.want)) {
				t.Errorf("got %x, %v; want %s, %v", got, err, c.want, c.err)
			}
			if err == nil && !bytes.HasSuffix(got, ber.Contents(got)) {
				t.Errorf("contents %x of %x", ber.Contents(got), got)
			}
		})
	}
}

func TestOctets(t *testing.T) {
	for _, c := range []struct {
		name, in, want string
		err            error
	}{
		{"whole", "04 03 aa bb cc", "aa bb cc", nil},
		{"empty", "04 00", "", nil},
		{"in pieces", "24 80 04 02 aa bb 04 00 04 01 cc 00 00", "aa bb cc", nil},
		{"in pieces of known length", "24 05 04 01 aa 04 00", "aa", nil},
		{"in nested pieces", "24 80 24 80 04 01 aa 24 03 04 01 bb 00 00 04 01 cc 00 00", "aa bb cc", nil},
		{"broken off", "04 03 aa bb", "aa bb", ber.ErrMalformed},
		{"broken off between pieces", "24 80 04 01 aa", "aa", ber.ErrMalformed},
		{"broken off within a header", "24 80 04 01 aa 04", "aa", ber.ErrMalformed},
		{"half an end", "24 80 04 01 aa 00", "aa", ber.ErrMalformed},
		{"something else within", "24 80 04 01 aa 02 01 05 00 00", "aa", ber.ErrMalformed},
		{"pieces for ever deeper", strings.Repeat("24 80", ber.MaxDepth+1), "", ber.ErrTooDeep},
		{"something else", "02 01 05", "", ber.ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := reader(append(unhex("30 80"), unhex(c.in)...))
			must(t, r.Enter(ber.Sequence, "sequence"))
			o, err := r.Octets(ber.OctetString, "octets")
			var got []byte
			if err == nil {
				got, err = io.ReadAll(o)
			}
			if c.err == nil && err != nil || !errors.Is(err, c.err) || !bytes.Equal(got, unhex(c.want)) {
				t.Errorf("got %x, %v; want %s, %v", got, err, c.want, c.err)
			}
		})
	}
}

func TestWalk(t *testing.T) {
	in := unhex("30 80 02 01 05 a0 80 04 01 aa 30 80 04 00 00 00 00 00 04 02 bb bb 30 03 02 01 07 00 00")
	r := reader(in)
	must(t, r.Enter(ber.Sequence, "sequence"))
	if ok, err := r.At(ber.Context); ok || err != nil {
		t.Errorf("[0] is not next: %v, %v", ok, err)
	}
	must(t, r.Skip())
	if ok, err := r.At(ber.Context); !ok || err != nil {
		t.Errorf("[0] is next: %v, %v", ok, err)
	}
	must(t, r.Skip())
	if err := r.Leave(); !errors.Is(err, ber.ErrMalformed) {
		t.Errorf("left before the end: %v", err)
	}
	o, err := r.Octets(ber.OctetString, "octets")
	must(t, err)
	if _, err := io.Copy(io.Discard, o); err != nil {
		t.Fatal(err)
	}
	n := 0
	must(t, r.Each(ber.Sequence, "numbers", 1, io.ErrShortBuffer, func([]byte) error { n++; return nil }))
	if err := r.Skip(); n != 1 || !errors.Is(err, ber.ErrMalformed) {
		t.Errorf("%d numbers; skipped at the end: %v", n, err)
	}
	must(t, r.Leave())

	r = reader(in)
	must(t, r.Enter(ber.Sequence, "sequence"))
	must(t, r.Skip())
	must(t, r.Enter(ber.Context, "[0]"))
	must(t, r.Finish())
	for n := range in { // of anything cut off, Finish knows
		r := reader(in[:n])
		err := r.Enter(ber.Sequence, "sequence")
		if err == nil {
			err = r.Finish()
		}
		if !errors.Is(err, ber.ErrMalformed) {
			t.Errorf("finished after %d octets: %v", n, err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestEachCounts(t *testing.T) {
	tooMany := errors.New("too many")
	for n, want := range []error{nil, nil, nil, tooMany, tooMany} {
		in := append([]byte{0x31, byte(2 * n)}, bytes.Repeat([]byte{5, 0}, n)...)
		if err := reader(in).Each(ber.Set, "set", 2, tooMany, func([]byte) error { return nil }); err != want {
			t.Errorf("%d values: %v, want %v", n, err, want)
		}
	}
}

func TestSourceErrorsPass(t *testing.T) {
	broken := errors.New("the disk is gone")
	r := ber.NewReader(io.MultiReader(bytes.NewReader(unhex("30 80 04")), iotest.ErrReader(broken)), 1000)
	if _, err := r.Value("it"); !errors.Is(err, broken) || errors.Is(err, ber.ErrMalformed) {
		t.Errorf("got %v, want %v", err, broken)
	}
}

func TestHeaders(t *testing.T) {
	for length, want := range map[int64]string{
		-1: "3080", 0: "3000", 127: "307f", 128: "308180", 255: "3081ff", 256: "30820100",
		1 << 32: "30850100000000", 1<<63 - 1: "30887fffffffffffffff",
	} {
		if got := hex.EncodeToString(ber.AppendHeader(nil, ber.Sequence, true, length)); got != want {
			t.Errorf("%d: %s, want %s", length, got, want)
		}
	}
	if got := ber.SortedSet([][]byte{{4, 1, 2}, {4, 0}, {4, 1, 1}}); !bytes.Equal(got, unhex("31 08 04 00 04 01 01 04 01 02")) {
		t.Errorf("sorted: %x", got)
	}
}

// FuzzReader demands that a value once read is read again as itself, and is what
// the standard library takes for one value.
func FuzzReader(f *testing.F) {
	for _, s := range []string{"30 80 24 80 04 01 aa 00 00 00 00", "30 03 02 01 05", "bf 81 00 03 02 01 05", "2c 06 0c 01 41 0c 01 42"} {
		f.Add(unhex(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		skip := ber.NewReader(bytes.NewReader(in), 1000).Skip()
		der, err := ber.NewReader(bytes.NewReader(in), 1000).Value("it")
		if err != nil {
			return
		}
		if skip != nil {
			t.Errorf("read, but not skipped: %v", skip)
		}
		again, err := ber.NewReader(bytes.NewReader(der), 2000).Value("it")
		if err != nil || !bytes.Equal(again, der) {
			t.Errorf("%x became %x, %v", der, again, err)
		}
		var raw asn1.RawValue
		if rest, err := asn1.Unmarshal(der, &raw); err == nil && (len(rest) > 0 || !bytes.Equal(raw.Bytes, ber.Contents(der))) {
			t.Errorf("%x is not one value", der)
		}
		ber.NewReader(bytes.NewReader(in), 1000).Octets(ber.OctetString, "it")
	})
}
