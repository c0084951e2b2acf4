package contacts

import (
	"fmt"
	"time"
)

// Level is for shape and colour: what a label means at a glance.
type Level string

const (
	Good Level = "good"
	Care Level = "care"
	Stop Level = "stop"
)

// Level of the contact's state. Only a verified contact is good.
func (c Contact) Level() Level {
	switch c.State {
	case Verified:
		return Good
	case Mismatch, Suspended:
		return Stop
	}
	return Care
}

// Waits is until when something is to be done with the contact that nobody else does:
// a test of theirs to answer, a call to place, a mismatch to clear up, which waits for
// ever. Zero: nothing is.
func (c Contact) Waits() (until time.Time) {
	if c.State == Mismatch {
		return time.Unix(1<<40, 0)
	}
	if c.State == Answered && c.Test != nil {
		until = c.Test.Expires
	}
	if in := c.Incoming; in != nil && in.Answered.IsZero() && in.Expires.After(until) {
		until = in.Expires
	}
	return until
}

// Label is the state in words. Dates are in loc (nil means UTC).
func (c Contact) Label(loc *time.Location) string {
	switch c.State {
	case Verified:
		return c.confirmed(loc)
	case Suspended:
		whom := "Stopped"
		if c.Suspension.Of != "" {
			whom = "Stopped for all of " + c.Suspension.Of
		}
		return fmt.Sprintf("%s on %s: %s", whom, day(c.Suspension.At, loc), c.Suspension.Reason)
	case Mismatch:
		return "Someone may be between you"
	case Answered:
		if c.Test == nil {
			return "You answered their test; not confirmed by you"
		}
		return fmt.Sprintf("Answered the test on %s; not confirmed yet", day(c.Test.Answered, loc))
	case TestSent:
		return fmt.Sprintf("Test message sent on %s; not confirmed yet", day(c.Test.Sent, loc))
	case HasCertificate:
		return "Certificate found; not confirmed yet"
	}
	return "No certificate known"
}

// confirmed words a verification; an organisation's never names a person (V6).
func (c Contact) confirmed(loc *time.Location) string {
	how := "by telephone"
	if c.Pin.Call.Source == SourceInPerson {
		how = "in person"
	}
	when := fmt.Sprintf("%s on %s", how, day(c.Pin.Call.At, loc))
	label := "Confirmed " + when
	if domain, ok := c.ByOrganisation(); ok {
		label = fmt.Sprintf("Organisation verified: %s, %s", domain, when)
	}
	if !c.Pin.Renewed.IsZero() {
		label += ", renewed on " + day(c.Pin.Renewed, loc)
	}
	if c.Team {
		label += "; several people read this mailbox"
	}
	return label
}

// Next is what to do next, one sentence.
func (c Contact) Next(loc *time.Location) string {
	who := c.Who()
	switch {
	case c.Test != nil:
		return c.Test.next(who, loc)
	case c.State == Verified && c.Organisation():
		return fmt.Sprintf("Whoever writes from %s with this certificate is known to be of the organisation, and by that alone.", c.Address)
	case c.Organisation():
		return fmt.Sprintf("Confirm somebody at %s anew: that confirms the organisation again.", c.Address)
	case c.NewKey() != "":
		return fmt.Sprintf("A new key was announced on %s. Send a test message to the new certificate, then call.", day(c.announced().Seen, loc))
	case c.State == Verified:
		if domain, ok := c.ByOrganisation(); ok {
			return fmt.Sprintf("You can write to %s in confidence: %s can read it, and passes it on.", who, domain)
		}
		return fmt.Sprintf("You can write to %s in confidence.", who)
	case c.State == Mismatch:
		return fmt.Sprintf("Call %s on a number that you trust and ask for help; "+
			"if you only misheard, say so and send a fresh test.", who)
	case c.Voided != "":
		return c.Voided.String()
	case c.State == Suspended:
		return "Send a new test message, then call."
	case c.Incoming != nil && c.Incoming.Answered.IsZero():
		return fmt.Sprintf("%s sent you a test message: answer it, and wait for the call.", who)
	case c.State == Answered:
		return c.Advice()
	case c.State == HasCertificate:
		return "Send a test message, then call."
	}
	return fmt.Sprintf("Look for a certificate, ask %s for a signed message, or add one from a file.", who)
}

