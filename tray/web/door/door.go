// Package door lets one user's browser in to pages on loopback, and nobody
// else (SECURITY.md, rule F1). It knows nothing of what the pages show.
//
//   - Only this user's browser is answered. The owner of the TCP peer is asked
//     for before a byte is read ([Options.PeerIsMe]).
//   - The host name is 26 random characters under .localhost, new at each start,
//     where the browser resolves it (RFC 6761, section 6.3). Elsewhere the same
//     secret is the first segment of every path. No other site can name it, and
//     a cookie for it goes to no other port's server.
//   - [Listen] takes the port on both loopback addresses, so that no other user
//     can wait on the one that the browser happens to try first.
//   - A browser is signed in by an address that works once, within two minutes
//     ([Door.Address]), which stands in a private file that redirects and never
//     in an argument list ([Door.SignInFile]). It then holds a host-only,
//     HttpOnly, SameSite=Strict session cookie. [Door.Lock] ends every session.
//   - Every request must carry our Host and a Sec-Fetch-Site of this origin or
//     of the user's own hand. Every change is a POST with our Origin and the
//     session's token; only two encodings of forms are read, both as streams.
//   - Everything is answered with no-store, nosniff, a content security policy
//     of 'none' and 'self' without inline script or style, Trusted Types, and
//     the cross-origin opener and resource policies.
package door

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"log"
	"mime/multipart"
	"net"
	"net/http"
	"sync"
	"time"
)

// Options is what a door depends on.
type Options struct {
	// PeerIsMe tells whether the other end of a TCP connection belongs to this
	// user. It is required.
	PeerIsMe func(net.Conn) (bool, error)
	// Resolves tells whether the browser that will be opened finds a name under
	// .localhost. Chromium, Edge and Firefox always do. When nil, the system's
	// resolver is asked about a throw-away name.
	Resolves func(context.Context) bool
	// Inside answers those who are let in. It is required.
	Inside Inside
	// Style is the path of a style sheet for the door's own two pages. It is the
	// one thing that is answered without a session.
	Style string
	// Hold makes what a new session carries; nothing when nil.
	Hold func() any

	Clock func() time.Time // time.Now when nil
	Rand  io.Reader        // crypto/rand.Reader when nil
}

// Inside answers a request that was let in. Its path is relative to the base
// and begins with a slash.
type Inside func(http.ResponseWriter, *http.Request, Visitor)

// Visitor is who sent a request.
type Visitor struct {
	Session *Session          // nil only when the style sheet is asked for
	Parts   *multipart.Reader // of a form with a file: what follows the token
}

// Session is one signed-in browser. It is in memory only.
type Session struct {
	Token string          // what its forms must quote, first
	Ended <-chan struct{} // closed when it is over
	Held  any             // what Options.Hold made

	seen time.Time
	end  chan struct{}
}

// Door is the way in to one server of pages.
type Door struct {
	o      Options
	secret string // names the host, or the first segment of every path

	mu    sync.Mutex
	keys  map[[32]byte]key      // one-time addresses not yet used, by hash
	seats map[[32]byte]*Session // by hash of the cookie

	once   sync.Once
	ready  chan struct{} // closed once the three below are set
	host   string        // what Host must be
	origin string        // what Origin must be
	base   string        // what every path begins with: "/" or "/secret/"
}

// New makes a door. It lets nobody in until Serve.
func New(o Options) (*Door, error) {
	if o.PeerIsMe == nil || o.Inside == nil {
		return nil, errors.New("door: PeerIsMe and Inside are required")
	}
	if o.Resolves == nil {
		o.Resolves = resolves
	}
	if o.Hold == nil {
		o.Hold = func() any { return nil }
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	d := &Door{o: o, keys: map[[32]byte]key{}, seats: map[[32]byte]*Session{}, ready: make(chan struct{})}
	var err error
	d.secret, err = d.random()
	return d, err
}

// random returns 26 characters of 128 random bits.
func (d *Door) random() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(d.o.Rand, b[:]); err != nil {
		return "", fmt.Errorf("making a secret for the page: %w", err)
	}
	return base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding).EncodeToString(b[:]), nil
}

// Base returns what every path begins with, slashes included. It waits for Serve.
func (d *Door) Base() string {
	<-d.ready
	return d.base
}

// Serve answers on l until ctx ends, and closes l. It may be called once.
func (d *Door) Serve(ctx context.Context, l net.Listener) error {
	err := errors.New("door: Serve was called before")
	d.once.Do(func() { err = d.serve(ctx, l) })
	return err
}

func (d *Door) serve(ctx context.Context, l net.Listener) error {
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		l.Close()
		return fmt.Errorf("reading the page's port: %w", err)
	}
	d.host, d.base = net.JoinHostPort("127.0.0.1", port), "/"+d.secret+"/"
	if d.o.Resolves(ctx) {
		d.host, d.base = net.JoinHostPort(d.secret+".localhost", port), "/"
	}
	d.origin = "http://" + d.host
	close(d.ready)
	defer d.Lock()

	server := &http.Server{
		Handler:           d,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          log.New(io.Discard, "", 0), // it would log addresses of pages

		DisableGeneralOptionsHandler: true,
	}
	stop := context.AfterFunc(ctx, func() {
		d.Lock() // first: a connection that was just accepted is not closed, and would be answered
		server.Close()
	})
	defer stop()
	if err := server.Serve(&mine{l, d.o.PeerIsMe}); ctx.Err() == nil {
		return fmt.Errorf("serving the page: %w", err)
	}
	return nil
}

// mine accepts only connections whose other end belongs to this user.
type mine struct {
	net.Listener
	isMe func(net.Conn) (bool, error)
}

// Accept closes a stranger's connection without a word.
func (m *mine) Accept() (net.Conn, error) {
	for {
		c, err := m.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if ok, err := m.isMe(c); ok && err == nil {
			return c, nil
		}
		c.Close()
	}
}

// resolves asks the system about a name that means nothing, so that the page's
// own is never sent to a name server.
func resolves(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	found, err := net.DefaultResolver.LookupIPAddr(ctx, "countersign-asks.localhost")
	for _, a := range found {
		if !a.IP.IsLoopback() {
			return false
		}
	}
	return err == nil && len(found) > 0
}
