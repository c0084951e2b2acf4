package message_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"countersign/mailer/message"
)

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "Subject: x\r\n\r\nbody", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b--\r\n",
		"Content-Type: message/rfc822\n\nContent-Type: multipart/digest; boundary=\"a b\"\n\n--a b\n\n--a b--",
		"Content-Type: multipart/\r\n\r\nx", "Content-Transfer-Encoding: base64\n\naGVsbG8=", "From a b\n\n", "a:\r\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	dir := filepath.Join("..", "..", "..", "shared", "vectors", "malformed-mime", "*.eml")
	files, _ := filepath.Glob(dir)
	for _, file := range files {
		if raw, err := os.ReadFile(file); err == nil {
			f.Add(raw)
		}
	}
	lim := message.Limits{Depth: 8, Parts: 200, Fields: 1000, HeaderBytes: 64 << 10}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var beside []*bytes.Buffer
		p, err := message.ParseBeside(message.Bytes(raw), lim, func(*message.Part, int) io.Writer {
			beside = append(beside, &bytes.Buffer{})
			return beside[len(beside)-1]
		})
		if err != nil {
			return
		}
		for i, b := range beside {
			if child := p.Parts[i]; !bytes.Equal(b.Bytes(), raw[child.Start:child.End]) {
				t.Fatalf("beside part %d: %q, not %q", i, b, raw[child.Start:child.End])
			}
		}
		checkOffsets(t, raw, p)
		shallow, err := message.Parse(message.Bytes(raw), message.Limits{Depth: 1})
		if err != nil || len(shallow.Parts) != len(p.Parts) {
			t.Fatal("the structure depends on the depth", err)
		}
		for i, c := range shallow.Parts {
			if c.Start != p.Parts[i].Start || c.End != p.Parts[i].End {
				t.Fatal("a part's bytes depend on the depth")
			}
		}
		_ = p.Walk(func(q *message.Part) error {
			checkPart(t, q)
			return nil
		})
	})
}

// checkPart uses a part in every way a face would.
func checkPart(t *testing.T, q *message.Part) {
	r, err := q.Open()
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, r)
	if err != nil || n > q.End-q.Body {
		t.Fatalf("content of %d bytes from %d: %v", n, q.End-q.Body, err)
	}
	s, err := q.Text(1 << 20)
	if err != nil || !utf8.ValidString(s) {
		t.Fatal("text", err)
	}
	for _, field := range q.Fields {
		if s := q.Header.Text(field.Name); !utf8.ValidString(s) || strings.ContainsAny(s, "\r\n\x00\u202e") {
			t.Fatalf("%q", s)
		}
		for _, a := range q.Addresses(field.Name) {
			if _, err := message.ParseAddress(a.String()); err != nil {
				t.Fatalf("%v is written %q, which can't be read", a, a.String())
			}
		}
	}
	if f := q.Filename; f != "" && (filepath.Base(f) != f || f != message.SafeName(f) || strings.ContainsAny(f, "/\\\x00:")) {
		t.Fatalf("file name %q", f)
	}
}

func FuzzAddress(f *testing.F) {
	for _, s := range []string{"Dr A <a@x.example>", `"a b"@x.example`, "g: a@b, <@r:c@d>;", "a@[192.0.2.1] (x)", "Jörg <j@münchen.example>", "a@。"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, _ := message.ParseAddressList(s)
		for _, a := range list {
			again, err := message.ParseAddress(a.String())
			if err != nil || again.Addr != a.Addr {
				t.Fatalf("%q came back as %q, %v", a, again, err)
			}
			c, err := message.Canonical(a.Addr)
			if err != nil {
				continue // too long, or a domain that is none
			}
			if twice, err := message.Canonical(c); err != nil || twice != c {
				t.Fatalf("%q is not canonical: %q, %v", c, twice, err)
			}
		}
	})
}

func FuzzWrite(f *testing.F) {
	f.Add("Subject", "name.pdf", "text\n", "a/b")
	f.Add("Long", "x", "", "a/"+strings.Repeat("b", 1000))
	f.Add("Grüße", "ä\"\\;.txt", "From x\n \n=", "text/x; y")
	f.Fuzz(func(t *testing.T, subject, name, body, kind string) {
		h := message.Header{}
		h.Add("Subject", message.EncodeText(subject))
		raw := write(t, message.Entity{
			Header: h, Type: "multipart/mixed", Boundary: "=_b",
			Parts: []message.Entity{{Type: "text/plain", Text: body}, {Type: kind, Disposition: "attachment", Name: name, Content: message.Bytes(body)}},
		})
		checkLines(t, raw, 998)
		p := parse(t, message.Bytes(raw))
		if len(p.Parts) != 2 || p.Parts[1].Filename != message.SafeName(name) && name != "" {
			t.Fatalf("%d parts, %q", len(p.Parts), p.Parts[1].Filename)
		}
		want := strings.ReplaceAll(strings.ToValidUTF8(body, "\uFFFD"), "\r\n", "\n")
		if got := text(t, p.Parts[0]); got != want && !strings.HasPrefix(want, "\uFEFF") {
			t.Fatalf("%q came back as %q", want, got)
		}
		if got := read(t, message.Bytes(body)); len(got) != len(body) {
			t.Fatal("content")
		}
	})
}
