package web

import (
	"context"
	"io"
	"strings"
	"time"

	"countersign/tray/control"
)

func (c clinicContacts) List(_ context.Context, q control.SearchQuery) ([]control.Contact, error) {
	err := c.note("Contacts.List", q)
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []control.Contact
	for _, p := range c.people {
		if strings.Contains(strings.ToLower(p.Name+p.Address), strings.ToLower(q.Text)) {
			out = append(out, p)
		}
	}
	if q.Limit > 0 && len(out) > q.Limit {
		out = out[:q.Limit]
	}
	return out, err
}

func (c clinicContacts) Show(_ context.Context, q control.ContactQuery) (control.Contact, error) {
	if err := c.note("Contacts.Show", q); err != nil {
		return control.Contact{}, err
	}
	return c.find(q.Address)
}

func (c clinicContacts) Add(_ context.Context, q control.NewContact) (control.Contact, error) {
	return control.Contact{Address: q.Address}, c.note("Contacts.Add", q)
}

func (c clinicContacts) Remove(_ context.Context, q control.ContactQuery) (control.None, error) {
	return control.None{}, c.note("Contacts.Remove", q)
}

func (c clinicContacts) Invite(_ context.Context, q control.ContactQuery) (control.Contact, error) {
	return control.Contact{}, c.note("Contacts.Invite", q)
}

func (c clinicContacts) StartTest(_ context.Context, q control.TestOrder) (control.Contact, error) {
	return control.Contact{}, c.note("Contacts.StartTest", q)
}

func (c clinicContacts) Answer(_ context.Context, q control.ContactQuery) (control.Contact, error) {
	return control.Contact{}, c.note("Contacts.Answer", q)
}

func (c clinicContacts) Call(_ context.Context, q control.CallReport) (control.CallResult, error) {
	err := c.note("Contacts.Call", q)
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, p := range c.people {
		if p.Address == q.Address && q.Source != "" && p.Test != nil {
			t := *p.Test
			t.Number, t.Source = q.Number, q.Source
			c.people[i].Test = &t
			return control.CallResult{Matched: true}, err
		}
		if p.Address == q.Address && len(q.Code) == 4 && p.Test != nil && c.result.Matched {
			t := *p.Test
			t.CodeMatched = monday
			c.people[i].Test = &t
		}
		if p.Address == q.Address && len(q.Words) == 6 && c.result.Matched {
			c.people[i].State, c.people[i].Level, c.people[i].Label = "verified", "good", "Confirmed by telephone today"
			c.people[i].Test = nil // it ends with the call, as the agent's does
		}
	}
	return c.result, err
}

func (c clinicContacts) Misheard(_ context.Context, q control.ContactQuery) (control.Contact, error) {
	return control.Contact{}, c.note("Contacts.Misheard", q)
}

func (c clinicContacts) Suspend(_ context.Context, q control.ContactQuery) (control.Contact, error) {
	return control.Contact{}, c.note("Contacts.Suspend", q)
}

func (c clinicContacts) Mine(context.Context, control.None) (control.OwnWords, error) {
	return control.OwnWords{Address: c.status.Address, Words: []string{"velvet", "anchor", "ginger", "pilot", "saddle", "wisdom"}, Fingerprints: []string{"8f2c19d03ab47e5561c0ff12", "11aa22bb33cc44dd55ee66ff"}}, c.note("Contacts.Mine", nil)
}

func (c clinicContacts) WordList(context.Context, control.None) ([]string, error) {
	return []string{"harvest", "lemon", "orbit", "cradle", "car", "card", "velvet", "anchor", "ginger", "pilot", "saddle", "wisdom"}, c.note("Contacts.WordList", nil)
}

func (c clinicContacts) Find(_ context.Context, q control.ContactQuery) (control.Search, error) {
	return c.search, c.note("Contacts.Find", q)
}

func (c clinicContacts) Programs(context.Context, control.None) ([]control.Program, error) {
	steps := []string{"Click File, then Options, then Trust Center.", "Beside Signing Certificate, click Choose.", "Click Details, scroll to the end and click Thumbprint.", "Read out all 40 digits."}
	return []control.Program{{Name: "Outlook for Windows", Shows: "the SHA-1 thumbprint: read all 40 digits", Steps: steps}, {Name: "Apple Mail", Shows: "SHA-256: read the last 24 digits", Steps: steps}, {Name: "Thunderbird", Shows: "SHA-256: read the last 24 digits", Steps: steps}}, c.note("Contacts.Programs", nil)
}

func (c clinicContacts) StartOver(context.Context, control.None) (control.None, error) {
	return control.None{}, c.note("Contacts.StartOver", nil)
}

func (c clinicIdentities) List(context.Context, control.None) ([]control.Identity, error) {
	if c.fresh {
		return nil, c.note("Identities.List", nil)
	}
	return []control.Identity{{ID: "i1", Address: c.status.Address, Name: c.status.Name, Issuer: "Clinics' Authority 3", Usage: "signing and encryption", Expires: monday.AddDate(1, 0, 0), State: "good", KeyPlace: "keychain", Movable: c.movable}}, c.note("Identities.List", nil)
}

func (c clinicIdentities) ImportPKCS12(_ context.Context, q control.PKCS12Order, r io.Reader) ([]control.Identity, error) {
	b, _ := io.ReadAll(r)
	c.mu.Lock()
	c.uploads["p12"] = string(b)
	c.mu.Unlock()
	return nil, c.note("Identities.ImportPKCS12", q)
}

func (c clinicIdentities) Recovery(context.Context, control.None) (control.Recovery, error) {
	return c.recovery, c.note("Identities.Recovery", nil)
}

