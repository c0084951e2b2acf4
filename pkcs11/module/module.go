// Package module is the inside of countersign-pkcs11: it loads one vendor's PKCS#11
// library and serves package wire over standard input and output.
//
// Vendor libraries print, crash, hang and remember wrong things. So nothing here is
// worth keeping: no PIN, no list, no state that the agent could not have made again in
// a new process. What is here is what has to be beside the library:
//
//   - One C_Sign or C_Decrypt an operation, into a buffer that is large enough. A query
//     for the size runs the card's operation in OpenSC and tpm2-pkcs11.
//   - Mechanism parameters live until the operation's end; tpm2-pkcs11 keeps the pointer
//     that C_SignInit was given.
//   - After any error a session is closed, because an operation may hang on in it. A
//     second session holds the login meanwhile.
//   - The library's word that somebody is logged in already is not taken for a PIN's
//     being right: it is logged out and asked again.
//   - What is put on a token goes through a read-write session that lives no longer than
//     that. Every other session is read-only.
//   - A token is found anew by its name whenever sessions are opened, and its name and its
//     tries are read again just before a PIN goes to it.
//
// On Windows the user's certificate store can be served in a library's place (package
// certstore): the software of smartcards runs in the process that uses it.
//
// The binding ([library]) knows two layouts of memory: words as wide as a pointer, and
// on Windows 4-byte words with structs packed to one byte (PKCS#11 v3.0, section 2.1).
// Standard output is taken from the library before it is loaded: what it prints goes
// to standard error, which the agent bounds. Inherited descriptors are closed,
// core dumps are off. There is no network, vault or mail here.
package module

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"countersign/pkcs11/wire"
	"countersign/platform/certstore"
	"countersign/platform/harden"
)

// underWay is how many requests may be under way at once.
const underWay = 64

// Main is countersign-pkcs11: it serves until its standard input ends and returns
// the exit code.
func Main() int {
	if len(os.Args) > 1 {
		fmt.Fprintln(os.Stderr, "countersign-pkcs11 is started by countersign-agent and takes no arguments; see pkcs11/wire/PROTOCOL.md")
		return 2
	}
	// The library does the work, outside of Go. With a second processor of Go's idle, its
	// monitor wakes every 20 microseconds for as long as a call to the library lasts, and
	// takes a twentieth of the time from it; with one it sleeps.
	runtime.GOMAXPROCS(1)
	in, out, err := takeStreams()
	if err == nil {
		err = harden.Process()
	}
	if err == nil {
		err = Serve(in, out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "countersign-pkcs11:", err)
		return 1
	}
	return 0
}

// Serve answers the requests of in on out until in ends. It fails with
// [wire.ErrMalformed] for a frame that is none.
func Serve(in io.Reader, out io.Writer) error {
	s := New()
	defer s.End()
	c := connection{Server: s, in: in, out: out, slots: make(chan struct{}, underWay), over: make(chan error, 1)}
	go c.turn()
	err := <-c.over
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// connection is where requests come from and answers go to.
type connection struct {
	*Server
	in    io.Reader
	slots chan struct{} // a place for each request under way
	over  chan error    // why there are no more requests

	writing sync.Mutex
	out     io.Writer
}

// turn takes one request, leaves the next to another, and answers its own: whoever was
// woken by a request has it done, and no time goes by in handing it on.
func (c *connection) turn() {
	c.slots <- struct{}{}
	defer func() { <-c.slots }()
	r, err := wire.ReadRequest(c.in)
	if err != nil {
		c.over <- err
		return
	}
	if r.Op == wire.Load { // which others need
		c.reply(r)
		go c.turn()
		return
	}
	go c.turn()
	c.reply(r)
}

func (c *connection) reply(r *wire.Request) {
	reply := c.Answer(r)
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := wire.Write(c.out, reply); errors.Is(err, wire.ErrMalformed) {
		*reply = failed(r, trouble{failure: wire.Confused, says: err.Error()})
		_ = wire.Write(c.out, reply) // a broken pipe ends the reading, too
	}
	clear(reply.Data)
}

// Server is one run of the helper.
type Server struct {
	ended chan struct{}
	lib   *library         // set by Load, before any other request is taken
	store *certstore.Store // or this

	mu     sync.Mutex
	tokens map[wire.Name]*token

	watching sync.Mutex
	seen     string // the readers as Watch last told of them
}

// New makes a server that has no library yet.
func New() *Server {
	return &Server{ended: make(chan struct{}), tokens: map[wire.Name]*token{}}
}

// End gives the library a moment to leave its tokens in order.
func (s *Server) End() {
	close(s.ended)
	if s.lib == nil {
		return
	}
	done := make(chan struct{})
	go func() {
		_ = s.lib.call(cFinalize, 0) // the process ends whatever it says
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(time.Second):
	}
}

// Answer does what a request asks, within this process, and wipes its secrets. Load comes
// before all others; then requests may come at the same time.
func (s *Server) Answer(r *wire.Request) *wire.Reply {
	reply := &wire.Reply{ID: r.ID, Op: r.Op}
	var err error
	switch {
	case (r.Op == wire.Load) != (s.lib == nil && s.store == nil):
		err = trouble{failure: wire.Malformed, says: "Load comes first, and once"}
	case r.Op == wire.Load:
		err = s.load(r, reply)
	case s.store != nil:
		reply = s.store.Answer(r)
	case r.Op == wire.Tokens:
		reply.Tokens, err = s.lib.tokens()
	case r.Op == wire.Watch:
		err = s.watch(time.Duration(r.Period) * time.Millisecond)
	default:
		err = s.token(r.Token).do(r, reply)
	}
	r.Wipe()
	if err != nil {
		*reply = failed(r, err)
	}
	return reply
}

func (s *Server) load(r *wire.Request, reply *wire.Reply) error {
	if r.Path == wire.CertificateStore {
		if s.store = certstore.New(); s.store == nil {
			return trouble{failure: wire.NotLoaded, says: "this system has no certificate store"}
		}
		reply.Library = "Windows"
		return nil
	}
	lib, err := load(r.Path, r.Reserved)
	if err != nil {
		return err
	}
	s.lib = lib
	reply.Library = lib.describe()
	return nil
}

// token is the state kept about a token.
func (s *Server) token(name wire.Name) *token {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tokens[name]
	if t == nil {
		if len(s.tokens) >= wire.MaxTokens {
			s.tidy()
		}
		t = &token{lib: s.lib, name: name}
		s.tokens[name] = t
	}
	return t
}

// tidy gives up the tokens that nobody is using, where many cards were here one after the
// other. Each is found anew.
func (s *Server) tidy() {
	for name, t := range s.tokens {
		if t.mu.TryLock() {
			t.forget()
			t.mu.Unlock()
			delete(s.tokens, name)
		}
	}
}

// watch returns once the readers differ from what they were at the last return.
// It looks instead of waiting within the library: several lock all else meanwhile. Where
// the library alone knows of something, it is told once a period: some always do.
func (s *Server) watch(period time.Duration) error {
	s.watching.Lock()
	defer s.watching.Unlock()
	tick := time.NewTicker(max(period, 10*time.Millisecond))
	defer tick.Stop()
	for {
		now, err := s.lib.readers()
		if err != nil {
			return err
		}
		moved := s.lib.event()
		if now != s.seen {
			s.seen = now
			return nil
		}
		select {
		case <-tick.C:
			if moved {
				return nil
			}
		case <-s.ended:
			return trouble{failure: wire.Lost, says: "the helper ends"}
		}
	}
}
