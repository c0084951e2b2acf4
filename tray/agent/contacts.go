package agent

import (
	"context"

	"countersign/mailer"
	"countersign/mailer/policy"
	"countersign/tray/control"
	"countersign/vault/contacts"
	"countersign/vault/contacts/keyset"
)

// addressBook answers control.Contacts.
type addressBook struct{ *Agent }

func contact(c mailer.Contact) control.Contact {
	v := control.Contact{
		Address: c.Address, Name: c.Name, Organisation: policy.CleanLine(c.Belongs()), Team: c.Team, Profile: string(c.Profile), State: string(c.State), Label: c.Label, Level: string(c.Level()), Next: c.Next,
		Expires: c.Expires, Incoming: incoming(c.Incoming),
		Candidates: each(c.Candidates, func(k mailer.Candidate) control.Candidate { return control.Candidate(k) }),
	}
	if v.State == "" {
		v.State = string(contacts.Unknown)
	}
	if t := c.Test; t != nil {
		v.Test = &control.Test{
			Sent: t.Sent, Expires: t.Expires, Answered: t.Answered, Number: t.Number, Source: string(t.Source),
			CodeMatched: t.CodeMatched, WordsMatched: t.WordsMatched, CodeTries: t.TriesLeft(), Fingerprints: t.Fingerprints(),
		}
	}
	v.NewKey = c.NewKey()
	if c.Pin != nil {
		v.Verified, v.Number, v.Source = c.Pin.Call.At, c.Pin.Call.Number, string(c.Pin.Call.Source)
	}
	if domain, ok := c.ByOrganisation(); ok {
		v.CountsBy = domain
	}
	if c.Refusal != nil {
		why := refusal(*c.Refusal)
		v.Refusal = &why
	}
	return v
}

// one passes on a contact or what went wrong.
func one(c mailer.Contact, err error) (control.Contact, error) {
	if err != nil {
		return control.Contact{}, words(err)
	}
	return contact(c), nil
}

// List finds people by the beginnings of words, or lists all.
func (s addressBook) List(ctx context.Context, q control.SearchQuery) ([]control.Contact, error) {
	list, err := s.mailer.Contacts(ctx, q.Text, atMost(q.Limit))
	return each(list, contact), words(err)
}

// Show returns one person, with the words of the call while a test is running.
func (s addressBook) Show(ctx context.Context, q control.ContactQuery) (control.Contact, error) {
	c, err := s.mailer.Contact(ctx, q.Address)
	if err != nil {
		return control.Contact{}, words(err)
	}
	v := contact(c)
	if c.Test != nil {
		own, err := s.vault.Identities(ctx)
		if err != nil {
			return v, words(err)
		}
		caller := ""
		if len(own) > 0 {
			caller = own[0].Name
		}
		script := control.Script(c.Script(caller))
		v.Script = &script
	}
	return v, nil
}

// Add makes a contact, or changes one that is there.
func (s addressBook) Add(ctx context.Context, n control.NewContact) (control.Contact, error) {
	return one(s.mailer.AddContact(ctx, mailer.NewContact(n)))
}

// Remove takes somebody out of the address book.
func (s addressBook) Remove(ctx context.Context, q control.ContactQuery) (control.None, error) {
	return control.None{}, words(s.mailer.RemoveContact(ctx, q.Address))
}

// Invite sends the fixed invitation.
func (s addressBook) Invite(ctx context.Context, q control.ContactQuery) (control.Contact, error) {
	return one(s.mailer.Invite(s.tokens.Asked(ctx, s.signTo(ctx, "Sign your invitation", q.Address)), q.Address))
}

// StartTest sends the fixed test message.
func (s addressBook) StartTest(ctx context.Context, o control.TestOrder) (control.Contact, error) {
	return one(s.mailer.StartTest(s.tokens.Asked(ctx, s.signTo(ctx, "Sign your test message", o.Address)), o.Address, o.Candidate))
}

// Answer answers the test that this person sent.
func (s addressBook) Answer(ctx context.Context, q control.ContactQuery) (control.Contact, error) {
	return one(s.mailer.Answer(s.tokens.Asked(ctx, s.signTo(ctx, "Sign your answer", q.Address)), q.Address))
}

// Call records what was heard on a call that the user placed.
func (s addressBook) Call(ctx context.Context, r control.CallReport) (control.CallResult, error) {
	got, err := s.mailer.Call(ctx, r.Address, contacts.CallReport{
		Number: r.Number, Source: contacts.Source(r.Source), Code: r.Code, Words: r.Words,
		Fingerprints: r.Fingerprint, Reader: r.Reader, Wrong: r.Wrong,
	})
	if err != nil {
		return control.CallResult{}, words(err)
	}
	return control.CallResult{Contact: contact(got.Contact), Matched: got.Matched, Says: got.Says, Unknown: got.Unknown}, nil
}

// Misheard leaves the state mismatch.
func (s addressBook) Misheard(ctx context.Context, q control.ContactQuery) (control.Contact, error) {
	return one(s.mailer.Misheard(ctx, q.Address))
}

// Suspend stops sending to a verified contact.
func (s addressBook) Suspend(ctx context.Context, q control.ContactQuery) (control.Contact, error) {
	return one(s.mailer.Suspend(ctx, q.Address))
}

// Mine returns what the user reads out when somebody verifies them.
func (s addressBook) Mine(ctx context.Context, _ control.None) (control.OwnWords, error) {
	own, err := s.mailer.Mine(ctx)
	v := control.OwnWords{Address: own.Address, Words: own.Words, Fingerprints: own.Fingerprints}
	if own.Next != nil {
		next := control.NextWords(*own.Next)
		v.Next = &next
	}
	return v, words(err)
}

// WordList returns the words that codes and safety words are made of.
func (s addressBook) WordList(context.Context, control.None) ([]string, error) {
	list := keyset.Words()
	return list[:], nil
}

// Programs returns the clicks to say aloud for other mail programs.
func (s addressBook) Programs(context.Context, control.None) ([]control.Program, error) {
	return each(keyset.Programs(), func(p keyset.Program) control.Program { return control.Program(p) }), nil
}

// StartOver begins the signed records of the address book anew.
func (s addressBook) StartOver(ctx context.Context, _ control.None) (control.None, error) {
	if err := s.note(ctx, "address-book", "", "The user began the records of the address book anew."); err != nil {
		return control.None{}, err
	}
	if err := s.book.Restart(ctx); err != nil {
		return control.None{}, words(err)
	}
	if err := s.mailer.Reconsider(ctx); err != nil {
		return control.None{}, err
	}
	return control.None{}, s.tell(ctx, "status", "", "The records of the address book were begun anew.")
}
