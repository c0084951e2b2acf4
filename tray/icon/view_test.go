package icon

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image/png"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/platform/notify"
	"countersign/tray/control"
)

func noon() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) }

func told(t *testing.T, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmp.AllowUnexported(view{})); d != "" {
		t.Errorf("got what is not wanted (-want +got):\n%s", d)
	}
}

// TestView: what stands in the menu for how things stand.
func TestView(t *testing.T) {
	var s standing
	told(t, s.view(noon()), view{picture: padlock, tip: "Countersign is not running", lines: []string{"Countersign is not running, or starting."}})

	s.learn(answers{status: control.Status{Unread: 1, Locked: 2, Outbox: 1}})
	told(t, s.view(noon()), view{open: true, lock: "Lock now", tip: "Countersign: 1 unread message, 2 wait for your card, 1 is on it…",
		lines: []string{"1 unread message, 2 wait for your card, 1 is on its way."}})

	s.learn(answers{status: control.Status{
		Problem: "The server does not answer.", Certificate: &control.Refusal{Reason: "Your certificate runs out soon."}, Waiting: 1,
		Setup: []control.Step{{Title: "Your mailbox", Done: true}, {Title: "Your recovery file"}},
	}})
	told(t, s.view(noon()), view{picture: attention, open: true, lock: "Lock now", tip: "Countersign: The server does not answer",
		lines: []string{"The server does not answer.", "Your certificate runs out soon.", "And 2 more.", "No unread mail."}})

	s.learn(answers{status: control.Status{Shut: true, Problem: "The keychain is locked."}})
	told(t, s.view(noon()), view{picture: padlock, lock: "Unlock", tip: "Countersign is locked", lines: []string{"Countersign is locked.", "The keychain is locked."}})

	s.learn(answers{err: errors.New("gone")})
	told(t, s.view(noon()).open, false)

	s.learn(answers{status: control.Status{Cards: []string{"vendor.so: The software of the card's maker could not be loaded. Install it anew."}}})
	told(t, s.view(noon()).lines[0], "vendor.so: The software of the card's maker could not be loaded…")
}

// TestCards: a line for each card, of those that were taken out as well, until they are back
// or Countersign is locked.
func TestCards(t *testing.T) {
	var s standing
	see := func(cards ...control.Token) []string {
		s.learn(answers{cards: &control.TokenList{Tokens: cards}})
		return s.view(noon()).cards
	}
	locked := control.Token{ID: "a", Label: "Ada's card", State: "ready", Lock: "locked"}
	told(t, see(locked, control.Token{ID: "windows", Label: "Windows", State: "ready", Lock: "none"}), []string{"Ada's card: in the reader, locked"})
	open := locked
	open.Lock, open.Until = "unlocked", noon().Add(15*time.Minute)
	told(t, see(open, control.Token{ID: "b", State: "ready", Lock: "none"}), []string{"Ada's card: unlocked until 12:15", "A card: in the reader"})
	told(t, s.view(noon()).cardsUn, true)
	told(t, see(), []string{"Ada's card: taken out", "A card: taken out"})
	last, blocked := locked, control.Token{ID: "c", Label: "Old", State: "pin-locked", Problem: "Too many wrong PINs."}
	last.State = "last-try"
	told(t, see(last, blocked, control.Token{ID: "d", Label: "New", State: "no-pin", Problem: "It has no PIN yet."}),
		[]string{"Ada's card: one PIN entry left", "Old: its PIN is blocked", "New: It has no PIN yet.", "A card: taken out"})
	var many []control.Token
	for n := range 9 {
		many = append(many, control.Token{ID: string(rune('k' + n)), State: "ready"})
	}
	told(t, len(see(many...)), mostCards)
	s.learn(answers{status: control.Status{Shut: true}})
	s.learn(answers{})
	told(t, len(s.view(noon()).cards), 0)
}

