package message_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"countersign/mailer/message"
)

func TestHeader(t *testing.T) {
	p := parse(t, crlf("Received: one\nSUBJECT : =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nReceived: two\nFrom: a@x.example\nfrom: b@x.example\nX-Empty:\n\n"))
	if p.Get("received") != "one" || len(p.All("Received")) != 2 || p.Header.Text("Subject") != "Grüße" {
		t.Errorf("%q", p.Fields)
	}
	if !p.Has("X-Empty") || p.Has("X-None") {
		t.Error("Has")
	}
	if from := p.Addresses("From"); len(from) != 2 {
		t.Errorf("a second From was overlooked: %v", from)
	}
	h := p.Header
	h.Set("Received", "three")
	h.Del("FROM")
	h.Add("To", "c@x.example")
	var names []string
	for _, f := range h.Fields {
		names = append(names, f.Name)
	}
	if got := strings.Join(names, " "); got != "Received SUBJECT X-Empty To" || h.Get("Received") != "three" {
		t.Error(got)
	}
	if len(p.All("Received")) != 2 {
		t.Error("Set changed a copy's original")
	}
}

func TestDate(t *testing.T) {
	want := time.Date(2026, 1, 26, 14, 38, 3, 0, time.UTC)
	for _, s := range []string{
		"Mon, 26 Jan 2026 14:38:03 +0000", "26 Jan 2026 14:38:03 +0000", "Mon, 26 Jan 2026 15:38:03 +0100 (CET)",
		"Mon,26 Jan 2026   09:38:03 EST", "26 Jan 26 14:38:03 gmt", "Mon, 26 Jan 2026 14:38:03 GMT",
	} {
		h := message.Header{Fields: []message.Field{{Name: "Date", Value: s}}}
		if got, err := h.Date(); err != nil || !got.Equal(want) {
			t.Errorf("%q is %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "yesterday", "26 Jan 2026", "32 Jan 2026 14:38:03 +0000", "26 Jan 2026 14:38:03 XYZ",
		"31 Dec 9999 23:59:59 -1200", "1 Jan 0000 00:00:00 +0100", "1 Jan 0000 12:00:00 +0000"} {
		h := message.Header{Fields: []message.Field{{Name: "Date", Value: s}}}
		if _, err := h.Date(); !errors.Is(err, message.ErrHeader) {
			t.Errorf("%q was taken for a date", s)
		}
	}
	if got := message.FormatDate(want); got != "Mon, 26 Jan 2026 14:38:03 +0000" {
		t.Error(got)
	}
}

func TestEncodedWords(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                             "plain",
		"=?iso-8859-1?Q?Andr=E9?= X":        "André X",
		"=?UTF-8?B?R3LDvMOfZQ==?=":          "Grüße",
		"=?UTF-8?B?R3LDvMOfZQ?=":            "Grüße",
		"=?utf-8?q?a?= =?utf-8?q?b?= c":     "ab c",
		"=?utf-8?q?a?= \t =?utf-8?b?Yg==?=": "ab",
		"=?utf-8?q?=C3?= =?utf-8?q?=A4?=":   "ä",
		"=?utf-8*de?q?=C3=A4?=":             "ä",
		"=?utf-8?q?a_b=20c?=":               "a b c",
		`"=?utf-8?q?=C3=A4?="`:              `"ä"`,
		"=?koi8-r?b?79TX?=":                 "Отв",
		"=?x-none?q?=E4?=":                  "ä",
		"=?utf-8?x?abc?=":                   "=?utf-8?x?abc?=",
		"=?utf-8?q?abc":                     "=?utf-8?q?abc",
		"=?=?utf-8?q?a?=":                   "=?a",
		"a\xe9b":                            "aéb",
		"a\u202eb\u2066c":                   "abc",
		"=?utf-8?q?a=0D=0ABcc:_x?=":         "a  Bcc: x",
		"=?utf-8?q?=E2=80=AEgpj.exe?=":      "gpj.exe",
	} {
		h := message.Header{Fields: []message.Field{{Name: "Subject", Value: in}}}
		if got := h.Text("subject"); got != want {
			t.Errorf("%q reads %q, want %q", in, got, want)
		}
	}
}

func TestParameters(t *testing.T) {
	for _, c := range []struct{ field, name, value string }{
		{`text/plain; charset=utf-8`, "charset", "utf-8"},
		{`text/plain; CHARSET="utf-8" (really)`, "charset", "utf-8"},
		{`text/plain charset=utf-8`, "charset", "utf-8"},
		{`text/plain;charset = utf-8 ; x`, "charset", "utf-8"},
		{`multipart/mixed; boundary="a \"b\" c"`, "boundary", `a "b" c`},
		{`multipart/mixed; boundary=a; boundary=b`, "boundary", "a"},
		{`multipart/mixed; boundary=a (b) ; x=y`, "boundary", "a"},
		{`a/b; name=my file.pdf; x=y`, "name", "my file.pdf"},
		{`a/b; name="C:\dir\file.txt"`, "name", `C:\dir\file.txt`},
		{`a/b; name*=utf-8'de'Gr%C3%BC%C3%9Fe`, "name", "Grüße"},
		{`a/b; name*=iso-8859-1''caf%E9`, "name", "café"},
		{`a/b; name*0="one "; name*1=two; name*3=lost`, "name", "one two"},
		{`a/b; name*1*=%20two; name*0*=utf-8''one`, "name", "one two"},
		{`a/b; name=plain; name*=utf-8''better`, "name", "better"},
		{`a/b; name*=utf-8''50%`, "name", "50%"},
		{`a/b; name*x=y`, "name", ""},
		{`a/b; "; name=x`, "name", "x"},
		{`a/b; name="never closed`, "name", "never closed"},
		{`a/b; =; ==x; name=x`, "name", "x"},
	} {
		p := parse(t, message.Bytes("Content-Type: "+c.field+"\r\n\r\n"))
		if got := p.Params[c.name]; got != c.value {
			t.Errorf("%s: %s is %q, want %q", c.field, c.name, got, c.value)
		}
	}
}

func TestDisposition(t *testing.T) {
	for field, want := range map[string]string{
		"inline":                 "inline",
		"ATTACHMENT; filename=x": "attachment",
		"form-data":              "attachment",
		`; filename=x`:           "",
		`attachment; filename="=?utf-8?q?=C3=A4.pdf?="`: "attachment",
	} {
		p := parse(t, message.Bytes("Content-Disposition: "+field+"\r\n\r\n"))
		if p.Disposition != want {
			t.Errorf("%s: %q", field, p.Disposition)
		}
		if strings.Contains(field, "=?") && p.Filename != "ä.pdf" {
			t.Errorf("%s: %q", field, p.Filename)
		}
	}
	p := parse(t, message.Bytes("Content-Type: a/b; name=\"../../etc/passwd\"\r\n\r\n"))
	if p.Filename != "passwd" {
		t.Errorf("%q", p.Filename)
	}
}

func TestSafeName(t *testing.T) {
	for in, want := range map[string]string{
		"report.pdf":               "report.pdf",
		"../../.ssh/id_rsa":        "id_rsa",
		`..\..\boot.ini`:           "boot.ini",
		"":                         "unnamed",
		"...":                      "unnamed",
		"/":                        "unnamed",
		".bashrc":                  "bashrc",
		"a\x00b\r\n.txt":           "ab.txt",
		"invoice\u202efdp.exe":     "invoicefdp.exe",
		"zero\u200bwidth\ufeff.js": "zerowidth.js",
		"\u3164a\u115f.exe":        "a.exe",
		"a.pdf       .exe":         "a.pdf .exe",
		"a.txt. . .":               "a.txt",
		"CON":                      "_CON",
		"nul.txt":                  "_nul.txt",
		"com1 .tar.gz":             "_com1 .tar.gz",
		"LPT³":                     "_LPT³",
		"COM10":                    "COM10",
		"console.log":              "console.log",
		`a<b>c:d"e|f?g*h`:          "a_b_c_d_e_f_g_h",
		"café.txt":                 "café.txt",
		"bad\xff.txt":              "bad.txt",
		"a:stream":                 "a_stream",
	} {
		if got := message.SafeName(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	long := message.SafeName(strings.Repeat("ä", 500) + ".pdf")
	if len(long) > 150 || !strings.HasSuffix(long, "ä.pdf") {
		t.Errorf("%d bytes: %s", len(long), long)
	}
}

func TestHeaderWrite(t *testing.T) {
	write := func(name, value string) (string, error) {
		var b bytes.Buffer
		err := message.Header{Fields: []message.Field{{Name: name, Value: value}}}.Write(&b)
		return b.String(), err
	}
	for _, c := range [][2]string{
		{"X\r\nBcc", "a"}, {"X:", "a"}, {"", "a"}, {"X Y", "a"}, {"X", "a\r\nBcc: b"}, {"X", "a\nb"}, {"X", "a\x00"}, {"X", "\xff"},
		{"X", strings.Repeat("a", 1000)},
	} {
		if out, err := write(c[0], c[1]); !errors.Is(err, message.ErrHeader) || out != "" {
			t.Errorf("%q was written: %q, %v", c, out, err)
		}
	}
	long := strings.Repeat("<some.message.id@mail.example>  ", 40)
	out, err := write("References", long)
	if err != nil {
		t.Fatal(err)
	}
	checkLines(t, out, 76)
	if got := parse(t, message.Bytes(out)).Get("References"); got != strings.TrimSpace(long) {
		t.Errorf("folding changed the value: %q", got)
	}
}

// checkLines checks that text is canonical: CRLF only, seven-bit, short lines.
func checkLines(t *testing.T, text string, columns int) {
	t.Helper()
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\r\n"), "\r\n") {
		if len(line) > columns {
			t.Errorf("a line of %d columns: %q", len(line), line)
		}
		if strings.ContainsAny(line, "\r\n\x00") || strings.IndexFunc(line, func(r rune) bool { return r > '~' }) >= 0 {
			t.Errorf("not canonical: %q", line)
		}
	}
}

func TestEncodeText(t *testing.T) {
	for _, subject := range []string{
		"Result of 3 March", "", "Grüße aus Köln", "=?not a word?=", strings.Repeat("word ", 60) + "end",
		strings.Repeat("日本語のとても長い件名", 20), strings.Repeat("ä", 300), strings.Repeat("x", 2000), "tab\tin it",
		"xxx" + strings.Repeat(" ", 2000) + "y", "xxx" + strings.Repeat(" ", 490) + strings.Repeat("z", 499),
	} {
		h := message.Header{}
		h.Add("Subject", message.EncodeText(subject))
		var b bytes.Buffer
		if err := h.Write(&b); err != nil {
			t.Fatalf("%.20q: %v", subject, err)
		}
		if !strings.HasPrefix(subject, "xxx") {
			checkLines(t, b.String(), 76)
		}
		if got := parse(t, message.Bytes(b.String())).Header.Text("Subject"); got != strings.ReplaceAll(subject, "\t", " ") {
			t.Errorf("%q came back as %q", subject, got)
		}
	}
	if got := message.EncodeText("a\r\nBcc: x"); got != "a  Bcc: x" {
		t.Errorf("%q", got)
	}
}
