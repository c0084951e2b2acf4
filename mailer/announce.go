package mailer

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"countersign/mailer/cms"
	"countersign/mailer/outbox"
	"countersign/mailer/people"
	"countersign/mailer/policy"
	"countersign/mailer/waiting"
	"countersign/vault"
	"countersign/vault/book"
	"countersign/vault/contacts"
	"countersign/vault/contacts/form"
	"countersign/vault/contacts/keyset"
	"countersign/vault/renewal"
	"countersign/vault/trust"
)

// Announce tells everybody who was sent something signed with the user's keys of before
// that others have taken their place, or will (V7): once each, whatever happens in
// between, since the form's identifier follows from the two key sets and the address. It
// does nothing while the user's side is not ready to send, where there is no successor to
// announce, and where the keys of before can vouch for nothing: they are lost, or their
// certificates are not in force. It returns how many announcements were accepted.
//
// The day on which coming keys take over is counted from here. Where there is nobody to
// tell they do so at once. Where a key is on a card that cannot be used now the error
// wraps its problem, and nothing has changed for those who were not told.
func (m *Mailer) Announce(ctx context.Context) (int, error) {
	r, sender, told, err := m.toTell(ctx)
	if err != nil || r.before.ID == "" {
		return 0, err
	}
	if r.next.Coming && len(told) == 0 {
		return 0, m.Vault.TakeOver(ctx, r.next.ID)
	}
	if r.next.Coming && r.next.Announced.IsZero() {
		if err := waiting.Ready(ctx, m.Vault, r.before, r.next); err != nil { // the days count only once somebody can be told
			return 0, err
		}
		if err := m.Vault.Announced(ctx, r.next.ID); err != nil {
			return 0, err
		}
		if r, err = m.rollover(ctx, sender.Identity); err != nil {
			return 0, err
		}
	}
	sent := 0
	for _, address := range told {
		fresh, err := m.announceTo(ctx, address, r, sender)
		if err != nil {
			return sent, err
		}
		if fresh {
			sent++
		}
	}
	return sent, nil
}

// Untold counts the people whom [Mailer.Announce] has still to tell. Each announcement names
// its recipient, so it takes a signature of its own.
func (m *Mailer) Untold(ctx context.Context) (n int, err error) {
	r, sender, told, err := m.toTell(ctx)
	for _, address := range told {
		_, fresh, err := m.announcementTo(ctx, address, r, sender)
		if err != nil {
			return n, err
		}
		if fresh {
			n++
		}
	}
	return n, err
}

// toTell finds what is to be announced and to whom, those who were told already included.
// The ID of what was before is empty if there is nothing.
func (m *Mailer) toTell(ctx context.Context) (r rollover, s people.Sender, told []string, err error) {
	all, err := m.Vault.Identities(ctx)
	if err != nil || !slices.ContainsFunc(all, func(i vault.Identity) bool { return i.Coming || i.Retired && i.Lost.IsZero() }) {
		return r, s, nil, err // as nearly always: nobody is asked anything
	}
	if s, err = m.Sender(ctx); err != nil || len(policy.Own(s.Sender)) > 0 {
		return r, s, nil, err
	}
	if r, err = m.rollover(ctx, s.Identity); err != nil || r.before.ID == "" || !m.CanAnnounce(ctx, r.before) {
		return rollover{}, s, nil, err
	}
	told, err = m.told(ctx, r)
	return r, s, told, err
}

// rollover is one identity of the user's that takes the place of another.
type rollover struct {
	before, next vault.Identity
}

// rollover finds the one that is to be announced: of the keys in use to those that are to
// take over, or of those before to the keys in use. The ID of before is empty if there
// is none.
func (m *Mailer) rollover(ctx context.Context, now vault.Identity) (r rollover, err error) {
	if r.next, err = m.Coming(ctx, now.Address); err != nil {
		return r, err
	}
	if r.next.ID == "" {
		r.next = now
	}
	r.before, err = m.Vault.Before(ctx, r.next)
	return r, err
}

func (r rollover) keys() (before, next contacts.KeySet) {
	return contacts.KeySet{Sign: r.before.Signing, Encrypt: r.before.Encryption}, contacts.KeySet{Sign: r.next.Signing, Encrypt: r.next.Encryption}
}

