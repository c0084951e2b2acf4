package message_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"countersign/mailer/message"
)

// crlf makes a message of readable text.
func crlf(s string) message.Bytes {
	return message.Bytes(strings.ReplaceAll(s, "\n", "\r\n"))
}

func parse(t *testing.T, src message.Source) *message.Part {
	t.Helper()
	p, err := message.Parse(src, message.DefaultLimits())
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return p
}

func read(t *testing.T, src message.Source) string {
	t.Helper()
	r, err := src.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// shape draws a structure on one line.
func shape(p *message.Part) string {
	s := strings.TrimPrefix(p.Type, "application/")
	if len(p.Parts) > 0 {
		var in []string
		for _, c := range p.Parts {
			in = append(in, shape(c))
		}
		s += "[" + strings.Join(in, " ") + "]"
	}
	return s
}

func text(t *testing.T, p *message.Part) string {
	t.Helper()
	s, err := p.Text(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParseStructure(t *testing.T) {
	for _, c := range []struct{ name, raw, shape string }{
		{"empty", "", "text/plain"},
		{"body only", "\nhello\n", "text/plain"},
		{"header only", "Subject: x\n", "text/plain"},
		{"no header", "just some text, said plainly\nand more\n", "text/plain"},
		{"no mbox line", "From : a@b\nContent-Type: text/html\n\nx\n", "text/html"},
		{"mbox line", "From a@b Mon Jan  1 00:00:00 2026\nContent-Type: text/html\n\nx\n", "text/html"},
		{"two parts", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\nContent-Type: text/html\n\ntwo\n--b--\n", "multipart/mixed[text/plain text/html]"},
		{"preamble and epilogue", "Content-Type: multipart/mixed; boundary=b\n\npre\n--b\n\none\n--b--\nepilogue\n--b\nno part\n", "multipart/mixed[text/plain]"},
		{"never closed", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n", "multipart/mixed[text/plain]"},
		{"no boundary", "Content-Type: multipart/mixed\n\n--b\n\none\n--b--\n", "multipart/mixed"},
		{"blanks after the delimiter", "Content-Type: multipart/mixed; boundary=b\n\n--b \t\n\none\n--b--  \n", "multipart/mixed[text/plain]"},
		{"boundary is a prefix", "Content-Type: multipart/mixed; boundary=a\n\n--a\n\none\n--ab\n--a--\n", "multipart/mixed[text/plain]"},
		{"outer ends inner", "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\none\n--o\n\ntwo\n--i--\n--o--\n", "multipart/mixed[multipart/mixed[text/plain] text/plain]"},
		{"inner claims the outer boundary", "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=o\n\n--o\n\ntwo\n--o--\n", "multipart/mixed[multipart/mixed text/plain]"},
		{"digest", "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: x\n\none\n--b--\n", "multipart/digest[message/rfc822[text/plain]]"},
		{"forwarded", "Content-Type: message/rfc822\n\nContent-Type: text/html\n\nx\n", "message/rfc822[text/html]"},
		{"forwarded, encoded", "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nQ29udGVudC1UeXBlOiB0ZXh0L2h0bWwNCg0KeA==\n", "message/rfc822"},
		{"encoded multipart", "Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n\n--b\n\none\n--b--\n", "multipart/mixed[text/plain]"},
		{"delimiter in the header", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n--b--\n", "multipart/mixed[text/html]"},
		{"own delimiter ends the header", "Content-Type: multipart/mixed; boundary=b\n--b\n\none\n--b--\n", "multipart/mixed[text/plain]"},
		{"nonsense types", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text\n\n\n--b\nContent-Type: a/b/c\n\n\n--b\nContent-Type: (x) IMAGE/PNG (y)\n\n\n--b--\n", "multipart/mixed[text/plain octet-stream image/png]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, raw := range []message.Bytes{message.Bytes(c.raw), crlf(c.raw)} {
				p := parse(t, raw)
				if got := shape(p); got != c.shape {
					t.Errorf("shape %s, want %s", got, c.shape)
				}
				checkOffsets(t, raw, p)
			}
		})
	}
}

// TestEntityIsExact takes the bytes of each part as a signature would cover
// them: the line break before a delimiter is not the part's.
func TestEntityIsExact(t *testing.T) {
	raw := "Content-Type: multipart/mixed; boundary=b\r\n\r\npre\r\n--b\r\nX-A:  folded\r\n\tvalue \r\n\r\none \r\n\r\n--b\r\n\r\n--b\r\n--b\r\nSubject: only a header\r\n\r\n--b--\r\nepilogue"
	p := parse(t, message.Bytes(raw))
	want := []string{"X-A:  folded\r\n\tvalue \r\n\r\none \r\n", "", "", "Subject: only a header\r\n"}
	for i, w := range want {
		if got := read(t, p.Parts[i].Entity()); got != w {
			t.Errorf("part %d is %q, want %q", i, got, w)
		}
	}
	if got := read(t, p.Entity()); got != raw {
		t.Errorf("the whole is %q", got)
	}
	if got := p.Parts[0].Get("x-a"); got != "folded\tvalue" {
		t.Errorf("unfolded %q", got)
	}
}

// checkOffsets checks what must hold for every message however malformed.
func checkOffsets(t *testing.T, raw message.Bytes, p *message.Part) {
	t.Helper()
	if p.Start != 0 || p.End != int64(len(raw)) {
		t.Errorf("the root is [%d, %d) of %d bytes", p.Start, p.End, len(raw))
	}
	if got := read(t, p.Entity()); got != string(raw) {
		t.Error("the root's entity is not the message")
	}
	_ = p.Walk(func(q *message.Part) error {
		at := q.Body
		if q.Start > q.Body || q.Body > q.End {
			t.Errorf("part at [%d %d %d)", q.Start, q.Body, q.End)
		}
		for _, c := range q.Parts {
			if c.Start < at || c.End > q.End {
				t.Errorf("part [%d, %d) in [%d, %d) after %d", c.Start, c.End, q.Body, q.End, at)
			}
			at = c.End
		}
		return nil
	})
}

func TestLimits(t *testing.T) {
	deep := ""
	for i := range 100 {
		deep += fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
	}
	p := parse(t, crlf(deep))
	depth := 0
	for ; len(p.Parts) > 0; p = p.Parts[0] {
		depth++
	}
	if want := message.DefaultLimits().Depth; depth != want {
		t.Errorf("looked %d levels deep, want %d", depth, want)
	}
	for name, raw := range map[string]string{
		"parts":  "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n", 1001),
		"fields": strings.Repeat("a:\n", 10_001),
		"header": "Subject: " + strings.Repeat("x", 3<<20) + "\n",
		"folds":  "Subject: x\n" + strings.Repeat(" x\n", 1<<20) + "\n",
	} {
		if _, err := message.Parse(crlf(raw), message.Limits{}); !errors.Is(err, message.ErrLimit) {
			t.Errorf("%s: %v, want ErrLimit", name, err)
		}
	}
}

// TestDepthDoesNotMoveBytes: a part's bytes are the same however deep one looks.
func TestDepthDoesNotMoveBytes(t *testing.T) {
	raw := crlf("Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\n--o-\n--i--\n--o--\n--o--\n")
	whole := parse(t, raw)
	shallow, err := message.Parse(raw, message.Limits{Depth: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range shallow.Parts {
		if w := whole.Parts[i]; len(c.Parts) > 0 || c.Start != w.Start || c.Body != w.Body || c.End != w.End {
			t.Errorf("part %d differs", i)
		}
	}
}

func TestLongLines(t *testing.T) {
	for _, n := range []int{64<<10 - 2, 64<<10 - 1, 64 << 10, 64<<10 + 1, 200_000} {
		raw := message.Bytes("Content-Type: multipart/mixed; boundary=b\r\nX: " + strings.Repeat("y", n) + "\r\n\r\n--b\r\n\r\n" + strings.Repeat("z", n) + "\r\n--b--\r\n")
		p := parse(t, raw)
		checkOffsets(t, raw, p)
		if len(p.Parts) != 1 || read(t, p.Parts[0].Entity()) != "\r\n"+strings.Repeat("z", n) {
			t.Errorf("a line of %d bytes: %d parts, entity of %d bytes", n, len(p.Parts), p.Parts[0].End-p.Parts[0].Start)
		}
		if len(p.Get("X")) != n {
			t.Errorf("field of %d bytes", len(p.Get("X")))
		}
	}
}

// vectors is a folder of third-party test files, which lie beside the project.
func vectors(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join("..", "..", "..", "shared", "vectors", name)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the vectors of %s are not beside the project (../shared/vectors)", name)
	}
	return dir
}

// TestMalformedVectors reads messages that broke other programs. The shapes
// follow from the rules in the package comment.
func TestMalformedVectors(t *testing.T) {
	dir := vectors(t, "malformed-mime")
	want := map[string]string{
		"000": "multipart/mixed[text/plain text/plain text/plain text/html]",
		"001": "multipart/mixed[multipart/mixed text/plain]",
		"002": "multipart/mixed",
		"003": "multipart/mixed[multipart/mixed text/plain]",
		"004": "multipart/mixed",
		"005": "multipart/mixed[multipart/mixed]",
		"006": "multipart/mixed[multipart/mixed[text/plain]]",
		"007": "multipart/mixed[multipart/mixed[text/plain]]",
		"008": "multipart/mixed[multipart/mixed[text/plain] text/html]",
		"009": "multipart/mixed[multipart/mixed[text/plain text/plain] text/plain]",
		"010": "message/rfc822[message/rfc822[text/plain]]",
		"011": "multipart/mixed[multipart/mixed[text/plain text/plain] text/plain]",
		"012": "multipart/mixed[multipart/mixed[message/rfc822[text/plain] message/rfc822[text/plain]] message/rfc822[text/plain]]",
		"013": "multipart/mixed[text/plain multipart/mixed text/plain multipart/mixed text/plain multipart/mixed text/plain text/plain]",
		"014": "multipart/mixed[text/plain text/plain]",
		"015": "multipart/signed[text/plain pgp-signature]",
		"016": "multipart/mixed[multipart/mixed[multipart/mixed[text/plain]] text/plain]",
		"017": "multipart/mixed[image/png]",
		"018": "text/plain",
		"020": "multipart/related[multipart/alternative[text/html text/plain] image/png]",
		"021": "multipart/related[multipart/alternative[text/html text/plain] image/png]",
		"022": "multipart/mixed[text/plain message/rfc822[text/plain]]",
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.eml"))
	if err != nil || len(files) == 0 {
		t.Fatal("no vectors", err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		p := parse(t, message.Bytes(raw))
		checkOffsets(t, raw, p)
		if w, ok := want[strings.TrimSuffix(filepath.Base(file), ".eml")]; ok && shape(p) != w {
			t.Errorf("%s: %s, want %s", filepath.Base(file), shape(p), w)
		}
	}
	raw, err := os.ReadFile(filepath.Join(dir, "022.eml"))
	if err != nil {
		t.Fatal(err)
	}
	if got := text(t, parse(t, message.Bytes(raw)).Parts[1].Parts[0]); got != "this attachment is not a valid eml, sorry!" {
		t.Errorf("022: what is no header is shown as text; got %q", got)
	}
	raw, _ = os.ReadFile(filepath.Join(dir, "017.eml"))
	if p := parse(t, message.Bytes(raw)).Parts[0]; p.Filename != "image001.png" || text(t, p) != "hello world\n" {
		t.Errorf("017: %q %q", p.Filename, text(t, p))
	}
}

type failing struct{ error }

func (f failing) Open() (io.ReadCloser, error) { return io.NopCloser(f), nil }
func (f failing) Read([]byte) (int, error)     { return 0, f.error }

func TestReadErrorsArePassedOn(t *testing.T) {
	broken := errors.New("the disk is gone")
	if _, err := message.Parse(failing{broken}, message.Limits{}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	short := message.Section(message.Bytes("Subject: x\r\n"), 4, 100)
	if _, err := message.Parse(short, message.Limits{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a section that is too short: %v", err)
	}
}

func TestSection(t *testing.T) {
	src := message.Section(message.Section(message.Bytes("0123456789"), 2, 7), 1, 3)
	if got := read(t, src); got != "345" {
		t.Errorf("got %q", got)
	}
}

func TestWalkStops(t *testing.T) {
	p := parse(t, crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\n\n--b\nContent-Type: text/html\n\n\n--b--\n"))
	enough := errors.New("enough")
	var seen []string
	err := p.Walk(func(q *message.Part) error {
		if seen = append(seen, q.Type); len(seen) == 2 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || !slices.Equal(seen, []string{"multipart/mixed", "text/plain"}) {
		t.Errorf("%v %v", seen, err)
	}
}

// TestParseAcrossBuffers has delimiters and line breaks at every place around the
// end of what is read at once, and the parts' bytes both ways.
func TestParseAcrossBuffers(t *testing.T) {
	const head = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
	for i := range 100 {
		size := 64<<10 - len(head) - 90 + i
		for _, content := range []string{
			strings.Repeat("y", size), strings.Repeat("y\r\n", size/3), strings.Repeat("-- \n", size/4) + "\r", strings.Repeat("\r", size) + "\n",
		} {
			first, second := "\r\n"+content, "A: b\r\n\r\n--b-\r\n"
			var beside [2]strings.Builder
			p, err := message.ParseBeside(message.Bytes(head+first+"\r\n--b\r\n"+second+"\n--b--\r\n"), message.DefaultLimits(),
				func(root *message.Part, i int) io.Writer { return &beside[i] })
			if err != nil || len(p.Parts) != 2 {
				t.Fatal(i, err)
			}
			for k, want := range []string{first, second} {
				if got := read(t, p.Parts[k].Entity()); got != want || beside[k].String() != want {
					t.Fatalf("%d: part %d has %d bytes and %d beside, not %d", i, k, len(got), beside[k].Len(), len(want))
				}
			}
			if got := read(t, p.Parts[0].Over(message.Bytes(first))); got != content {
				t.Fatal("over another source it is another part")
			}
		}
	}
}

func TestSize(t *testing.T) {
	e := message.Entity{Type: "multipart/mixed", Boundary: "=_b", Parts: []message.Entity{
		{Type: "text/plain", Text: "Grüße\n"}, {Type: "a/b", Name: "x", Disposition: "attachment", Content: message.Bytes(strings.Repeat("x", 1000))},
	}}
	if n, err := e.Size(); err != nil || n != int64(len(write(t, e))) {
		t.Error(n, err)
	}
}
