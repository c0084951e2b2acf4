// Package contacts is the address book's heart: who a contact is, how far the
// user has come in making sure of it, and what may be said about that.
//
// A contact is verified by a test message and a telephone call. The user sends
// the fixed test message, signed, and encrypted to one key set of the contact's
// (an address, one signing key, one encryption key). Then the user calls, on a
// number had from elsewhere, and types what the other end reads out: the four
// words inside the test, which only the holder of the encryption key can read,
// and either the six safety words of the contact's key set or the fingerprint of
// each certificate. When both match, exactly that key set is pinned.
//
// Everything here is a pure function on values. A transition takes a [Contact]
// and returns a new one; where it returns an error, nothing has changed. Time,
// randomness and the key that protects codes come in a [Moment].
//
// What it promises (the rules are those of the project's security page):
//
//   - V1: only [Contact.RecordCall], the report of a call that the user placed,
//     verifies. Receiving or answering a test never does.
//   - V2: what is verified is a key set. A key that was neither read out nor
//     vouched for by the signing key that was, is never pinned.
//   - V3: certificates seen elsewhere are candidates: listed, never used.
//   - V4: forms carry no user text; a test is recognised only with a valid
//     signature over the whole message that matches From, this user, this key,
//     and an id never seen.
//   - V5: the code is kept as an HMAC only, feedback never says which word was
//     wrong, three wrong codes void the test, wrong words twice end in Mismatch.
//   - V8: every change that matters is a signed record in a chain ([Record]).
//
// A test in progress is sealed with the code key, so that a database edited by
// hand cannot move a match to another key set.
package contacts

import (
	"crypto/rand"
	"crypto/x509"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"countersign/vault/contacts/form"
	"countersign/vault/contacts/keyset"
	"countersign/vault/trust"
)

// What other rooms call by this room's name.
type (
	KeySet    = keyset.KeySet
	KeyHashes = keyset.KeyHashes
	Hash      = keyset.Hash
	Form      = form.Form
	FormKind  = form.Kind
)

// The six fixed forms (V4).
const (
	Invitation      = form.Invitation
	TestForm        = form.Test
	AnswerForm      = form.Answer
	KeyAnnouncement = form.KeyAnnouncement
	ReceiptForm     = form.Receipt
	CourtesyNotice  = form.CourtesyNotice
)

// State is how far the verification of a contact has come (V6).
type State string

// The zero State is as good as Unknown.
const (
	Unknown        State = "unknown"         // no certificate to encrypt to
	HasCertificate State = "has-certificate" // at least one candidate
	TestSent       State = "test-sent"       // the user's test is on its way
	Answered       State = "answered"        // they answered it, or the user answered theirs
	Verified       State = "verified"        // a key set is pinned and in force
	Mismatch       State = "mismatch"        // someone may be between you
	Suspended      State = "suspended"       // was verified; nothing is sent
)

// Contact is one person, team or organisation in the address book.
type Contact struct {
	Address    string      `json:"address"` // canonical; a bare domain is an organisation
	Name       string      `json:"name,omitempty"`
	Org        string      `json:"org,omitempty"` // the organisation they belong to, as typed
	Team       bool        `json:"team,omitempty"`
	Profile    Profile     `json:"profile,omitempty"` // as the user set it, or their signed answer was made
	State      State       `json:"state"`             // follows from the fields below
	Pin        *Pin        `json:"pin,omitempty"`
	Suspension *Suspension `json:"suspension,omitempty"`
	Doubt      *Doubt      `json:"doubt,omitempty"`
	Candidates []Candidate `json:"candidates,omitempty"`
	Test       *Test       `json:"test,omitempty"`     // that the user sent
	Incoming   *Incoming   `json:"incoming,omitempty"` // that they sent to the user
	Voided     Void        `json:"voided,omitempty"`   // why the last test came to nothing
	Numbered   int         `json:"numbered,omitempty"` // candidates ever numbered
}