// until is when the keys of before stop to count, in whole seconds.
func (r rollover) until() time.Time {
	from := r.next.From
	if from.IsZero() {
		from = r.next.Added
	}
	_, ends := r.before.Ends()
	return renewal.CountsUntil(from, ends).UTC().Truncate(time.Second)
}

// told lists who is to hear of it: who was sent something that the keys of before signed,
// and is still of interest to the user.
func (m *Mailer) told(ctx context.Context, r rollover) (list []string, err error) {
	last := r.next.Added
	switch {
	case r.next.Coming:
		last = m.Clock()
	case r.next.From.After(last):
		last = r.next.From
	}
	// What is accepted is dated more finely than the identity.
	reached, err := m.Outbox.Reached(ctx, last.Add(time.Second))
	for _, address := range reached {
		if _, err := m.Book.Get(ctx, address); err == nil {
			list = append(list, address)
		} else if !errors.Is(err, book.ErrUnknown) {
			return nil, err
		}
	}
	return list, err
}

// CanAnnounce says that an identity's certificates are in force, so that others
// accept what it says of its successor.
func (m *Mailer) CanAnnounce(ctx context.Context, i vault.Identity) bool {
	return m.Own(ctx, i, trust.Sign).Good() && m.Own(ctx, i, trust.Encrypt).Good()
}

// announcementTo is the form that tells one person; fresh says that it was not accepted yet.
func (m *Mailer) announcementTo(ctx context.Context, address string, r rollover, s people.Sender) (f contacts.Form, fresh bool, err error) {
	old, now := r.keys()
	was, is := old.ID(), now.ID()
	mac := hmac.New(sha256.New, m.Vault.CodeKey())
	for _, part := range [][]byte{[]byte("key announcement 1\x00"), was[:], is[:], []byte(address)} {
		mac.Write(part)
	}
	if f, err = form.New(bytes.NewReader(mac.Sum(nil)), form.KeyAnnouncement, s.Address, address); err != nil {
		return f, false, err
	}
	if _, err := m.Outbox.Get(ctx, f.ID); !errors.Is(err, outbox.ErrUnknown) {
		return f, false, err
	}
	present, next := old.Hashes(), now.Hashes()
	f.Keys, f.NewKeys, f.Expires = &present, &next, r.until()
	return f, true, nil
}

func (m *Mailer) announceTo(ctx context.Context, address string, r rollover, s people.Sender) (fresh bool, err error) {
	f, fresh, err := m.announcementTo(ctx, address, r, s)
	if err != nil || !fresh {
		return false, err
	}
	plan, refusals := policy.PlanForm(f, contacts.KeySet{}, trust.Verdict{}, s.Sender)
	if len(refusals) > 0 {
		return false, &Refused{refusals}
	}
	keys, err := m.keysOf(ctx, r.before)
	if err != nil {
		return false, err
	}
	successor, err := m.keysOf(ctx, r.next)
	if err != nil {
		return false, err
	}
	if old, now := r.keys(); keyset.SPKI(old.Sign) != keyset.SPKI(now.Sign) {
		keys.Also = []cms.Signer{successor.Signer}
	}
	keys.Chain = slices.Concat(keys.Chain, successor.Chain, []*x509.Certificate{r.next.Signing, r.next.Encryption})
	letter, err := m.composeForm(f, s)
	if err != nil {
		return false, err
	}
	out, err := m.sealWith(ctx, letter, plan, s.Address, keys)
	if err != nil {
		return false, err
	}
	return true, m.acceptForm(ctx, outgoingForm{out, f, letter})
}

