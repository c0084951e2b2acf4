package resolver

import (
	"testing"
	"time"
)

func TestCache(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	var c cache[int, string]
	c.put(1, "one", item{size: 10, until: now.Add(time.Minute), at: now})
	c.put(2, "gone at once", item{size: 10, until: now, at: now})
	for _, test := range []struct {
		key  int
		at   time.Time
		want bool
	}{
		{1, now, true}, {1, now.Add(time.Minute - 1), true}, {1, now.Add(time.Minute), false}, {1, now.Add(-1), false}, {2, now, false}, {3, now, false},
	} {
		if v, ok := c.get(test.key, test.at); ok != test.want || ok && v != "one" {
			t.Errorf("%d at %v: %q, %v", test.key, test.at, v, ok)
		}
	}
	for i := range 200 { // far more than there is room for
		c.put(i%150, "large", item{size: 65535, until: now.Add(time.Minute), at: now})
		if v, ok := c.get(i%150, now); !ok || v != "large" {
			t.Fatalf("the latest is not kept: %q", v)
		}
	}
	sum := 0
	for _, e := range c.items {
		sum += e.size
	}
	if sum != c.size || sum > maxKept || len(c.items) < 20 {
		t.Errorf("%d items of %d octets, counted as %d", len(c.items), sum, c.size)
	}
}
