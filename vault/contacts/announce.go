package contacts

import (
	"bytes"
	"time"

	"countersign/vault/trust"
)

// FromAnnouncement is the origin of a key set that was announced (V7).
const FromAnnouncement Origin = "announcement"

// Rollover is what a key announcement may do, as the administrator decides (V7).
type Rollover string

const (
	RolloverSigned Rollover = ""      // both signatures are enough
	RolloverWords  Rollover = "words" // the safety words of the new keys have to be heard as well
	RolloverCall   Rollover = "call"  // nothing less than a whole verification
)

// wordsLife is how long safety words are waited for after an announcement.
const wordsLife = 30 * 24 * time.Hour

// maxOverlap is how long at most a key counts after it announced the next, whatever it
// announced: longer than anybody waits who announces 30 days ahead.
const maxOverlap = 45 * 24 * time.Hour

// Announced is a key announcement that arrived. Its Signer made the signature with
// the key that the form names as the present one.
type Announced struct {
	Received
	// New is the certificates of the keys announced. Sign is nil unless that key, too,
	// validly signed the whole message.
	New KeySet
	// What is said now, without trust.Question.Confirmed, of the pinned certificates
	// and of the new ones.
	OldSign, OldEncrypt trust.Verdict
	NewSign, NewEncrypt trust.Verdict
}

// Why an announcement changes nothing. Their sentences stand beside the message.
var (
	ErrNotInForce = &Problem{"announced-stopped", "This person is not confirmed at present, so an announcement changes nothing.",
		"Send a test message, then call."}
	ErrNotSuccessor = &Problem{"announced-other", "It does not say what takes the place of the key that you confirmed.",
		"Call them on a number that you had before."}
	ErrNewSignature = &Problem{"announced-unsigned", "It is not signed with the new key as well.",
		"Call them on a number that you had before."}
	ErrOldSpent = &Problem{"announced-late", "The certificate that you confirmed has run out, was withdrawn or could not be checked, so it can announce nothing.",
		"Send a test message to the new certificate, then call."}
	ErrNewUntrusted = &Problem{"announced-untrusted", "The new certificate is not vouched for by anybody you trust, or has run out or was withdrawn.",
		"Send a test message to the new certificate, then call."}
	ErrOtherAuthority = &Problem{"announced-elsewhere", "The new certificate is from another authority, or in another name, than the one that you confirmed.",
		"Send a test message to the new certificate, then call."}
)

// ReceiveAnnouncement follows a key announcement (V7). The contact continues with the
// new keys, as "confirmed on D0, renewed on D1", if it is verified; if the pinned
// signing key and the new one both signed; if the pinned certificates are valid and
// not withdrawn now; and if the same authority vouches for the new ones in the same
// address. Under [RolloverWords] it stays with the old keys until a call on which the
// new safety words are heard; under [RolloverCall] the new keys are a candidate.
// Everything else is an error, and changes nothing.
//
// Where the new keys take the place of the old ones, the old signing key counts for
// letters that are here before the day that was announced as its last ([Pin.Holder]),
// at most [maxOverlap] away: its owner goes on signing with it. It announces nothing more,
// and nothing is encrypted to it.
func (c Contact) ReceiveAnnouncement(m Moment, r Announced, own Own, rule Rollover, seen func(id string) bool) (Contact, *RecordDraft, error) {
	if err := c.announces(r, own, seen); err != nil {
		return c, nil, err
	}
	c = c.clone()
	now := m.now()
	c.note(now, r.New, FromAnnouncement)
	after := c.Pin.before(r, now)
	for i := range c.Candidates {
		if c.Candidates[i].Keys.ID() == r.New.ID() {
			c.Candidates[i].After = &after
		}
	}
	defer c.settle()
	switch rule {
	case RolloverSigned:
		c.Pin = &Pin{Keys: r.New, Call: c.Pin.Call, Renewed: now, Of: c.Pin.Of, Earlier: c.follows(r.New, now)}
		return c, c.draft(c.Pin.Of, RecordRenewed, now, c.Pin.Keys, c.Pin.Call, ""), nil
	case RolloverWords:
		if c.Test == nil {
			c.Test = &Test{ID: r.Form.ID, Keys: r.New, Own: own.Keys.ID(), Sent: now, Expires: now.Add(wordsLife), Announced: true, CodeMatched: now}
			c.Voided = ""
			c.sealTest(m)
		}
	}
	return c, nil, nil
}

