package renewal

import (
	"testing"
	"time"
)

var ends = time.Date(2027, 3, 2, 12, 0, 0, 0, time.UTC)

func TestAt(t *testing.T) {
	for _, c := range []struct {
		before time.Duration
		want   Stage
	}{
		{400 * day, None}, {60*day + time.Second, None}, {60 * day, 60}, {45 * day, 60}, {30*day + 1, 60}, {30 * day, 30},
		{15 * day, 30}, {14 * day, 14}, {7*day + 1, 14}, {7 * day, 7}, {time.Second, 7}, {0, Out}, {-1, Out}, {-100 * day, Out},
	} {
		if got := At(ends, ends.Add(-c.before)); got != c.want {
			t.Errorf("%s before the end: %d, not %d", c.before, got, c.want)
		}
	}
}

// TestOnce walks day by day through the last year of a certificate, with a memory of
// what was told, and once with two weeks during which the computer was off.
func TestOnce(t *testing.T) {
	for name, c := range map[string]struct {
		off  func(daysLeft int) bool
		want []Stage
	}{
		"every day":           {func(int) bool { return false }, []Stage{60, 30, 14, 7, Out}},
		"off from 31 to 13":   {func(d int) bool { return d <= 31 && d >= 13 }, []Stage{60, 14, 7, Out}},
		"off until the end":   {func(d int) bool { return d <= 65 && d > -5 }, []Stage{Out}},
		"switched on at last": {func(d int) bool { return d > 3 }, []Stage{7, Out}},
	} {
		var got []Stage
		told := None
		for left := 365; left >= -30; left-- {
			if c.off(left) {
				continue
			}
			if s := At(ends, ends.Add(-time.Duration(left)*day)); Due(s, told) {
				got, told = append(got, s), s
			}
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: %v", name, got)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: %v, not %v", name, got, c.want)
			}
		}
	}
}

func TestSays(t *testing.T) {
	for before, want := range map[time.Duration]string{
		60 * day:       "Your certificate runs out in 60 days, on 2 March 2027.",
		30*day + 5:     "Your certificate runs out in 30 days, on 2 March 2027.",
		36 * time.Hour: "Your certificate runs out in a day, on 2 March 2027.",
		time.Hour:      "Your certificate runs out within a day, on 2 March 2027.",
		0:              "Your certificate ran out on 2 March 2027.",
	} {
		if got := Says(ends, ends.Add(-before), nil); got != want {
			t.Errorf("%q", got)
		}
	}
	if got := Says(ends, ends, time.FixedZone("", -13*3600)); got != "Your certificate ran out on 1 March 2027." {
		t.Errorf("%q", got)
	}
}
