package plain

import (
	"testing"
	"time"
)

func TestPlain(t *testing.T) {
	at := time.Date(2026, 3, 9, 14, 5, 0, 0, time.Local)
	for got, want := range map[string]string{
		Person("Dr Bea", "bea@x.example"):                 "Dr Bea <bea@x.example>",
		Person("", "bea@x.example"):                       "bea@x.example",
		Person("bea@x.example", "bea@x.example"):          "bea@x.example",
		Person("Dr Bea <bea@x.example>", "bea@x.example"): "Dr Bea <bea@x.example>",
		Person("Dr Cai", ""):                              "Dr Cai",
		Moment(at):                                        "9 Mar 2026 14:05",
		Day(at):                                           "9 Mar 2026",
		Moment(time.Time{}) + Day(time.Time{}) + Some(0, "message"): "",
		Bytes(999):           "999 B",
		Bytes(1500):          "2 kB",
		Bytes(2_340_000):     "2.3 MB",
		Count(1, "message"):  "1 message",
		Count(0, "message"):  "0 messages",
		Some(2, "message"):   "2 messages",
		Groups("0123456789"): "0123 4567 89",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
