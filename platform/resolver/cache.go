package resolver

import "time"

const (
	maxKept = 2 << 20 // octets in each of the two caches
	cutSize = 2048    // about what a zone with its keys takes
	perItem = 512     // beyond the reply itself
)

// cache keeps values until they run out, within a bound. The zero cache is empty.
// It is guarded by its owner.
type cache[K comparable, V any] struct {
	items map[K]kept[V]
	size  int
}

type item struct {
	size  int // octets, about
	until time.Time
	at    time.Time // now; it is not kept for a clock set back before this
}

type kept[V any] struct {
	value V
	item
}

func (c *cache[K, V]) get(k K, at time.Time) (V, bool) {
	e, ok := c.items[k]
	if !ok || !at.Before(e.until) || at.Before(e.at) {
		var none V
		return none, false
	}
	return e.value, true
}

// put keeps v, at the cost of others: Go's random order of maps is as good as any here.
func (c *cache[K, V]) put(k K, v V, i item) {
	if !i.at.Before(i.until) {
		return
	}
	if c.items == nil {
		c.items = map[K]kept[V]{}
	}
	i.size += perItem
	c.size += i.size - c.items[k].size
	c.items[k] = kept[V]{v, i}
	for other, e := range c.items {
		if c.size <= maxKept {
			return
		}
		if other != k {
			delete(c.items, other)
			c.size -= e.size
		}
	}
}
