package contacts

import (
	"crypto/hmac"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"countersign/vault/contacts/keyset"
)

// CallReport is what the user heard on a call that the user placed (V1). Number
// and source are needed before anything else counts, unless given before.
type CallReport struct {
	Number       string   // typed by the user, never filled in from mail or a certificate
	Source       Source   // empty until chosen
	Code         []string // four words
	Words        []string // six safety words
	Fingerprints []string // one or two
	Reader       string   // for a team: who read them out
	Wrong        bool     // "something does not match"
}

// Outcome is what a report came to.
type Outcome struct {
	Matched      bool         // everything in this report matched
	Code         bool         // the code has matched, now or before
	Words        bool         // the words, or every fingerprint needed, have, now or before
	Verified     bool         // the key set is pinned
	Mismatch     bool         // someone may be between
	UnknownCode  []int        // positions, from 1, that are not on the list: no try was used
	UnknownWords []int        // the same for the safety words
	OtherNumber  bool         // not the number of the earlier verification: to be journaled
	Says         string       // for the user; never tells which word was wrong (V5)
	Record       *RecordDraft // to be signed and kept, if any
}

// RecordCall takes a report of a call that the user placed, and is the only way
// to Verified. Any part may come alone and in either order; what matched is kept
// until the test ends. When both the code and the words (or the fingerprint of
// each certificate) have matched for the tested key set, that key set is pinned
// and Outcome.Record is to be signed.
//
// A call to another number than before starts both checks again, so that the
// number recorded is the one on which everything was heard.
func (c Contact) RecordCall(m Moment, r CallReport) (Contact, Outcome, error) {
	return c.recordCall(m, r, keyset.SafetyWords)
}

// recordCall has the function for the safety words as an argument, because the
// real one is slow on purpose and the tests make thousands of calls.
func (c Contact) recordCall(m Moment, r CallReport, safety func(string, KeySet) [6]string) (Contact, Outcome, error) {
	before := c
	if c.Test == nil {
		return before, Outcome{}, ErrNoTest
	}
	c = c.clone()
	if why := c.ended(m); why != "" {
		c.void(why)
		c.settle()
		return c, Outcome{Says: why.String()}, nil
	}
	o := Outcome{Matched: true}
	err := c.place(r, &o)
	if r.Wrong { // an alarm needs no number
		c.doubt(m, &o)
		return c, o, nil
	}
	if err != nil {
		return before, Outcome{}, err
	}
	if len(r.Code) > 0 {
		c.hearCode(m, r.Code, &o)
	}
	if c.Test != nil && len(r.Words) > 0 {
		c.hearWords(m, r.Words, safety, &o)
	} else if c.Test != nil && len(r.Fingerprints) > 0 {
		c.hearFingerprints(m, r.Fingerprints, &o)
	}
	c.conclude(m, &o)
	if o.Says == "" && r.Number == "" && r.Source == "" {
		return before, Outcome{}, ErrNothingHeard
	}
	return c, o, nil
}

// ended tells why a test can't be finished any more.
func (c Contact) ended(m Moment) Void {
	switch {
	case !c.sealed(m):
		return VoidEdited
	case !m.now().Before(c.Test.Expires):
		return VoidExpired
	}
	return ""
}

