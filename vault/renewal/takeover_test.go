package renewal

import (
	"testing"
	"time"
)

func TestTakesOver(t *testing.T) {
	for _, c := range []struct {
		left        time.Duration // until the old certificate ends
		over, until time.Duration
	}{
		{365 * day, 30 * day, 37 * day},
		{38 * day, 30 * day, 37 * day},
		{37 * day, 30 * day, 37 * day},
		{36 * day, 29 * day, 36 * day},
		{8 * day, day, 8 * day},
		{7 * day, 0, 7 * day},
		{day, 0, day},
		{0, 0, 0},
		{-day, 0, -day},
	} {
		over := TakesOver(ends, ends.Add(c.left))
		until := CountsUntil(over, ends.Add(c.left))
		if over.Sub(ends) != c.over || until.Sub(ends) != c.until {
			t.Errorf("%s left: over after %s, counts for %s", c.left, over.Sub(ends), until.Sub(ends))
		}
	}
}
