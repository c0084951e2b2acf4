package notify

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"countersign/platform/session/sessiontest"
)

// shown is a notification as a service gets it.
type shown struct {
	id          uint32
	title, text string
	actions     []string
	urgency     any
	lasts       int32
}

// daemon stands in for a notification service on a real bus.
type daemon struct {
	conn   *dbus.Conn
	can    []string
	last   uint32
	shown  chan shown
	closed chan uint32
	mute   chan struct{} // nothing is answered until it is closed
}

func (d *daemon) GetCapabilities() ([]string, *dbus.Error) {
	<-d.mute
	return d.can, nil
}

func (d *daemon) Notify(_ string, id uint32, _, title, text string, actions []string, hints map[string]dbus.Variant, lasts int32) (uint32, *dbus.Error) {
	if id == 0 {
		d.last++
		id = d.last
	}
	d.shown <- shown{id, title, text, actions, hints["urgency"].Value(), lasts}
	return id, nil
}

func (d *daemon) CloseNotification(id uint32) *dbus.Error {
	d.closed <- id
	return nil
}

// serve puts a service on the bus.
func serve(t *testing.T, d *sessiontest.Desktop, can ...string) *daemon {
	t.Helper()
	s := serveMute(t, d, can...)
	close(s.mute)
	return s
}

// serveMute puts one there that does not answer yet.
func serveMute(t *testing.T, d *sessiontest.Desktop, can ...string) *daemon {
	t.Helper()
	conn, err := dbus.Connect(d.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s := &daemon{conn: conn, can: can, shown: make(chan shown, 16), closed: make(chan uint32, 16), mute: make(chan struct{})}
	if err := conn.Export(s, object, service); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName(service, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	return s
}

// open opens what is tested, on that desktop.
func open(t *testing.T, d *sessiontest.Desktop) (Notifier, <-chan string) {
	t.Helper()
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", d.Address())
	clicked := make(chan string, 16)
	n, err := Open(t.Context(), func(slot string) { clicked <- slot })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n, clicked
}

func show(t *testing.T, n Notifier, slot string, note Note) {
	t.Helper()
	if err := n.Show(t.Context(), slot, note); err != nil {
		t.Fatal(err)
	}
}

// TestPeerShow: a slot holds one notification, its words are no markup, and a click says
// which it was.
func TestPeerShow(t *testing.T) {
	d := sessiontest.New(t)
	s := serve(t, d, "body", "body-markup", "actions")
	n, clicked := open(t, d)
	show(t, n, "mail", Note{Title: "New mail", Text: `A message from "<b>Dr</b> Bea & co" has arrived.`})
	first := <-s.shown
	if first.text != `A message from "&lt;b&gt;Dr&lt;/b&gt; Bea &amp; co" has arrived.` || first.title != "New mail" || first.urgency != byte(1) || first.lasts != -1 {
		t.Errorf("shown %+v", first)
	}
	if len(first.actions) != 2 || first.actions[0] != "default" {
		t.Errorf("actions %q", first.actions)
	}
	show(t, n, "card", Note{Title: "Card", Text: "Touch it.", Urgent: true, For: 20 * time.Second})
	card := <-s.shown
	if card.id == first.id || card.urgency != byte(2) || card.lasts != 20_000 {
		t.Errorf("shown %+v", card)
	}
	show(t, n, "mail", Note{Title: "New mail", Text: "2 messages."})
	if again := <-s.shown; again.id != first.id {
		t.Errorf("the second of a slot is beside the first: %+v", again)
	}
	for _, emit := range [][]any{{uint32(99), "default"}, {first.id, "other"}, {"x"}, {}, {first.id, "default"}} {
		if err := s.conn.Emit(object, service+".ActionInvoked", emit...); err != nil {
			t.Fatal(err)
		}
	}
	if slot := <-clicked; slot != "mail" {
		t.Errorf("clicked %q", slot)
	}
	if err := n.Withdraw(t.Context(), "card"); err != nil {
		t.Fatal(err)
	}
	if id := <-s.closed; id != card.id {
		t.Errorf("closed %d", id)
	}
	if err := n.Withdraw(t.Context(), "card"); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if id := <-s.closed; id != first.id {
		t.Errorf("at the end closed %d", id)
	}
}

// TestPeerPlainService: a service that knows no markup and no actions gets neither.
func TestPeerPlainService(t *testing.T) {
	d := sessiontest.New(t)
	s := serve(t, d, "body")
	n, _ := open(t, d)
	show(t, n, "mail", Note{Title: strings.Repeat("a", 200), Text: "Bea & co\u202e\x1b\nare here" + strings.Repeat("x", 999)})
	got := <-s.shown
	if len(got.actions) != 0 || !strings.HasPrefix(got.text, "Bea & co\uFFFD\uFFFD are here") || len([]rune(got.text)) != longestText || len([]rune(got.title)) != longestTitle {
		t.Errorf("shown %+v", got)
	}
}

// TestPeerClosedByHand: what somebody closed is not replaced, but shown anew.
func TestPeerClosedByHand(t *testing.T) {
	d := sessiontest.New(t)
	s := serve(t, d, "actions")
	n, clicked := open(t, d)
	show(t, n, "mail", Note{Title: "One"})
	first := <-s.shown
	show(t, n, "other", Note{Title: "Other"})
	other := <-s.shown
	if err := s.conn.Emit(object, service+".NotificationClosed", first.id, uint32(2)); err != nil {
		t.Fatal(err)
	}
	if err := s.conn.Emit(object, service+".ActionInvoked", other.id, "default"); err != nil {
		t.Fatal(err)
	}
	<-clicked // so that what came before was heard
	show(t, n, "mail", Note{Title: "Two"})
	if again := <-s.shown; again.id == first.id {
		t.Errorf("shown in the place of what is not there: %+v", again)
	}
}

// TestPeerServiceGone: nobody there, somebody who does not answer, a bus that has died: each
// is an error.
func TestPeerServiceGone(t *testing.T) {
	d := sessiontest.New(t)
	n, _ := open(t, d)
	if err := n.Show(t.Context(), "mail", Note{}); !errors.Is(err, ErrNotHere) {
		t.Errorf("without a service: %v", err)
	}
	s := serveMute(t, d)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := n.Show(ctx, "mail", Note{}); !errors.Is(err, ErrNotHere) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without an answer: %v", err)
	}
	close(s.mute)
	show(t, n, "mail", Note{Title: "There"})
	if err := s.conn.Close(); err != nil {
		t.Fatal(err)
	}
	next := serve(t, d)
	show(t, n, "mail", Note{Title: "With another service"})
	<-next.shown
	d.Stop()
	if err := n.Show(t.Context(), "mail", Note{}); err == nil {
		t.Error("shown on a dead bus")
	}
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
}

// TestNoBus: without a bus, or with one that never answers, there are none.
func TestNoBus(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, address := range []string{"unix:path=/nowhere", "unix:path=" + path, "nonsense"} {
		t.Setenv("DBUS_SESSION_BUS_ADDRESS", address)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, err := Open(ctx, func(string) {}); !errors.Is(err, ErrNotHere) {
			t.Errorf("%s: %v", address, err)
		}
		cancel()
	}
}