// place settles which number was called and where it is from (V1).
func (c *Contact) place(r CallReport, o *Outcome) error {
	t := c.Test
	number, source, reader := strings.TrimSpace(r.Number), r.Source, strings.TrimSpace(r.Reader)
	if source == "" {
		source = t.Source
	}
	if reader == "" {
		reader = t.Reader
	}
	earlier := ""
	if c.Pin != nil {
		earlier = c.Pin.Call.Number
	}
	switch {
	case source == SourceInPerson && number != "":
		return ErrInPersonNumber
	case source == SourceInPerson:
	case number == "" && source == SourceEarlier && earlier != "":
		number = earlier
	case number == "":
		number = t.Number
	}
	switch {
	case source != SourceInPerson && number == "":
		return ErrNumber
	case source != SourceInPerson && !dialable(number):
		return ErrBadNumber
	case !slices.Contains(Sources(), source):
		return ErrSource
	case source == SourceEarlier && (earlier == "" || digits(number) != digits(earlier)):
		return ErrNotEarlier
	case c.Team && reader == "" || len(reader) > 80 || !utf8.ValidString(reader) || strings.ContainsFunc(reader, unprintable):
		return ErrReader
	}
	if t.Source != "" && digits(number) != digits(t.Number) && (!t.CodeMatched.IsZero() && !t.Announced || t.Sign != "" || t.Encrypt != "") {
		t.WordsMatched, t.Sign, t.Encrypt = time.Time{}, "", ""
		if !t.Announced { // there was no code to hear
			t.CodeMatched = time.Time{}
		}
		o.say("With another number both checks start again.")
	}
	o.OtherNumber = number != "" && earlier != "" && digits(number) != digits(earlier)
	t.Number, t.Source, t.Reader = number, source, reader
	return nil
}

// unprintable characters do not belong in a name. What is not UTF-8 would not be the
// same after it was stored as JSON, and the signature of its record not hold.
func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// dialable accepts what people write for a telephone number.
func dialable(number string) bool {
	other := strings.TrimLeft(strings.ToLower(number), "0123456789 +()-./#*ext")
	return len(number) <= 40 && len(digits(number)) >= 3 && other == ""
}

func digits(number string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, number)
}

func (o *Outcome) say(sentence string) {
	o.Says = strings.TrimSpace(o.Says + " " + sentence)
}

func (c *Contact) hearCode(m Moment, typed []string, o *Outcome) {
	words, unknown := keyset.Heard(typed, 4)
	if len(unknown) > 0 {
		o.Matched, o.UnknownCode = false, unknown
		o.say("Not all of the four words are on the list. Ask to hear them again; this has cost no try.")
		return
	}
	if hmac.Equal(c.codeMAC(m.CodeKey, words), c.Test.Code) {
		c.Test.CodeMatched = m.now()
		o.say("The four words match.")
		return
	}
	o.Matched = false
	if c.Test.CodeWrong++; c.Test.CodeWrong >= codeTries {
		c.void(VoidTries)
		o.say(VoidTries.String())
		return
	}
	left := "2 tries are left."
	if c.Test.TriesLeft() == 1 {
		left = "One try is left."
	}
	o.say("Those are not the four words of the test message. " + left)
}

func (c *Contact) hearWords(m Moment, typed []string, safety func(string, KeySet) [6]string, o *Outcome) {
	words, unknown := keyset.Heard(typed, 6)
	if len(unknown) > 0 {
		o.Matched, o.UnknownWords = false, unknown
		o.say("Not all of the six safety words are on the list. Ask to hear them again; this has cost no try.")
		return
	}
	if [6]string(words) != safety(c.Address, c.Test.Keys) {
		c.wrongWords(m, o)
		return
	}
	c.Test.Sign, c.Test.Encrypt, c.Test.WordsMatched = keyset.ReadWords, keyset.ReadWords, m.now()
	o.say("The safety words match.")
}

func (c *Contact) hearFingerprints(m Moment, typed []string, o *Outcome) {
	keys := c.Test.Keys
	found := make(map[*x509.Certificate]keyset.Read)
	for _, text := range typed {
		cert, how, ok := keys.MatchFingerprint(text)
		switch {
		case !ok:
			o.Matched = false
			o.say("A fingerprint is the last 24 digits, or all 40 or 64, of 0 to 9 and a to f. This has cost no try.")
			return
		case cert == nil:
			c.wrongWords(m, o)
			return
		}
		found[cert] = how
	}
	for cert, how := range found {
		if cert.Equal(keys.Sign) {
			c.Test.Sign = how
		}
		if cert.Equal(keys.Encrypt) {
			c.Test.Encrypt = how
		}
	}
	o.say("The fingerprint matches.")
}

