package body_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"countersign/mailer/body"
	"countersign/mailer/message"
)

func parse(t testing.TB, text string) *message.Part {
	t.Helper()
	p, err := message.Parse(message.Bytes(strings.ReplaceAll(text, "\n", "\r\n")), message.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// multi writes a multipart of the kind given.
func multi(kind string, parts ...string) string {
	b := "b" + strings.ReplaceAll(kind, "/", "")
	var s strings.Builder
	s.WriteString("Content-Type: multipart/" + kind + "; boundary=" + b + "\n\n")
	for _, p := range parts {
		s.WriteString("--" + b + "\n" + p + "\n")
	}
	return s.String() + "--" + b + "--\n"
}

const (
	plain  = "Content-Type: text/plain\n\nplain words"
	page   = "Content-Type: text/html\n\n<p>page words</p>"
	pdf    = "Content-Type: application/pdf; name=echo.pdf\nContent-Disposition: attachment; filename=echo.pdf\nContent-Transfer-Encoding: base64\n\nJVBERg=="
	image  = "Content-Type: image/png\nContent-Disposition: inline\n\nx"
	note   = "Content-Type: text/plain\nContent-Disposition: attachment; filename=note.txt\n\nnote"
	inside = "Content-Type: message/rfc822\n\nSubject: inner\n\ninner words"
	invite = "Content-Type: text/calendar\n\nBEGIN:VCALENDAR"
)

func TestRead(t *testing.T) {
	for name, c := range map[string]struct {
		in, text, files string
		sanitised       bool
	}{
		"plain":                 {plain, "plain words", "", false},
		"page":                  {page, "page words", "", true},
		"no type":               {"Subject: x\n\nhello", "hello", "", false},
		"alternative":           {multi("alternative", plain, page), "plain words", "", false},
		"alternative, blank":    {multi("alternative", "\n \u00a0\n", multi("related", page, image)), "page words", "part-1.png image/png 1", true},
		"page only alternative": {multi("alternative", page), "page words", "", true},
		"related alternative":   {multi("alternative", plain, multi("related", page, image)), "plain words", "part-1.png image/png 1", false},
		"with files":            {multi("mixed", plain, pdf, note), "plain words", "echo.pdf application/pdf 4, note.txt text/plain 4", false},
		"page after plain":      {multi("mixed", plain, page), "plain words\n\npage words", "", true},
		"two texts":             {multi("mixed", plain, plain), "plain words\n\nplain words", "", false},
		"alternative in mixed":  {multi("mixed", multi("alternative", plain, page), page), "plain words\n\npage words", "", true},
		"a message inside":      {multi("mixed", plain, inside), "plain words", "part-1.eml message/rfc822 29", false},
		"an invitation":         {multi("alternative", plain, page, invite), "plain words", "part-1.ics text/calendar 15", false},
		"a text as a file only": {multi("alternative", note, page), "page words", "note.txt text/plain 4", true},
		"empty":                 {"", "", "", false},
		"only a file":           {pdf, "", "echo.pdf application/pdf 4", false},
		"controls":              {"Content-Type: text/plain; charset=utf-8\n\na\u202eb", "ab", "", false},
	} {
		b := body.Read(parse(t, c.in))
		var files []string
		for _, f := range b.Files {
			files = append(files, fmt.Sprint(f.Name, " ", f.Type, " ", f.Size))
		}
		if got := strings.TrimSpace(b.Text); got != c.text || strings.Join(files, ", ") != c.files || b.Sanitised != c.sanitised {
			t.Errorf("%s: %q, %q, sanitised %v", name, got, files, b.Sanitised)
		}
	}
	if b := body.Read(nil); b.Text != "" || len(b.Files) != 0 {
		t.Error("no payload has a body")
	}
}

func TestFilesOpen(t *testing.T) {
	b := body.Read(parse(t, multi("mixed", plain, pdf)))
	r, err := b.Part(b.Files[0].Part).Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if data, err := io.ReadAll(r); err != nil || string(data) != "%PDF" {
		t.Errorf("%q, %v", data, err)
	}
	if b.Part("9") != nil {
		t.Error("there is a ninth part")
	}
}

func TestLargeFileIsNotCounted(t *testing.T) {
	raw := make([]byte, 3<<20)
	var lines strings.Builder
	for encoded := base64.StdEncoding.EncodeToString(raw); encoded != ""; {
		n := min(76, len(encoded))
		lines.WriteString(encoded[:n] + "\n")
		encoded = encoded[n:]
	}
	b := body.Read(parse(t, "Content-Type: application/pdf\nContent-Transfer-Encoding: base64\n\n"+lines.String()))
	if got := b.Files[0].Size; got < int64(len(raw))-2 || got > int64(len(raw))+2 {
		t.Errorf("%d of %d bytes", got, len(raw))
	}
}

func TestTextIsBounded(t *testing.T) {
	b := body.Read(parse(t, "Content-Type: text/plain; charset=utf-8\n\n"+strings.Repeat("é", 1<<20)))
	if len(b.Text) > 1<<20+100 || !utf8.ValidString(b.Text) || !strings.Contains(b.Text, "too long to show") {
		t.Errorf("%d bytes", len(b.Text))
	}
}

// Alternatives in alternatives, as deep as they are looked into, cost no more than
// their number: this would never end if each level were walked twice.
func TestDeepAlternatives(t *testing.T) {
	var deep strings.Builder
	for i := range 40 {
		fmt.Fprintf(&deep, "Content-Type: multipart/alternative; boundary=b%d\n\n--b%d\n", i, i)
	}
	body.Read(parse(t, deep.String()+page+"\n"))
	if b := body.Read(parse(t, multi("alternative", multi("mixed", plain, image), page))); b.Text != "plain words" {
		t.Errorf("%q", b.Text)
	}
}

// Every part that is opened may mean to decrypt the message from its start.
func TestManyParts(t *testing.T) {
	var parts []string
	for range 100 {
		parts = append(parts, plain, pdf)
	}
	src := &counting{Bytes: message.Bytes(strings.ReplaceAll(multi("mixed", parts...), "\n", "\r\n"))}
	p, err := message.Parse(src, message.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	src.opened = 0
	b := body.Read(p)
	if len(b.Files) != 180 || strings.Count(b.Text, "plain words") != 20 || src.opened > 40 {
		t.Errorf("%d files, %d texts, %d parts opened", len(b.Files), strings.Count(b.Text, "plain words"), src.opened)
	}
}

// counting is a source that counts how often it is opened.
type counting struct {
	message.Bytes
	opened int
}

func (c *counting) Open() (io.ReadCloser, error) {
	c.opened++
	return c.Bytes.Open()
}

func TestForm(t *testing.T) {
	b := body.Read(parse(t, multi("mixed", plain, "Content-Type: application/vnd.countersign.form+json\n\n{\"countersign\":2}")))
	if b.Form != nil || len(b.Files) != 0 {
		t.Errorf("%+v", b)
	}
}

func TestFirstWords(t *testing.T) {
	if got := body.FirstWords("Dear Ada,\n\nEF 45."); got != "Dear Ada, EF 45." {
		t.Errorf("%q", got)
	}
	if got := []rune(body.FirstWords(strings.Repeat("é ", 500))); len(got) > 145 {
		t.Errorf("%d characters", len(got))
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{plain, multi("alternative", plain, page), multi("mixed", plain, pdf, inside)} {
		f.Add([]byte(strings.ReplaceAll(s, "\n", "\r\n")))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := message.Parse(message.Bytes(data), message.DefaultLimits())
		if err != nil {
			return
		}
		b := body.Read(p)
		if !utf8.ValidString(b.Text) {
			t.Fatal("not UTF-8")
		}
		for _, file := range b.Files {
			if file.Name == "" || strings.ContainsAny(file.Name, "/\\\x00") || b.Part(file.Part) == nil {
				t.Fatalf("%+v", file)
			}
		}
	})
}

// TestHeaderCopies: what only says again what the header says is in no text (RFC 9788,
// section 4.5.3), if it was found to be so, and in any text if not.
func TestHeaderCopies(t *testing.T) {
	const (
		plain = "Content-Type: text/plain\n\nSubject: x\n\nhello"
		page  = "Content-Type: text/html\n\n<div class=\"header-protection-legacy-display\"><pre>Subject: x</pre></div><p>hello</p>"
	)
	for name, in := range map[string]string{"plain": plain, "page": page, "in a multipart": multi("mixed", plain), "page in one": multi("alternative", page)} {
		p := parse(t, in)
		if got := body.Read(p).Text; got != "Subject: x\n\nhello" {
			t.Errorf("%s, not marked: %q", name, got)
		}
		_ = p.Walk(func(q *message.Part) error {
			q.HeaderCopy = true
			return nil
		})
		if got := body.Read(p).Text; got != "hello" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// opening is a message with n bytes in its middle; it counts how often it is opened,
// and what is gone through for it.
type opening struct {
	head, tail string
	n          int64
	opens      int
	read       int64
}

func (o *opening) Open() (io.ReadCloser, error) {
	o.opens++
	all := io.MultiReader(strings.NewReader(o.head), io.LimitReader(blanks{}, o.n), strings.NewReader(o.tail))
	return io.NopCloser(passing{all, &o.read}), nil
}

type blanks struct{}

func (blanks) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

type passing struct {
	io.Reader
	n *int64
}

func (c passing) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	*c.n += int64(n)
	return n, err
}

// TestEncodingIsBounded: texts whose encoding says next to nothing are not gone through
// to their end.
func TestEncodingIsBounded(t *testing.T) {
	soft := "Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\n" + strings.Repeat("=\n", 2<<20)
	o := &opening{head: strings.ReplaceAll(multi("mixed", "Content-Type: text/plain\n\nfirst", soft, soft, soft, soft, soft), "\n", "\r\n")}
	p, err := message.Parse(o, message.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	o.read = 0
	b := body.Read(p)
	if !strings.HasPrefix(b.Text, "first") || len(b.Files) != 3 || o.read > 48<<20 {
		t.Errorf("%q, %d files, %d bytes", b.Text, len(b.Files), o.read)
	}
}

// TestWorkIsBounded: whoever has to go through all of a message for each of its parts
// does so for few of them, and for fewer if they stand far behind.
func TestWorkIsBounded(t *testing.T) {
	head, tail, _ := strings.Cut(multi("mixed", append([]string{"Content-Type: a/b\n\n|"}, slices.Repeat([]string{plain, pdf, page}, 300)...)...), "|")
	for _, c := range []struct {
		before int64 // bytes before the first text
		opens  int
	}{{0, 42}, {200 << 20, 3}} {
		o := &opening{head: head, n: c.before, tail: tail}
		p, err := message.Parse(o, message.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		b := body.Read(p)
		if o.opens > c.opens || o.read > int64(c.opens)*(c.before+128<<10) {
			t.Errorf("%d bytes before: opened %d times, %d bytes", c.before, o.opens, o.read)
		}
		if b.Text == "" || len(b.Files) < 600 {
			t.Errorf("%d bytes before: %d bytes of text and %d files", c.before, len(b.Text), len(b.Files))
		}
	}
}
