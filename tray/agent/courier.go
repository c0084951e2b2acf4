package agent

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"countersign/mailer/outbox"
	"countersign/mailer/smime"
	"countersign/mailer/transport"
	"countersign/tray/control"
	"countersign/vault/sealed"
)

// submit hands one envelope to the server of its sender's account, past the last door.
func (a *Agent) submit(ctx context.Context, e outbox.Envelope, bytes sealed.Source) (transport.Result, error) {
	server, as, err := a.accounts.Submission(ctx, e.From)
	if err != nil {
		return transport.Result{}, err
	}
	s := transport.Submitter{Door: smime.CheckOuter}
	return s.Submit(ctx, server, as, e.From, e.To, bytes)
}

// wake makes the fetching look at once: an account or a setting changed.
func (a *Agent) wake() {
	select {
	case a.poke <- struct{}{}:
	default:
	}
}

// fetchAll watches every mailbox until ctx ends. When the accounts change, it
// begins anew.
func (a *Agent) fetchAll(ctx context.Context) error {
	for ctx.Err() == nil {
		round, cancel := context.WithCancel(ctx)
		list, err := a.accounts.List(ctx)
		if err != nil {
			cancel()
			return err
		}
		var watching sync.WaitGroup
		for _, acc := range list {
			watching.Go(func() { a.watch(round, acc.Address) })
		}
		select {
		case <-a.poke:
		case <-ctx.Done():
		}
		cancel()
		watching.Wait()
	}
	return nil
}

// Pauses after a mailbox could not be reached.
const (
	firstPause = 5 * time.Second
	lastPause  = 5 * time.Minute
)

// watch fetches from one mailbox, and again whenever its server says that there is
// something or the user's interval has passed.
func (a *Agent) watch(ctx context.Context, address string) {
	pause := firstPause
	for ctx.Err() == nil {
		err := a.stay(ctx, address, func() { pause = firstPause })
		if err == nil || ctx.Err() != nil {
			continue
		}
		a.fetched.Fail(address, says(err))
		select {
		case <-time.After(pause):
			pause = min(2*pause, lastPause)
		case <-ctx.Done():
		}
	}
}

// stay keeps one connection for as long as it lasts.
func (a *Agent) stay(ctx context.Context, address string, connected func()) error {
	box, err := a.dial(ctx, address)
	if err != nil {
		return err
	}
	defer box.Close()
	for {
		if _, err := a.fetch(ctx, address, box); err != nil {
			return err
		}
		connected()
		prefs, _, err := a.rules(ctx)
		if err != nil {
			prefs.FetchMinutes = 5 // fetching goes on; it is sending that stops
		}
		if err := a.pause(ctx, address, box, time.Duration(prefs.FetchMinutes)*time.Minute); err != nil {
			return err
		}
	}
}

// pause waits until there is something to fetch, or to tell the server.
func (a *Agent) pause(ctx context.Context, address string, box *transport.Mailbox, limit time.Duration) error {
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	defer a.seen.Add(stop)()
	if err := a.mailer.TellSeen(ctx, address, box.MarkSeen); err != nil { // what was read just before
		return err
	}
	err := box.Wait(waiting, limit)
	if waiting.Err() != nil && ctx.Err() == nil {
		return nil
	}
	return err
}

// fetch brings what is new in one mailbox, and tells it what was read here.
func (a *Agent) fetch(ctx context.Context, address string, box *transport.Mailbox) (int, error) {
	a.fetching.Lock()
	defer a.fetching.Unlock()
	// While the keychain is locked nothing is fetched: a test message that cannot be
	// opened when it comes would never be recognised (V4). It waits on the server.
	if _, _, err := a.accounts.Mailbox(ctx, address); err != nil {
		return 0, err
	}
	after, err := a.mailer.Position(ctx, address)
	if err != nil {
		return 0, err
	}
	got, err := box.Fetch(ctx, after, func(m transport.Arrival, r io.Reader) error {
		_, err := a.mailer.Deliver(ctx, address, m.Position, r)
		return err
	})
	if err != nil {
		return got.New, err
	}
	if err := a.mailer.Reached(ctx, address, got.Position); err != nil {
		return got.New, err
	}
	if err := a.mailer.TellSeen(ctx, address, box.MarkSeen); err != nil {
		return got.New, err
	}
	a.fetched.Done(address, a.clock())
	for _, left := range got.Left {
		a.fetched.Fail(address, left.Says)
	}
	return got.New, nil
}

// says is a failure in words that may be shown.
func says(err error) string {
	var t *transport.Error
	if errors.As(err, &t) {
		return t.Says
	}
	return words(err).Error()
}

// Fetch asks every account for new mail now, over a connection of its own.
func (s letters) Fetch(ctx context.Context, _ control.None) (control.Fetched, error) {
	list, err := s.accounts.List(ctx)
	if err != nil {
		return control.Fetched{}, words(err)
	}
	var result control.Fetched
	for _, acc := range list {
		box, err := s.dial(ctx, acc.Address)
		n := 0
		if err == nil {
			n, err = s.fetch(ctx, acc.Address, box)
			err = errors.Join(err, box.Close())
		}
		result.New += n
		if err != nil {
			s.fetched.Fail(acc.Address, says(err))
			result.Problems = append(result.Problems, acc.Address+": "+says(err))
		}
	}
	return result, nil
}
