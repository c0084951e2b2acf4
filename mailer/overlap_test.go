package mailer_test

import (
	"strings"
	"testing"
	"time"

	"countersign/mailer"
	"countersign/mailer/policy"
	"countersign/mailer/smime"
	"countersign/vault/contacts"
	"countersign/vault/contacts/keyset"
)

// later moves the clock on, with a revocation list of that day.
func (w *world) later(d time.Duration) {
	w.Helper()
	w.now = w.now.Add(d)
	if err := w.ca.Publish(w.now); err != nil {
		w.Fatal(err)
	}
}

// shows checks how the newest message stands.
func (p *person) shows(what string, level policy.Level, label, reason string) {
	p.w.Helper()
	v := p.last().Verdict
	if v.Level != level || !strings.HasPrefix(v.Label, label) || !strings.Contains(strings.Join(v.Reasons, "\n"), reason) {
		p.w.Errorf("%s: %s %q %q", what, v.Level, v.Label, v.Reasons)
	}
}

// TestOverlap is V7 with the clock: a new key is announced 30 days ahead. Until then the
// old one signs, mail to either opens, and neither side sees a wrong key at any time. A
// week after that the old key is worth nothing, whoever has it.
func TestOverlap(t *testing.T) {
	const day = 24 * time.Hour
	w := newWorldOfItsOwn(t)
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.verifies(bea)
	bea.verifies(ada)
	w.later(day)
	next := w.admit("Bea, next year", beaAddress)
	bea.prepare(next)
	bea.announces(1)
	w.post()
	if c := ada.state(bea, contacts.Verified); keyset.SPKI(c.Pin.Keys.Sign) != keyset.SPKI(next.Certificate) || c.Pin.Earlier == nil || !c.Pin.Earlier.Until.Equal(w.now.Add(37*day)) {
		t.Fatalf("%+v", c.Pin)
	}
	both := func(subject string) {
		t.Helper()
		for _, p := range []*person{ada, bea} {
			to := map[*person]string{ada: beaAddress, bea: adaAddress}[p]
			if _, err := p.write(mailer.Draft{To: []string{to}, Subject: subject, Text: "t"}); err != nil {
				t.Fatal(err)
			}
		}
		w.post()
	}
	both("in the overlap")
	bea.shows("Ada's letter to the new key", policy.Good, "From Ada", "")
	ada.shows("Bea's letter from the old key", policy.Good, "From Bea", "the key that they use until")
	flight := w.forge(bea.who, ada, smime.Letter{Subject: "on its way", Text: "t"})
	late := w.forge(bea.who, ada, smime.Letter{Subject: "found on the way", Text: "t"})
	// Whoever is first written to now hears of the next key, too.
	imran := w.join("Imran", "imran@north.example")
	bea.verifies(imran)
	bea.announces(1)
	w.later(30 * day)
	both("after the day")
	ada.shows("Bea's letter from the new key", policy.Good, "From Bea", "the key that you confirmed")
	bea.announces(0)
	w.later(7*day - time.Second)
	w.deliver(adaAddress, flight)
	ada.shows("a letter in flight", policy.Good, "From Bea", "the key that they use until")
	first := ada.last().ID
	w.later(time.Second)
	w.deliver(adaAddress, late)
	ada.shows("with the old key after its last day", policy.Stop, "NOT the key you verified", "nothing proves that it was here by then")
	w.later(60 * day)
	if m, err := ada.Read(t.Context(), first); err != nil || m.Verdict.Level != policy.Good {
		t.Errorf("what was here before: %+v, %v", m.Verdict, err)
	}
	// It stays good in time when another rollover follows.
	bea.replace(w.admit("Bea, in two years", beaAddress))
	bea.announces(2)
	w.post()
	if m, err := ada.Read(t.Context(), first); err != nil || m.Verdict.Level != policy.Care || m.Verdict.Short != "Confirmed, earlier key" {
		t.Errorf("two keys later: %+v, %v", m.Verdict, err)
	}
	w.deliver(adaAddress, w.forge(bea.who, ada, smime.Letter{Subject: "stolen", Text: "t"}))
	ada.shows("two keys later", policy.Stop, "NOT the key you verified", "another key than")
}

