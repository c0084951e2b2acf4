package web

import (
	"testing"

	"countersign/tray/control"
)

// TestOrganisationNeverAPerson is V6 on the pages: what an organisation's certificate
// tells, and what it does not.
func TestOrganisationNeverAPerson(t *testing.T) {
	g := open(t, false)
	const house, noor = "hillclinic.example", "noor.aziz@hillclinic.example"
	label := "Organisation verified: " + house + ", by telephone on 3 March 2026"
	g.clinic.people = append(g.clinic.people,
		control.Contact{Address: house, CountsBy: house, State: "verified", Level: "good", Label: label},
		control.Contact{Address: noor, Name: "Dr Noor Aziz", CountsBy: house, State: "verified", Level: "good", Label: label,
			Candidates: []control.Candidate{{ID: "c1", Issuer: "Clinics' Authority 3", Usage: "signing and encryption", Chain: "trusted", Pinned: true, Of: house}}})

	_, body := g.get("contacts/" + g.person(noor))
	g.wants(body, label, "holds for everybody there", "does not tell which person writes", `href="contacts/`+g.person(house)+`"`,
		"Write to Dr Noor Aziz", "The others at "+house+" are not concerned.", "It is that of "+house)
	_, body = g.get("contacts/" + g.person(noor) + "/verify")
	g.wants(body, house+", which passes it on", "which person wrote it, the certificate does not tell")
	g.lacks(body, "by them alone")

	_, body = g.get("contacts/" + g.person(house))
	g.wants(body, label, "stop sending to everybody there", "has then to be confirmed again")
	g.lacks(body, "/write", "/rename", "/verify", "Write to")
	body = g.follow(g.post("contacts/" + g.person(house) + "/suspend"))
	g.wants(body, "Nothing is sent to anybody there")

	g.clinic.people[len(g.clinic.people)-2].State = "suspended"
	_, body = g.get("contacts/" + g.person(house))
	g.lacks(body, "/write", "/suspend", "/verify", "Confirm them")

	lena := g.clinic.people[3]
	lena.Candidates[0].Of = "harbour.example"
	_, body = g.get("contacts/" + g.person(lena.Address) + "/verify")
	g.wants(body, "It is that of harbour.example: one call with anybody there confirms it for all who have it.")
}

// TestAnotherCertificate: somebody who is confirmed may have a new certificate. It is
// tested like the first, and the page leads through the call.
func TestAnotherCertificate(t *testing.T) {
	g := open(t, false)
	const bea = "bea.brandt@northclinic.example"
	here := "contacts/" + g.person(bea)
	_, body := g.get(here + "/verify")
	g.lacks(body, "another certificate")
	g.clinic.people[0].Candidates = append(g.clinic.people[0].Candidates, control.Candidate{ID: "c7", Issuer: "Another Authority", Usage: "signing and encryption"})
	_, body = g.get(here)
	g.wants(body, "Confirm another of these")
	_, body = g.get(here + "/verify")
	g.wants(body, "They have another certificate", `value="c7"`)
	g.lacks(body, `value="c1"`)

	g.clinic.people[0].Test = &control.Test{Sent: monday, Expires: monday.AddDate(0, 0, 7), CodeTries: 3, Fingerprints: 1}
	_, body = g.get(here)
	g.wants(body, "Go on with the call", "Write to Dr Bea Brandt")
	_, body = g.get(here + "/verify")
	g.wants(body, "You have confirmed Dr Bea Brandt already.", "Which number will you call?")
}
