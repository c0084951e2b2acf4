package icon

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign/tray/control"
)

// picture is which icon is drawn.
type picture int

const (
	tick      picture = iota // all is well
	attention                // something needs doing
	padlock                  // locked, or not running
)

// act is what somebody can choose in the menu.
type act int

const (
	openPage act = iota
	lockCards
	lockAll // or unlock
	putAway
)

// How many lines there are at most, and how long they are, in characters.
const (
	mostLines = 4
	mostCards = 6
	longest   = 64
)

// view is all that is shown.
type view struct {
	picture picture
	tip     string
	lines   []string // how things stand; mostLines at most
	cards   []string // mostCards at most
	open    bool     // the page can be opened
	lock    string   // the words for lockAll; empty: not now
	cardsUn bool     // a card is unlocked
}

// standing is how things stand, as far as the agent said.
type standing struct {
	known  bool // it has answered, the last time that it was asked
	ever   bool
	status control.Status
	cards  []control.Token
	out    []control.Token // taken out while we looked on, the last first
}

// learn takes in what the agent said, and returns what trouble is new, in words. What there
// was at the first look is no news, nor is a mail server that cannot be reached for a while.
func (s *standing) learn(a answers) (news string) {
	if a.err != nil {
		s.known = false
		return ""
	}
	before := s.lasting()
	first := !s.ever
	s.known, s.ever, s.status = true, true, a.status
	if a.status.Shut {
		s.ever, s.cards, s.out = false, nil, nil
		return ""
	}
	if a.cards != nil {
		s.seat(slices.DeleteFunc(slices.Clone(a.cards.Tokens), func(t control.Token) bool { return t.ID == "windows" })) // a store, not a card
	}
	if first {
		return ""
	}
	fresh := slices.DeleteFunc(s.lasting(), func(says string) bool { return slices.Contains(before, says) })
	return strings.Join(fresh, " ")
}

// seat notes which cards are in the readers now.
func (s *standing) seat(now []control.Token) {
	among := func(list []control.Token) func(control.Token) bool {
		return func(t control.Token) bool {
			return slices.ContainsFunc(list, func(o control.Token) bool { return o.ID == t.ID })
		}
	}
	gone := slices.DeleteFunc(slices.Clone(s.cards), among(now))
	s.out = slices.DeleteFunc(append(gone, s.out...), among(now))
	s.cards = now
}

// troubles is what a person should look at, a sentence each.
func (s *standing) troubles() []string {
	if s.status.Problem != "" {
		return append([]string{s.status.Problem}, s.lasting()...)
	}
	return s.lasting()
}

// lasting is that part of it which does not go by itself.
func (s *standing) lasting() (list []string) {
	st := s.status
	for _, r := range []*control.Refusal{st.AddressBook, st.Certificate, st.Announcement} {
		if r != nil {
			list = append(list, r.Reason)
		}
	}
	return append(list, st.Cards...)
}

// view is what is shown of it.
func (s *standing) view(now time.Time) view {
	v := s.whole(now)
	for _, list := range [][]string{v.lines, v.cards} {
		for i, says := range list {
			list[i] = short(says)
		}
	}
	v.tip = short(v.tip)
	return v
}

// short is a line as it fits into a menu.
func short(s string) string {
	if r := []rune(s); len(r) > longest {
		return strings.TrimRight(string(r[:longest-1]), " ") + "…"
	}
	return s
}

// whole is the same with lines of any length.
func (s *standing) whole(now time.Time) view {
	if !s.known {
		return view{picture: padlock, tip: "Countersign is not running", lines: []string{"Countersign is not running, or starting."}}
	}
	if s.status.Shut {
		v := view{picture: padlock, tip: "Countersign is locked", lines: []string{"Countersign is locked."}, lock: "Unlock"}
		if s.status.Problem != "" {
			v.lines = append(v.lines, s.status.Problem)
		}
		return v
	}
	v := view{open: true, lock: "Lock now"}
	todo := s.troubles()
	for _, step := range s.status.Setup {
		if !step.Done {
			todo = append(todo, "To do: "+step.Title)
		}
	}
	if s.status.Waiting > 0 {
		todo = append(todo, counted(s.status.Waiting, "person has", "people have")+" something for you to do.")
	}
	if len(todo) > 0 {
		v.picture = attention
	}
	if most := mostLines - 1; len(todo) > most {
		todo = append(todo[:most-1], fmt.Sprintf("And %d more.", len(todo)-most+1))
	}
	mail := s.mail()
	v.lines = append(todo, mail)
	v.tip = "Countersign: " + strings.TrimSuffix(v.lines[0], ".")
	v.cards, v.cardsUn = s.seats(now)
	return v
}

// mail says how much waits.
func (s *standing) mail() string {
	var parts []string
	if n := s.status.Unread; n > 0 {
		parts = append(parts, counted(n, "unread message", "unread messages"))
	}
	if n := s.status.Locked; n > 0 {
		parts = append(parts, counted(n, "waits for your card", "wait for your card"))
	}
	if n := s.status.Outbox; n > 0 {
		parts = append(parts, counted(n, "is on its way", "are on their way"))
	}
	if len(parts) == 0 {
		return "No unread mail."
	}
	return strings.Join(parts, ", ") + "."
}

// seats says which cards there are, and whether one is unlocked.
func (s *standing) seats(now time.Time) (lines []string, unlocked bool) {
	for _, t := range s.cards {
		lines = append(lines, named(t)+": "+stands(t, now))
		unlocked = unlocked || t.Lock == "unlocked"
	}
	for _, t := range s.out {
		lines = append(lines, named(t)+": taken out")
	}
	return lines[:min(len(lines), mostCards)], unlocked
}

func named(t control.Token) string {
	if t.Label == "" {
		return "A card"
	}
	return t.Label
}

// stands says how a card in a reader stands.
func stands(t control.Token, now time.Time) string {
	switch {
	case t.State == "pin-locked":
		return "its PIN is blocked"
	case t.State == "last-try":
		return "one PIN entry left"
	case t.State != "ready" && t.Problem != "":
		return t.Problem
	case t.Lock == "unlocked" && !t.Until.IsZero():
		return "unlocked until " + t.Until.In(now.Location()).Format("15:04")
	case t.Lock == "unlocked":
		return "unlocked"
	case t.Lock == "locked":
		return "in the reader, locked"
	}
	return "in the reader"
}

func counted(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// guarded calls into a library that may panic when the desktop goes.
func guarded(do func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.Join(errGone, fmt.Errorf("%v", p))
		}
	}()
	do()
	return nil
}
