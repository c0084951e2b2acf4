package contacts

import (
	"errors"
	mathrand "math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"countersign/vault/contacts/keyset"
	"countersign/vault/trust"
)

// scene is a contact in one state, with what is needed to go on from there.
type scene struct {
	me, her, eve *person
	c            Contact
	f            Form // the test that was sent, if any
}

func newScene(t testing.TB, state string) scene {
	s := scene{me: newPerson(t, "ada@harbour.example"), her: newPerson(t, "imran@hill.example"), eve: newPerson(t, "imran@hill.example")}
	s.c = must[Contact](t)(New(s.her.own.Address, "Dr Imran Shah"))
	switch state {
	case "unknown":
	case "has-certificate":
		s.c = s.me.know(s.her)
	case "test-sent":
		s.c, s.f = s.me.test(s.me.know(s.her))
	case "answered":
		s.c, s.f = s.me.answered(s.her)
	case "answered theirs": // Eve tested me and I answered
		s.c = s.receiveTest(t)
		s.c, _, _ = s.c.AnswerTest(s.me.at(), s.me.own)
	case "verified":
		s.c, _ = s.me.verified(s.her)
	case "mismatch":
		s.c, s.f = s.me.answered(s.her)
		s.c, _ = s.me.call(s.c, CallReport{Wrong: true})
	case "suspended":
		s.c, _ = s.me.verified(s.her)
		s.c, _, _ = s.c.Suspend(s.me.at(), ByUser)
	default:
		t.Fatalf("no scene %q", state)
	}
	s.c = stored(t, s.c)
	return s
}

// receiveTest is Eve's test reaching me: her certificate is perfect, her keys are
// not his.
func (s scene) receiveTest(t testing.TB) Contact {
	s.eve.now = s.me.now
	c := s.eve.know(s.me)
	_, f := s.eve.test(c)
	return must[Contact](t)(s.c.ReceiveTest(s.me.at(), carry(t, f, s.eve.own.Keys), s.me.own, s.me.new))
}

// good is a call on which everything is right for the test that is out.
func (s scene) good() CallReport {
	return directory.code(s.f.Code...).words(safety(s.her.own.Address, s.her.own.Keys))
}

type event struct {
	name string
	do   func(t testing.TB, s scene) (Contact, error)
}

