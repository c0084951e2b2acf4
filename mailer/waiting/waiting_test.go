package waiting_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"countersign/mailer/waiting"
	"countersign/vault"
)

// Each letter is a message: o opens, and the others go on waiting for what they stand for.
func TestOpen(t *testing.T) {
	unreadable := errors.New("unreadable")
	answers := map[string]error{
		"a": vault.ErrAbsent, "l": vault.ErrLocked, "c": vault.ErrCancelled, "p": vault.ErrPIN, "b": vault.ErrPINBlocked, "t": vault.ErrToken, "u": unreadable,
	}
	for list, want := range map[string]struct {
		tried, opened, waiting int
		why                    string
	}{
		"":       {0, 0, 0, ""},
		"ooo":    {3, 3, 0, ""},
		"oalo":   {4, 2, 2, "token-absent token-locked"},
		"aaaao":  {5, 1, 4, "token-absent"},
		"ococ":   {2, 1, 3, "pin-cancelled"},
		"poo":    {1, 0, 3, "pin-wrong"},
		"boo":    {1, 0, 3, "pin-blocked"},
		"tttoo":  {3, 0, 5, "token-trouble"},
		"ttotto": {6, 2, 4, "token-trouble"},
		"ouo":    {3, 2, 1, ""},
		"off":    {3, 1, 2, ""}, // f opens, and then fails to be filed
	} {
		tried := 0
		o, err := waiting.Open(t.Context(), strings.Split(list, "")[:len(list)], func(id string) (*string, *vault.Problem, error) {
			tried++
			var p *vault.Problem
			switch {
			case errors.As(answers[id], &p):
				return nil, p, nil
			case id == "f":
				return &id, nil, nil
			}
			return nil, nil, answers[id]
		}, func(all []*string) []error { return slices.Repeat([]error{unreadable}, len(all)) })
		why := ""
		for _, p := range o.Why {
			why += p.Code + " "
		}
		if tried != want.tried || o.Opened != want.opened || o.Waiting != want.waiting || strings.TrimSpace(why) != want.why {
			t.Errorf("%q: %d tried, %+v %s", list, tried, o, why)
		}
		if errors.Is(err, unreadable) != strings.ContainsAny(list, "uf") {
			t.Errorf("%q: %v", list, err)
		}
	}
}

func TestOpenStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o, err := waiting.Open(ctx, []string{"1", "2", "3"}, func(id string) (*string, *vault.Problem, error) {
		if id == "2" {
			cancel()
			return nil, nil, ctx.Err()
		}
		return &id, nil, nil
	}, func(all []*string) []error { return make([]error, len(all)) })
	if !errors.Is(err, context.Canceled) || o.Opened != 1 || o.Waiting != 2 {
		t.Errorf("%+v, %v", o, err)
	}
}

// What is left of messages is done beside the opening of others, for a few at once and in
// their order.
func TestOpenBeside(t *testing.T) {
	var list, order []string
	for n := range 100 {
		list = append(list, fmt.Sprint(n))
	}
	some := make(chan bool)
	o, err := waiting.Open(t.Context(), list, func(id string) (*string, *vault.Problem, error) {
		if id == "90" {
			<-some // which would never come if they were filed when all are open
		}
		return &id, nil, nil
	}, func(all []*string) []error {
		if len(order) == 0 {
			close(some)
		}
		if len(all) > 16 {
			t.Errorf("%d at once", len(all))
		}
		for _, id := range all {
			order = append(order, *id)
		}
		return make([]error, len(all))
	})
	if err != nil || o.Opened != 100 || !slices.Equal(order, list) {
		t.Errorf("%+v, %v, %q", o, err, order)
	}
}

func TestSays(t *testing.T) {
	for want, o := range map[string]waiting.Opening{
		"The message that was locked is open now.":                   {Opened: 1},
		"3 messages that were locked are open now. One still waits.": {Opened: 3, Waiting: 1},
		"3 messages that were locked are open now. 2 still wait.":    {Opened: 3, Waiting: 2},
	} {
		if got := o.Says(); got != want {
			t.Errorf("%q", got)
		}
	}
}
