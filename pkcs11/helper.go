package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"countersign/pkcs11/wire"
)

// forever is the time limit of a request that has none.
const forever = time.Duration(-1)

// helper is one helper process.
type helper struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out io.ReadCloser

	writing sync.Mutex
	mu      sync.Mutex
	last    uint32
	waiting map[uint32]*call
	cause   Failure       // why it is over, if we know
	dead    chan struct{} // closed when the process is gone
	words   tail
	told    bool // a secret was sent to it

	looking sync.Mutex
	change  *call // the Watch under way, or the last
}

// call is a request under way.
type call struct {
	op    wire.Op
	token string        // the label of the one that it is for; may be empty
	done  chan struct{} // closed when reply is there, or the helper dead
	reply *wire.Reply   // nil: the helper died
	until time.Time     // zero: no limit
	timer *time.Timer
}

func start(c Config) (*helper, error) {
	env := c.Env
	if env == nil {
		env = os.Environ()
	}
	h := &helper{cmd: exec.Command(c.Helper), waiting: map[uint32]*call{}, dead: make(chan struct{})}
	h.cmd.Env = append(env[:len(env):len(env)], "GOTRACEBACK=none") // no memory of its in our logs
	h.cmd.Dir = folder()
	h.cmd.SysProcAttr = apart()
	h.cmd.Stderr = &h.words
	h.cmd.WaitDelay = time.Second // for what the library started and left behind
	var err error
	if h.in, err = h.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if h.out, err = h.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := h.cmd.Start(); err != nil {
		return nil, err
	}
	go h.listen()
	return h, nil
}

// listen hands out replies until there is one that answers nothing, or no more: the library
// lives in the same process, and can write what it likes. Those who wait are told of the end
// before the process is gone, which takes long if it hangs in the system.
func (h *helper) listen() {
	for {
		reply, err := wire.ReadReply(h.out)
		if err != nil {
			break
		}
		h.mu.Lock()
		c := h.waiting[reply.ID]
		delete(h.waiting, reply.ID)
		h.mu.Unlock()
		if c == nil {
			break
		}
		if c.op != reply.Op {
			h.kill(wire.Crashed)
			c.finish(nil)
			break
		}
		c.finish(reply)
	}
	h.kill(wire.Crashed)
	h.mu.Lock()
	left := h.waiting
	h.waiting = nil
	h.mu.Unlock()
	for _, c := range left {
		c.finish(nil)
	}
	_ = h.cmd.Wait() // how it ended does not matter
	close(h.dead)
}

func (c *call) finish(reply *wire.Reply) {
	if c.timer != nil {
		c.timer.Stop()
	}
	c.reply = reply
	close(c.done)
}

// over tells whether the helper is dead or about to be.
func (h *helper) over() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cause != wire.None || h.waiting == nil
}

// kill ends the process; the first cause is remembered.
func (h *helper) kill(cause Failure) {
	h.mu.Lock()
	if h.cause == wire.None {
		h.cause = cause
	}
	h.mu.Unlock()
	_ = h.cmd.Process.Kill() // it may be dead already
	go h.out.Close()         // so that nobody waits for one that cannot be killed
}

// leaving is how long is waited for a process that was told to end.
const leaving = 2 * time.Second

// end kills the helper and waits until it has let go of its tokens. A process that hangs in
// the system, in a driver say, cannot be waited for.
func (h *helper) end() {
	h.kill(wire.Crashed)
	select {
	case <-h.dead:
	case <-time.After(leaving):
	}
}

// dismiss lets the helper log out, and ends it if that takes long.
func (h *helper) dismiss() {
	h.mu.Lock()
	if h.cause == wire.None {
		h.cause = wire.Crashed
	}
	h.mu.Unlock()
	h.in.Close()
	select {
	case <-h.dead:
	case <-time.After(leaving):
		h.end()
	}
}

// ask sends a request and waits for its reply, or for ctx. limit is how long the
// library may take before it counts as hung. Its error is an [*Error], or that of ctx:
// then the request is still under way, and its answer is dropped.
func (h *helper) ask(ctx context.Context, r *wire.Request, limit time.Duration) (*wire.Reply, error) {
	c, err := h.send(r, limit)
	if err != nil {
		return nil, err
	}
	select {
	case <-c.done:
		return h.result(c)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (h *helper) result(c *call) (*wire.Reply, error) {
	if c.reply != nil {
		return c.reply, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	said := h.words.String()
	if h.told { // some libraries, made to be debugged, print what they are given
		said = "(withheld: it knows a secret)"
	}
	return nil, fail(h.cause, c.token, fmt.Errorf("the helper said last: %q", said))
}

func (h *helper) send(r *wire.Request, limit time.Duration) (*call, error) {
	c := &call{op: r.Op, token: r.Token.Label, done: make(chan struct{})}
	h.mu.Lock()
	if h.waiting == nil || h.cause != wire.None {
		h.mu.Unlock()
		return nil, fail(wire.Crashed, "", errors.New("the helper is gone"))
	}
	h.last++
	r.ID = h.last
	h.waiting[r.ID] = c
	h.told = h.told || len(r.PIN) > 0 || r.Op == wire.Import
	if limit != forever {
		c.until = time.Now().Add(limit)
		c.timer = time.AfterFunc(limit, func() { h.expire(c) })
	}
	h.mu.Unlock()
	h.writing.Lock()
	err := wire.Write(h.in, r)
	h.writing.Unlock()
	if errors.Is(err, wire.ErrMalformed) {
		h.mu.Lock()
		delete(h.waiting, r.ID)
		h.mu.Unlock()
		if c.timer != nil {
			c.timer.Stop()
		}
		return nil, fail(wire.Malformed, r.Token.Label, err)
	}
	if err != nil {
		h.kill(wire.Crashed) // whoever waits is told so
	}
	return c, nil
}

// expire ends a helper that did not answer c, unless another request, which c may be
// waiting for within the library, has more time: then it looks again at that one's end.
func (h *helper) expire(c *call) {
	h.mu.Lock()
	latest := c.until
	for _, other := range h.waiting {
		if other.until.After(latest) {
			latest = other.until
		}
	}
	more := time.Until(latest)
	if latest.After(c.until) && more > 0 {
		c.until = latest
		c.timer.Reset(more)
		h.mu.Unlock()
		return
	}
	h.mu.Unlock()
	select {
	case <-c.done:
	default:
		h.kill(wire.Hung)
	}
}

// tail keeps the end of what a helper prints, for a log.
type tail struct {
	mu  sync.Mutex
	end []byte
}

const tailSize = 512

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end = append(t.end, b[max(0, len(b)-tailSize):]...)
	t.end = t.end[max(0, len(t.end)-tailSize):]
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.end)
}
