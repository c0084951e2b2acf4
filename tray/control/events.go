package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

type eventsClient struct{ *client }

// How often, and how patiently, a watcher that was connected looks for an agent that
// has gone: about ten seconds in all, enough for a restart.
const (
	watchTries = 8
	firstPause = 50 * time.Millisecond
)

// errGone is a watch cut off without a word: the agent restarts, or crashed.
var errGone = errors.New("control: the agent went away")

// Watch follows the events through restarts of the agent, each told once. It
// fails with [ErrNotRunning] where no agent answers, or none any more.
func (e eventsClient) Watch(ctx context.Context, after Cursor, each func(Event) error) error {
	connected, tries, pause := false, 0, firstPause
	for {
		err := e.follow(ctx, after, func(ev Event) error {
			if ev.Cursor <= after {
				return nil
			}
			if err := each(ev); err != nil {
				return err
			}
			after = ev.Cursor
			return nil
		})
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errGone):
			connected, tries, pause = true, 0, firstPause
		case !connected || !errors.Is(err, ErrNotRunning):
			return err
		}
		if tries++; tries > watchTries {
			return ErrNotRunning
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
			pause *= 2
		}
	}
}

// follow watches over one connection.
func (e eventsClient) follow(ctx context.Context, after Cursor, each func(Event) error) error {
	header := http.Header{"Last-Event-Id": {strconv.FormatInt(int64(after), 10)}}
	resp, err := e.do(ctx, http.MethodGet, eventsWatch.path(), header, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()

	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxQuery)
	ended := false
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case name == "event" && value == eventEnd:
			ended = true
		case name == "data" && ended:
			var how problem
			if err := json.Unmarshal([]byte(value), &how); err != nil {
				return fmt.Errorf("reading events: %w", err)
			}
			return how.err()
		case name == "data":
			var ev Event
			if err := json.Unmarshal([]byte(value), &ev); err != nil {
				return fmt.Errorf("reading events: %w", err)
			}
			if err := each(ev); err != nil {
				return err
			}
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("reading events: %w", lines.Err())
	}
	return errGone
}
