package renewal

import "time"

// Notice is how long before it takes over a new key is announced (V7).
const Notice = 30 * day

// Transit is how long a letter may be on its way: so long before its certificate ends a
// key that has a successor signs no more, and so long after its last day what it signed
// still counts.
const Transit = 7 * day

// TakesOver is when a key that is announced now begins to sign, in the place of one
// whose certificate ends at a time: now, if there is no time left for both.
func TakesOver(now, ends time.Time) time.Time {
	at := now.Add(Notice)
	if last := ends.Add(-Transit); last.Before(at) {
		at = last
	}
	if at.Before(now) {
		return now
	}
	return at
}

// CountsUntil is when letters signed with the key of before stop to count, where
// another takes over at a time: never after its certificate has run out.
func CountsUntil(takesOver, ends time.Time) time.Time {
	until := takesOver.Add(Transit)
	if ends.Before(until) {
		return ends
	}
	return until
}
