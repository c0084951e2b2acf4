package message_test

import (
	"bytes"
	"errors"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"
	"testing/iotest"

	"countersign/mailer/message"
)

// halting opens its bytes as a reader of one byte at a time.
type halting []byte

func (h halting) Open() (io.ReadCloser, error) {
	return io.NopCloser(iotest.OneByteReader(bytes.NewReader(h))), nil
}

func TestDecode(t *testing.T) {
	for _, c := range []struct{ encoding, body, want string }{
		{"", "a=20b", "a=20b"},
		{"8bit", "\xff", "\xff"},
		{"x-unknown", "abc", "abc"},
		{"BASE64 (really)", "aGVsbG8=", "hello"},
		{"base64", "aGVs\r\nbG8=\r\n", "hello"},
		{"base64", "aGVs\nbG8=\n\n", "hello"},
		{"base64", " a G V s\tb*G8=\x00", "hello"},
		{"base64", "aGVsbG8", "hello"},
		{"base64", "aGVsbG8=aGVsbG8=", "hellohello"},
		{"base64", "aGVsbG8==\r\n=", "hello"},
		{"base64", "a", ""},
		{"base64", "", ""},
		{"quoted-printable", "a=20b=\r\nc =\r\nd \t\r\ne", "a bc d\r\ne"},
		{"quoted-printable", "=C3=a4 = =G1 =1", "ä = =G1 =1"},
		{"quoted-printable", "a=\n\nb=", "a\nb"},
		{"quoted-printable", "a=  \r\nb", "ab"},
		{"quoted-printable", strings.Repeat("=41", 50_000) + strings.Repeat("b", 50_000) + "\r\nc", strings.Repeat("A", 50_000) + strings.Repeat("b", 50_000) + "\r\nc"},
	} {
		raw := "Content-Transfer-Encoding: " + c.encoding + "\r\n\r\n" + c.body
		for _, src := range []message.Source{message.Bytes(raw), halting(raw)} {
			p := parse(t, src)
			r, err := p.Open()
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if r.Close(); err != nil || string(got) != c.want {
				t.Errorf("%s %.40q: %.40q, %v", c.encoding, c.body, got, err)
			}
		}
	}
}

func TestText(t *testing.T) {
	for _, c := range []struct{ params, body, want string }{
		{"", "a\r\nb\n", "a\nb\n"},
		{"", "Gr\xc3\xbc\xc3\x9fe", "Grüße"},
		{"", "Gr\xfc\xdfe", "Grüße"},
		{"; charset=us-ascii", "Gr\xc3\xbc\xc3\x9fe", "Grüße"},
		{"; charset=iso-8859-1", "\x80\xe4", "€ä"},
		{"; charset=ISO-8859-15", "\xa4", "€"},
		{"; charset=utf-8", "\xef\xbb\xbfa\xffb", "a\uFFFDb"},
		{"; charset=utf-16", "\xff\xfea\x00\xe4\x00", "aä"},
		{"; charset=gb18030", "\xc4\xe3", "你"},
		{"; charset=iso-2022-jp", "\x1b$BF|K\\\x1b(B", "日本"},
		{"; charset=x-none", "\xe4", "ä"},
	} {
		p := parse(t, message.Bytes("Content-Type: text/plain"+c.params+"\r\n\r\n"+c.body))
		if got := text(t, p); got != c.want {
			t.Errorf("%s %q reads %q, want %q", c.params, c.body, got, c.want)
		}
	}
	p := parse(t, message.Bytes("\r\n12345"))
	if got, err := p.Text(3); got != "123" || !errors.Is(err, message.ErrLimit) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := p.Text(5); got != "12345" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func write(t *testing.T, e message.Entity) string {
	t.Helper()
	var b bytes.Buffer
	if err := e.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWriteText(t *testing.T) {
	for _, c := range []struct{ text, encoding string }{
		{"", "7bit"},
		{"One line.\n\nAnother.\n", "7bit"},
		{"no line end", "7bit"},
		{"\ttabs\tinside", "7bit"},
		{strings.Repeat("x", 76) + "\n", "7bit"},
		{strings.Repeat("x", 77) + "\n", "quoted-printable"},
		{strings.Repeat("a word ", 2000), "quoted-printable"},
		{"From here on\nFrom there\n", "quoted-printable"},
		{"blank at the end \nx\t\n", "quoted-printable"},
		{"Grüße = Köln\n", "quoted-printable"},
		{strings.Repeat("日本", 100) + "\n", "quoted-printable"},
		{"a\rb\x00c\n", "quoted-printable"},
	} {
		raw := write(t, message.Entity{Type: "text/plain", Text: c.text})
		checkLines(t, raw, 76)
		p := parse(t, message.Bytes(raw))
		if got := text(t, p); p.Encoding != c.encoding || got != c.text {
			t.Errorf("%.30q (%s) came back as %.30q (%s)", c.text, c.encoding, got, p.Encoding)
		}
		if _, body, _ := strings.Cut(raw, "\r\n\r\n"); c.encoding == "quoted-printable" {
			other, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(body)))
			if err != nil || strings.ReplaceAll(string(other), "\r\n", "\n") != c.text {
				t.Errorf("the standard library reads %.40q, %v", other, err)
			}
		}
		if strings.Contains(raw, "\r\nFrom ") {
			t.Error("a line begins with From")
		}
	}
}

