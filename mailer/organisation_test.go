package mailer_test

import (
	"strings"
	"testing"

	"countersign/mailer"
	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/policy"
	"countersign/mailer/smime"
	"countersign/tray/demo/authority"
	"countersign/vault/contacts"
	"countersign/vault/contacts/keyset"
)

// clinic is a system of the Direct Project: one certificate for everybody at a domain,
// no program of the people there, and no safety words.
const (
	clinic      = "hillclinic.example"
	imranAtHill = "imran.shah@" + clinic
	noorAtHill  = "noor.aziz@" + clinic
	annAtHill   = "ann.lee@" + clinic
)

// at is somebody who uses a certificate.
func at(address string, who *authority.Person) *authority.Person {
	return &authority.Person{Address: address, Key: who.Key, Certificate: who.Certificate}
}

// confirms is one call to one person at the clinic, who reads the code and the digits of
// the clinic's certificate.
func (p *person) confirms(address string, house *authority.Person) mailer.Contact {
	p.w.Helper()
	ctx := p.w.Context()
	if _, err := p.AddContact(ctx, mailer.NewContact{Address: address, Certificates: house.PEM()}); err != nil {
		p.w.Fatal(err)
	}
	candidate := ""
	c, err := p.Contact(ctx, address)
	for _, k := range c.Contact.Candidates {
		if k.Keys.Sign.Equal(house.Certificate) {
			candidate = k.ID
		}
	}
	if err == nil {
		_, err = p.StartTest(ctx, address, candidate)
	}
	if err != nil {
		p.w.Fatal(err)
	}
	p.w.post()
	code := stolenCode(p.w.T, p.w.reads(house))
	r, err := p.Call(ctx, address, contacts.CallReport{Number: number, Source: contacts.SourceDirectory, Code: code, Fingerprints: []string{keyset.Fingerprint(house.Certificate)}})
	if err != nil || !r.Matched || !strings.Contains(r.Says, "everybody at "+clinic) {
		p.w.Fatalf("%+v, %v", r, err)
	}
	return r.Contact
}

// reads opens what was last put on the wire, with the clinic's key.
func (w *world) reads(house *authority.Person) *smime.Opened {
	w.Helper()
	o, err := smime.Open(message.Bytes(w.wire[len(w.wire)-1].raw), []cms.Key{{Certificate: house.Certificate, Decrypter: house.Key}}, smime.Options{})
	if err != nil || o.Payload == nil {
		w.Fatal(err, o.Problem)
	}
	return o
}

func (p *person) judges(from *authority.Person, level policy.Level, label string) mailer.Message {
	p.w.Helper()
	p.w.deliver(p.address, p.w.forge(from, p, smime.Letter{Subject: "Results", Text: "From " + from.Address + " " + label}))
	m := p.last()
	if m.Verdict.Level != level || !strings.HasPrefix(m.Verdict.Label, label) {
		p.w.Errorf("mail from %s: %s %q, want %s %q", from.Address, m.Verdict.Level, m.Verdict.Label, level, label)
	}
	return m
}