// events is everything that can happen to a contact.
var events = []event{
	{"another certificate is seen", func(t testing.TB, s scene) (Contact, error) {
		return s.c.AddCandidate(s.me.at(), s.eve.own.Keys, FromMessage)
	}},
	{"their certificate is seen", func(t testing.TB, s scene) (Contact, error) {
		return s.c.AddCandidate(s.me.at(), s.her.own.Keys, FromMessage)
	}},
	{"I send a test", func(t testing.TB, s scene) (Contact, error) {
		c, _, err := s.c.SendTest(s.me.at(), s.me.own, "")
		return c, err
	}},
	{"they answer it", func(t testing.TB, s scene) (Contact, error) {
		answer := Form{}
		s.her.now = s.me.now
		if s.f.ID != "" {
			theirs := must[Contact](t)(New(s.me.own.Address, ""))
			theirs, err := theirs.ReceiveTest(s.her.at(), carry(t, s.f, s.me.own.Keys), s.her.own, func(string) bool { return false })
			if err != nil { // a test of Eve's keys, which are not his
				return s.c, err
			}
			_, answer, _ = theirs.AnswerTest(s.her.at(), s.her.own)
		}
		return s.c.ReceiveAnswer(s.me.at(), Received{Form: answer, From: s.her.own.Address, Signer: s.her.own.Keys.Sign,
			Encryption: s.her.own.Keys.Encrypt, Encrypted: true}, s.me.own, s.me.new)
	}},
	{"they reply in another program", func(t testing.TB, s scene) (Contact, error) {
		return s.c.ReceiveReply(s.me.at(), Reply{Signer: s.her.own.Keys.Sign, Encrypted: true, Text: "> Reference: " + s.f.ID + "\nYes"}), nil
	}},
	{"the code comes back in clear", func(t testing.TB, s scene) (Contact, error) {
		return s.c.ReceiveReply(s.me.at(), Reply{Text: "> " + s.f.Code.Text()}), nil
	}},
	{"Eve tests me", func(t testing.TB, s scene) (Contact, error) { return s.receiveTest(t), nil }},
	{"I answer her", func(t testing.TB, s scene) (Contact, error) {
		c, _, err := s.c.AnswerTest(s.me.at(), s.me.own)
		return c, err
	}},
	{"I call: everything matches", func(t testing.TB, s scene) (Contact, error) { return s.report(s.good()) }},
	{"I call: the code alone matches", func(t testing.TB, s scene) (Contact, error) {
		return s.report(directory.code(s.f.Code...))
	}},
	{"I call: the words alone match", func(t testing.TB, s scene) (Contact, error) {
		r := s.good()
		r.Code = nil
		return s.report(r)
	}},
	{"I call: wrong words, twice", func(t testing.TB, s scene) (Contact, error) {
		mine := directory.words(safety(s.me.own.Address, s.me.own.Keys))
		c, err := s.report(mine)
		if err == nil {
			s.c = c
			c, err = s.report(mine)
		}
		return c, err
	}},
	{"I call: three wrong codes", func(t testing.TB, s scene) (Contact, error) {
		c, err := s.c, error(nil)
		for range 3 {
			if s.c, err = s.report(directory.code("abandon", "ability", "able", "about")); err != nil {
				return c, err
			}
		}
		return s.c, nil
	}},
	{"I call: something is wrong", func(t testing.TB, s scene) (Contact, error) { return s.report(CallReport{Wrong: true}) }},
	{"we misheard", func(t testing.TB, s scene) (Contact, error) { return s.c.Misheard() }},
	{"I stop it", func(t testing.TB, s scene) (Contact, error) {
		c, _, err := s.c.Suspend(s.me.at(), ByUser)
		return c, err
	}},
	{"a week passes", func(t testing.TB, s scene) (Contact, error) {
		s.me.now = s.me.now.Add(8 * 24 * time.Hour)
		c, _ := s.c.Refresh(s.me.at(), trusted(), trusted())
		return c, nil
	}},
	{"the pinned certificate is withdrawn", func(t testing.TB, s scene) (Contact, error) {
		c, _ := s.c.Refresh(s.me.at(), trusted(), trust.Verdict{Status: trust.Revoked})
		return c, nil
	}},
	{"another certificate is unknown", func(t testing.TB, s scene) (Contact, error) {
		c, _ := s.c.Refresh(s.me.at(), trust.Verdict{Status: trust.Unknown}, trust.Verdict{Status: trust.Unknown})
		return c, nil
	}},
	{"Eve's certificate claims to be a renewal", func(t testing.TB, s scene) (Contact, error) {
		c, _, err := s.c.Renew(s.me.at(), s.eve.own.Keys, trusted(), trusted())
		return c, err
	}},
}

func (s scene) report(r CallReport) (Contact, error) {
	c, _, err := s.c.recordCall(s.me.at(), r, safety)
	return c, err
}

