package notify

import (
	"context"
	"encoding/xml"
	"fmt"
	"runtime"
	"strings"
	"time"

	"git.sr.ht/~jackmordaunt/go-toast/wintoast"
)

// toasts shows notifications of Windows, from one thread.
type toasts struct {
	work chan func()
	stop chan struct{}
}

// Open prepares toasts. Clicked is called with the slot of one on which somebody clicked; it
// must not block.
func Open(_ context.Context, clicked func(slot string)) (Notifier, error) {
	if err := wintoast.SetAppData(wintoast.AppData{AppID: Name}); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotHere, err)
	}
	wintoast.SetActivationCallback(func(_, slot string, _ []wintoast.UserData) { clicked(slot) })
	t := &toasts{work: make(chan func()), stop: make(chan struct{})}
	go t.run()
	return t, nil
}

func (t *toasts) run() {
	runtime.LockOSThread()
	for {
		select {
		case do := <-t.work:
			do()
		case <-t.stop:
			return
		}
	}
}

// Show shows a note.
func (t *toasts) Show(ctx context.Context, slot string, n Note) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	done := make(chan error, 1)
	show := func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("%w: %v", ErrNotHere, p)
			}
		}()
		done <- wintoast.Push(document(slot, n))
	}
	select {
	case t.work <- show:
	case <-ctx.Done():
		return fmt.Errorf("showing a notification: %w", ctx.Err())
	}
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("showing a notification: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("showing a notification: %w", ctx.Err())
	}
}

// document is a toast as Windows reads it.
func document(slot string, n Note) string {
	duration := "short"
	if n.For > 10*time.Second || n.Urgent {
		duration = "long"
	}
	return `<toast activationType="foreground" launch="` + escape(slot) + `" duration="` + duration +
		`"><visual><binding template="ToastGeneric"><text>` + escape(plain(n.Title, longestTitle)) +
		`</text><text>` + escape(plain(n.Text, longestText)) + `</text></binding></visual></toast>`
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder never fails
	return b.String()
}

// Withdraw does nothing: what is shown goes by itself.
func (*toasts) Withdraw(context.Context, string) error { return nil }

// Close ends the thread; what is shown goes by itself.
func (t *toasts) Close() error {
	close(t.stop)
	return nil
}
