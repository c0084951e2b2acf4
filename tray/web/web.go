// Package web is the page: what a person sees in a browser. It serves HTML that
// the agent renders, one style sheet and one script of our own, to one user of
// one machine, over loopback. It knows keys and mail only as a control.Service.
//
// Who is let in, and with which headers, is tray/web/door's to say. The pages
// themselves promise the rest of SECURITY.md, rule F1:
//
//   - The title is always "Countersign". Addresses of pages hold only opaque
//     identifiers: people are named by a keyed hash that is new at each start,
//     and what is sought is POSTed.
//   - Mail is shown as text that the agent has sanitised, escaped by
//     html/template, inside a frame that is ours; what no protection covers
//     stands outside it. Attachments are only ever downloads in a sandbox.
//   - What is read out on a call is never in a page that verifies somebody
//     (rule V5). The demo's telephone panel stands for the telephone itself and
//     is marked as simulation.
//   - A refusal is shown as it came: person, reason, next step and its button.
//     The page never judges; it repeats what the agent says and draws its level
//     as a shape, never as a colour alone.
//   - Nothing is kept in the browser: drafts are in the agent's database, and
//     bodies and words are neither completed nor spell-checked. When the session
//     or the agent ends, mail leaves the screen at once; a window that is hidden
//     then loses it when it is next shown. Of a draft only what was typed last
//     and could not be kept stays.
//
// Every page works without the script, which adds: live refresh, which takes
// nothing from what somebody has entered, recipients checked while they are
// typed, drafts saved by themselves, and boxes of words that advance and refuse
// a paste.
package web

import (
	"context"
	"crypto/rand"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"countersign/tray/control"
	"countersign/tray/web/door"
	"countersign/tray/web/names"
)

// Options is what a page depends on besides the service.
type Options struct {
	// PeerIsMe tells whether the other end of a TCP connection belongs to this
	// user. It is required.
	PeerIsMe func(net.Conn) (bool, error)
	// Resolves tells whether the browser that will be opened finds a name under
	// .localhost. Chromium, Edge and Firefox always do. When nil, the system's
	// resolver is asked.
	Resolves func(context.Context) bool
	// Zone is the time zone that times are shown in; time.Local when nil.
	Zone *time.Location

	Clock func() time.Time // time.Now when nil
	Rand  io.Reader        // crypto/rand.Reader when nil
}

// Page is the loopback page of one running agent. Its door gives the addresses
// that sign a browser in.
type Page struct {
	*door.Door
	svc    *control.Service
	o      Options
	pages  map[string]*template.Template
	routes *http.ServeMux
	live   *live
	names  *names.Names
}

// New makes the page of svc. It reaches nobody until Serve.
func New(svc *control.Service, o Options) (*Page, error) {
	if o.Zone == nil {
		o.Zone = time.Local
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	key := make([]byte, 32)
	if _, err := io.ReadFull(o.Rand, key); err != nil {
		return nil, fmt.Errorf("making the page's key: %w", err)
	}
	p := &Page{svc: svc, o: o, live: newLive(), names: names.New(key)}
	var err error
	p.Door, err = door.New(door.Options{
		PeerIsMe: o.PeerIsMe, Resolves: o.Resolves, Clock: o.Clock, Rand: o.Rand,
		Inside: p.inside, Style: "/style.css", Hold: func() any { return new(held) },
	})
	if err != nil {
		return nil, err
	}
	if p.pages, err = p.parse(); err != nil {
		return nil, err
	}
	p.routes = p.table()
	return p, nil
}

// Listen takes one free port on both loopback addresses.
func Listen() (net.Listener, error) { return door.Listen() }

// Serve answers on l until ctx ends, and closes l. It may be called once.
func (p *Page) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { p.live.watch(ctx, p.svc.Events) })
	defer watching.Wait()
	defer cancel()
	return p.Door.Serve(ctx, l)
}