func (c clinicIdentities) MakeRecovery(context.Context, control.None) (control.RecoveryFile, error) {
	c.recovery = control.Recovery{State: "unconfirmed", Ask: []int{2, 7}}
	return control.RecoveryFile{Name: "countersign-recovery.age", Bytes: []byte("sealed keys"), Words: strings.Fields("copper meadow lantern trip velvet ocean paddle grain"), Ask: []int{2, 7}}, c.note("Identities.MakeRecovery", nil)
}

func (c clinicIdentities) ConfirmRecovery(_ context.Context, q control.RecoveryCheck) (control.Recovery, error) {
	return control.Recovery{}, c.note("Identities.ConfirmRecovery", q)
}

func (c clinicIdentities) Backup(context.Context, control.BackupOrder) (control.None, error) {
	return control.None{}, c.note("Identities.Backup", nil)
}

func (c clinicAnchors) List(context.Context, control.None) ([]control.Anchor, error) {
	return c.anchors, c.note("Anchors.List", nil)
}

func (c clinicAnchors) Preview(_ context.Context, _ control.None, r io.Reader) ([]control.Anchor, error) {
	b, _ := io.ReadAll(r)
	c.note("Anchors.Preview", string(b))
	return []control.Anchor{{Fingerprint: strings.Repeat("c0ffee11", 8), Name: "Northclinic Root", Expires: monday.AddDate(9, 0, 0), CA: true}}, nil
}

func (c clinicAnchors) Add(_ context.Context, q control.AnchorOrder, r io.Reader) ([]control.Anchor, error) {
	b, _ := io.ReadAll(r)
	c.mu.Lock()
	c.uploads["anchor"] = string(b)
	c.mu.Unlock()
	return nil, c.note("Anchors.Add", q)
}

func (c clinicAnchors) Remove(_ context.Context, q control.AnchorQuery) (control.None, error) {
	return control.None{}, c.note("Anchors.Remove", q)
}

func (c clinicAccounts) List(context.Context, control.None) ([]control.Account, error) {
	return c.accounts, c.note("Accounts.List", nil)
}

func (c clinicAccounts) Add(_ context.Context, q control.NewAccount) (control.Account, error) {
	return q.Account, c.note("Accounts.Add", q)
}

func (c clinicAccounts) Remove(_ context.Context, q control.AccountQuery) (control.None, error) {
	return control.None{}, c.note("Accounts.Remove", q)
}

func (c clinicJournal) List(_ context.Context, q control.JournalQuery) ([]control.Entry, error) {
	return []control.Entry{
		{Seq: 3, Time: monday.Add(-38 * time.Minute), Kind: "answer", Person: "Dr Imran Shah", Says: "Answered the test message."},
		{Seq: 2, Time: monday.Add(-80 * time.Minute), Kind: "test", Person: "Dr Imran Shah", Says: "A test message was sent."},
		{Seq: 1, Time: monday.AddDate(0, -8, -20), Kind: "verified", Person: "Dr Bea Brandt", Says: "Confirmed by telephone: the four words and the safety words matched."},
	}, c.note("Journal.List", q)
}

func (c clinicJournal) Verify(context.Context, control.None) (control.JournalProof, error) {
	return control.JournalProof{OK: true, Entries: 3, Says: "The record is whole."}, c.note("Journal.Verify", nil)
}

func (c clinicSettings) Status(context.Context, control.None) (control.Status, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status, c.fail["Settings.Status"]
}

func (c clinicSettings) Get(context.Context, control.None) (control.Preferences, error) {
	return control.Preferences{FetchMinutes: 5, GraceHours: 24, KeepSummaries: true}, c.note("Settings.Get", nil)
}

func (c clinicSettings) Set(_ context.Context, q control.Preferences) (control.Preferences, error) {
	return q, c.note("Settings.Set", q)
}

func (c clinicSettings) PageAddress(context.Context, control.None) (control.PageAddress, error) {
	return control.PageAddress{}, c.note("Settings.PageAddress", nil)
}

func (c clinicSettings) Lock(context.Context, control.None) (control.None, error) {
	return control.None{}, c.note("Settings.Lock", nil)
}

func (c clinicSettings) Unlock(context.Context, control.None) (control.None, error) {
	return control.None{}, c.note("Settings.Unlock", nil)
}

func (c clinicSettings) Stop(context.Context, control.None) (control.None, error) {
	return control.None{}, c.note("Settings.Stop", nil)
}

func (c clinicEvents) Watch(ctx context.Context, _ control.Cursor, each func(control.Event) error) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-c.events:
			if err := each(e); err != nil {
				return err
			}
		}
	}
}

func (c clinicPhone) Stage(context.Context, control.None) (control.Stage, error) {
	return control.Stage{Name: "Dr Imran Shah", Number: "020 7946 0188", Acts: []control.Act{{Name: "unsecured", Title: "An unsecured message arrives"}, {Name: "impostor", Title: "Somebody else writes as Dr Brandt"}}}, nil
}

func (c clinicPhone) Dial(_ context.Context, q control.DialOrder) (control.Conversation, error) {
	err := c.note("Simulation.Dial", q)
	if q.Number != "020 7946 0188" {
		return control.Conversation{Lines: []string{"This number is not in use."}}, err
	}
	return control.Conversation{Answered: true, Lines: []string{"Imran Shah speaking.", "The four words are: harvest, lemon, orbit, cradle.", "And my own: velvet, anchor, ginger, pilot, saddle, wisdom."}}, err
}

func (c clinicPhone) Play(_ context.Context, q control.ActQuery) (control.None, error) {
	return control.None{}, c.note("Simulation.Play", q)
}