// Pin is a verified key set (V2, V3) and the call that verified it.
type Pin struct {
	Keys    KeySet    `json:"keys"`
	Call    Call      `json:"call"`
	Renewed time.Time `json:"renewed,omitzero"` // same keys in a new certificate, or other keys that these announced (V7)
	// Of is the domain whose organisation's key set it is, for everybody who counts by
	// it; the record is of the domain (V6). Was is the key sets before it, in such a
	// case: each announced the next (V7).
	Of      string      `json:"of,omitempty"`
	Was     []KeyHashes `json:"-"`
	Earlier *Earlier    `json:"earlier,omitempty"`
}

// Earlier is the signing key that the pinned one follows, and until when it goes on
// signing, as its owner announced (V7).
type Earlier struct {
	Keys  KeySet    `json:"keys"` // Sign only
	Until time.Time `json:"until"`
}

// Call is what is recorded of the call that verified a key set.
type Call struct {
	At      time.Time   `json:"at"`
	Number  string      `json:"number,omitempty"` // as typed; none when met in person
	Source  Source      `json:"source"`
	Reader  string      `json:"reader,omitempty"` // for a team: who read the words
	Sign    keyset.Read `json:"sign"`             // how the signing certificate was confirmed
	Encrypt keyset.Read `json:"encrypt"`          // how the encryption certificate was
}

// Source is where a telephone number comes from (V1).
type Source string

const (
	SourceDirectory  Source = "directory"  // the organisation's own or a printed directory
	SourceLetterhead Source = "letterhead" // letterhead held before
	SourceEarlier    Source = "earlier"    // an earlier verified record
	SourceKnown      Source = "known"      // known personally
	SourceInPerson   Source = "in-person"  // met, so no number
)

// Sources lists every source, in the order in which to offer them.
func Sources() []Source {
	return []Source{SourceDirectory, SourceLetterhead, SourceEarlier, SourceKnown, SourceInPerson}
}

// Suspension says why and since when nothing is sent to a verified contact.
type Suspension struct {
	At     time.Time `json:"at"`
	Reason Reason    `json:"reason"`
	Of     string    `json:"of,omitempty"` // the domain, where it is the organisation's (V6)
	// own is that of the one person, by the user or by a doubt, under that of the
	// organisation; only until [Contact.Part].
	own *Suspension
}

// Reason is why a contact is suspended.
type Reason string

const (
	ByUser      Reason = "user"      // the user stopped it
	ByStatement Reason = "statement" // the pinned key signed a statement that says so
	ByExpiry    Reason = "expired"   // a pinned certificate ran out
	ByRevoked   Reason = "revoked"   // a pinned certificate was withdrawn
	ByUntrusted Reason = "untrusted" // policy asks for an anchor and there is none any longer
	ByMismatch  Reason = "mismatch"  // wrong words were heard for another certificate
	ByRecords   Reason = "records"   // the signed records do not bear the contact out
)

// Doubt is the key set for which wrong words were heard twice (V5).
type Doubt struct {
	At   time.Time `json:"at"`
	Keys Hash      `json:"keys"` // KeySet.ID
}

// Candidate is a key set seen for an address: listed, never used (V3).
type Candidate struct {
	ID     string    `json:"id"` // opaque: tells nothing that is read out (V5)
	Keys   KeySet    `json:"keys"`
	From   Origin    `json:"from"`
	Seen   time.Time `json:"seen"`            // first
	Last   time.Time `json:"last"`            // latest: exact to an hour, and in which came before which
	Barred time.Time `json:"barred,omitzero"` // wrong words were heard for it
	After  *Earlier  `json:"after,omitempty"` // the confirmed key announced that these follow it
	Reads  Reads     `json:"reads,omitzero"`  // what it was heard to read
}

// Origin is where a candidate was seen.
type Origin string

