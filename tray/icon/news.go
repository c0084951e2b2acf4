package icon

import (
	"fmt"
	"strings"
	"time"

	"countersign/platform/notify"
	"countersign/tray/control"
)

const (
	stale = 30 * time.Second // a card waits no longer than that
	waits = 20 * time.Second // how long that is shown, for nobody says when it is over
)

// news is events that were not told yet.
type news struct {
	mail, locked, unsecured int
	lastMail, lastUnsecured string
	stopped                 []string
	card                    string
	settled                 bool // no card waits any more
}

// add takes an event in.
func (n *news) add(e control.Event, now time.Time) {
	switch e.Kind {
	case "mail":
		n.mail++
		n.lastMail = e.Says
	case "locked":
		n.mail++
		n.locked++
		n.lastMail = e.Says
	case "unsecured":
		n.unsecured++
		n.lastUnsecured = e.Says
	case "stopped":
		n.stopped = append(n.stopped, e.Says)
	case "token-waits":
		if now.Sub(e.Time) < stale {
			n.card, n.settled = e.Says, false
		}
	case "token-unlocked", "token-locked", "token-out":
		n.card, n.settled = "", true
	}
}

// notes is what to show, by slot; one without words takes away what is there.
func (n *news) notes() map[string]notify.Note {
	list := map[string]notify.Note{}
	switch {
	case n.mail == 1:
		list["mail"] = notify.Note{Title: "New mail", Text: n.lastMail}
	case n.mail > 1:
		says := fmt.Sprintf("%d messages have arrived.", n.mail)
		if n.locked > 0 {
			says += " " + counted(n.locked, "needs", "need") + " your card."
		}
		list["mail"] = notify.Note{Title: "New mail", Text: says}
	}
	switch {
	case n.unsecured == 1:
		list["unsecured"] = notify.Note{Title: "Unsecured mail", Text: n.lastUnsecured}
	case n.unsecured > 1:
		list["unsecured"] = notify.Note{Title: "Unsecured mail", Text: fmt.Sprintf("%d unsecured messages have arrived.", n.unsecured)}
	}
	if len(n.stopped) > 0 {
		list["stopped"] = notify.Note{Title: "Do not send for now", Text: strings.Join(n.stopped, " "), Urgent: true}
	}
	switch {
	case n.card != "":
		list["card"] = notify.Note{Title: "Your card waits", Text: n.card, Urgent: true, For: waits}
	case n.settled:
		list["card"] = notify.Note{}
	}
	return list
}
