// Package renewal says when to remind somebody that a certificate of theirs runs
// out: 60, 30, 14 and 7 days before, and when it has; and when a new key takes over
// from the one before (V7): 30 days after it was announced, or 7 days before the old
// certificate ends. It is pure.
package renewal

import (
	"fmt"
	"time"
)

// Stage is a reminder, by the days before the end at which it is due.
type Stage int

// Out is the last stage: the certificate has run out.
const Out Stage = 0

// None is before the first stage.
const None Stage = 1 << 30

const day = 24 * time.Hour

// stages from the last to the first.
var stages = []Stage{7, 14, 30, 60}

// At is the stage that has been reached at a time, for a certificate that ends at
// another.
func At(ends, now time.Time) Stage {
	left := ends.Sub(now)
	if left <= 0 {
		return Out
	}
	for _, s := range stages {
		if left <= time.Duration(s)*day {
			return s
		}
	}
	return None
}

// Due says that a reminder of the stage reached is owed to somebody who was reminded
// of told last (None: never). Stages that passed meanwhile are not made up for.
func Due(reached, told Stage) bool { return reached != None && reached < told }

// Says is the reminder: one sentence. Days are told in zone (nil: UTC).
func Says(ends, now time.Time, zone *time.Location) string {
	if zone == nil {
		zone = time.UTC
	}
	on := ends.In(zone).Format("2 January 2006")
	switch left := ends.Sub(now); {
	case left <= 0:
		return "Your certificate ran out on " + on + "."
	case left < day:
		return "Your certificate runs out within a day, on " + on + "."
	case left < 2*day:
		return "Your certificate runs out in a day, on " + on + "."
	default:
		return fmt.Sprintf("Your certificate runs out in %d days, on %s.", int(left/day), on)
	}
}
