package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"countersign/tray/control"
)

// live passes on what happens to the windows that are open. A window that lags
// loses events and is told to look at everything.
type live struct {
	mu    sync.Mutex
	seats map[chan control.Event]bool
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
	for seat := range l.seats {
		select {
		case seat <- e:
		default:
		}
	}
}

func (l *live) sit() (seat chan control.Event, leave func()) {
	seat = make(chan control.Event, lag)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seats[seat] = true
	return seat, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.seats, seat)
	}
}

// stream is server-sent events: what kind of thing happened and a sentence to
// say, never a subject. The script then asks for the page again.
func (v *visit) stream() error {
	seat, leave := v.p.live.sit()
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
			b, err := json.Marshal(struct {
				Kind string `json:"kind"`
				Says string `json:"says"`
			}{e.Kind, e.Says})
			if err != nil {
				return nil
			}
			fmt.Fprintf(v.w, "data: %s\n\n", b)
		}
	}
}
