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
// it returns the error of ctx. The readers are looked at once a period, a minute at most, even
// if the helper tells of changes without end. Trouble with the library is waited out: after it, what
// changed meanwhile is told.
func (l *Library) Watch(ctx context.Context, period time.Duration, tell func(Event)) error {
	var there []Token
	pause := firstPause
	for {
		looked := time.Now()
		now, changed, err := l.list(ctx, period)
		if err == nil {
			pause = firstPause
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
			err = changed()
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		wait := period - time.Since(looked)
		if err != nil {
			wait, pause = pause, min(2*pause, longPause)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func named(all []Token, name Name) bool {
	return slices.ContainsFunc(all, func(t Token) bool { return t.Name == name })
}

// list lists what is in the readers. changed waits until that is not so any more.
func (l *Library) list(ctx context.Context, period time.Duration) (now []Token, changed func() error, _ error) {
	h, err := l.running(ctx)
	if err != nil {
		return nil, nil, err
	}
	c, err := h.watch(period) // before we look: what happens in between is not missed
	if err != nil {
		return nil, nil, err
	}
	now, err = l.Tokens(ctx)
	return now, func() error {
		select {
		case <-c.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		reply, err := h.result(c)
		if err == nil && reply.Failure != wire.None {
			h.kill(wire.Crashed) // a library that lost its readers finds them again in a new process
			return told(reply, "")
		}
		return err
	}, err
}

// watch asks to be told of a change, together with whoever has asked already: the helper
// tells of each once.
func (h *helper) watch(period time.Duration) (*call, error) {
	h.looking.Lock()
	defer h.looking.Unlock()
	if h.change != nil {
		select {
		case <-h.change.done:
		default:
			return h.change, nil
		}
	}
	c, err := h.send(&wire.Request{Op: wire.Watch, Period: uint32(min(period/time.Millisecond, wire.MaxPeriod))}, forever)
	h.change = c
	return c, err
}