// table is the whole machine: for each state, what each event leads to; an entry
// that is missing means "refused", the empty state "as it was".
var table = map[string]map[string]State{
	"unknown": {
		"another certificate is seen": HasCertificate, "their certificate is seen": HasCertificate,
		"they reply in another program": "", "the code comes back in clear": "", "Eve tests me": HasCertificate,
		"a week passes": "", "the pinned certificate is withdrawn": "", "another certificate is unknown": "",
	},
	"has-certificate": {
		"another certificate is seen": "", "their certificate is seen": "", "I send a test": TestSent,
		"they reply in another program": "", "the code comes back in clear": "", "Eve tests me": "",
		"a week passes": "", "the pinned certificate is withdrawn": "", "another certificate is unknown": "",
	},
	"test-sent": {
		"another certificate is seen": "", "their certificate is seen": "", "I send a test": "", "they answer it": Answered,
		"they reply in another program": Answered, "the code comes back in clear": HasCertificate, "Eve tests me": "",
		"I call: everything matches": Verified, "I call: the code alone matches": "", "I call: the words alone match": "",
		"I call: wrong words, twice": Mismatch, "I call: three wrong codes": HasCertificate, "I call: something is wrong": Mismatch,
		"a week passes": HasCertificate, "the pinned certificate is withdrawn": "", "another certificate is unknown": "",
	},
	"answered": {
		"another certificate is seen": "", "their certificate is seen": "", "I send a test": TestSent, "they answer it": "",
		"they reply in another program": "", "the code comes back in clear": HasCertificate, "Eve tests me": "",
		"I call: everything matches": Verified, "I call: the code alone matches": "", "I call: the words alone match": "",
		"I call: wrong words, twice": Mismatch, "I call: three wrong codes": HasCertificate, "I call: something is wrong": Mismatch,
		"a week passes": HasCertificate, "the pinned certificate is withdrawn": "", "another certificate is unknown": "",
	},
	"answered theirs": {
		"another certificate is seen": "", "their certificate is seen": "", "I send a test": TestSent,
		"they reply in another program": "", "the code comes back in clear": "", "Eve tests me": HasCertificate, "I answer her": "",
		"a week passes": HasCertificate, "the pinned certificate is withdrawn": "", "another certificate is unknown": "",
	},
	"verified": {
		"another certificate is seen": "", "their certificate is seen": "", "I send a test": "",
		"they reply in another program": "", "the code comes back in clear": "", "Eve tests me": "", "I stop it": Suspended,
		"a week passes": "", "the pinned certificate is withdrawn": Suspended, "another certificate is unknown": "",
	},
	"mismatch": {
		"another certificate is seen": "", "their certificate is seen": "",
		"they reply in another program": "", "the code comes back in clear": "", "Eve tests me": "", "we misheard": HasCertificate,
		"a week passes": "", "the pinned certificate is withdrawn": "", "another certificate is unknown": "",
	},
	"suspended": {
		"another certificate is seen": "", "their certificate is seen": "", "I send a test": "",
		"they reply in another program": "", "the code comes back in clear": "", "Eve tests me": "",
		"a week passes": "", "the pinned certificate is withdrawn": "", "another certificate is unknown": "",
	},
}

// TestTable plays every event in every state.
func TestTable(t *testing.T) {
	for state, row := range table {
		for name := range row {
			if !slices.ContainsFunc(events, func(e event) bool { return e.name == name }) {
				t.Errorf("the table names an event that does not exist: %q", name)
			}
		}
		for _, e := range events {
			t.Run(state+"/"+e.name, func(t *testing.T) {
				s := newScene(t, state)
				before := stored(t, s.c)
				c, err := e.do(t, s)
				if !reflect.DeepEqual(stored(t, s.c), before) {
					t.Error("the old value was changed")
				}
				want, allowed := row[e.name]
				switch {
				case !allowed && err == nil:
					t.Fatalf("went through, to %s", c.State)
				case !allowed && !reflect.DeepEqual(stored(t, c), before):
					t.Fatalf("refused (%v), but the contact changed", err)
				case allowed && err != nil:
					t.Fatal(err)
				}
				if want == "" {
					want = before.State
				}
				if c.State != want {
					t.Fatalf("%s, want %s", c.State, want)
				}
				settled := c.clone()
				if settled.settle(); settled.State != c.State {
					t.Fatalf("the state is %s, but its fields say %s", c.State, settled.State)
				}
				if c.Label(nil) == "" || c.Next(nil) == "" || c.Level() == "" {
					t.Fatalf("no words for %s", c.State)
				}
				var p *Problem
				if errors.As(err, &p) && (p.Says == "" || p.Code == "") {
					t.Fatalf("no words for %v", err)
				}
			})
		}
	}
}

// sendAny sends a test to any of the candidates, Eve's too. Its code becomes known
// to him either way: at worst Eve passes it on.
func (s *scene) sendAny(r *mathrand.Rand) {
	if len(s.c.Candidates) == 0 {
		return
	}
	c, f, err := s.c.SendTest(s.me.at(), s.me.own, s.c.Candidates[r.IntN(len(s.c.Candidates))].ID)
	if err == nil {
		s.c, s.f = c, f
	}
}

