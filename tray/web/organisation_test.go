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
