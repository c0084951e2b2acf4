package icon

import (
	"os"
	"strings"
	"testing"
	"time"

	"countersign/platform/session/sessiontest"
	"countersign/tray/control"
)

// TestPeerMenu is a morning with a card, seen in the menu of a real icon on a real bus.
func TestPeerMenu(t *testing.T) {
	d := sessiontest.New(t)
	h, o := newHost(t, d), newOffice(t)
	o.stands(control.Status{Unread: 2, Setup: []control.Step{{Title: "Your recovery file"}}})
	p := start(t, d.Address(), o.home, "--attached")
	icon := h.icon(t)
	h.shows(t, icon, "To do: Your recovery file")
	h.shows(t, icon, "2 unread messages.")
	if status := h.property(t, icon, "Status"); status != "Active" {
		t.Errorf("the icon is %v", status)
	}
	if h.property(t, icon, "Title") != "Countersign" || h.property(t, icon, "Id") != "Countersign" {
		t.Error("the icon has no name")
	}
	if pix := h.property(t, icon, "IconPixmap").([][]any); len(pix) != 1 || len(pix[0][2].([]byte)) != 4*pngSide*pngSide {
		t.Errorf("the icon has no picture")
	}

	card := control.Token{ID: "c", Label: "Ada_s card", State: "ready", Lock: "locked"}
	o.happens("token-in", "The card is in the reader.", func() { o.cards = []control.Token{card} })
	h.shows(t, icon, "Ada__s card: in the reader, locked")
	h.shows(t, icon, "!Lock the cards")
	card.Lock = "unlocked"
	card.Until = time.Date(2026, 11, 24, 14, 35, 0, 0, time.Local)
	o.happens("token-unlocked", "", func() { o.cards = []control.Token{card} })
	if l := h.shows(t, icon, "Ada__s card: unlocked until 14:35"); l.Enabled {
		t.Error("a line that does nothing can be chosen")
	}
	h.choose(t, icon, "Lock the cards")
	o.hears(t, "lock cards")
	o.happens("token-out", "The card was taken out.", func() { o.cards = nil })
	h.shows(t, icon, "Ada__s card: taken out")

	h.choose(t, icon, "Open Countersign")
	o.hears(t, "page")
	h.choose(t, icon, "Lock now")
	o.hears(t, "lock")
	h.shows(t, icon, "Countersign is locked.")
	h.shows(t, icon, "!Open Countersign")
	h.shows(t, icon, "!Ada")
	h.choose(t, icon, "Quit icon")
	p.ends(t, done)
}

// TestPeerDisabledLine: a host may click on what cannot be chosen; nothing comes of it.
func TestPeerDisabledLine(t *testing.T) {
	d := sessiontest.New(t)
	h, o := newHost(t, d), newOffice(t)
	p := start(t, d.Address(), o.home)
	icon := h.icon(t)
	h.choose(t, icon, "No unread mail.")
	page := h.shows(t, icon, "Open Countersign")
	o.stands(control.Status{Shut: true})
	o.happens("status", "", nil)
	h.shows(t, icon, "Countersign is locked.")
	if err := h.Click(icon, page); err != nil {
		t.Fatal(err)
	}
	h.choose(t, icon, "Quit icon")
	p.ends(t, done)
	select {
	case what := <-o.called:
		t.Errorf("asked for %q", what)
	default:
	}
}

// TestPeerNotes: what comes while nobody looks is told once, also when the icon was away, and
// the first icon ever is silent about what was before it.
func TestPeerNotes(t *testing.T) {
	d := sessiontest.New(t)
	h, o := newHost(t, d), newOffice(t)
	n := h.notesOn(t)
	o.happens("mail", "An old message.", nil)
	p := start(t, d.Address(), o.home, "--attached")
	icon := h.icon(t)
	h.shows(t, icon, "No unread mail.")
	o.happens("unsecured", "An unsecured message has arrived.", nil)
	n.shows(t, "Unsecured mail", "An unsecured message has arrived.")
	o.happens("token-waits", "Enter the PIN of the card “Ada's card” on its reader.", nil)
	n.shows(t, "Your card waits", "Enter the PIN of the card “Ada's card” on its reader.")
	o.happens("status", "", func() { o.status.Cards = []string{"softhsm.so: it does not start."} })
	n.shows(t, "Countersign needs you", "softhsm.so: it does not start.")
	h.choose(t, icon, "Quit icon")
	p.ends(t, done)

	o.happens("mail", "A message from Dr Bea Brandt has arrived.", nil)
	o.happens("mail", "Another.", nil)
	p = start(t, d.Address(), o.home, "--attached")
	h.icon(t)
	n.shows(t, "New mail", "2 messages have arrived.")
	p.in.Close() // as the agent's end does
	p.ends(t, done)
	o.happens("stopped", "Dr Bea Brandt: something did not match.", nil)
	start(t, d.Address(), o.home)
	n.shows(t, "Do not send for now", "Dr Bea Brandt: something did not match.")
}

// TestPeerUnlockTold: why the menu's choice came to nothing is told.
func TestPeerUnlockTold(t *testing.T) {
	d := sessiontest.New(t)
	h, o := newHost(t, d), newOffice(t)
	n := h.notesOn(t)
	o.stands(control.Status{Shut: true})
	start(t, d.Address(), o.home)
	h.choose(t, h.icon(t), "Unlock")
	n.shows(t, "Countersign", "The keychain file needs its passphrase. Start Countersign again: countersign unlock")
}

// TestPeerHostLater: an icon that finds no host waits for one, and for the next.
func TestPeerHostLater(t *testing.T) {
	d := sessiontest.New(t)
	o := newOffice(t)
	p := start(t, d.Address(), o.home)
	first, icon := hostWith(t, d)
	if err := first.Conn.Close(); err != nil {
		t.Fatal(err)
	}
	second, again := hostWith(t, d)
	if again != icon {
		t.Errorf("%s came, not %s", again, icon)
	}
	second.shows(t, icon, "No unread mail.")
	second.choose(t, icon, "Quit icon")
	p.ends(t, done)
}

// TestPeerBusDies: without its bus the program ends, so that another can be started; where
// there is none it says so.
func TestPeerBusDies(t *testing.T) {
	d := sessiontest.New(t)
	h, o := newHost(t, d), newOffice(t)
	p := start(t, d.Address(), o.home, "--attached")
	h.shows(t, h.icon(t), "No unread mail.")
	other := start(t, d.Address(), o.home, "--attached")
	other.ends(t, notHere)
	if !strings.Contains(other.said.String(), "has its icon already") {
		t.Errorf("a second icon says %q", other.said)
	}
	d.Stop()
	p.ends(t, failed)
	start(t, d.Address(), o.home, "--attached").ends(t, failed)
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	h = newHost(t, d)
	p = start(t, d.Address(), o.home, "--attached")
	h.choose(t, h.icon(t), "Quit icon")
	p.ends(t, done)
}

// TestNoAgent: without an agent there is nothing to show; what starts with the agent waits.
func TestNoAgent(t *testing.T) {
	start(t, "unix:path=/nowhere", t.TempDir()).ends(t, notHere)
	p := start(t, "unix:path=/nowhere", t.TempDir(), "--nonsense")
	p.ends(t, wrongUsage)
}

// TestCursor: a file that cannot be read counts as none.
func TestCursor(t *testing.T) {
	path := t.TempDir() + "/icon"
	if _, err := readCursor(path); err == nil {
		t.Error("read what is not there")
	}
	for text, want := range map[string]control.Cursor{"17\n": 17, "": 0, "x": 0} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := readCursor(path); got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}