const (
	FromMessage Origin = "message" // a signed message
	FromTest    Origin = "test"    // a test message of theirs
	FromAnswer  Origin = "answer"  // an answer that used other keys than those tested
	FromFile    Origin = "file"    // a file the user added
	// FromDirectory is where certificates are published: DNS or a directory.
	FromDirectory Origin = "directory"
	// FromOrganisation is the certificate confirmed for their organisation.
	FromOrganisation Origin = "organisation"
)

// Moment is what a transition may use of the world.
type Moment struct {
	Now     time.Time
	Rand    io.Reader // nil means crypto/rand.Reader
	CodeKey []byte    // at least 32 bytes; protects codes and tests in progress
}

func (m Moment) now() time.Time { return m.Now.UTC().Truncate(time.Second) }

func (m Moment) random() io.Reader {
	if m.Rand == nil {
		return rand.Reader
	}
	return m.Rand
}

// Own is the user's side: one address and its current key set.
type Own struct {
	Address string
	Keys    KeySet
}

// New makes a contact of which nothing is known. The address must be canonical
// (ASCII lower case, domain in A-labels), or a bare domain for an organisation.
func New(address, name string) (Contact, error) {
	if !keyset.Canonical(address) {
		return Contact{}, ErrAddress
	}
	return Contact{Address: address, Name: name, State: Unknown}, nil
}

// Organisation says that the contact is an organisation: its address is a bare
// domain, and its label never names a person (V6).
func (c Contact) Organisation() bool { return !strings.Contains(c.Address, "@") }

// Organisations lists, for a search, what they are said to belong to: as the user
// typed it, then as their certificates say, pinned or only seen. A certificate that
// is not pinned may say anything.
func (c Contact) Organisations() (all []string) {
	if c.Org != "" {
		all = append(all, c.Org)
	}
	say := func(k KeySet) {
		for _, cert := range k.Certificates() {
			for _, o := range cert.Subject.Organization {
				if !slices.Contains(all, o) {
					all = append(all, o)
				}
			}
		}
	}
	if c.Pin != nil {
		say(c.Pin.Keys)
	}
	for _, k := range c.Candidates {
		say(k.Keys)
	}
	return all
}

// Belongs is the organisation to show: as the user typed it, else as the pinned
// certificate says; a stranger's certificate gives none.
func (c Contact) Belongs() string {
	if c.Org == "" && c.Pin != nil {
		for _, cert := range c.Pin.Keys.Certificates() {
			if o := cert.Subject.Organization; len(o) > 0 {
				return o[0]
			}
		}
	}
	return c.Org
}

// Who is the name to use in a sentence.
func (c Contact) Who() string {
	if c.Name != "" {
		return c.Name
	}
	return c.Address
}

// clone copies what a transition may change, so that the old value stays.
func (c Contact) clone() Contact {
	c.Candidates = slices.Clone(c.Candidates)
	c.Pin = copied(c.Pin)
	if c.Pin != nil {
		c.Pin.Earlier = copied(c.Pin.Earlier)
	}
	c.Suspension = copied(c.Suspension)
	c.Doubt = copied(c.Doubt)
	c.Test = copied(c.Test)
	c.Incoming = copied(c.Incoming)
	return c
}

func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// settle derives the state from the fields. No transition sets it otherwise.
func (c *Contact) settle() {
	switch {
	case c.Doubt != nil && c.Test == nil:
		c.State = Mismatch
	case c.Pin != nil && c.Suspension == nil:
		c.State = Verified
	case c.Pin != nil:
		c.State = Suspended
	case c.Test != nil && !c.Test.Answered.IsZero():
		c.State = Answered
	case c.Test != nil:
		c.State = TestSent
	case c.Incoming != nil && !c.Incoming.Answered.IsZero():
		c.State = Answered
	case slices.ContainsFunc(c.Candidates, func(k Candidate) bool { return k.Keys.Complete() }):
		c.State = HasCertificate
	default:
		c.State = Unknown
	}
}

// maxCandidates bounds what strangers can pile up for one address. The least
// recently seen goes first; what is pinned, tested, barred or from a file stays.
const maxCandidates = 32

