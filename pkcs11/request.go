package pkcs11

import (
	"context"
	"errors"

	"countersign/pkcs11/wire"
)

// How often one request is asked anew, by what went wrong.
const (
	maxCrashes  = 4 // the helper died
	maxHangs    = 1 // and only where nobody had to do anything at the card
	maxLost     = 3 // the session ended
	maxConfused = 1 // an error of the card or library: with a new helper
	maxLogins   = 4 // successful ones that did not last, not counting those that ended with a helper
	maxRefused  = 2 // wrong PINs: the second ends the request
	maxPrompts  = 2 // whatever the library says of what was entered
)

// request is one thing asked of a token, and what befell it so far.
type request struct {
	library *Library
	wire.Request
	line  *line
	check func([]byte) bool // whether a result can be right; nil: any
	key   string            // the key's label, for a prompt
	reply *wire.Reply       // that without a failure

	declined, locks                       uint64 // of the line and of the library, when the request came
	crashes, hangs, lost, confused, login int
	refused, prompts                      int
	hand                                  hand
}

// do asks a token for something, whatever happens meanwhile, and returns the result.
func (l *Library) do(ctx context.Context, r *request) ([]byte, error) {
	r.library, r.line = l, l.line(r.Token)
	r.declined, r.locks = r.line.declined.Load(), l.locked()
	defer r.hand.wipe()
	select {
	case r.line.turn <- struct{}{}:
	default:
		if data, ok := l.early(ctx, r); ok {
			return data, nil
		}
		select {
		case r.line.turn <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	free := func() { <-r.line.turn }
	for ctx.Err() == nil {
		if err := r.overtaken(); err != nil {
			free()
			return nil, err
		}
		h, err := l.running(ctx)
		var reply *wire.Reply
		if err == nil {
			var c *call
			if c, err = h.send(&r.Request, r.limit()); err == nil {
				select {
				case <-c.done:
					reply, err = h.result(c)
				case <-ctx.Done():
					go func() { // the token is busy until then
						<-c.done
						free()
					}()
					return nil, ctx.Err()
				}
			}
		}
		again, data, err := r.judge(ctx, h, reply, err)
		if !again {
			free()
			return data, err
		}
	}
	free()
	return nil, ctx.Err()
}

// overtaken fails a request that came before Lock: nobody is asked at a locked screen.
func (r *request) overtaken() error {
	if r.locks == r.library.locked() {
		return nil
	}
	return fail(wire.Unasked, r.Token.Label, errors.New("locked meanwhile"))
}

// early has one request wait within the helper while another is under way there: a fast
// token goes from one to the next without waiting for us. Only a result counts. Whatever else
// comes of it, the request is asked again when it is its turn; it bears no PIN.
func (l *Library) early(ctx context.Context, r *request) ([]byte, bool) {
	if r.Op != wire.Sign && r.Op != wire.Decrypt && r.Op != wire.Derive {
		return nil, false
	}
	select {
	case r.line.next <- struct{}{}:
	default:
		return nil, false
	}
	defer func() { <-r.line.next }()
	l.mu.Lock()
	h := l.helper
	l.mu.Unlock()
	if h == nil || h.over() {
		return nil, false
	}
	c, err := h.send(&r.Request, 2*l.config.Timeout) // the other's time, and its own
	if err != nil {
		return nil, false
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		return nil, false
	}
	reply := c.reply
	if reply == nil || reply.Failure != wire.None || r.wrong(reply) || r.overtaken() != nil {
		return nil, false
	}
	return reply.Data, true
}

// wrong tells whether a result cannot be right.
func (r *request) wrong(reply *wire.Reply) bool {
	return len(reply.Data) > int(r.Size) || r.check != nil && !r.check(reply.Data)
}

// judge decides what an answer leads to: the result, an error, or asking again.
func (r *request) judge(ctx context.Context, h *helper, reply *wire.Reply, err error) (again bool, data []byte, _ error) {
	if err != nil {
		return r.retry(err), nil, err
	}
	failure := reply.Failure
	if failure == wire.None && r.wrong(reply) {
		reply = &wire.Reply{Failure: wire.Confused, Says: "the result is wrong"}
		failure = wire.Confused
	}
	r.answered(failure)
	switch failure {
	case wire.None:
		r.reply = reply
		return false, reply.Data, nil
	case wire.NotLoggedIn:
		if r.login++; r.login <= maxLogins+r.crashes+r.hangs+r.confused {
			err := r.unlock(ctx, h)
			return err == nil || r.retry(err), nil, err
		}
	case wire.AsksAlways, wire.LastTry:
		err := r.present(ctx, h)
		return err == nil || r.retry(err), nil, err
	case wire.WrongPIN:
		if r.refused++; r.refused < maxRefused && reply.Tries < TriesLast {
			err := r.present(ctx, h)
			return err == nil || r.retry(err), nil, err
		}
		r.line.declined.Add(1)
	case wire.Cancelled: // on the PIN pad, or in a dialog of the system's
		r.line.declined.Add(1)
	case wire.Lost:
		if r.lost++; r.lost <= maxLost {
			return true, nil, nil
		}
	case wire.Confused:
		if r.confused++; r.confused <= maxConfused {
			h.end()
			return true, nil, nil
		}
	}
	return false, nil, told(reply, r.Token.Label)
}

// retry tells whether the helper's end is worth another try. A PIN that was on its
// way is then asked for again.
func (r *request) retry(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	touched := r.hand.shown
	switch e.Failure {
	case wire.Crashed:
		r.answered(e.Failure)
		r.crashes++
		return r.crashes <= maxCrashes && !(touched && r.prompts == maxPrompts)
	case wire.Hung:
		r.answered(e.Failure)
		r.hangs++
		return r.hangs <= maxHangs && !touched
	}
	return false
}
