package web

import (
	"testing"

	"countersign/tray/control"
)

// TestNothingIsMissed has an event between the drawing of a page and the moment
// at which its window listens.
func TestNothingIsMissed(t *testing.T) {
	l := newLive()
	l.tell(control.Event{Cursor: 2})
	drawn := l.at()
	l.tell(control.Event{Cursor: 3, Kind: "mail"})
	late, leave := l.sit(drawn)
	defer leave()
	now, leaveToo := l.sit(l.at())
	defer leaveToo()
	if len(late) != 1 || len(now) != 0 {
		t.Fatalf("%d events for a page drawn before the last, %d for one drawn after it", len(late), len(now))
	}
	l.tell(control.Event{Cursor: 4, Kind: "contact"})
	if len(late) != 2 || len(now) != 1 {
		t.Errorf("then %d and %d events", len(late), len(now))
	}
}