// maxCertificate bounds one certificate, in octets. The largest honest ones hold a few
// keys and signatures of today's largest kinds.
const maxCertificate = 16 << 10

// AddCandidate notes a key set seen for the contact. It never verifies, uses or
// suspends anything. A key set known already is brought up to date: a later
// certificate for the same keys replaces the earlier.
//
// It refuses certificates that name other addresses only ([ErrOtherAddress]).
func (c Contact) AddCandidate(m Moment, keys KeySet, from Origin) (Contact, error) {
	if keys.Sign == nil && keys.Encrypt == nil {
		return c, ErrNoCertificate
	}
	if !small(keys) {
		return c, ErrTooLarge
	}
	for _, cert := range keys.Certificates() {
		if trust.Binds(cert, c.Address) == trust.BoundNone && len(trust.Names(cert)) > 0 {
			return c, ErrOtherAddress
		}
	}
	c = c.clone()
	c.note(m.now(), keys, from)
	c.settle()
	return c, nil
}

// small says that a stranger's certificates are of a size to keep.
func small(keys KeySet) bool {
	return !slices.ContainsFunc(keys.Certificates(), func(c *x509.Certificate) bool { return len(c.Raw) > maxCertificate })
}

// lastStep is how exactly the last sight of the latest candidate is noted: a hundred letters
// of an afternoon change the contact once. Which of them was seen before which is exact.
const lastStep = time.Hour

// latest says that no other candidate was seen since this one was.
func (c *Contact) latest(at int) bool {
	for i, k := range c.Candidates {
		if i != at && !k.Last.Before(c.Candidates[at].Last) {
			return false
		}
	}
	return true
}

// note adds or refreshes a candidate.
func (c *Contact) note(now time.Time, keys KeySet, from Origin) {
	if !small(keys) {
		return
	}
	id := keys.ID()
	for i, k := range c.Candidates {
		if k.Keys.ID() == id {
			if now.Sub(k.Last).Abs() >= lastStep || !c.latest(i) {
				c.Candidates[i].Last = now
			}
			c.Candidates[i].Keys = k.Keys.Later(keys)
			if from == FromFile {
				c.Candidates[i].From = from
			}
			return
		}
	}
	if len(c.Candidates) >= maxCandidates && !c.dropCandidate() {
		return
	}
	c.Numbered++
	c.Candidates = append(c.Candidates, Candidate{
		ID: "c" + strconv.Itoa(c.Numbered), Keys: keys, From: from, Seen: now, Last: now,
	})
}

// dropCandidate forgets the least recently seen candidate that nothing holds.
func (c *Contact) dropCandidate() bool {
	drop := -1
	for i, k := range c.Candidates {
		id := k.Keys.ID()
		held := k.From == FromFile || !k.Barred.IsZero() ||
			c.Pin != nil && c.Pin.Keys.ID() == id || c.Test != nil && c.Test.Keys.ID() == id
		if !held && (drop < 0 || k.Last.Before(c.Candidates[drop].Last)) {
			drop = i
		}
	}
	if drop < 0 {
		return false
	}
	c.Candidates = slices.Delete(c.Candidates, drop, drop+1)
	return true
}

// Candidate finds a candidate by its ID. With an empty ID it returns the only
// one that a test can be sent to; where there are several the user has to
// choose, since none is ever preselected (V3).
func (c Contact) Candidate(id string) (Candidate, error) {
	var found []Candidate
	for _, k := range c.Candidates {
		if k.ID == id && id != "" {
			return k, nil
		}
		if k.Keys.Complete() && k.Barred.IsZero() {
			found = append(found, k)
		}
	}
	switch {
	case id != "":
		return Candidate{}, ErrNoCertificate
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return Candidate{}, ErrChoose
	case c.Doubt != nil:
		return Candidate{}, ErrBarred
	case len(c.Candidates) > 0:
		return Candidate{}, ErrIncomplete
	}
	return Candidate{}, ErrNoCertificate
}
