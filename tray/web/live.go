package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"countersign/tray/control"
)

// live passes on what happens to the windows that are open. A window that lags
// loses events; one that was drawn before the last event is told to look again.
type live struct {
	mu    sync.Mutex
	seats map[chan control.Event]bool
	last  control.Cursor
}

const (
	heartbeat = 25 * time.Second // so that a dead window is noticed
	lag       = 16               // events that a window may be behind
)

func newLive() *live { return &live{seats: map[chan control.Event]bool{}} }

// watch follows the agent's events until ctx ends. What happened before the
// start comes first and finds nobody to tell.
func (l *live) watch(ctx context.Context, events control.Events) {
	var after control.Cursor
	for ctx.Err() == nil {
		events.Watch(ctx, after, func(e control.Event) error {
			after = e.Cursor
			l.tell(e)
			return nil
		})
		select { // a watch that fails is begun again where it ended
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (l *live) tell(e control.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = e.Cursor
	for seat := range l.seats {
		select {
		case seat <- e:
		default:
		}
	}
}

// at is the last event so far: what a page drawn from now on has taken in.
func (l *live) at() control.Cursor {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// sit gives a window that has taken in the events up to the cursor a seat. What
// happened between its drawing and now finds it there, as one event without words.
func (l *live) sit(after control.Cursor) (seat chan control.Event, leave func()) {
	seat = make(chan control.Event, lag)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seats[seat] = true
	if l.last > after {
		seat <- control.Event{Cursor: l.last}
	}
	return seat, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.seats, seat)
	}
}

// stream is server-sent events: that something happened, and a sentence to say,
// never a subject. The script then asks for the page again; where the stream
// ends and the page does not come, it takes the mail off the screen.
func (v *visit) stream() error {
	after, _ := strconv.ParseInt(v.query("after"), 10, 64) // absent: whatever there was is new
	seat, leave := v.p.live.sit(control.Cursor(after))
	defer leave()
	v.w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(v.w)
	fmt.Fprint(v.w, "retry: 2000\n\n")
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		if err := out.Flush(); err != nil {
			return nil // the window is closed
		}
		select {
		case <-v.ctx().Done():
			return nil
		case <-v.who.Session.Ended:
			return nil
		case <-beat.C:
			fmt.Fprint(v.w, ": still here\n\n")
		case e := <-seat:
			b, err := json.Marshal(map[string]string{"says": e.Says})
			if err != nil {
				return nil
			}
			fmt.Fprintf(v.w, "data: %s\n\n", b)
		}
	}
}
