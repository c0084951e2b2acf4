package icon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"countersign/platform"
	"countersign/platform/notify"
	"countersign/tray/control"
)

const (
	together  = 250 * time.Millisecond // events that come within are told together
	lookAgain = time.Minute            // between two looks at how things stand
	lookSoon  = time.Second            // the same, while the agent is locked or gone
	askLimit  = 30 * time.Second       // for one question to the agent
	settling  = time.Second            // what is shown while a library starts may be lost
)

// face follows the agent and shows what it learns. Its fields are set by whoever makes it.
type face struct {
	agent    *control.Service
	tray     tray
	notes    notify.Notifier // nil: there are none
	clicked  <-chan struct{} // a notification was
	gone     <-chan struct{} // closed when the desktop has
	attached bool            // the agent comes back, or ends this program
	open     func(address string) error
	cursor   string // path of the file that says how far events were told
	clock    func() time.Time

	now   standing
	news  news
	told  control.Cursor // as it stands in the file
	heard control.Cursor // the last event
}

// answers is what the agent said last.
type answers struct {
	status control.Status
	err    error
	cards  *control.TokenList // nil: not asked
}

// run shows the icon until ctx ends, somebody puts it away (nil), or it cannot go on.
func (f *face) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var since time.Time
	var err error
	if f.told, err = readCursor(f.cursor); err != nil {
		since = f.clock() // of what was before, the first icon tells nothing
	}
	f.heard = f.told
	events, ended := make(chan control.Event), make(chan error, 1)
	go func() { ended <- f.follow(ctx, f.told, events) }()
	wanted, found := make(chan bool, 1), make(chan answers)
	go f.ask(ctx, wanted, found)
	oops := make(chan error, 1) // what came of a click
	look := func(cards bool) {
		select {
		case old := <-wanted:
			cards = cards || old
		default:
		}
		wanted <- cards
	}
	look(true)
	tell, again, settled := (<-chan time.Time)(nil), time.NewTicker(lookAgain), time.After(settling)
	defer again.Stop()
	for {
		if err := f.tray.set(f.now.view(f.clock())); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-f.gone:
			return errGone
		case err := <-ended:
			return err
		case <-settled:
			f.tray.forget()
		case e := <-events:
			f.heard = e.Cursor
			if e.Time.After(since) {
				f.news.add(e, f.clock())
			}
			look(strings.HasPrefix(e.Kind, "token-"))
			if tell == nil {
				tell = time.After(together)
			}
		case <-tell:
			tell = nil
			f.tell(ctx)
		case a := <-found:
			if a.err != nil || a.status.Shut {
				again.Reset(lookSoon)
			} else {
				again.Reset(lookAgain)
			}
			f.learn(ctx, a, look)
		case <-again.C:
			look(false)
		case <-f.clicked:
			go f.do(ctx, openPage, false, oops)
		case act := <-f.tray.acts():
			if act == putAway {
				return nil
			}
			go f.do(ctx, act, f.now.status.Shut, oops)
		case err := <-oops:
			look(true)
			if err != nil {
				f.show(ctx, "own", notify.Note{Title: notify.Name, Text: says(err)})
			}
		}
	}
}

// learn takes in an answer. Where the agent has come back, cards are asked for too.
func (f *face) learn(ctx context.Context, a answers, look func(cards bool)) {
	away := !f.now.known || f.now.status.Shut
	news := f.now.learn(a)
	if away && a.err == nil && !a.status.Shut && a.cards == nil {
		look(true)
	}
	if news != "" {
		f.show(ctx, "trouble", notify.Note{Title: "Countersign needs you", Text: news})
	}
}

// follow passes events on. While the agent is locked, or has gone and comes back, it waits.
func (f *face) follow(ctx context.Context, after control.Cursor, events chan<- control.Event) error {
	for {
		err := f.agent.Events.Watch(ctx, after, func(e control.Event) error {
			after = e.Cursor
			select {
			case events <- e:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if !f.attached && errors.Is(err, control.ErrNotRunning) {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(lookSoon):
		}
	}
}

// ask asks the agent whenever that is wanted, and for cards if that is.
func (f *face) ask(ctx context.Context, wanted <-chan bool, found chan<- answers) {
	for {
		var cards bool
		select {
		case cards = <-wanted:
		case <-ctx.Done():
			return
		}
		a := f.question(ctx, cards)
		select {
		case found <- a:
		case <-ctx.Done():
			return
		}
	}
}

func (f *face) question(ctx context.Context, cards bool) (a answers) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	a.status, a.err = f.agent.Settings.Status(ctx, control.None{})
	if a.err != nil || a.status.Shut || !cards {
		return a
	}
	if list, err := f.agent.Tokens.List(ctx, control.None{}); err == nil {
		a.cards = &list
	}
	return a
}

// do does what somebody chose in the menu.
func (f *face) do(ctx context.Context, act act, shut bool, came chan<- error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	err := f.act(ctx, act, shut)
	select {
	case came <- err:
	case <-ctx.Done():
	}
}

func (f *face) act(ctx context.Context, act act, shut bool) (err error) {
	switch {
	case act == openPage:
		var page control.PageAddress
		if page, err = f.agent.Settings.PageAddress(ctx, control.None{}); err == nil {
			err = f.open(page.URL)
		}
	case act == lockCards:
		_, err = f.agent.Tokens.Lock(ctx, control.None{})
	case act == lockAll && shut:
		_, err = f.agent.Settings.Unlock(ctx, control.None{})
	case act == lockAll:
		_, err = f.agent.Settings.Lock(ctx, control.None{})
	}
	return err
}

// says is an error in words.
func says(err error) string {
	var e *control.Error
	switch {
	case errors.As(err, &e):
		return strings.TrimSpace(e.Says + " " + e.Next)
	case errors.Is(err, control.ErrNotRunning):
		return "Countersign is not running."
	case errors.Is(err, platform.ErrNoDesktop):
		return "No browser was found to open the page in. This prints its address: countersign page --print"
	}
	return err.Error()
}

// tell shows what has gathered, and keeps that it was told.
func (f *face) tell(ctx context.Context) {
	for slot, n := range f.news.notes() {
		if n.Text == "" {
			if f.notes != nil {
				f.fret(f.notes.Withdraw(ctx, slot))
			}
			continue
		}
		f.show(ctx, slot, n)
	}
	f.news = news{}
	if f.heard != f.told {
		f.told = f.heard
		f.fret(platform.WriteFile(f.cursor, []byte(strconv.FormatInt(int64(f.told), 10)+"\n")))
	}
}

func (f *face) show(ctx context.Context, slot string, n notify.Note) {
	if f.notes != nil {
		f.fret(f.notes.Show(ctx, slot, n))
	}
}

// fret notes what went wrong and stops nothing.
func (f *face) fret(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "countersign-tray:", err)
	}
}

// readCursor reads how far events were told.
func readCursor(path string) (control.Cursor, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	return control.Cursor(n), err
}