// wrongWords counts a wrong reading; the second is a mismatch (V5).
func (c *Contact) wrongWords(m Moment, o *Outcome) {
	o.Matched = false
	if c.Test.WordsWrong++; c.Test.WordsWrong >= wordsTries {
		c.doubt(m, o)
		return
	}
	o.say("That does not belong to the certificate that was tested. Ask to hear it again, slowly, " +
		"and make sure that you called the right number. If it is wrong again, nothing can be sent.")
}

// doubt ends the test in Mismatch. A key set that had been verified before is
// suspended as well: with somebody between, nothing may go to either. So is one by which
// they count later, as their organisation's, until a call with them.
func (c *Contact) doubt(m Moment, o *Outcome) {
	now := m.now()
	keys := c.Test.Keys
	c.Doubt = &Doubt{At: now, Keys: keys.ID()}
	for i, k := range c.Candidates {
		if k.Keys.ID() == keys.ID() {
			c.Candidates[i].Barred = now
		}
	}
	call := c.Test.call(now)
	of := ""
	if c.Pin != nil && c.OrganisationOf(keys) == c.Pin.Of {
		of = c.Pin.Of // whoever is between is between the user and all of them
	}
	c.stop(&Suspension{At: now, Reason: ByMismatch, Of: of})
	c.void(VoidDoubt)
	c.settle()
	o.Matched, o.Mismatch = false, true
	o.Says = "Stop. Someone may be between you and " + c.Who() + ": nothing can be sent to this address. " +
		"Tell them so on the telephone, and the people who look after your computers."
	o.Record = c.draft(of, RecordMismatch, now, keys, call, "")
}

// stop suspends for a doubt. What the user stopped for the one person, or this doubt,
// outlasts that of their organisation. A new certificate does not end the suspension.
func (c *Contact) stop(s *Suspension) {
	was := c.Suspension
	own := was
	if was == nil || was.Of != "" || was.Reason == ByExpiry {
		own = &Suspension{At: s.At, Reason: s.Reason}
	}
	if s.Of == "" {
		c.Suspension = own
		return
	}
	if s.own = own; was != nil && was.Of != "" && was.Reason != ByExpiry {
		s.At, s.Reason = was.At, was.Reason
	}
	c.Suspension = s
}

// conclude pins the key set once both checks have matched.
func (c *Contact) conclude(m Moment, o *Outcome) {
	defer c.settle()
	if c.Test == nil {
		return
	}
	t := c.Test
	if t.Sign != "" && t.Encrypt == "" && t.Vouched {
		t.Encrypt = keyset.ReadSignature // V2: named by the signing key that was read
	}
	if t.Sign != "" && t.Encrypt != "" && t.WordsMatched.IsZero() {
		t.WordsMatched = m.now()
	}
	o.Code, o.Words = !t.CodeMatched.IsZero(), !t.WordsMatched.IsZero()
	if !o.Code || !o.Words {
		c.sealTest(m)
		return
	}
	now := m.now()
	c.Pin = &Pin{Keys: t.Keys, Call: t.call(now), Of: c.OrganisationOf(t.Keys), Earlier: c.follows(t.Keys, now)}
	c.Suspension, c.Doubt, c.Test, c.Voided = nil, nil, nil, ""
	o.Verified = true
	if c.Pin.Of != "" {
		o.say(fmt.Sprintf("Confirmed, for everybody at %s who has the same certificate.", c.Pin.Of))
	} else {
		o.say("Confirmed.")
	}
	o.say(fmt.Sprintf("You can now write to %s in confidence.", c.Who()))
	o.Record = c.draft(c.Pin.Of, RecordVerified, now, c.Pin.Keys, c.Pin.Call, "")
}

func (t Test) call(now time.Time) Call {
	return Call{At: now, Number: t.Number, Source: t.Source, Reader: t.Reader, Sign: t.Sign, Encrypt: t.Encrypt}
}
