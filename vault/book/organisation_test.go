package book_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"math/big"
	"testing"

	"countersign/vault/book"
	"countersign/vault/contacts"
)

const clinic = "clinic.example"

// organisation makes ada and bea, both with a certificate of their organisation's, and
// verifies it by a call with ada.
func (p *profile) organisation() contacts.KeySet {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{clinic}, NotBefore: noon, NotAfter: noon.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err == nil {
		c, err = x509.ParseCertificate(der)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	keys := contacts.KeySet{Sign: c, Encrypt: c}
	for _, address := range []string{ada, bea} {
		p.change(address, func(c contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) {
			c, err := c.AddCandidate(contacts.Moment{Now: noon}, keys, contacts.FromMessage)
			return c, nil, err
		})
	}
	p.change(ada, func(c contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) {
		call := contacts.Call{At: noon, Number: "+49 30 1234", Source: contacts.SourceDirectory}
		c.Pin, c.State = &contacts.Pin{Keys: keys, Call: call, Of: clinic}, contacts.Verified
		return c, &contacts.RecordDraft{Kind: contacts.RecordVerified, Address: clinic, Keys: keys.Hashes(),
			Certificates: [][]byte{der, der}, Time: noon, Call: call}, nil
	})
	return keys
}

func (p *profile) change(address string, f func(contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error)) contacts.Contact {
	p.t.Helper()
	c, err := p.book.Change(p.t.Context(), address, f)
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

func (p *profile) states(when string, wants map[string]contacts.State) {
	p.t.Helper()
	for address, want := range wants {
		if got := p.state(address); got != want {
			p.t.Errorf("%s: %s is %s, want %s", when, address, got, want)
		}
	}
}

// TestOrganisationIsKeptApart: one record, of the domain, holds for everybody who counts
// by it; nobody's own row holds it.
func TestOrganisationIsKeptApart(t *testing.T) {
	p := newProfile(t)
	p.organisation()
	all := map[string]contacts.State{ada: contacts.Verified, bea: contacts.Verified, clinic: contacts.Verified}
	p.states("after the call", all)
	if p.counter != 1 {
		t.Errorf("%d records", p.counter)
	}
	p.reopen()
	p.states("opened again", all)
	for _, text := range []string{"", "bea"} {
		found, err := p.book.Search(t.Context(), text, 10)
		if err != nil || len(found) == 0 {
			t.Fatalf("%d found, %v", len(found), err)
		}
		for _, c := range found {
			if c.State != contacts.Verified {
				t.Errorf("found by %q: %s is %s", text, c.Address, c.State)
			}
		}
	}
	later := p.change(carol, func(c contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) {
		c.Candidates, c.State = p.get(bea).Candidates, contacts.HasCertificate
		return c, nil, nil
	})
	if later.State != contacts.Verified {
		t.Errorf("changed, and said to be %s", later.State)
	}
	p.suspend(bea)
	if err := p.book.Remove(t.Context(), ada); err != nil {
		t.Fatal(err)
	}
	p.states("bea stopped, ada removed", map[string]contacts.State{bea: contacts.Suspended, carol: contacts.Verified, clinic: contacts.Verified})
	if err := p.book.Remove(t.Context(), clinic); err != nil {
		t.Fatal(err)
	}
	p.states("the organisation removed", map[string]contacts.State{bea: contacts.HasCertificate, carol: contacts.HasCertificate})
	p.reopen()
	if err := p.book.Problem(); err != nil {
		t.Error(err)
	}
}

// TestRemovedWhileStopped: to be taken out of the address book un-stops nobody who then
// writes with the key of their organisation.
func TestRemovedWhileStopped(t *testing.T) {
	p := newProfile(t)
	keys := p.organisation()
	writes := func(address string) contacts.Contact {
		return p.change(address, func(c contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) {
			c, err := c.AddCandidate(contacts.Moment{Now: noon}, keys, contacts.FromMessage)
			return c, nil, err
		})
	}
	remove := func(address string) {
		t.Helper()
		if err := p.book.Remove(t.Context(), address); err != nil {
			t.Fatal(err)
		}
	}
	doubted := func(c contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) {
		c.Doubt, c.State = &contacts.Doubt{At: noon, Keys: keys.ID()}, contacts.Mismatch
		return c, nil, nil
	}
	p.suspend(bea)
	writes(carol)
	p.change(carol, doubted)
	remove(bea)
	remove(carol)
	remove(ada)
	for range 2 {
		for address, want := range map[string]contacts.State{ada: contacts.Verified, bea: contacts.Suspended, carol: contacts.Suspended} {
			if c := writes(address); c.State != want {
				t.Errorf("%s, back again: %s", address, c.State)
			}
		}
		if why := p.get(bea).Suspension.Reason + " " + p.get(carol).Suspension.Reason; why != "user mismatch" {
			t.Errorf("stopped: %s", why)
		}
		remove(bea) // and once more
		p.reopen()
		if err := p.book.Problem(); err != nil {
			t.Fatal(err)
		}
	}
	writes(bea)
	p.change(bea, func(c contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) { // called
		c.Suspension, c.State = nil, contacts.Verified
		return c, nil, nil
	})
	remove(bea)
	if c := writes(bea); c.State != contacts.Verified {
		t.Errorf("not stopped when removed: %s", c.State)
	}
}

// TestOrganisationNeedsItsRecord: V8 for what many people count by.
func TestOrganisationNeedsItsRecord(t *testing.T) {
	p := newProfile(t)
	keys := p.organisation()
	pin := &contacts.Pin{Keys: keys, Call: p.get(ada).Pin.Call, Of: clinic}
	stopped := func() *contacts.RecordDraft {
		return &contacts.RecordDraft{Kind: contacts.RecordSuspended, Address: clinic, Keys: keys.Hashes(), Time: noon}
	}
	for name, b := range map[string]struct {
		address string
		pin     contacts.Pin
		draft   *contacts.RecordDraft
		want    error // nil: any
	}{
		"another key":                   {bea, contacts.Pin{Keys: contacts.KeySet{Sign: certificate(t, bea), Encrypt: keys.Encrypt}, Call: pin.Call, Of: clinic}, nil, book.ErrUnrecorded},
		"another call":                  {bea, contacts.Pin{Keys: keys, Of: clinic}, nil, book.ErrUnrecorded},
		"of another domain":             {bea, contacts.Pin{Keys: keys, Call: pin.Call, Of: "evil.example"}, stopped(), nil},
		"at another domain":             {"eve@evil.example", contacts.Pin{Keys: keys, Call: pin.Call, Of: "evil.example"}, nil, book.ErrUnrecorded},
		"by a record of another domain": {"eve@evil.example", *pin, stopped(), nil},
		"as one's own":                  {bea, contacts.Pin{Keys: keys, Call: pin.Call}, nil, book.ErrUnrecorded},
	} {
		c := contacts.Contact{Address: b.address, Pin: &b.pin, State: contacts.Verified}
		if err := p.book.Append(t.Context(), c, b.draft); err == nil || b.want != nil && !errors.Is(err, b.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	was := p.get(bea)
	c, draft, err := was.Suspend(contacts.Moment{Now: noon}, contacts.ByRevoked)
	if err != nil || draft.Address != clinic {
		t.Fatalf("%+v, %v", draft, err)
	}
	p.append(c, draft)
	all := map[string]contacts.State{ada: contacts.Suspended, bea: contacts.Suspended, clinic: contacts.Suspended}
	p.states("withdrawn", all)
	if err := p.book.Put(t.Context(), was); !errors.Is(err, book.ErrUnrecorded) {
		t.Errorf("put back as it was: %v", err)
	}
	p.states("put back", all)
}

// TestOrganisationTamperedWith: whoever can write the database makes nobody verified by
// an organisation.
func TestOrganisationTamperedWith(t *testing.T) {
	for name, edit := range map[string]func(p *profile){
		"its row edited":  func(p *profile) { p.sql(`UPDATE book_contact SET data = x'7b7d' WHERE address = ?`, clinic) },
		"its row deleted": func(p *profile) { p.sql(`DELETE FROM book_contact WHERE address = ?`, clinic) },
		"a person's row in its way": func(p *profile) {
			p.sql(`UPDATE book_contact SET data = (SELECT data FROM book_contact WHERE address = ?) WHERE address = ?`, ada, clinic)
		},
		"its record deleted": func(p *profile) { p.sql(`DELETE FROM book_record`) },
	} {
		p := newProfile(t)
		p.organisation()
		edit(p)
		for _, when := range []string{"at once", "opened again"} {
			for _, address := range []string{ada, bea} {
				if got := p.state(address); got == contacts.Verified {
					t.Errorf("%s, %s: %s is %s", name, when, address, got)
				}
			}
			if when != "at once" && p.book.Problem() == nil {
				t.Errorf("%s: nobody is told", name)
			}
			p.reopen()
		}
	}
}