func TestWriteTree(t *testing.T) {
	boundary, err := message.NewBoundary(strings.NewReader("0123456789abcdef"))
	if err != nil || boundary != "=_30313233343536373839616263646566" {
		t.Fatal(boundary, err)
	}
	file := bytes.Repeat([]byte{0, 1, 0xff, '\r', '\n'}, 40_000)
	raw := write(t, message.Entity{
		Header: message.Header{Fields: []message.Field{{Name: "Subject", Value: "x"}}},
		Type:   "Multipart/Mixed", Params: map[string]string{"hp": "cipher"}, Boundary: boundary,
		Parts: []message.Entity{
			{Type: "text/plain", Text: "Hello\n"},
			{Type: "application/pdf", Disposition: "attachment", Name: "../Befund für Müller, geheim; final (2).pdf", Content: message.Bytes(file)},
			{Type: "message/rfc822", Disposition: "attachment", Name: "letter.eml", Content: message.Bytes("Subject: y\r\n\r\n")},
			{Type: "text/html\r\nX: y", Disposition: "inline", Name: strings.Repeat("ä", 300), Content: message.Bytes("")},
			{Type: "application/" + strings.Repeat("x", 1000), Disposition: "attachment", Content: message.Bytes("")},
		},
	})
	checkLines(t, raw, 78) // base64 has 76, a boundary's parameter stands where it must
	p := parse(t, message.Bytes(raw))
	if got := shape(p); got != "multipart/mixed[text/plain pdf octet-stream octet-stream octet-stream]" || p.Params["hp"] != "cipher" {
		t.Error(got, p.Params)
	}
	if got := p.Parts[1].Filename; got != "Befund für Müller, geheim; final (2).pdf" {
		t.Error(got)
	}
	r, err := p.Parts[1].Open()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, file) {
		t.Error("the file changed on its way", err)
	}
	if got := p.Parts[3].Filename; got != message.SafeName(strings.Repeat("ä", 300)) {
		t.Error(got)
	}
	_, err = message.NewBoundary(strings.NewReader("short"))
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("a boundary without randomness:", err)
	}
}

func TestWriteReportsErrors(t *testing.T) {
	broken := errors.New("gone")
	e := message.Entity{Type: "a/b", Content: failing{broken}}
	if err := e.Write(io.Discard); !errors.Is(err, broken) {
		t.Error(err)
	}
	e = message.Entity{Header: message.Header{Fields: []message.Field{{Name: "To", Value: "a\r\nBcc: b"}}}, Type: "text/plain"}
	if err := e.Write(io.Discard); !errors.Is(err, message.ErrHeader) {
		t.Error(err)
	}
}
