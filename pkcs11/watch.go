package pkcs11

import (
	"context"
	"slices"
	"time"

	"countersign/pkcs11/wire"
)

// Event is a token that came or went.
type Event struct {
	Token   Token
	Present bool
}

// Between two starts of a helper that dies while it watches.
const (
	firstPause = time.Second
	longPause  = time.Minute
)

// Watch tells of each token that is there, then of each that comes or goes, until ctx ends;
// it returns the error of ctx. The readers are looked at once a period. Trouble with the
// library is waited out: after it, what changed meanwhile is told.
func (l *Library) Watch(ctx context.Context, period time.Duration, tell func(Event)) error {
	var there []Token
	pause := firstPause
	look := l.Tokens // at first: a helper that runs already tells of changes only
	for {
		now, err := look(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return ctx.Err()
			}
			pause = min(2*pause, longPause)
			continue
		}
		pause = firstPause
		look = func(ctx context.Context) ([]Token, error) { return l.change(ctx, period) }
		for _, t := range there {
			if !named(now, t.Name) {
				tell(Event{t, false})
			}
		}
		for _, t := range now {
			if !named(there, t.Name) {
				tell(Event{t, true})
			}
		}
		there = now
	}
}

func named(all []Token, name Name) bool {
	return slices.ContainsFunc(all, func(t Token) bool { return t.Name == name })
}

// change waits until the readers change and lists what is in them then. A helper that
// was just started answers at once.
func (l *Library) change(ctx context.Context, period time.Duration) ([]Token, error) {
	h, err := l.running(ctx)
	if err != nil {
		return nil, err
	}
	reply, err := h.ask(ctx, &wire.Request{Op: wire.Watch, Period: uint32(period / time.Millisecond)}, forever)
	if err != nil {
		return nil, err
	}
	if reply.Failure != wire.None {
		h.kill(wire.Crashed) // a library that lost its readers finds them again in a new process
		return nil, told(reply, "")
	}
	return l.Tokens(ctx)
}
