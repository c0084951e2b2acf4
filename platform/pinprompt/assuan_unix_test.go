//go:build unix

package pinprompt

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestAnswer(t *testing.T) {
	for says, want := range map[string]struct {
		data string
		err  error
	}{
		"OK\n":                      {"", nil},
		"OK closing connection\r\n": {"", nil},
		"# x\nS x y\nD 12%2534%20%0a\nD 56\nOK\n": {"12%34 \n56", nil},
		"D é\nOK\n": {"é", nil},
		"ERR 83886179 Operation cancelled <Pinentry>\n": {"", ErrCancelled},
		"ERR 83886278\n":                    {"", ErrCancelled},
		"ERR 83886142 Timeout <Pinentry>\n": {"", ErrTimeout},
		"ERR 83918950 Not a tty\n":          {"", refusal(32870)},
		"ERR\n":                             {"", errGarbled},
		"ERR -1\n":                          {"", errGarbled},
		"ERR 99999999999\n":                 {"", errGarbled},
		"":                                  {"", errEnded},
		"OK":                                {"", errEnded},
		"D 12":                              {"", errEnded},
		"D %4\nOK\n":                        {"", errGarbled},
		"D %\nOK\n":                         {"", errGarbled},
		"D %zz\nOK\n":                       {"", errGarbled},
		"\n":                                {"", errGarbled},
		"INQUIRE QUALITY 12\n":              {"", errGarbled},
		"OKAY\n":                            {"", errGarbled},
		"S PASSWORD_FROM_CACHE\nD 1\nOK\n":  {"", errGarbled},
		"D " + strings.Repeat("1", MaxPIN) + "\nOK\n":   {strings.Repeat("1", MaxPIN), nil},
		"D " + strings.Repeat("1", MaxPIN+1) + "\nOK\n": {"", errGarbled},
		strings.Repeat("x", 4*maxLine):                  {"", errGarbled},
		strings.Repeat("#\n", 4*maxLines):               {"", errGarbled},
	} {
		for _, from := range []io.Reader{strings.NewReader(says), iotest.OneByteReader(strings.NewReader(says))} {
			c, data := &conversation{from: from}, make([]byte, 0, MaxPIN)
			err := c.answer(&data)
			if !errors.Is(err, want.err) || err == nil && string(data) != want.data {
				t.Errorf("%.40q: %q, %v", says, data, err)
			}
			if c.wipe(); bytes.Trim(c.buffer[:], "\x00") != nil {
				t.Errorf("%.40q: something of it stays", says)
			}
		}
	}
	c := &conversation{from: strings.NewReader("D 12\nOK\n")}
	if err := c.answer(nil); !errors.Is(err, errGarbled) {
		t.Errorf("data that nobody asked for: %v", err)
	}
}

func TestCommand(t *testing.T) {
	for _, test := range []struct{ name, argument, line string }{
		{"GETPIN", "", "GETPIN\n"},
		{"SETDESC", "100 %\nof\rit é", "SETDESC 100 %25%0Aof%0Dit é\n"},
	} {
		var to bytes.Buffer
		c := &conversation{to: &to, from: strings.NewReader("OK\n")}
		if err := c.command(nil, test.name, test.argument); err != nil || to.String() != test.line {
			t.Errorf("%q, %v", to.String(), err)
		}
	}
	c := &conversation{to: io.Discard, from: strings.NewReader("OK\n")}
	if err := c.command(nil, "SETDESC", strings.Repeat("%", maxLine/3)); err == nil {
		t.Error("a line too long was sent")
	}
}

// FuzzAnswer: whatever pinentry says, an answer ends, and holds no more than a PIN may.
func FuzzAnswer(f *testing.F) {
	f.Fuzz(func(t *testing.T, says []byte) {
		c := &conversation{from: bytes.NewReader(says)}
		for range 3 {
			data := make([]byte, 0, MaxPIN)
			if err := c.answer(&data); cap(data) != MaxPIN {
				t.Errorf("%d bytes, %v", len(data), err)
			}
		}
	})
}

// FuzzEscape: no text of a question breaks its line or makes it too long, and all arrives.
func FuzzEscape(f *testing.F) {
	f.Fuzz(func(t *testing.T, token, key, purpose string) {
		for _, w := range []words{
			asking(Question{Token: token, Key: key, Purpose: purpose, Again: AfterTrouble, Tries: TriesLast}),
			telling(Question{Token: token, Key: key, Purpose: purpose, Again: AfterTrouble, Tries: TriesLast}),
		} {
			line := "SETDESC " + escape(w.text)
			if len(line) > maxLine || strings.ContainsAny(line, "\r\n") {
				t.Fatalf("%d bytes: %q", len(line), line)
			}
			got := make([]byte, 0, maxLine)
			if err := unescape(&got, []byte(escape(w.text))); err != nil || string(got) != w.text {
				t.Fatalf("%q arrives as %q, %v", w.text, got, err)
			}
		}
	})
}
