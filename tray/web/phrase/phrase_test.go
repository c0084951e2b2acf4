package phrase

import (
	"strings"
	"testing"
	"time"
)

func TestTimesAsPeopleSayThem(t *testing.T) {
	now := time.Date(2026, 1, 2, 9, 50, 0, 0, time.UTC)
	for at, want := range map[time.Time]string{
		now.Add(-8 * time.Minute):                        "09:42",
		now.Add(-10 * time.Hour):                         "Yesterday",
		now.Add(15 * time.Hour):                          "Tomorrow",
		time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC):    "Fri 20 Nov",
		time.Date(2025, 12, 31, 23, 59, 59, 0, time.UTC): "31 Dec 2025",
		time.Date(2026, 1, 2, 23, 59, 0, 0, time.UTC):    "23:59",
		time.Time{}: "",
	} {
		if got := When(at, now); got != want {
			t.Errorf("%v is told as %q, want %q", at, got, want)
		}
	}
	for at, want := range map[time.Time]string{
		now.Add(-8 * time.Minute): "today at 09:42", now.Add(-10 * time.Hour): "yesterday at 23:50",
		time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC): "on Fri 20 Nov at 08:00",
	} {
		if got := Moment(at, now); got != want {
			t.Errorf("%v is told as %q, want %q", at, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 bytes", 999: "999 bytes", 1000: "1 kB", 1_240_000: "1.2 MB", 99_900: "100 kB"} {
		if got := Size(n); got != want {
			t.Errorf("%d bytes are %q", n, got)
		}
	}
}

func TestAddressesAsPeopleTypeThem(t *testing.T) {
	for line, want := range map[string]string{
		"a@b.example":                      "a@b.example",
		"a@b.example, c@d.example":         "a@b.example|c@d.example",
		"a@b.example; c@d.example;":        "a@b.example|c@d.example",
		"a@b.example\r\nc@d.example":       "a@b.example|c@d.example",
		`"Brandt, Bea" <bea@b.example>, c`: "bea@b.example|c",
		`"Brandt, Be`:                      `"Brandt, Be`,
		`"Brandt, Bea" <bea@b.example>`:    "bea@b.example",
		"Bea <bea@b.example>; imr":         "bea@b.example|imr",
		" , ;":                             "",
	} {
		if got := strings.Join(Addresses(line), "|"); got != want {
			t.Errorf("%q is read as %q, want %q", line, got, want)
		}
	}
	for s, want := range map[string]bool{"a@b.example": true, "a@b": false, "a@b.": false, "@b.example": false, "bea": false} {
		if Whole(s) != want {
			t.Errorf("%q whole: %v", s, !want)
		}
	}
}
