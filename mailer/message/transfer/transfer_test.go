package transfer_test

import (
	"bytes"
	"encoding/base64"
	"io"
	"math/rand/v2"
	"mime/quotedprintable"
	"strings"
	"testing"
	"testing/iotest"

	"countersign/mailer/message/transfer"
)

// TestBase64AgainstStandardLibrary decodes what encoding/base64 wrote, cut and
// broken in every way that mail does.
func TestBase64AgainstStandardLibrary(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		content := make([]byte, random.IntN(200_000))
		for i := range content {
			content[i] = byte(random.Uint32())
		}
		enc, columns := base64.StdEncoding.EncodeToString(content), 1+random.IntN(300)
		var b strings.Builder
		for len(enc) > 0 {
			n := min(columns, len(enc))
			b.WriteString(enc[:n] + []string{"\n", "\r\n", " \r\n"}[random.IntN(3)])
			enc = enc[n:]
		}
		for _, r := range []io.Reader{strings.NewReader(b.String()), iotest.HalfReader(strings.NewReader(b.String()))} {
			if got, err := io.ReadAll(transfer.NewBase64Reader(r)); err != nil || !bytes.Equal(got, content) {
				t.Fatalf("%d bytes in %d columns came back as %d, %v", len(content), columns, len(got), err)
			}
		}
	}
}

func TestBase64Writer(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 56, 57, 58, 7296, 7295, 7296, 7297, 100_000} {
		content := bytes.Repeat([]byte{0xfb, 1, 2}, n)[:n]
		var b bytes.Buffer
		w := transfer.NewBase64Writer(&b)
		for rest := content; len(rest) > 0; {
			k := min(1000, len(rest))
			if _, err := w.Write(rest[:k]); err != nil {
				t.Fatal(err)
			}
			rest = rest[k:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if size := transfer.Base64Size(int64(n)); size != int64(b.Len()) {
			t.Errorf("%d bytes became %d, not %d", n, b.Len(), size)
		}
		lines := strings.SplitAfter(b.String(), "\r\n")
		for i, line := range lines[:len(lines)-1] {
			if i < len(lines)-2 && len(line) != 78 {
				t.Fatalf("line %d has %d bytes", i, len(line))
			}
		}
		if got, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(b.String(), "\r\n", "")); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// FuzzRoundTrip: what is encoded comes back, and the standard library agrees.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("From a to b \n\x00\xff=\r\n"))
	f.Add(bytes.Repeat([]byte("long "), 100))
	f.Fuzz(func(t *testing.T, content []byte) {
		var b bytes.Buffer
		w := transfer.NewBase64Writer(&b)
		_, _ = w.Write(content)
		_ = w.Close()
		if got, err := io.ReadAll(transfer.NewBase64Reader(&b)); err != nil || !bytes.Equal(got, content) {
			t.Fatalf("base64: %q came back as %q, %v", content, got, err)
		}
		text := strings.ReplaceAll(string(content), "\r\n", "\n")
		quoted := string(transfer.Quote(text))
		want := strings.ReplaceAll(text, "\n", "\r\n")
		if got, err := io.ReadAll(transfer.NewQuotedReader(strings.NewReader(quoted))); err != nil || string(got) != want {
			t.Fatalf("quoted-printable: %q came back as %q, %v", want, got, err)
		}
		if got, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(quoted))); err != nil || string(got) != want {
			t.Fatalf("the standard library reads %q as %q, %v", quoted, got, err)
		}
		for line := range strings.SplitSeq(quoted, "\r\n") {
			if len(line) > 76 || strings.HasPrefix(line, "From ") || strings.TrimRight(line, " \t") != line {
				t.Fatalf("a line %q", line)
			}
		}
	})
}

// FuzzDecode: no input is an error, a panic or more than it was.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("aGVs\r\nbG8=aGVs"))
	f.Add([]byte("a=20b=\r\nc =  \n=C3=G"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, r := range []io.Reader{transfer.NewBase64Reader(bytes.NewReader(raw)), transfer.NewQuotedReader(bytes.NewReader(raw))} {
			got, err := io.ReadAll(r)
			if err != nil || len(got) > len(raw) {
				t.Fatalf("%d bytes from %d, %v", len(got), len(raw), err)
			}
		}
		whole, _ := io.ReadAll(transfer.NewBase64Reader(bytes.NewReader(raw)))
		pieces, _ := io.ReadAll(transfer.NewBase64Reader(iotest.OneByteReader(bytes.NewReader(raw))))
		if !bytes.Equal(whole, pieces) {
			t.Fatalf("%q depends on how it is cut: %q, %q", raw, whole, pieces)
		}
	})
}