// tamper edits the database as somebody would who wants Eve, or anybody, verified.
func (s *scene) tamper(r *mathrand.Rand) {
	if s.c = s.c.clone(); s.c.Test == nil {
		return
	}
	switch r.IntN(5) {
	case 0:
		s.c.Test.CodeMatched = s.me.now
	case 1:
		s.c.Test.WordsMatched, s.c.Test.Sign, s.c.Test.Encrypt = s.me.now, keyset.ReadWords, keyset.ReadWords
	case 2:
		s.c.Test.Keys = s.eve.own.Keys
	case 3:
		s.c.Test.CodeWrong, s.c.Test.Expires = -100, s.me.now.AddDate(1, 0, 0)
	case 4:
		s.c.Test.Vouched = !s.c.Test.Vouched
	}
}

// TestOnlyACallVerifies: whatever happens in whatever order, a contact becomes
// verified only after reports with a number and source, the right code and the
// right words for exactly the key set that is then pinned; and a database edited
// on the way does not help.
func TestOnlyACallVerifies(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 50
	}
	reached := map[State]int{}
	for seed := range rounds {
		r := mathrand.New(mathrand.NewPCG(uint64(seed), 7))
		s := newScene(t, []string{"unknown", "has-certificate", "test-sent", "answered"}[r.IntN(4)])
		var testID string
		var code, words bool // reported, rightly, for the test that is out
		for range 40 {
			if s.c.Test != nil && s.c.Test.ID != testID {
				testID, code, words = s.c.Test.ID, false, false
			}
			switch r.IntN(8) {
			case 0:
				s.sendAny(r)
				continue
			case 1:
				if r.IntN(4) == 0 {
					s.tamper(r)
					continue
				}
			}
			e, was := events[r.IntN(len(events))], s.c
			if was.Test != nil && was.Test.ID == s.f.ID {
				all := e.name == "I call: everything matches"
				code = code || all || e.name == "I call: the code alone matches"
				words = words || all || e.name == "I call: the words alone match"
			}
			c, err := e.do(t, s)
			if err != nil {
				continue
			}
			if c.State == Verified && was.State != Verified {
				his := s.her.own.Keys.ID()
				if !code || !words || c.Pin.Keys.ID() != his || was.Test.Keys.ID() != his || s.f.ID != was.Test.ID ||
					c.Pin.Call.Number == "" || c.Pin.Call.Source == "" {
					t.Fatalf("seed %d: %q made %s verified: %+v", seed, e.name, was.State, c.Pin.Call)
				}
			}
			if c.Test != nil && (was.Test == nil || c.Test.ID != was.Test.ID) {
				s.f = Form{} // sent by the event itself, so nobody here knows its code
			}
			s.c = stored(t, c)
			reached[s.c.State]++
		}
	}
	for _, state := range []State{Unknown, HasCertificate, TestSent, Answered, Verified, Mismatch, Suspended} {
		if reached[state] < 10 {
			t.Errorf("sequences reached %s %d times: the test shows little about it", state, reached[state])
		}
	}
}

// TestTake: a step outlasts what comes in while its form is signed, and is not taken where
// the verification moved on.
func TestTake(t *testing.T) {
	p := newPerson(t, "a@x.example")
	other := newPerson(t, "b@y.example")
	before, err := New(other.own.Address, "")
	if err != nil {
		t.Fatal(err)
	}
	if before, err = before.AddCandidate(p.at(), other.own.Keys, FromMessage); err != nil {
		t.Fatal(err)
	}
	next, _, err := before.SendTest(p.at(), p.own, "")
	if err != nil {
		t.Fatal(err)
	}
	now := before.Hear(p.at(), other.own.Keys, Reads{Said: start, GCM: true})
	now.Name = "B"
	if c, ok := now.Take(before, next); !ok || c.Name != "B" || !c.Candidates[0].Reads.GCM || c.State != TestSent || c.Test.ID != next.Test.ID || now.Test != nil {
		t.Errorf("%v %+v", ok, c)
	}
	now, _, err = before.SendTest(p.at(), p.own, "")
	if c, ok := now.Take(before, next); err != nil || ok || c.Test.ID != now.Test.ID {
		t.Errorf("%v %v %+v", err, ok, c.Test)
	}
}
