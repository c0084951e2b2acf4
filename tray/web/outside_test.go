package web

import (
	"testing"

	"countersign/tray/control"
)

// TestChangedOutside begins the records anew only where the status says that they
// were changed from outside.
func TestChangedOutside(t *testing.T) {
	g := open(t, false)
	_, body := g.get("settings")
	g.lacks(body, `action="settings/new"`)

	changed := &control.Refusal{Person: "you", Code: "rolled-back", Reason: "An old copy was put back.", Next: "Find out why.", Link: "/settings", Button: "Begin anew"}
	g.clinic.status.AddressBook = changed
	_, body = g.get("inbox")
	g.wants(body, "An old copy was put back.", "Find out why.", `href="settings">Begin anew`)
	_, body = g.get("settings")
	g.wants(body, `action="settings/new"`)

	changed.Code, changed.Link, changed.Button = "edited", "/contacts", "See who is stopped"
	_, body = g.get("settings")
	g.wants(body, `href="contacts">See who is stopped`)
	g.lacks(body, `action="settings/new"`)
}