func (t *Test) next(who string, loc *time.Location) string {
	call := fmt.Sprintf("Call %s on a number that you did not get by e-mail, ", who)
	switch {
	case t.Announced:
		return fmt.Sprintf("A new key was announced on %s. ", day(t.Sent, loc)) + call + "and ask for the six safety words."
	case !t.CodeMatched.IsZero():
		return fmt.Sprintf("The code matched at %s. ", clock(t.CodeMatched, loc)) + call + "and ask for the six safety words."
	case !t.WordsMatched.IsZero():
		return fmt.Sprintf("The safety words matched at %s. ", clock(t.WordsMatched, loc)) + call +
			"and ask for the four words in the test message."
	case t.Answered.IsZero():
		return "Wait for an answer, or c" + call[1:] + "and ask for the four words in the test message."
	}
	return call + "and ask for the four words in the test message."
}

// Script is what to say on the call, in order.
type Script struct {
	Open         string // after the greeting
	Code         string
	Words        string
	Fingerprints string // where there are no safety words at the other end
	Close        string
}

// Script words the call for a caller of that name.
func (c Contact) Script(caller string) Script {
	s := Script{
		Open:         fmt.Sprintf("This is %s. I have sent you a test message by e-mail.", caller),
		Code:         "Would you read me the four words in it?",
		Words:        "And now your own six safety words, please. They are beside the test message in Countersign.",
		Fingerprints: "Would you open your certificate and read me the last 24 digits of its SHA-256 fingerprint?",
		Close:        "Thank you. If you want to be sure of me as well, please hang up and call me on a number of your own.",
	}
	if c.Test != nil && c.Test.Announced {
		s.Open, s.Words = fmt.Sprintf("This is %s. You announced a new key by e-mail.", caller), "Would you read me the six safety words of the new key, please? They are beside your own in Countersign."
	}
	if c.Test != nil && c.Test.Fingerprints() == 2 {
		s.Fingerprints = "Would you open your two certificates, for signing and for encryption, " +
			"and read me the last 24 digits of each SHA-256 fingerprint?"
	}
	return s
}

// String is the reason in a few words, after "Stopped on 3 March 2026: ".
func (r Reason) String() string {
	switch r {
	case ByUser:
		return "you stopped it"
	case ByStatement:
		return "they said that their key must not be used"
	case ByExpiry:
		return "their certificate has run out"
	case ByRevoked:
		return "their certificate was withdrawn"
	case ByUntrusted:
		return "nobody you trust vouches for their certificate any longer"
	case ByMismatch:
		return "someone may be between you"
	case ByRecords:
		return "the signed records do not bear it out"
	}
	return "unknown reason"
}

// String is the reason as a sentence, with what to do.
func (v Void) String() string {
	switch v {
	case VoidTries:
		return "The test is void after three wrong tries: send a new one."
	case VoidExpired:
		return "The test has expired: send a new one."
	case VoidKeys:
		return "The answer used other keys than the ones tested, so the test is void: " +
			"look at the certificates and test the right one."
	case VoidExposed:
		return "An answer quoted the four words without protection, so the test is void: " +
			"send a new one and ask for an encrypted answer."
	case VoidEdited:
		return "The test was changed in the database from outside, so it is void: send a new one."
	case VoidDoubt:
		return "The words did not match."
	}
	return ""
}

func day(t time.Time, loc *time.Location) string { return in(t, loc).Format("2 January 2006") }

func clock(t time.Time, loc *time.Location) string { return in(t, loc).Format("15:04") }

func in(t time.Time, loc *time.Location) time.Time {
	if loc == nil {
		loc = time.UTC
	}
	return t.In(loc)
}