// before is what the pin is to the keys that it announces.
func (p Pin) before(r Announced, now time.Time) Earlier {
	until := r.Form.Expires
	for _, limit := range []time.Time{now.Add(maxOverlap), p.Keys.Sign.NotAfter} {
		if limit.Before(until) {
			until = limit
		}
	}
	return Earlier{Keys: KeySet{Sign: p.Keys.Sign}, Until: until}
}

// follows is what remains of the present pin where others take its place: nil unless it
// is in force, announced them, signs with another key, and has not had its last day.
func (c Contact) follows(keys KeySet, now time.Time) *Earlier {
	for _, k := range c.Candidates {
		if k.Keys.ID() == keys.ID() && k.follows(c) && c.Suspension == nil && c.Doubt == nil && now.Before(k.After.Until) && !c.Pin.Signs(keys) {
			return copied(k.After)
		}
	}
	return nil
}

// follows says that the confirmed key announced this one.
func (k Candidate) follows(c Contact) bool { return k.After != nil && c.Pin.Signs(k.After.Keys) }

// announced is what the confirmed key announced, and has not taken its place yet.
func (c Contact) announced() *Candidate {
	for i, k := range c.Candidates {
		if k.follows(c) && k.Barred.IsZero() && k.Keys.ID() != c.Pin.Keys.ID() {
			return &c.Candidates[i]
		}
	}
	return nil
}

// NewKey is what a key waits for that the confirmed one announced: "words", to be heard on
// a call ([RolloverWords]), "test", a whole verification ([RolloverCall]), or nothing.
func (c Contact) NewKey() string {
	switch {
	case c.State != Verified:
	case c.Test != nil && c.Test.Announced:
		return "words"
	case c.announced() != nil:
		return "test"
	}
	return ""
}

// announces tells why an announcement does not count.
func (c Contact) announces(r Announced, own Own, seen func(id string) bool) error {
	f := r.Form
	if err := r.Recognise(own, seen); err != nil {
		return err
	}
	switch {
	case f.Kind != KeyAnnouncement || f.From != c.Address || *f.Keys == *f.NewKeys:
		return ErrNotSuccessor
	case c.State != Verified:
		return ErrNotInForce
	case *f.Keys != c.Pin.Keys.Hashes():
		return ErrNotSuccessor
	case !r.New.Complete() || r.New.Hashes() != *f.NewKeys:
		return ErrNewSignature
	case !small(r.New):
		return ErrTooLarge
	case !r.OldSign.Good() || !r.OldEncrypt.Good():
		return ErrOldSpent
	case !r.NewSign.Good() || !r.NewEncrypt.Good():
		return ErrNewUntrusted
	case !SameAuthority(r.OldSign, r.NewSign) || !SameAuthority(r.OldEncrypt, r.NewEncrypt) || c.Pin.Of != "" && c.OrganisationOf(r.New) != c.Pin.Of:
		return ErrOtherAuthority
	}
	for _, k := range c.Candidates {
		if k.Keys.ID() == r.New.ID() && !k.Barred.IsZero() {
			return ErrBarred
		}
	}
	return nil
}

// SameAuthority says that two certificates are issued in the same name, below the same
// anchor, and bind the address in the same way.
func SameAuthority(a, b trust.Verdict) bool {
	return len(a.Path) > 1 && len(b.Path) > 1 && a.Bound == b.Bound &&
		bytes.Equal(a.Path[0].RawIssuer, b.Path[0].RawIssuer) && a.Path[len(a.Path)-1].Equal(b.Path[len(b.Path)-1])
}