// TestOrganisationStory is V6: two people at one organisation, one call, and both can be
// written to and are known by its name; whoever comes with another certificate is not.
func TestOrganisationStory(t *testing.T) {
	w, ctx := newWorldOfItsOwn(t), t.Context()
	ada := w.join("Ada", adaAddress)
	house, evil := w.admit("Hill Clinic", clinic), w.admit("Hill CIinic", clinic)

	// Noor writes before anybody is confirmed.
	ada.judges(at(noorAtHill, house), policy.Care, "Signed by an organisation for "+noorAtHill)
	early := ada.last().ID
	_, err := ada.write(mailer.Draft{To: []string{noorAtHill}, Text: "t"})
	refused(t, err, "not-verified")

	// One call, with Imran.
	const label = "Organisation verified: " + clinic + ", by telephone on "
	if c := ada.confirms(imranAtHill, house); c.State != contacts.Verified || !strings.HasPrefix(c.Label, label) {
		t.Fatalf("%s, %q", c.State, c.Label)
	}
	for _, address := range []string{imranAtHill, noorAtHill} {
		if _, err := ada.write(mailer.Draft{To: []string{address}, Subject: "s", Text: "for " + address}); err != nil {
			t.Fatalf("%s: %v", address, err)
		}
		w.post()
		if got := w.wire[len(w.wire)-1].to; len(got) != 1 || got[0] != address {
			t.Errorf("sent to %v", got)
		}
		w.reads(house)
	}
	all, err := ada.List(ctx, mailer.Query{})
	for _, s := range all {
		if s.ID == early && !strings.HasPrefix(s.Verdict.Label, label) {
			t.Errorf("what came before the call: %q, %v", s.Verdict.Label, err)
		}
	}
	m := ada.judges(at(noorAtHill, house), policy.Good, label)
	if !strings.Contains(strings.Join(m.Verdict.Reasons, " "), "does not prove which person") {
		t.Errorf("%q", m.Verdict.Reasons)
	}
	ada.judges(at(annAtHill, house), policy.Good, label) // nobody had heard of her
	o, err := ada.Contact(ctx, clinic)
	if err != nil || o.State != contacts.Verified || o.Label == "" {
		t.Errorf("the organisation by itself: %s, %v", o.State, err)
	}

	// Of Zoe nothing was ever seen: to look for her finds the clinic's, if none is published
	// that is hers.
	const zoe = "zoe.hart@" + clinic
	hers := w.admit("Zoe", zoe)
	ada.published(hers)
	if got, err := ada.Find(ctx, zoe); err != nil || !got.Found || got.Contact.State != contacts.HasCertificate {
		t.Errorf("with a certificate of her own: %s, %v", got.Contact.State, err)
	}
	if err := ada.RemoveContact(ctx, zoe); err != nil {
		t.Error(err)
	}
	ada.published()
	got, err := ada.Find(ctx, zoe)
	if err != nil || !got.Found || got.Contact.State != contacts.Verified || !strings.HasPrefix(got.Contact.Label, label) {
		t.Errorf("without: %s, %q, %v", got.Contact.State, got.Contact.Label, err)
	}
	if got, err := ada.Find(ctx, "zoe@other.example"); err != nil || got.Found {
		t.Errorf("at another domain: %+v, %v", got, err)
	}

	// Nobody else comes in by that call.
	ada.judges(at(noorAtHill, evil), policy.Stop, "NOT the key you verified")
	ada.judges(at("eve@"+clinic, evil), policy.Care, "Signed by an organisation for eve@"+clinic)
	ada.judges(w.admit("Bob", "bob@"+clinic), policy.Care, "Signed by bob@"+clinic+". Certificate valid, person not verified")
	for _, address := range []string{"eve@" + clinic, "bob@" + clinic} {
		_, err := ada.write(mailer.Draft{To: []string{address}, Text: "t"})
		refused(t, err, "not-verified")
	}

	// Stopped for one, withdrawn for all.
	if _, err := ada.Suspend(ctx, annAtHill); err != nil {
		t.Fatal(err)
	}
	_, err = ada.write(mailer.Draft{To: []string{annAtHill, noorAtHill}, Text: "t"})
	refused(t, err, "suspended")
	if err := w.ca.Revoke(house.Certificate, w.now, 1); err != nil {
		t.Fatal(err)
	}
	_, err = ada.write(mailer.Draft{To: []string{noorAtHill, imranAtHill}, Text: "t"})
	refused(t, err, "suspended", "suspended")
	ada.judges(at(imranAtHill, house), policy.Stop, "The certificate of")
	if o, err := ada.Contact(ctx, clinic); err != nil || o.State != contacts.Suspended || !strings.HasPrefix(o.Label, "Stopped on") {
		t.Errorf("the organisation by itself: %q, %v", o.Label, err)
	}

	// A new key, by a new call, with another of them.
	next := w.admit("Hill Clinic, new", clinic)
	ada.judges(at(imranAtHill, next), policy.Stop, "NOT the key you verified")
	ada.confirms(noorAtHill, next)
	ada.judges(at(imranAtHill, next), policy.Good, label)
	if _, err := ada.write(mailer.Draft{To: []string{imranAtHill}, Text: "t"}); err != nil {
		t.Error(err)
	}
	_, err = ada.write(mailer.Draft{To: []string{annAtHill}, Text: "t"})
	refused(t, err, "not-verified") // of her, the new certificate was not seen, and she stays stopped
}

// TestOrganisationByTheCallAlone: the words are enough without an authority, unless
// policy asks for one, and for colleagues too.
func TestOrganisationByTheCallAlone(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada := w.join("Ada", adaAddress)
	house := w.selfSigned(clinic)
	ada.confirms(imranAtHill, house)
	const label = "Organisation verified: " + clinic
	ada.judges(at(noorAtHill, house), policy.Good, label)
	if _, err := ada.write(mailer.Draft{To: []string{noorAtHill}, Text: "t"}); err != nil {
		t.Error(err)
	}
	ada.judges(at(noorAtHill, w.selfSigned(clinic)), policy.Stop, "NOT the key you verified")
	ada.rules.RequireAnchor = true
	_, err := ada.write(mailer.Draft{To: []string{noorAtHill}, Text: "t"})
	refused(t, err, "suspended")
	if c, err := ada.Contact(ctx, imranAtHill); err != nil || c.State != contacts.Suspended || !strings.HasPrefix(c.Label, "Stopped for all of "+clinic) {
		t.Errorf("%q, %v", c.Label, err)
	}
}