// TestNewTrouble: trouble is told when it begins, and not because the icon does.
func TestNewTrouble(t *testing.T) {
	var s standing
	for _, step := range []struct {
		a    answers
		want string
	}{
		{answers{status: control.Status{Problem: "One."}}, ""},
		{answers{status: control.Status{Problem: "One.", Cards: []string{"Two."}}}, "Two."},
		{answers{status: control.Status{Problem: "One.", Cards: []string{"Two."}}}, ""},
		{answers{err: errors.New("gone")}, ""},
		{answers{status: control.Status{Problem: "Another.", Cards: []string{"Two."}}}, ""},
		{answers{status: control.Status{Problem: "One.", AddressBook: &control.Refusal{Reason: "Three."}}}, "Three."},
		{answers{status: control.Status{Shut: true, Problem: "The keychain is locked."}}, ""},
		{answers{status: control.Status{Problem: "Four."}}, ""},
	} {
		if got := s.learn(step.a); got != step.want {
			t.Errorf("%+v: %q, not %q", step.a, got, step.want)
		}
	}
}

// TestNews: which events are told, how, and which are not.
func TestNews(t *testing.T) {
	at := func(kind, says string) control.Event { return control.Event{Time: noon(), Kind: kind, Says: says} }
	for name, c := range map[string]struct {
		events []control.Event
		want   map[string]notify.Note
	}{
		"one":    {[]control.Event{at("mail", "A message from Dr Bea has arrived.")}, map[string]notify.Note{"mail": {Title: "New mail", Text: "A message from Dr Bea has arrived."}}},
		"locked": {[]control.Event{at("mail", "a"), at("locked", "b")}, map[string]notify.Note{"mail": {Title: "New mail", Text: "2 messages have arrived. 1 needs your card."}}},
		"unsecured": {[]control.Event{at("unsecured", "a"), at("mail", "m"), at("unsecured", "b")}, map[string]notify.Note{
			"mail": {Title: "New mail", Text: "m"}, "unsecured": {Title: "Unsecured mail", Text: "2 unsecured messages have arrived."}}},
		"mismatch":  {[]control.Event{at("stopped", "Bea: no.")}, map[string]notify.Note{"stopped": {Title: "Do not send for now", Text: "Bea: no.", Urgent: true}}},
		"card":      {[]control.Event{at("token-out", ""), at("token-waits", "Touch it.")}, map[string]notify.Note{"card": {Title: "Your card waits", Text: "Touch it.", Urgent: true, For: waits}}},
		"card done": {[]control.Event{at("token-waits", "Touch it."), at("token-unlocked", "")}, map[string]notify.Note{"card": {}}},
		"card then": {[]control.Event{{Time: noon().Add(-time.Minute), Kind: "token-waits", Says: "Touch it."}}, map[string]notify.Note{}},
		"no news":   {[]control.Event{at("token-in", "x"), at("status", "x"), at("contact", "x"), at("outbox", "x"), at("unlocked", "x"), at("simulation", "x")}, map[string]notify.Note{}},
	} {
		var n news
		for _, e := range c.events {
			n.add(e, noon())
		}
		t.Run(name, func(t *testing.T) { told(t, n.notes(), c.want) })
	}
}

// TestPictures: the three differ, as files that this system and Windows read.
func TestPictures(t *testing.T) {
	var seen [][]byte
	for _, p := range []picture{tick, attention, padlock} {
		file := pngFile(p)
		img, err := png.Decode(bytes.NewReader(file))
		if err != nil || img.Bounds().Dx() != pngSide || img.Bounds().Dy() != pngSide {
			t.Fatalf("%v: %v", img.Bounds(), err)
		}
		if _, _, _, a := img.At(0, 0).RGBA(); a != 0 {
			t.Error("its corners are not clear")
		}
		if slices.ContainsFunc(seen, func(o []byte) bool { return bytes.Equal(o, file) }) {
			t.Error("two pictures are the same")
		}
		seen = append(seen, file)
		all := ico(p)
		if n := binary.LittleEndian.Uint16(all[4:]); int(n) != len(sides()) {
			t.Errorf("%d pictures in an .ico", n)
		}
		end := 6 + 16*len(sides())
		for i := range sides() {
			entry := all[6+16*i:]
			if at := int(binary.LittleEndian.Uint32(entry[12:])); at != end {
				t.Errorf("picture %d begins at %d, not %d", i, at, end)
			}
			end += int(binary.LittleEndian.Uint32(entry[8:]))
		}
		if end != len(all) {
			t.Errorf("the pictures end at %d of %d", end, len(all))
		}
	}
}