// announcement is what a message with that form shows: which signatures were made with
// the keys that it names, and what is known now of their certificates.
func (m *Mailer) announcement(ctx context.Context, l *look) contacts.Announced {
	f := *l.body.Form
	a := contacts.Announced{Received: contacts.Received{Form: f, From: l.from, Encrypted: l.encrypted()}}
	list, _, outside := policy.Signatures(l.opened)
	if outside || l.verdict.From != "match" || f.Keys == nil || f.NewKeys == nil {
		return a
	}
	var enclosed []*x509.Certificate
	for _, s := range list {
		if !l.facts.Counts(s.Info) {
			continue
		}
		enclosed = s.Enclosed
		if keyset.SPKI(s.Info.Certificate) == f.Keys.Sign {
			a.Signer = s.Info.Certificate
		}
		if keyset.SPKI(s.Info.Certificate) == f.NewKeys.Sign {
			a.New.Sign = s.Info.Certificate
		}
	}
	for _, c := range enclosed {
		better := a.New.Encrypt == nil || c.NotAfter.After(a.New.Encrypt.NotAfter)
		if keyset.SPKI(c) == f.NewKeys.Encrypt && better && trust.Allows(c, trust.Encrypt) && trust.Binds(c, l.from) != trust.BoundNone {
			a.New.Encrypt = c
		}
	}
	judge := func(c *x509.Certificate, u trust.Usage, pinned bool) trust.Verdict {
		return m.Judge(ctx, trust.Question{Certificate: c, Address: l.from, Usage: u, Enclosed: enclosed}, pinned)
	}
	if pin := l.facts.Contact.Pin; pin != nil {
		a.OldSign, a.OldEncrypt = judge(pin.Keys.Sign, trust.Sign, true), judge(pin.Keys.Encrypt, trust.Encrypt, true)
	}
	a.NewSign, a.NewEncrypt = judge(a.New.Sign, trust.Sign, false), judge(a.New.Encrypt, trust.Encrypt, false)
	a.Trusted = a.NewSign.Good()
	return a
}

// follows hands an announcement to the state machine of its sender, by the rule of the
// administrator. What cannot be read of that asks for a call.
func (m *Mailer) follows(ctx context.Context, c contacts.Contact, a contacts.Announced, seen func(string) bool) (contacts.Contact, *contacts.RecordDraft, error) {
	own, err := m.OwnAt(ctx, a.Form.To, nil)
	if err != nil {
		return c, nil, err
	}
	if !own.Keys.Complete() {
		return c, nil, contacts.ErrFormTo
	}
	rule := contacts.RolloverCall
	if _, rules, err := m.Settings(ctx); err == nil {
		rule = contacts.Rollover(rules.KeyAnnouncements)
	}
	return c.ReceiveAnnouncement(m.Moment(), a, own, rule, seen)
}

// announced follows a key announcement (V7). Keys whose announcement does not count
// are a candidate, as those of any validly signed message are (V3).
func (m *Mailer) announced(ctx context.Context, l *look, seen func(string) bool) (recognised bool, err error) {
	a := m.announcement(ctx, l)
	known, err := m.Lookup(ctx, l.from)
	if err != nil {
		return false, err
	}
	renewed := false
	c, err := m.Change(ctx, l.from, func(c contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) {
		next, draft, err := m.follows(ctx, c, a, seen)
		if recognised, renewed = err == nil, draft != nil; err == nil || !announcementRefused(err) {
			return next, draft, err
		}
		keys := a.New
		if keys.Sign == nil || !a.NewSign.Good() {
			return c, nil, people.ErrUnchanged
		}
		if next, err = c.AddCandidate(m.Moment(), keys, contacts.FromAnnouncement); err != nil {
			return c, nil, people.ErrUnchanged
		}
		return next, nil, nil
	})
	switch {
	case err != nil:
		return false, err
	case !recognised && known.Pin != nil:
		m.Note(ctx, "announcement", l.from, "An announcement of new keys did not count. "+m.whyNot(ctx, l))
	case !recognised:
	case renewed:
		l.form = contacts.KeyAnnouncement
		m.Note(ctx, "renewed", l.from, "New keys were announced, signed with the confirmed key. "+c.Label(m.Zone)+".")
	default:
		l.form = contacts.KeyAnnouncement
		says := "New keys were announced. They are used once you have called."
		m.Note(ctx, "announcement", l.from, says)
		m.Tell(ctx, "contact", l.from, c.Who()+": "+says)
	}
	return recognised, nil
}

// whyNot says why the announcement in a message does not count.
func (m *Mailer) whyNot(ctx context.Context, l *look) string {
	_, _, err := m.follows(ctx, l.facts.Contact, m.announcement(ctx, l), func(string) bool { return false })
	var p *contacts.Problem
	switch {
	case errors.As(err, &p):
		return p.Says
	case errors.Is(err, contacts.ErrFormSignature):
		return "It is not signed with the key that it says it replaces."
	case errors.Is(err, contacts.ErrFormTo):
		return "It was made for somebody else."
	case errors.Is(err, contacts.ErrFormFrom):
		return "It names another sender than the one shown."
	}
	return "It came before, or could not be checked when it came."
}

// announcementRefused tells the reasons why an announcement does not count from
// failures of ours.
func announcementRefused(err error) bool {
	var p *contacts.Problem
	return errors.As(err, &p) || notAForm(err)
}
