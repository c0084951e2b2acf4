package message_test

import (
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"countersign/mailer/message"
)

// counted is a source that counts the bytes read of it.
type counted struct {
	message.Bytes
	read *int64
}

func (c counted) Open() (io.ReadCloser, error) {
	r, err := c.Bytes.Open()
	return io.NopCloser(countedReader{r, c.read}), err
}

type countedReader struct {
	io.Reader
	n *int64
}

func (c countedReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	*c.n += int64(n)
	return n, err
}

// hostile are messages of about n bytes, made to cost more than that.
func hostile(n int) map[string]string {
	fill := func(s string) string { return strings.Repeat(s, n/len(s)) }
	mixed := "Content-Type: multipart/mixed; boundary=b\n\n"
	return map[string]string{
		"one field":                   "Subject: " + fill("x"),
		"one folded field":            "Subject: x\n" + fill(" x\n"),
		"one line that is no field":   fill("x"),
		"opening parentheses":         "From: " + fill("("),
		"nested comments":             "From: " + strings.Repeat("(", n/2) + strings.Repeat(")", n/2),
		"comments":                    "From: " + fill("(a) "),
		"comments in Content-Type":    "Content-Type: text/plain" + fill("(a);"),
		"comments in Date":            "Date: " + fill("(a)"),
		"words in Date":               "Date: " + fill("1 "),
		"quotation marks":             "From: " + fill(`"a" `),
		"an open quotation mark":      "From: \"" + fill("a"),
		"backslashes":                 "From: " + fill(`\`),
		"brackets":                    "From: " + fill("["),
		"angle brackets":              "From: " + fill("<"),
		"groups":                      "From: " + fill("a:"),
		"groups in groups":            "From: " + fill("a:b@c,") + fill(";"),
		"addresses":                   "From: " + fill("a@b,"),
		"routes":                      "From: <" + fill("@a,") + ":a@b>",
		"a long domain":               "From: a@" + fill("a") + ".example",
		"a long domain of characters": "From: a@" + fill("一丁七万丈三上下") + ".example",
		"a long local part":           "From: " + fill("一丁七万丈三上下") + "@x.example",
		"encoded words":               "Subject: " + fill("=?utf-8?q?a?= "),
		"encoded words without end":   "Subject: " + fill("=?a?q?b "),
		"beginnings of encoded words": "Subject: " + fill("=?"),
		"encoded words in a name":     "From: " + fill("=?utf-8?b?YQ?= ") + "<a@b.example>",
		"encoded words in encoded":    "Subject: " + fill("=?utf-8?q?=3D=3F?="),
		"words in a file name":        "Content-Disposition: attachment; filename=\"" + fill("=?a?q?b ") + "\"",
		"a long file name":            "Content-Disposition: attachment; filename=" + fill("a."),
		"parameters":                  "Content-Type: a/b" + fill("; a=b"),
		"continued parameters":        "Content-Type: a/b" + fill("; a*1=b"),
		"encoded parameters":          "Content-Type: a/b; a*=" + fill("%41"),
		"empty parameters":            "Content-Type: a/b" + fill(";"),
		"equals signs":                "Content-Type: a/b;" + fill("="),
		"dates":                       fill("Date: x\n"),
		"boundaries":                  mixed + fill("--b\n"),
		"almost boundaries":           mixed + fill("--bb\n"),
		"hyphens":                     mixed + fill("--"),
		"lines of hyphens":            mixed + fill("-\n"),
		"blank boundaries":            mixed + "--b" + fill(" "),
		"empty lines":                 mixed + fill("\n"),
		"half line breaks":            mixed + fill("\r"),
		"messages in messages":        fill("Content-Type: message/rfc822\n\n"),
		"multiparts in multiparts":    fill(mixed + "--b\n"),
		"base64 of base64":            "Content-Transfer-Encoding: base64\n\n" + fill("WlhOM1BRPT0="),
		"padding":                     "Content-Transfer-Encoding: base64\n\n" + fill("="),
		"quoted equals signs":         "Content-Transfer-Encoding: quoted-printable\n\n" + fill("="),
		"soft line breaks":            "Content-Transfer-Encoding: quoted-printable\n\n" + fill("=\n"),
		"header copies":               fill("\n"),
	}
}

// use takes from a message all that a face could ask of it.
func use(p *message.Part) {
	_ = p.Walk(func(q *message.Part) error {
		if len(q.Parts) == 0 {
			_, _ = q.Text(1 << 20)
		}
		for _, name := range []string{"Subject", "From"} {
			_ = q.Header.Text(name)
			for _, a := range q.Addresses(name) {
				_, _ = message.Canonical(a.Addr)
			}
		}
		_, _ = q.Header.Date()
		return nil
	})
}

// cost is what it takes to read and use a message: bytes read and bytes allocated.
func cost(t *testing.T, raw string) (read, allocated int64, err error) {
	t.Helper()
	src := counted{crlf(raw), &read}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p, err := message.Parse(src, message.Limits{})
	if err == nil {
		use(p)
	}
	runtime.ReadMemStats(&after)
	return read, int64(after.TotalAlloc - before.TotalAlloc), err
}

// TestWorkIsLinear: what is built to cost much costs at most a fixed number of bytes
// read and allocated for each byte of it, and no more for each if it is larger.
// What was allocated and freed in between counts too, so all of it stays far below
// 64 MB.
func TestWorkIsLinear(t *testing.T) {
	const size = 60 << 10
	small, large := hostile(size), hostile(4*size)
	for name := range small {
		t.Run(name, func(t *testing.T) {
			read, allocated, err := cost(t, small[name])
			again, more, errLarge := cost(t, large[name])
			for _, err := range []error{err, errLarge} {
				if err != nil && !errors.Is(err, message.ErrLimit) {
					t.Fatal(err)
				}
			}
			if read > 40*size || again > 40*4*size {
				t.Errorf("%d and %d bytes read of %d and %d", read, again, size, 4*size)
			}
			if allocated > 64*size || more > 64*4*size || more > 8*allocated+1<<20 {
				t.Errorf("%d and %d bytes allocated for %d and %d", allocated, more, size, 4*size)
			}
		})
	}
}

// TestLongDomainIsNotConverted: to find the A-label of a name takes the square of its
// length, so that is done for what may be a name only.
func TestLongDomainIsNotConverted(t *testing.T) {
	long := "a@" + strings.Repeat("一丁七万丈三上下", 100) + ".example"
	var err error
	if n := testing.AllocsPerRun(10, func() { _, err = message.Canonical(long) }); n > 10 || !errors.Is(err, message.ErrAddress) {
		t.Errorf("%v allocations, %v", n, err)
	}
	if c, err := message.Canonical("a@" + strings.Repeat("ü", 40) + ".example"); err != nil || !strings.HasPrefix(c, "a@xn--") {
		t.Errorf("%q, %v", c, err)
	}
}

// TestNamedLimits: each limit is ErrLimit, and says which it is.
func TestNamedLimits(t *testing.T) {
	for says, raw := range map[string]string{
		"parts":      "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n", 10_000),
		"fields":     strings.Repeat("a:\n", 10_001),
		"parameters": "Content-Type: a/b" + strings.Repeat("; a=b", 10_001) + "\n\n",
		"bytes":      "Subject: " + strings.Repeat("x", 3<<20) + "\n",
	} {
		if _, err := message.Parse(crlf(raw), message.Limits{}); !errors.Is(err, message.ErrLimit) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
	soft := parse(t, crlf("Content-Transfer-Encoding: quoted-printable\n\nhello"+strings.Repeat("=\n", 1000)+"you"))
	for most, want := range map[int64]string{100: "hello", 1000: "helloyou"} {
		if got, err := soft.Text(most); !strings.HasPrefix(got, want) || errors.Is(err, message.ErrLimit) != (want == "hello") {
			t.Errorf("%q, %v", got, err)
		}
	}
	list, err := message.ParseAddressList(strings.Repeat("a@b,", 10_001))
	if !errors.Is(err, message.ErrLimit) || len(list) != 10_000 {
		t.Errorf("%d addresses, %v", len(list), err)
	}
	p := parse(t, crlf("Content-Type: a/b"+strings.Repeat("; a=b", 9_000)+"\n\n"))
	if p.Params["a"] != "b" {
		t.Error("as many as are allowed are refused")
	}
}

// TestHeaderCopy: RFC 9788, section 4.5.3.2.
func TestHeaderCopy(t *testing.T) {
	for body, want := range map[string]string{
		"Subject: x\n\nhello\n":     "hello\n",
		"Subject: x\n\n\nhello\n":   "\nhello\n",
		"\nhello\n\nyou\n":          "hello\n\nyou\n",
		"no empty line\nat all\n":   "no empty line\nat all\n",
		"Subject: x\n \nhi\n\nyo\n": "yo\n",
		"":                          "",
	} {
		p := parse(t, crlf("Content-Type: text/plain\n\n"+body))
		p.HeaderCopy = true
		if got := text(t, p); got != want {
			t.Errorf("%q: %q, want %q", body, got, want)
		}
		html := parse(t, crlf("Content-Type: text/html\n\n"+body))
		html.HeaderCopy = true
		if got := text(t, html); got != body {
			t.Errorf("HTML %q: %q", body, got)
		}
	}
}
