package web

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"countersign/tray/control"
)

// The page that leads through a verification (SECURITY.md, V1 to V6). It holds
// nothing that will be read out: what is typed goes to the agent, and only "it
// matched" or "it did not" comes back.

// leading is its content.
type leading struct {
	someone
	Stage    string // certificate | test | call | done | mismatch
	Steps    []step
	Over     bool // the test has run out
	Number   string
	Source   string
	Sources  []source
	Prints   []string // what is read of each certificate, signing first
	Programs []control.Program
}

type step struct {
	Title       string
	Done, Going bool
}

type source struct{ Value, Words, Short string }

// sources is where a telephone number may come from, in the words of rule V1.
func sources(c control.Contact) []source {
	all := []source{
		{control.SourceDirectory, "Their organisation's own directory, or a printed one", "from the directory"},
		{control.SourceLetterhead, "A letter or card that I had before", "from a letter or card"},
		{control.SourceKnown, "I know the number myself", "known to you"},
		{control.SourceInPerson, "No number: we are in the same room", "in the same room"},
	}
	if c.Number != "" {
		all = append([]source{{control.SourceEarlier, "The number of the earlier call, as offered here", "from the earlier call"}}, all...)
	}
	return all
}

func (v *visit) verify() error {
	s, err := v.someone()
	if err != nil {
		return err
	}
	if !s.Known {
		return v.show("contact", "contacts", s)
	}
	l := lead(s, v.p.o.Clock())
	if l.Stage == "call" {
		if l.Programs, err = v.p.svc.Contacts.Programs(v.ctx(), control.None{}); err != nil {
			return err
		}
	}
	return v.show("verify", "contacts", l)
}

// lead finds the step that a verification stands at.
func lead(s someone, now time.Time) leading {
	l := leading{someone: s, Sources: sources(s.Contact), Prints: []string{"their certificate"}}
	if t := s.Test; t != nil {
		l.Over = t.CodeMatched.IsZero() && !t.Expires.IsZero() && now.After(t.Expires)
		l.Number, l.Source = t.Number, t.Source
		if t.Fingerprints > 1 {
			l.Prints = []string{"their certificate for signing", "their certificate for encryption"}
		}
	}
	at := 0
	switch {
	case s.NewKey == "test" && s.Test == nil:
		l.Stage, at = "test", 1
	case s.NewKey != "":
		l.Stage, at = "call", 2
	case s.Test != nil && !l.Over:
		l.Stage, at = "call", 2
	case s.State == "verified":
		l.Stage, at = "done", 4
	case s.State == "mismatch":
		l.Stage, at = "mismatch", 2
	case len(s.Candidates) > 0 || s.State == "has-certificate":
		l.Stage, at = "test", 1
	default:
		l.Stage, at = "certificate", 0
	}
	for i, title := range []string{"Their certificate", "Test message", "The call", "Confirmed"} {
		l.Steps = append(l.Steps, step{Title: title, Done: i < at, Going: i == at})
	}
	return l
}

// Another tells that there are certificates to confirm beside the one that is confirmed.
func (l leading) Another() bool {
	return slices.ContainsFunc(l.Candidates, func(c control.Candidate) bool { return !c.Pinned })
}

// Given tells where the number came from, in a few words.
func (l leading) Given() string {
	for _, s := range l.Sources {
		if s.Value == l.Source {
			return s.Short
		}
	}
	return l.Source
}

// Dial is the number as a tel: link takes it (RFC 3966, section 3).
func (l leading) Dial() string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '+' {
			return r
		}
		return -1
	}, l.Number)
}

// report hands on what was heard. A part alone is enough; what matched is kept.
func (v *visit) report() error {
	address, err := v.contact()
	if err != nil {
		return v.tell("contacts", noteOf(err))
	}
	here := "contacts/" + v.path("id") + "/verify"
	report := control.CallReport{Address: address}
	switch v.form("part") {
	case "number":
		report.Number, report.Source, report.Reader = strings.TrimSpace(v.form("number")), v.form("source"), strings.TrimSpace(v.form("reader"))
		if report.Source == control.SourceInPerson {
			report.Number = "" // an earlier number may still stand in the box
		}
		if report.Source == "" {
			return v.tell(here, note{Level: "care", Says: "Say where the number is from.", Next: "A number from the e-mail itself, or from its signature, proves nothing.", Kept: v.r.PostForm})
		}
	case "code":
		report.Code = v.r.PostForm["word"]
	case "words":
		report.Words = v.r.PostForm["word"]
	case "fingerprint":
		report.Fingerprint = v.r.PostForm["digits"]
	case "wrong":
		report.Wrong = true
	default:
		return v.nowhere()
	}
	got, err := v.p.svc.Contacts.Call(v.ctx(), report)
	if err != nil {
		return v.tell(here, noteOf(err))
	}
	n := note{Level: "care", Says: got.Says, Again: got.Unknown, Part: v.form("part")}
	switch {
	case got.Contact.State == "mismatch":
		n.Level = "stop"
	case got.Matched:
		n.Level = "good"
	}
	if got.Says == "" { // a number alone: the page shows it
		return v.goTo(here)
	}
	return v.tell(here, n)
}

// ownWords is what the user reads out when somebody verifies them.
func (v *visit) ownWords() error {
	mine, err := v.p.svc.Contacts.Mine(v.ctx(), control.None{})
	if err != nil {
		return err
	}
	return v.show("words", "words", mine)
}

// wordList is for the script: which words there are at all. It says nothing
// about which are expected.
func (v *visit) wordList() error {
	list, err := v.p.svc.Contacts.WordList(v.ctx(), control.None{})
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	v.w.WriteHeader(http.StatusOK)
	v.w.Write([]byte(strings.Join(list, "\n"))) // a failed write has no reader
	return nil
}
