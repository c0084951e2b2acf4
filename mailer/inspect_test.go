package mailer_test

import (
	"strings"
	"testing"
	"time"
)

// TestBeforeTheHeader: what a program wrote before the header when it saved a message is
// passed over, and told.
func TestBeforeTheHeader(t *testing.T) {
	w := newWorld(t)
	ada := w.join("Ada", adaAddress)
	header := "From: " + beaAddress + "\r\nSubject: potassium\r\n\r\nThe words\r\n"
	for name, c := range map[string]struct {
		raw     string
		late    bool
		subject string
	}{
		"nothing":                {header, false, "potassium"},
		"a byte order mark":      {"\uFEFF" + header, true, "potassium"},
		"an empty line":          {"\r\n" + header, true, "potassium"},
		"one in LF":              {"\n" + strings.ReplaceAll(header, "\r\n", "\n"), true, "potassium"},
		"both":                   {"\uFEFF\r\n\r\n" + header, true, "potassium"},
		"no header behind it":    {"\r\nhello", false, ""},
		"a mark within the text": {"Subject: x\r\n\r\n\uFEFF" + header, false, "x"},
	} {
		i, err := ada.Inspect(t.Context(), strings.NewReader(c.raw), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		if told := strings.Contains(strings.Join(i.Verdict.Reasons, " "), "no part of the message"); told != c.late || i.Subject != c.subject || (i.Problem != "") != (c.subject == "") {
			t.Errorf("%s: %t, %q, %q, %q", name, told, i.Subject, i.Verdict.Reasons, i.Problem)
		}
	}
}
