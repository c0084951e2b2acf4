package mailer_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"countersign/mailer/people"
	"countersign/tray/demo/authority"
	"countersign/vault/contacts"
	"countersign/vault/contacts/keyset"
	"countersign/vault/discover"
	"countersign/vault/settings"
	"countersign/vault/trust"
)

// published has a person's certificates lie in DNS for one of ours to find, and counts
// the times that they were looked for.
func (p *person) published(certs ...*authority.Person) *int {
	asked := new(int)
	p.Published = func(ctx context.Context, address string, judge people.Judge) []discover.Finding {
		*asked++
		f := discover.Finding{Place: discover.DNSAddress, Where: "DNS, under the address"}
		for _, c := range certs {
			v := judge(ctx, c.Certificate, trust.Encrypt, []*x509.Certificate{p.w.ca.Issuing})
			f.Certificates = append(f.Certificates, discover.Judged{Certificate: c.Certificate, Good: v.Good(), Why: v.Reason})
		}
		return []discover.Finding{f}
	}
	return asked
}

// TestFind: what is found is a candidate, which a test and a call make into more, and
// nothing else does.
func TestFind(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	asked := ada.published(bea.who)
	got, err := ada.Find(ctx, strings.ToUpper(beaAddress))
	if err != nil || !got.Found || got.Contact.State != contacts.HasCertificate || len(got.Looked) != 2 || *asked != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	if all, err := ada.Recipients(ctx, []string{beaAddress}); err != nil || all[0].OK {
		t.Errorf("found is not verified: %+v, %v", all, err)
	}
	shown, err := json.Marshal(got.Looked)
	if err != nil {
		t.Fatal(err)
	}
	low := strings.ToLower(string(shown))
	said := 0 // a word or two of the six may be in what is shown by chance: "place", "good"
	for _, word := range keyset.SafetyWords(beaAddress, contacts.KeySet{Sign: bea.who.Certificate, Encrypt: bea.who.Certificate}) {
		said += min(1, strings.Count(low, word))
	}
	if said > 3 || strings.Contains(low, strings.ToLower(keyset.Fingerprint(bea.who.Certificate))) {
		t.Errorf("%s shows what is read out on a call", shown)
	}
	if c := ada.state(bea, contacts.HasCertificate); len(c.Candidates) != 1 || !strings.HasPrefix(c.Candidates[0].From, "a directory") {
		t.Errorf("%+v", c.Candidates)
	}
	if _, err := ada.StartTest(ctx, beaAddress, ""); err != nil {
		t.Errorf("the test: %v", err)
	}
}

// TestFindAndThePinned: nobody is asked about somebody who is verified, and a
// certificate found for somebody who is no longer is a candidate beside the pin.
func TestFindAndThePinned(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.verifies(bea)
	asked := ada.published(w.stolen(beaAddress))
	if got, err := ada.Find(ctx, beaAddress); err != nil || !got.Found || *asked != 0 || len(got.Looked) != 1 || len(got.Contact.Candidates) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := ada.Suspend(ctx, beaAddress); err != nil {
		t.Fatal(err)
	}
	before := ada.state(bea, contacts.Suspended)
	if got, err := ada.Find(ctx, beaAddress); err != nil || !got.Found || *asked != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	after := ada.state(bea, contacts.Suspended)
	if len(after.Candidates) != 2 || !after.Pin.Keys.Sign.Equal(before.Pin.Keys.Sign) || after.Candidates[1].Pinned {
		t.Errorf("%+v", after.Candidates)
	}
}

// TestFindNothing: what does not do is not added, and what is here already is told.
func TestFindNothing(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.published(w.selfSigned(beaAddress))
	got, err := ada.Find(ctx, beaAddress)
	if err != nil || got.Found || len(got.Looked) != 3 || got.Looked[1].Certificates[0].Why == "" || got.Looked[2].Says != "There is none." {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := ada.Contact(ctx, beaAddress); err == nil {
		t.Error("a contact was made of nothing")
	}
	ada.knows(bea)
	ada.Judge(ctx, trust.Question{Certificate: bea.who.Certificate, Usage: trust.Encrypt, Enclosed: []*x509.Certificate{w.ca.Issuing}}, true) // remembers the authority
	if got, err = ada.Find(ctx, beaAddress); err != nil || !got.Found || got.Looked[2].Place != "mail" || !got.Looked[2].Certificates[0].Good {
		t.Errorf("what is here: %+v, %v", got, err)
	}
}

// TestFindForbidden: the administrator's word, and a policy file that cannot be read.
func TestFindForbidden(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada := w.join("Ada", adaAddress)
	asked := ada.published()
	ada.rules = settings.Policy{NoFinding: true}
	if _, err := ada.Find(ctx, beaAddress); !errors.Is(err, people.ErrNoFinding) {
		t.Errorf("%v", err)
	}
	ada.rules, ada.broken = settings.Policy{}, settings.ErrIllFormed
	if _, err := ada.Find(ctx, beaAddress); !errors.Is(err, settings.ErrIllFormed) {
		t.Errorf("%v", err)
	}
	ada.broken = nil
	if _, err := ada.Find(ctx, "nobody"); !errors.Is(err, people.ErrAddress) {
		t.Errorf("%v", err)
	}
	if *asked != 0 {
		t.Error("somebody was looked for")
	}
}
