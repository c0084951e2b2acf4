package notify

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/godbus/dbus/v5"

	"countersign/platform"
)

const (
	service = "org.freedesktop.Notifications"
	object  = "/org/freedesktop/Notifications"
	owner   = "org.freedesktop.DBus.NameOwnerChanged"
)

// onClick is the action of a click on the notification itself.
const onClick = "default"

// bus shows notifications through the session bus.
type bus struct {
	conn    *dbus.Conn
	clicked func(slot string)

	mu     sync.Mutex
	known  bool // what follows was asked for since the service came
	markup bool // texts are markup
	clicks bool // there are actions
	shown  map[string]uint32
}

// Open connects to the session bus. Clicked is called with the slot of a notification on which
// somebody clicked; it must not block. ctx is for the connecting alone. It fails with
// [ErrNotHere] where there is no bus. Whether somebody shows notifications there is not asked
// before there is one to show.
func Open(ctx context.Context, clicked func(slot string)) (Notifier, error) {
	address := platform.SessionBus()
	if address == "" {
		return nil, ErrNotHere
	}
	conn, err := connect(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotHere, err)
	}
	b := &bus{conn: conn, clicked: clicked, shown: map[string]uint32{}}
	signals := make(chan *dbus.Signal, 64)
	conn.Signal(signals)
	for _, match := range [][]dbus.MatchOption{
		{dbus.WithMatchSender(service), dbus.WithMatchInterface(service), dbus.WithMatchObjectPath(object)},
		{dbus.WithMatchSender("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, service)},
	} {
		ctx, cancel := context.WithTimeout(ctx, callLimit)
		err := conn.AddMatchSignalContext(ctx, match...)
		cancel()
		if err != nil {
			conn.Close()
			return nil, fmt.Errorf("%w: %w", ErrNotHere, err)
		}
	}
	go b.hear(signals)
	return b, nil
}

// connect makes a connection of our own: the shared one is the tray library's, which loses its
// place when others listen there.
func connect(ctx context.Context, address string) (*dbus.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	conn, err := dbus.Dial(address)
	if err != nil {
		return nil, err
	}
	// Neither step takes a context, and the other end may be anything.
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err = conn.Auth(nil); err == nil {
		err = conn.Hello()
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// hear follows what becomes of notifications until the connection ends.
func (b *bus) hear(signals <-chan *dbus.Signal) {
	for s := range signals {
		switch s.Name {
		case owner: // the service has gone, and what it showed with it
			b.mu.Lock()
			b.known, b.shown = false, map[string]uint32{}
			b.mu.Unlock()
		case service + ".ActionInvoked":
			if slot, ok := b.slot(s.Body); ok && len(s.Body) > 1 && s.Body[1] == onClick {
				b.clicked(slot)
			}
		case service + ".NotificationClosed":
			if slot, ok := b.slot(s.Body); ok {
				b.mu.Lock()
				if b.shown[slot] == s.Body[0] {
					delete(b.shown, slot)
				}
				b.mu.Unlock()
			}
		}
	}
}

// slot is that of the notification with the number that a signal begins with.
func (b *bus) slot(body []any) (string, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for slot, id := range b.shown {
		if len(body) > 0 && body[0] == id {
			return slot, true
		}
	}
	return "", false
}

// call asks the service, for as long as it may take to answer.
func (b *bus) call(ctx context.Context, method string, args ...any) *dbus.Call {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return b.conn.Object(service, object).CallWithContext(ctx, service+"."+method, 0, args...)
}

// learn asks what the service can do, once for each that comes.
func (b *bus) learn(ctx context.Context) error {
	b.mu.Lock()
	known := b.known
	b.mu.Unlock()
	if known {
		return nil
	}
	var can []string
	if err := b.call(ctx, "GetCapabilities").Store(&can); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known, b.markup, b.clicks = true, false, false
	for _, c := range can {
		b.markup = b.markup || c == "body-markup"
		b.clicks = b.clicks || c == "actions"
	}
	return nil
}

// escape writes a text so that it is none of the markup that services know.
func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

// Show shows a note.
func (b *bus) Show(ctx context.Context, slot string, n Note) error {
	if err := b.learn(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrNotHere, err)
	}
	b.mu.Lock()
	id, markup, clicks := b.shown[slot], b.markup, b.clicks
	b.mu.Unlock()
	text := plain(n.Text, longestText)
	if markup {
		text = escape(text)
	}
	actions := []string{}
	if clicks {
		actions = []string{onClick, "Open " + Name}
	}
	urgency, lasts := byte(1), int32(-1)
	if n.Urgent {
		urgency = 2
	}
	if n.For > 0 {
		lasts = int32(min(n.For.Milliseconds(), 1<<30))
	}
	hints := map[string]dbus.Variant{"urgency": dbus.MakeVariant(urgency), "desktop-entry": dbus.MakeVariant("countersign")}
	if err := b.call(ctx, "Notify", Name, id, "", plain(n.Title, longestTitle), text, actions, hints, lasts).Store(&id); err != nil {
		return fmt.Errorf("showing a notification: %w", err)
	}
	b.mu.Lock()
	b.shown[slot] = id
	b.mu.Unlock()
	return nil
}

// Withdraw takes a note away.
func (b *bus) Withdraw(ctx context.Context, slot string) error {
	b.mu.Lock()
	id, there := b.shown[slot]
	delete(b.shown, slot)
	b.mu.Unlock()
	if !there {
		return nil
	}
	if err := b.call(ctx, "CloseNotification", id).Err; err != nil {
		return fmt.Errorf("taking a notification away: %w", err)
	}
	return nil
}

// Close takes all away. It has a second: this program is ending.
func (b *bus) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), callLimit/5)
	defer cancel()
	b.mu.Lock()
	shown := b.shown
	b.shown = map[string]uint32{}
	b.mu.Unlock()
	for _, id := range shown {
		_ = b.call(ctx, "CloseNotification", id).Err // somebody may have closed it
	}
	return b.conn.Close()
}
