package phrase

import (
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
