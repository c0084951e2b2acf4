package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/tray/control"
)

// bea is a contact whose test is under way. She will read out code and words,
// which must never be printed.
var (
	beaCode  = []string{"river", "candle", "stone", "apple"}
	beaWords = []string{"lunar", "absurd", "kitten", "marble", "ocean", "viable"}
)

const beaDigits = "3f0c 99aa 0102 0304 0506 0708"

// switchboard answers Contacts.Call as the agent would.
type switchboard struct {
	contact control.Contact
	tries   int
}

func newSwitchboard() (*switchboard, *fake) {
	s := &switchboard{tries: 3, contact: control.Contact{
		Address: "bea@clinic.example", Name: "Dr Bea Brandt", State: "answered", Level: "care", Label: "Not confirmed yet", Next: "Call them.",
		Test:   &control.Test{Sent: time.Now(), Fingerprints: 1},
		Script: &control.Script{Open: "This is Ada.", Code: "The four words, please.", Words: "Your safety words, please.", Fingerprints: "Its last digits, please.", Close: "Thank you."},
	}}
	f := &fake{answers: map[string]any{"Contacts.Programs": []control.Program{{Name: "Thunderbird", Shows: "last 24 digits of SHA-256", Steps: []string{"Open the menu."}}}}, do: map[string]func(any) (any, error){
		"Contacts.Show": func(any) (any, error) { return s.copy(), nil },
		"Contacts.Call": func(q any) (any, error) {
			if q.(control.CallReport).Number == "none" {
				return nil, &control.Error{Code: "bad-number", Says: "That is no number."}
			}
			return s.call(q.(control.CallReport)), nil
		},
	}}
	return s, f
}

// copy is how the contact stands now.
func (s *switchboard) copy() control.Contact {
	c := s.contact
	if c.Test != nil {
		test := *c.Test
		c.Test = &test
	}
	return c
}

func (s *switchboard) call(r control.CallReport) control.CallResult {
	now := time.Date(2026, 3, 1, 9, 12, 0, 0, time.UTC)
	out := control.CallResult{Matched: true}
	t := s.contact.Test
	if r.Source != "" {
		t.Source, t.Number = r.Source, r.Number
	}
	switch {
	case r.Wrong:
		s.contact.State, s.contact.Level, s.contact.Label = "mismatch", "stop", "Someone may be between you"
		out.Matched, out.Says = false, "Nothing will be sent to them."
	case len(r.Code) > 0 && slices.Contains(r.Code, "xyzzy"):
		out.Matched, out.Unknown = false, []int{slices.Index(r.Code, "xyzzy") + 1}
	case len(r.Code) > 0 && !slices.Equal(r.Code, beaCode):
		out.Matched, out.Says = false, "Those are not the words."
		if s.tries--; s.tries == 0 {
			s.contact.Test = nil
		}
	case len(r.Code) > 0:
		t.CodeMatched, out.Says = now, "The four words match."
	case len(r.Words) > 0 && !slices.Equal(r.Words, beaWords):
		out.Matched, out.Says = false, "Those are not their words."
	case len(r.Words) > 0 || len(r.Fingerprint) > 0 && r.Fingerprint[0] == beaDigits:
		t.WordsMatched, out.Says = now, "They match."
	}
	if s.contact.Test != nil && !t.CodeMatched.IsZero() && !t.WordsMatched.IsZero() {
		s.contact.State, s.contact.Level, s.contact.Label, s.contact.Test = "verified", "good", "Confirmed by telephone", nil
	}
	out.Contact = s.copy()
	return out
}

func TestCallGuide(t *testing.T) {
	all := func(parts ...[]string) []string { return slices.Concat(parts...) }
	number := []string{"1", "+44 20 7946 0018"}
	tests := []struct {
		name    string
		answers []string
		code    int
		state   string
		says    []string
	}{
		{"all goes well", all(number, beaCode, []string{"y"}, beaWords), done, "verified", []string{"“This is Ada.”", "“The four words, please.”", "✓ The four words match.", "“Your safety words, please.”", "✓ They match.", "“Thank you.”", "Confirmed by telephone"}},
		{"a source must be chosen", all([]string{"", "7", "letterhead", "123"}, beaCode, []string{""}, beaWords), done, "verified", []string{"Answer with a digit, 1 to 4."}},
		{"in the same room, no number", all([]string{"4"}, beaCode, []string{""}, beaWords), done, "verified", []string{"Say to them:"}},
		{"several words at once are not taken", all(number, []string{"river candle"}, beaCode, []string{"", ""}, beaWords), done, "verified", []string{"One word at a time"}},
		{"a wrong word, then right", all(number, []string{"river", "candle", "stone", "pear"}, beaCode, []string{""}, beaWords), done, "verified", []string{"✗ Those are not the words."}},
		{"a word on no list", all(number, []string{"river", "xyzzy", "stone", "apple"}, beaCode, []string{""}, beaWords), done, "verified", []string{"Word 2 is not one of the 2,048 words."}},
		{"three wrong codes", all(number, slices.Repeat([]string{"pear"}, 12)), failed, "answered", nil},
		{"by fingerprint", all(number, beaCode, []string{"n", beaDigits}), done, "verified", []string{"“Its last digits, please.”", "In Thunderbird it is the last 24 digits of SHA-256:", "“Open the menu.”"}},
		{"a number that is none", all([]string{"1", "none", "123"}, beaCode, []string{""}, beaWords), done, "verified", []string{"That is no number."}},
		{"something does not match", all(number, []string{"river", "!"}), failed, "mismatch", []string{"✗ Nothing will be sent to them.", "Someone may be between you"}},
		{"they leave in the middle", all(number, []string{"river"}), failed, "answered", []string{"Stopped."}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			board, f := newSwitchboard()
			r := run(t, f, &person{answers: test.answers}, "verify", "call", "bea@clinic.example")
			if r.code != test.code || board.contact.State != test.state {
				t.Errorf("ended with %d, %s:\n%s%s", r.code, board.contact.State, r.out, r.err)
			}
			for _, says := range test.says {
				if !strings.Contains(r.out+r.err, says) {
					t.Errorf("does not say %q:\n%s%s", says, r.out, r.err)
				}
			}
			for _, secret := range slices.Concat(beaCode, beaWords, []string{"3f0c"}) {
				if strings.Contains(r.out+r.err, secret) {
					t.Errorf("prints %q", secret)
				}
			}
		})
	}
}

