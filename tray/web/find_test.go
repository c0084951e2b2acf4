package web

import (
	"fmt"
	"testing"

	"countersign/tray/control"
)

// search is what the clinic finds in these tests.
func search(found bool) control.Search {
	return control.Search{Found: found, Contact: control.Contact{Address: "lena.falk@harbour.example", State: "has-certificate"}, Looked: []control.Looked{
		{Place: "dns-address", Where: "DNS, under the address", At: monday, Says: "There is none."},
		{Place: "ldap-address", Where: "the directory of harbour.example, under the address", At: monday, Certificates: []control.Seen{
			{Issuer: "Clinics' <b>Authority</b> 3", Usage: "signing and encryption", Expires: monday.AddDate(1, 0, 0), Good: found, Why: map[bool]string{false: "This certificate ran out on 1 March 2026."}[found]},
		}},
	}}
}

// TestLooking: the page says beforehand who learns of it, and then where it looked.
func TestLooking(t *testing.T) {
	g := open(t, false)
	lena := "contacts/" + g.person("lena.falk@harbour.example")
	_, body := g.get(lena + "/verify")
	g.wants(body, "Look for their certificate", "learn that somebody here wants to write to this address", `action="`+lena+`/find"`)
	g.lacks(body, "Where Countersign looked")
	if g.clinic.called("Contacts.Find") != 0 {
		t.Error("somebody was looked for without being asked")
	}

	g.clinic.search = search(false)
	body = g.follow(g.post(lena + "/find"))
	g.wants(body, "no certificate that can be used", "Where Countersign looked", "ran out on 1 March 2026", "under the address", "&lt;b&gt;Authority")
	g.lacks(body, "<b>Authority", "It can be used.")

	g.clinic.search = search(true)
	body = g.follow(g.post(lena + "/find"))
	g.wants(body, "There is a certificate that can be used.", "It can be used.", "It is not confirmed", "Send the test message")
	_, again := g.get(lena + "/verify")
	g.lacks(again, "Where Countersign looked")

	g.clinic.search.Contact.State = "verified"
	g.wants(g.follow(g.post(lena+"/find")), "nobody was asked")
	g.clinic.search.Contact.CountsBy = "harbour.example"
	g.wants(g.follow(g.post(lena+"/find")), "The certificate that you confirmed for harbour.example holds for them too")
	g.clinic.fail["Contacts.Find"] = &control.Error{Code: "find-forbidden", Says: "Not allowed here."}
	g.wants(g.follow(g.post(lena+"/find")), "Not allowed here.")
}

// TestPeerLookInChromium presses the button and reads what came of it.
func TestPeerLookInChromium(t *testing.T) {
	d := sit(t, false, true)
	d.clinic.search = search(true)
	d.open("contacts/" + d.person("lena.falk@harbour.example") + "/verify")
	d.run(`[...document.querySelectorAll("summary")].find(s => s.textContent === "Look for their certificate").click()`)
	d.run(`window.left = 1; [...document.querySelectorAll("button")].find(b => b.textContent === "Look for their certificate").click()`)
	d.Until(`window.left !== 1 && document.readyState === "complete"`)
	if !d.is(`document.getElementById("h-looked") && document.body.innerText.includes("There is a certificate that can be used.")`) {
		t.Error("the page does not say what was found")
	}
	d.accessible("looked")
	d.Shoot("looked")
}

// TestManyContacts: a page that lists the first only says so, and offers the search.
func TestManyContacts(t *testing.T) {
	g := open(t, false)
	_, body := g.get("contacts")
	g.lacks(body, "Only the first")
	for i := range bookLength {
		g.clinic.people = append(g.clinic.people, control.Contact{Address: fmt.Sprintf("ward%d@harbour.example", i), State: "unknown"})
	}
	_, body = g.get("contacts")
	g.wants(body, "Only the first 500 are listed.", "Search above")
	_, body = g.post("contacts", "q", "ward49")
	g.lacks(body, "Only the first")
}
