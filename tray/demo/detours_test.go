package demo

import (
	"strings"
	"testing"

	"countersign/tray/web/webtest"
)

// TestPeerPageDetours is what goes otherwise than planned: an invitation in place
// of a file, a wrong number, words that do not match, a fresh start, doubt.
func TestPeerPageDetours(t *testing.T) {
	p := open(t)
	p.Press("Contacts")
	p.Fill("#name", "Dr Bea Brandt")
	p.Fill("#address", bea)
	p.Press("Add")
	p.Press("Send the invitation")
	p.Sees("Send the test message") // her own test came back, signed
	p.Shoot("d01-invited")
	p.Press("Send the test message")
	p.Sees("It was answered")

	p.Press("Use this number")
	p.Until(`document.querySelector("#source:invalid")`)
	p.Fill("#number", "+44 20 7946 0999")
	p.Choose("#source", "letterhead")
	p.Press("Use this number")
	p.Sees("from a letter or card")
	p.Press("Call")
	p.Sees("There is nobody of that name here.")
	p.Shoot("d02-wrong-number")
	p.Press("Another number")
	p.Press("Use this number")
	p.Until(`document.querySelector("#source:invalid")`)
	webtest.Of[bool](p, `(document.querySelector("#number").value = "") === ""`)
	p.Fill("#number", "+44 20 7946 0123")
	p.Choose("#source", "directory")
	p.Press("Use this number")
	p.Sees("from the directory")

	wrong := "abandon ability able about above absent "
	for _, says := range []string{"If it is wrong again, nothing can be sent.", "Someone may be between you"} {
		p.Until(`[...document.querySelectorAll("form input[name=word]")].at(-6).focus() || true`)
		p.Type(wrong)
		p.Press("Check the six words")
		p.Sees(says)
		p.Shoot("d03-" + strings.Fields(says)[0])
	}
	p.Press("Write")
	p.Until(`document.activeElement.id === "to"`)
	p.Type("bea")
	p.Until(`document.querySelector("[data-pick]")`)
	p.Press("Dr Bea Brandt")
	p.Until(`document.querySelector("#states li.stop")`)
	p.Shoot("d04-write-mismatch")
	p.Press("Contacts")
	p.Sees("Someone may be between you")
	p.Shoot("d05-contacts")
	p.Open("Dr Bea Brandt")
	p.Press("What to do now")
	p.Press("We only misheard each other")
	p.Shoot("d06-misheard")
	p.Press("We misheard: start afresh")
	p.Sees("Send the test message")
	p.Shoot("d07-afresh")
	p.Press("Send the test message")
	p.Sees("It was answered")
	p.Shoot("d08-number-again")
	p.Fill("#number", "+44 20 7946 0123")
	p.Choose("#source", "directory")
	p.Press("Use this number")
	p.Sees("from the directory")
	p.Press("Call")
	p.Until(`document.querySelectorAll("#phone .speech li").length === 3`)
	code, words := spokenWords(t, p)
	p.Until(`document.querySelectorAll("form input[name=word]")[4].focus() || true`) // the safety words first
	p.Type(words)
	p.Press("Check the six words")
	p.Sees("Their safety words matched")
	p.Until(`document.querySelector("form input[name=word]").focus() || true`)
	p.Type(code)
	p.Press("Check the four words")
	p.Until(`document.querySelector(".state-card.good")`)

	p.Press("About Dr Bea Brandt")
	p.Press("Change or remove")
	p.Shoot("d09-change")
	p.Press("Suspend")
	p.Sees("Stopped on")
	p.Shoot("d10-suspended")
	p.Press("Confirm them")
	p.Shoot("d11-confirm-again")
	p.Press("Send the test message")
	p.Sees("The number of the earlier call")
	p.Shoot("d12-earlier-number")
	p.Press("Something does not match")
	p.Press("It does not match: stop")
	p.Sees("Someone may be between you")
	p.Shoot("d13-doubt")
	p.Press("Make something happen")
	p.Press("Dr Bea Brandt writes to you")
	p.Sees("has not confirmed you yet")
}
