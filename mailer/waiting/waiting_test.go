package waiting_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
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

// Two are open at once while all goes well. What was begun counts, and nothing is begun after
// what ends it all.
func TestOpenTwo(t *testing.T) {
	answers := map[byte]*vault.Problem{'c': vault.ErrCancelled, 'a': vault.ErrAbsent, 't': vault.ErrToken}
	for list, want := range map[string]struct {
		tried  string // ^ is begun while the one before it is open
		opened int
	}{
		"o": {".", 1}, "oo": {"..", 2}, "ooooo": {"..^^^", 5}, "coo": {".", 0}, "ooc": {"..^", 2},
		"ocoo": {"..^", 2}, "occo": {"..^", 1}, "oaooo": {"..^.^", 4}, "ottto": {"..^.", 1}, "otatto": {"..^..", 1},
	} {
		var mu sync.Mutex
		begun, over := make([]chan bool, len(want.tried)), make([]bool, len(list))
		for n := range begun {
			begun[n] = make(chan bool)
		}
		var ids []string
		for n := range list {
			ids = append(ids, fmt.Sprint(n))
		}
		var filed []string
		o, err := waiting.Open(t.Context(), ids, func(id string) (*string, *vault.Problem, error) {
			n := slices.Index(ids, id)
			if n >= len(begun) {
				t.Errorf("%s: the one at %d is tried", list, n)
				return nil, vault.ErrToken, nil
			}
			close(begun[n])
			mu.Lock()
			if last := n - 2; last >= 0 && !over[last] || want.tried[n] == '.' && n > 0 && !over[n-1] {
				t.Errorf("%s: the one at %d is begun too early", list, n)
			}
			mu.Unlock()
			if n+1 < len(begun) && want.tried[n+1] == '^' {
				<-begun[n+1]
			}
			mu.Lock()
			over[n] = true
			mu.Unlock()
			if p := answers[list[n]]; p != nil {
				return nil, p, nil
			}
			return &id, nil, nil
		}, func(all []*string) []error {
			for _, id := range all {
				filed = append(filed, *id)
			}
			return make([]error, len(all))
		})
		if err != nil || o.Opened != want.opened || o.Waiting != len(list)-want.opened || len(filed) != want.opened || !slices.IsSorted(filed) {
			t.Errorf("%s: %+v, %v, filed %q", list, o, err, filed)
		}
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