func TestCallGuideGoesOnWhereItStopped(t *testing.T) {
	board, f := newSwitchboard()
	board.contact.Test.Source, board.contact.Test.Number = control.SourceKnown, "123"
	board.contact.Test.CodeMatched = time.Now()
	r := run(t, f, &person{answers: append([]string{""}, beaWords...)}, "verify", "call", "bea@clinic.example")
	if r.code != done || !strings.Contains(r.out, "You call 123 (I know the number myself).") {
		t.Errorf("ended with %d:\n%s%s", r.code, r.out, r.err)
	}
}

// The number of an earlier call is offered; without one it is no choice.
func TestCallGuideOffersTheEarlierNumber(t *testing.T) {
	board, f := newSwitchboard()
	board.contact.Number = "+44 1"
	p := &person{answers: append(append([]string{"5"}, beaCode...), append([]string{""}, beaWords...)...)}
	if r := run(t, f, p, "verify", "call", "bea@clinic.example"); r.code != done {
		t.Errorf("ended with %d:\n%s%s", r.code, r.out, r.err)
	}
	got := f.queries("Contacts.Call")[0].(control.CallReport)
	if got.Number != "+44 1" || got.Source != control.SourceEarlier {
		t.Errorf("reported %+v", got)
	}
	_, f = newSwitchboard()
	if r := run(t, f, &person{answers: []string{"5"}}, "verify", "call", "bea@clinic.example"); len(f.queries("Contacts.Call")) > 0 {
		t.Errorf("an earlier number out of nowhere:\n%s", r.out)
	}
}

func TestCallGuideForATeam(t *testing.T) {
	board, f := newSwitchboard()
	board.contact.Team = true
	answers := append([]string{"1", "123", "Sister Ruth"}, beaCode...)
	run(t, f, &person{answers: answers}, "verify", "call", "bea@clinic.example")
	if got := f.queries("Contacts.Call")[0].(control.CallReport); got.Reader != "Sister Ruth" {
		t.Errorf("reported %+v", got)
	}
}

func TestCallGuideNeedsATest(t *testing.T) {
	board, f := newSwitchboard()
	board.contact.Test = nil
	r := run(t, f, &person{}, "verify", "call", "bea@clinic.example")
	if r.code != failed || !strings.Contains(r.err, "countersign verify start bea@clinic.example") {
		t.Errorf("ended with %d: %s", r.code, r.err)
	}
}

func TestCallByFlags(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want control.CallReport
		code int
	}{
		{"number and code", []string{"--number", "123", "--source", "directory", "--code", " river candle  stone apple "},
			control.CallReport{Number: "123", Source: "directory", Code: beaCode}, done},
		{"a wrong code", []string{"--source", "in-person", "--code", "a b c d"},
			control.CallReport{Source: "in-person", Code: []string{"a", "b", "c", "d"}}, failed},
		{"words", []string{"--words", strings.Join(beaWords, " ")}, control.CallReport{Words: beaWords}, done},
		{"fingerprints", []string{"--fingerprint", beaDigits, "--fingerprint", "aa"}, control.CallReport{Fingerprint: []string{beaDigits, "aa"}}, done},
		{"wrong", []string{"--wrong"}, control.CallReport{Wrong: true}, failed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, f := newSwitchboard()
			r := run(t, f, nil, append([]string{"verify", "call", "bea@clinic.example"}, test.args...)...)
			test.want.Address = "bea@clinic.example"
			// Which of nil and empty a list is means nothing.
			got := f.queries("Contacts.Call")[0].(control.CallReport)
			for _, list := range []*[]string{&got.Code, &got.Words} {
				if len(*list) == 0 {
					*list = nil
				}
			}
			if r.code != test.code || !reflect.DeepEqual(got, test.want) {
				t.Errorf("ended with %d, reported %+v: %s", r.code, got, r.err)
			}
		})
	}
	_, f := newSwitchboard()
	if r := run(t, f, nil, "verify", "call", "bea@clinic.example"); r.code != wrongUsage {
		t.Errorf("nothing heard, nobody to ask: %d %s", r.code, r.err)
	}
}

// Somebody who is confirmed already, of whom another certificate is tried.
func TestCallGuideForAnotherCertificate(t *testing.T) {
	board, f := newSwitchboard()
	board.contact.State = "verified"
	board.contact.Test.Source, board.contact.Test.Number = control.SourceKnown, "123"
	r := run(t, f, &person{answers: slices.Concat(beaCode, []string{""}, beaWords)}, "verify", "call", "bea@clinic.example")
	if r.code != done || board.contact.Test != nil || !strings.Contains(r.out, "They match.") {
		t.Errorf("ended with %d:\n%s%s", r.code, r.out, r.err)
	}
}
