package people

import (
	"context"
	"strings"
	"time"

	"countersign/vault"
	"countersign/vault/contacts"
	"countersign/vault/contacts/keyset"
)

// CallResult says what matched on a call, in words.
type CallResult struct {
	Contact Contact
	Matched bool   // everything in this report matched
	Says    string // never which word was wrong
	Unknown []int  // positions that are not on the list: these cost no try
}

// Call records what was heard on a call that the user placed (V1).
func (p *People) Call(ctx context.Context, address string, r contacts.CallReport) (CallResult, error) {
	c, err := p.Known(ctx, address)
	if err != nil {
		return CallResult{}, err
	}
	var o contacts.Outcome
	c, err = p.Change(ctx, c.Address, func(c contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) {
		next, outcome, err := c.RecordCall(p.Moment(), r)
		o = outcome
		return next, outcome.Record, err
	})
	if err != nil {
		return CallResult{}, err
	}
	p.noteCall(ctx, c, r, o)
	if o.OtherNumber {
		o.Says = strings.TrimSpace(o.Says + " This is another number than at the confirmation before; that was recorded.")
	}
	shown, err := p.Contact(ctx, address)
	return CallResult{Contact: shown, Matched: o.Matched, Says: o.Says, Unknown: append(o.UnknownCode, o.UnknownWords...)}, err
}

func (p *People) noteCall(ctx context.Context, c contacts.Contact, r contacts.CallReport, o contacts.Outcome) {
	if o.OtherNumber {
		p.Note(ctx, "number", c.Address, "Another telephone number was used than at the verification before.")
	}
	switch {
	case o.Verified:
		p.Note(ctx, "verified", c.Address, c.Label(p.Zone)+".")
	case o.Mismatch:
		p.Note(ctx, "mismatch", c.Address, "The words heard on a call did not match.")
	case len(r.Code)+len(r.Words)+len(r.Fingerprints) == 0:
		p.Note(ctx, "call", c.Address, "A call was placed, and its number noted.")
	case len(o.UnknownCode)+len(o.UnknownWords) > 0:
		p.Note(ctx, "call", c.Address, "Words that are on no list were typed on a call. They counted for nothing.")
	case !o.Matched:
		p.Note(ctx, "call", c.Address, "Something heard on a call did not match.")
	default:
		p.Note(ctx, "call", c.Address, "What was heard on a call matched so far.")
	}
}

// Misheard leaves the state mismatch; a fresh test follows (V5).
func (p *People) Misheard(ctx context.Context, address string) (Contact, error) {
	return p.standing(ctx, address, "misheard", "The user says that the words were misheard.",
		func(c contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) {
			next, err := c.Misheard()
			return next, nil, err
		})
}

// Suspend stops sending to a verified contact until verified anew.
func (p *People) Suspend(ctx context.Context, address string) (Contact, error) {
	return p.standing(ctx, address, "suspended", "The user stopped sending to this person.",
		func(c contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) {
			return c.Suspend(p.Moment(), contacts.ByUser)
		})
}

func (p *People) standing(ctx context.Context, address, kind, says string, f transition) (Contact, error) {
	c, err := p.Known(ctx, address)
	if err != nil {
		return Contact{}, err
	}
	if _, err := p.Change(ctx, c.Address, f); err != nil {
		return Contact{}, err
	}
	p.Note(ctx, kind, c.Address, says)
	return p.Contact(ctx, address)
}

// ErrNoIdentity says that the user has no certificate yet, so no safety words.
var ErrNoIdentity = &Problem{Code: "no-identity", Says: "You have no certificate of your own yet.", Next: "Add the one that your authority gave you."}

// OwnWords is what the user reads out when somebody verifies them.
type OwnWords struct {
	Address      string
	Words        []string
	Fingerprints []string // for callers without Countersign, signing first

	// Next is the same of the keys that are to take over, for those who were told of them
	// (V7); nil: there are none.
	Next *NextWords
}

// NextWords is what is read out of the keys that are to take over.
type NextWords struct {
	From         time.Time // when they do
	Words        []string
	Fingerprints []string
}

// Mine returns what the user reads out when somebody verifies them.
func (p *People) Mine(ctx context.Context) (OwnWords, error) {
	own, _, err := p.own(ctx, "", false)
	if err != nil {
		return OwnWords{}, err
	}
	if !own.Keys.Complete() {
		return OwnWords{}, ErrNoIdentity
	}
	w := OwnWords{Address: own.Address, Words: p.ownWords(own), Fingerprints: fingerprints(own)}
	next, coming, err := p.own(ctx, own.Address, true)
	if err == nil && next.Keys.Complete() {
		w.Next = &NextWords{From: coming.From, Words: p.ownWords(next), Fingerprints: fingerprints(next)}
	}
	return w, err
}

func fingerprints(own contacts.Own) (list []string) {
	for _, cert := range own.Keys.Certificates() {
		list = append(list, keyset.Fingerprint(cert))
	}
	return list
}

// tested is the user's key set to which somebody's test was encrypted.
func (p *People) tested(ctx context.Context, in *contacts.Incoming) (contacts.Own, vault.Identity, error) {
	own, i, err := p.own(ctx, "", false)
	if err != nil || own.Keys.ID() == in.Own {
		return own, i, err
	}
	if next, coming, err := p.own(ctx, own.Address, true); err != nil || next.Keys.Complete() && next.Keys.ID() == in.Own {
		return next, coming, err
	}
	return own, i, nil
}

// Tested is the sender who answers a test: with the keys that were tested, though others
// sign the letters still (V7).
func (p *People) Tested(ctx context.Context, address string) (Sender, error) {
	s, err := p.Sender(ctx)
	if err != nil {
		return s, err
	}
	c, err := p.Known(ctx, address)
	if err != nil || c.Incoming == nil {
		return s, err
	}
	_, i, err := p.tested(ctx, c.Incoming)
	if err == nil && i.ID != s.Identity.ID {
		s.take(ctx, p, i)
	}
	return s, err
}

// ownWords returns the safety words of one of the user's key sets. They are slow to
// make on purpose, so they are remembered.
func (p *People) ownWords(own contacts.Own) []string {
	p.words.Lock()
	defer p.words.Unlock()
	id := own.Keys.ID()
	name := string(id[:]) + own.Address
	if p.words.six[name] == nil {
		words := keyset.SafetyWords(own.Address, own.Keys)
		if len(p.words.six) > 8 || p.words.six == nil {
			p.words.six = map[string][]string{}
		}
		p.words.six[name] = words[:]
	}
	return p.words.six[name]
}