// TestWithdrawnInOverlap: the old key is withdrawn while it still signs. On its owner's
// side the next one takes over at once; with the others it counts for nothing new.
func TestWithdrawnInOverlap(t *testing.T) {
	w := newWorldOfItsOwn(t)
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.verifies(bea)
	bea.verifies(ada)
	w.later(time.Hour)
	next := w.admit("Bea, next year", beaAddress)
	bea.prepare(next)
	bea.announces(1)
	w.post()
	w.later(time.Hour)
	if err := w.ca.Revoke(bea.who.Certificate, w.now, 1); err != nil {
		t.Fatal(err)
	}
	if s, err := bea.Sender(t.Context()); err != nil || s.Identity.Coming || s.Identity.From.After(w.now) {
		t.Errorf("who took over is still to come, from %v: %v", s.Identity.From, err)
	}
	if _, err := bea.write(mailer.Draft{To: []string{adaAddress}, Subject: "s", Text: "t"}); err != nil {
		t.Fatal(err)
	}
	w.post()
	ada.shows("from the new key at once", policy.Good, "From Bea", "the key that you confirmed")
	w.later(time.Hour)
	w.deliver(adaAddress, w.forge(bea.who, ada, smime.Letter{Subject: "stolen", Text: "t"}))
	ada.shows("with the withdrawn key", policy.Stop, "The certificate of Bea", "withdrawn")
}

// TestNobodyToTell: where nothing was ever sent, a new key need not wait.
func TestNobodyToTell(t *testing.T) {
	w := newWorld(t)
	bea := w.join("Bea", beaAddress)
	next := w.admit("Bea, next year", beaAddress)
	bea.prepare(next)
	bea.announces(0)
	s, err := bea.Sender(t.Context())
	if err != nil || !s.Keys.Sign.Equal(next.Certificate) {
		t.Errorf("the old key signs: %v", err)
	}
}

// TestRulesInOverlap: the administrator asks for the words or for a call, and both can be
// done while the old key signs still.
func TestRulesInOverlap(t *testing.T) {
	for _, rule := range []string{"words", "call"} {
		w := newWorld(t)
		ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
		ada.verifies(bea)
		ada.rules.KeyAnnouncements = rule
		bea.verifies(ada)
		w.now = w.now.Add(time.Hour)
		next := w.admit("Bea, next year", beaAddress)
		bea.prepare(next)
		bea.announces(1)
		w.post()
		mine, err := bea.Mine(t.Context())
		if err != nil || mine.Next == nil || mine.Next.From.Sub(w.now) < 29*24*time.Hour {
			t.Fatalf("%+v, %v", mine, err)
		}
		report := contacts.CallReport{Number: number, Source: contacts.SourceEarlier, Words: mine.Next.Words}
		if rule == "call" {
			var candidate string
			for _, k := range ada.state(bea, contacts.Verified).Contact.Candidates {
				if keyset.SPKI(k.Keys.Sign) == keyset.SPKI(next.Certificate) {
					candidate = k.ID
				}
			}
			if _, err := ada.StartTest(t.Context(), beaAddress, candidate); err != nil {
				t.Fatal(err)
			}
			w.post()
			in := bea.reads(ada)
			if in == nil || strings.Join(in.Mine, " ") != strings.Join(mine.Next.Words, " ") {
				t.Fatalf("her page shows other words: %+v", in)
			}
			report.Code = in.Words
			if _, err := bea.Answer(t.Context(), adaAddress); err != nil {
				t.Fatal(err)
			}
			w.post()
			if c := ada.state(bea, contacts.Verified); c.Test == nil || c.Test.Answered.IsZero() {
				t.Fatalf("the answer does not count: %s", c.Voided)
			}
		}
		if r, err := ada.Call(t.Context(), beaAddress, report); err != nil || !r.Matched {
			t.Fatalf("%s: %+v, %v", rule, r, err)
		}
		if c := ada.state(bea, contacts.Verified); keyset.SPKI(c.Pin.Keys.Sign) != keyset.SPKI(next.Certificate) {
			t.Errorf("%s: the new keys are not confirmed", rule)
		}
		if _, err := bea.write(mailer.Draft{To: []string{adaAddress}, Subject: "s", Text: "t"}); err != nil {
			t.Fatal(err)
		}
		w.post()
		ada.shows(rule, policy.Good, "From Bea", "the key that they use until")
	}
}
