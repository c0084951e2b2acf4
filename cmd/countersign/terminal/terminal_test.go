package terminal

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// screen is a terminal that sends what was typed and takes what is shown.
type screen struct {
	io.Reader
	bytes.Buffer
}

func (s *screen) Read(p []byte) (int, error) { return s.Reader.Read(p) }

func TestPastedTextDoesNotCount(t *testing.T) {
	for name, keys := range map[string]string{
		"with its end":        "\x1b[200~river candle\r\x1b[201~",
		"its end typed":       "\x1b[200~river\x1b[201~\r",
		"the rest typed":      "ri\x1b[200~ver\x1b[201~!\r",
		"and then half typed": "\x1b[200~river\x1b[201~s\r",
	} {
		for _, chunk := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader} {
			// Enter alone stands between what was pasted and what is typed.
			s := &screen{Reader: io.MultiReader(chunk(strings.NewReader(keys)), strings.NewReader("candle\r"))}
			got, err := typedLine(s, "word 1: ")
			if err != nil || got != "candle" {
				t.Errorf("%s: took %q, %v", name, got, err)
			}
			if shown := s.String(); !strings.Contains(shown, "\x1b[?2004h") || !strings.Contains(shown, "\x1b[?2004l") || !strings.Contains(shown, "Please type it") {
				t.Errorf("%s: shows %q", name, shown)
			}
		}
	}
	if _, err := typedLine(&screen{Reader: strings.NewReader("\x03")}, ""); !errors.Is(err, ErrLeft) {
		t.Errorf("Ctrl-C: %v", err)
	}
}

func TestHiddenLine(t *testing.T) {
	s := &screen{Reader: strings.NewReader("pass\x1aword\r")}
	if got, err := hiddenLine(s, "Password: "); err != nil || got != "password" || strings.Contains(s.String(), "pass") || !strings.Contains(s.String(), "Password: ") {
		t.Errorf("took %q, %v; shows %q", got, err, s.String())
	}
	if _, err := hiddenLine(&screen{Reader: strings.NewReader("pass\x03")}, ""); !errors.Is(err, ErrLeft) {
		t.Errorf("Ctrl-C: %v", err)
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string][2]string{ // line, block
		"Dr Ünal ok":                 {"Dr Ünal ok", "Dr Ünal ok"},
		"a\nb\tc":                    {"a b c", "a\nb\tc"},
		"a\r\nb":                     {"a b", "a\nb"},
		"\x1b[31m":                   {"\ufffd[31m", "\ufffd[31m"},
		"\u009b31m":                  {"\ufffd31m", "\ufffd31m"},
		"a\u202eb\u2066c":            {"a\ufffdb\ufffdc", "a\ufffdb\ufffdc"},
		"a\u2028b":                   {"a b", "a\ufffdb"},
		"\xff\xfe":                   {"\ufffd\ufffd", "\ufffd\ufffd"},
		"क्\u200dष soft\u00adhyphen": {"क्\u200dष soft\u00adhyphen", "क्\u200dष soft\u00adhyphen"},
		"\ufeff\u200b":               {"\ufffd\ufffd", "\ufffd\ufffd"},
	} {
		if got := Line(in); got != want[0] {
			t.Errorf("line(%q) = %q", in, got)
		}
		if got := Clean(in); got != want[1] {
			t.Errorf("clean(%q) = %q", in, got)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("x\x1b[2J\x1b]0;title\a\u009b31m\x7f\u202egnp\u2066\u200e\u2028\r\nfake ✓ Confirmed\n\ttab")
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range Line(s) {
			if harmful(r) || r == '\n' {
				t.Errorf("line keeps %U", r)
			}
		}
		data, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var before, after string
		if err := json.Unmarshal(data, &before); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(JSON(data), &after); err != nil || before != after {
			t.Errorf("%q became %q, %v", before, after, err)
		}
		for _, r := range string(JSON(data)) {
			if harmful(r) {
				t.Errorf("JSON keeps %U", r)
			}
		}
	})
}
