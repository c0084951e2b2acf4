package main

import (
	"context"
	"io"

	"countersign/tray/control"
)

// fake is a Service that answers what the test says, and remembers what it was
// asked.
type fake struct {
	answers map[string]any   // by method: "Mail.List"
	errors  map[string]error // by method; the first found is returned
	do      map[string]func(query any) (any, error)
	files   map[string]string // what a download streams, by method
	failing error             // how a download ends, if not well
	events  []control.Event

	asked   []asked
	uploads []string
}

type asked struct {
	method string
	query  any
}

func (f *fake) service() *control.Service {
	return &control.Service{
		Mail: fakeMail{f}, Contacts: fakeContacts{f}, Identities: fakeIdentities{f}, Anchors: fakeAnchors{f}, Tokens: fakeTokens{f},
		Accounts: fakeAccounts{f}, Journal: fakeJournal{f}, Settings: fakeSettings{f}, Events: fakeEvents{f}, Simulation: fakeSimulation{f},
	}
}

func give[A any](f *fake, method string, query any, file io.Reader) (a A, err error) {
	f.asked = append(f.asked, asked{method, query})
	if file != nil {
		data, err := io.ReadAll(file)
		if err != nil {
			return a, err
		}
		f.uploads = append(f.uploads, string(data))
	}
	if err := f.errors[method]; err != nil {
		return a, err
	}
	if do := f.do[method]; do != nil {
		v, err := do(query)
		if err != nil {
			return a, err
		}
		return v.(A), nil
	}
	if v, ok := f.answers[method]; ok {
		return v.(A), nil
	}
	return a, nil
}

// queries returns what one method was asked.
func (f *fake) queries(method string) (all []any) {
	for _, a := range f.asked {
		if a.method == method {
			all = append(all, a.query)
		}
	}
	return all
}

func (f *fake) file(method string) io.ReadCloser {
	return &fakeFile{text: f.files[method], end: f.failing}
}

type fakeFile struct {
	text string
	end  error
}

func (f *fakeFile) Read(p []byte) (int, error) {
	if f.text == "" {
		if f.end != nil {
			return 0, f.end
		}
		return 0, io.EOF
	}
	n := copy(p, f.text)
	f.text = f.text[n:]
	return n, nil
}

func (f *fakeFile) Close() error { return nil }

type fakeEvents struct{ *fake }

func (f fakeEvents) Watch(ctx context.Context, after control.Cursor, each func(control.Event) error) error {
	f.asked = append(f.asked, asked{"Events.Watch", after})
	for _, e := range f.events {
		if err := each(e); err != nil {
			return err
		}
	}
	return f.errors["Events.Watch"]
}

type fakeMail struct{ *fake }

func (f fakeMail) Fetch(_ context.Context, q control.None) (control.Fetched, error) {
	return give[control.Fetched](f.fake, "Mail.Fetch", q, nil)
}

func (f fakeMail) List(_ context.Context, q control.ListQuery) ([]control.Summary, error) {
	return give[[]control.Summary](f.fake, "Mail.List", q, nil)
}

func (f fakeMail) Show(_ context.Context, q control.MessageQuery) (control.Message, error) {
	return give[control.Message](f.fake, "Mail.Show", q, nil)
}

func (f fakeMail) Attachment(_ context.Context, q control.AttachmentQuery) (control.Attachment, io.ReadCloser, error) {
	a, err := give[control.Attachment](f.fake, "Mail.Attachment", q, nil)
	return a, f.file("Mail.Attachment"), err
}

func (f fakeMail) Raw(_ context.Context, q control.MessageQuery) (io.ReadCloser, error) {
	_, err := give[control.None](f.fake, "Mail.Raw", q, nil)
	return f.file("Mail.Raw"), err
}

func (f fakeMail) MarkRead(_ context.Context, q control.ReadMark) (control.None, error) {
	return give[control.None](f.fake, "Mail.MarkRead", q, nil)
}

func (f fakeMail) Check(_ context.Context, q control.CheckQuery) ([]control.RecipientState, error) {
	return give[[]control.RecipientState](f.fake, "Mail.Check", q, nil)
}

func (f fakeMail) SaveDraft(_ context.Context, q control.Draft) (control.Draft, error) {
	return give[control.Draft](f.fake, "Mail.SaveDraft", q, nil)
}

func (f fakeMail) Draft(_ context.Context, q control.DraftQuery) (control.Draft, error) {
	return give[control.Draft](f.fake, "Mail.Draft", q, nil)
}

func (f fakeMail) Drafts(_ context.Context, q control.None) ([]control.Draft, error) {
	return give[[]control.Draft](f.fake, "Mail.Drafts", q, nil)
}

func (f fakeMail) DiscardDraft(_ context.Context, q control.DraftQuery) (control.None, error) {
	return give[control.None](f.fake, "Mail.DiscardDraft", q, nil)
}

func (f fakeMail) Attach(_ context.Context, q control.AttachOrder, file io.Reader) (control.Attachment, error) {
	return give[control.Attachment](f.fake, "Mail.Attach", q, file)
}

func (f fakeMail) Detach(_ context.Context, q control.DetachOrder) (control.None, error) {
	return give[control.None](f.fake, "Mail.Detach", q, nil)
}

func (f fakeMail) Send(_ context.Context, q control.DraftQuery) (control.Sent, error) {
	return give[control.Sent](f.fake, "Mail.Send", q, nil)
}

func (f fakeMail) Outbox(_ context.Context, q control.None) ([]control.Outgoing, error) {
	return give[[]control.Outgoing](f.fake, "Mail.Outbox", q, nil)
}

func (f fakeMail) Withdraw(_ context.Context, q control.OutgoingQuery) (control.None, error) {
	return give[control.None](f.fake, "Mail.Withdraw", q, nil)
}

func (f fakeMail) Inspect(_ context.Context, q control.InspectQuery, file io.Reader) (control.Inspection, error) {
	return give[control.Inspection](f.fake, "Mail.Inspect", q, file)
}

type fakeContacts struct{ *fake }

func (f fakeContacts) List(_ context.Context, q control.SearchQuery) ([]control.Contact, error) {
	return give[[]control.Contact](f.fake, "Contacts.List", q, nil)
}

func (f fakeContacts) Show(_ context.Context, q control.ContactQuery) (control.Contact, error) {
	return give[control.Contact](f.fake, "Contacts.Show", q, nil)
}

func (f fakeContacts) Add(_ context.Context, q control.NewContact) (control.Contact, error) {
	return give[control.Contact](f.fake, "Contacts.Add", q, nil)
}

func (f fakeContacts) Remove(_ context.Context, q control.ContactQuery) (control.None, error) {
	return give[control.None](f.fake, "Contacts.Remove", q, nil)
}

func (f fakeContacts) Invite(_ context.Context, q control.ContactQuery) (control.Contact, error) {
	return give[control.Contact](f.fake, "Contacts.Invite", q, nil)
}

func (f fakeContacts) StartTest(_ context.Context, q control.TestOrder) (control.Contact, error) {
	return give[control.Contact](f.fake, "Contacts.StartTest", q, nil)
}

func (f fakeContacts) Answer(_ context.Context, q control.ContactQuery) (control.Contact, error) {
	return give[control.Contact](f.fake, "Contacts.Answer", q, nil)
}

func (f fakeContacts) Call(_ context.Context, q control.CallReport) (control.CallResult, error) {
	return give[control.CallResult](f.fake, "Contacts.Call", q, nil)
}

func (f fakeContacts) Misheard(_ context.Context, q control.ContactQuery) (control.Contact, error) {
	return give[control.Contact](f.fake, "Contacts.Misheard", q, nil)
}

func (f fakeContacts) Suspend(_ context.Context, q control.ContactQuery) (control.Contact, error) {
	return give[control.Contact](f.fake, "Contacts.Suspend", q, nil)
}

func (f fakeContacts) Mine(_ context.Context, q control.None) (control.OwnWords, error) {
	return give[control.OwnWords](f.fake, "Contacts.Mine", q, nil)
}

func (f fakeContacts) WordList(_ context.Context, q control.None) ([]string, error) {
	return give[[]string](f.fake, "Contacts.WordList", q, nil)
}

func (f fakeContacts) Find(_ context.Context, q control.ContactQuery) (control.Search, error) {
	return give[control.Search](f.fake, "Contacts.Find", q, nil)
}

func (f fakeContacts) Programs(_ context.Context, q control.None) ([]control.Program, error) {
	return give[[]control.Program](f.fake, "Contacts.Programs", q, nil)
}

func (f fakeContacts) StartOver(_ context.Context, q control.None) (control.None, error) {
	return give[control.None](f.fake, "Contacts.StartOver", q, nil)
}

type fakeIdentities struct{ *fake }

func (f fakeIdentities) List(_ context.Context, q control.None) ([]control.Identity, error) {
	return give[[]control.Identity](f.fake, "Identities.List", q, nil)
}

func (f fakeIdentities) ImportPKCS12(_ context.Context, q control.PKCS12Order, file io.Reader) ([]control.Identity, error) {
	return give[[]control.Identity](f.fake, "Identities.ImportPKCS12", q, file)
}

func (f fakeIdentities) Recovery(_ context.Context, q control.None) (control.Recovery, error) {
	return give[control.Recovery](f.fake, "Identities.Recovery", q, nil)
}

func (f fakeIdentities) MakeRecovery(_ context.Context, q control.None) (control.RecoveryFile, error) {
	return give[control.RecoveryFile](f.fake, "Identities.MakeRecovery", q, nil)
}

func (f fakeIdentities) ConfirmRecovery(_ context.Context, q control.RecoveryCheck) (control.Recovery, error) {
	return give[control.Recovery](f.fake, "Identities.ConfirmRecovery", q, nil)
}

func (f fakeIdentities) Backup(_ context.Context, q control.BackupOrder) (control.None, error) {
	return give[control.None](f.fake, "Identities.Backup", q, nil)
}

type fakeAnchors struct{ *fake }

func (f fakeAnchors) List(_ context.Context, q control.None) ([]control.Anchor, error) {
	return give[[]control.Anchor](f.fake, "Anchors.List", q, nil)
}

func (f fakeAnchors) Preview(_ context.Context, q control.None, file io.Reader) ([]control.Anchor, error) {
	return give[[]control.Anchor](f.fake, "Anchors.Preview", q, file)
}

func (f fakeAnchors) Add(_ context.Context, q control.AnchorOrder, file io.Reader) ([]control.Anchor, error) {
	return give[[]control.Anchor](f.fake, "Anchors.Add", q, file)
}

func (f fakeAnchors) Remove(_ context.Context, q control.AnchorQuery) (control.None, error) {
	return give[control.None](f.fake, "Anchors.Remove", q, nil)
}

type fakeAccounts struct{ *fake }

func (f fakeAccounts) List(_ context.Context, q control.None) ([]control.Account, error) {
	return give[[]control.Account](f.fake, "Accounts.List", q, nil)
}

func (f fakeAccounts) Add(_ context.Context, q control.NewAccount) (control.Account, error) {
	return give[control.Account](f.fake, "Accounts.Add", q, nil)
}

func (f fakeAccounts) Remove(_ context.Context, q control.AccountQuery) (control.None, error) {
	return give[control.None](f.fake, "Accounts.Remove", q, nil)
}

type fakeJournal struct{ *fake }

func (f fakeJournal) List(_ context.Context, q control.JournalQuery) ([]control.Entry, error) {
	return give[[]control.Entry](f.fake, "Journal.List", q, nil)
}

func (f fakeJournal) Verify(_ context.Context, q control.None) (control.JournalProof, error) {
	return give[control.JournalProof](f.fake, "Journal.Verify", q, nil)
}

type fakeSettings struct{ *fake }

func (f fakeSettings) Status(_ context.Context, q control.None) (control.Status, error) {
	return give[control.Status](f.fake, "Settings.Status", q, nil)
}

func (f fakeSettings) Get(_ context.Context, q control.None) (control.Preferences, error) {
	return give[control.Preferences](f.fake, "Settings.Get", q, nil)
}

func (f fakeSettings) Set(_ context.Context, q control.Preferences) (control.Preferences, error) {
	return give[control.Preferences](f.fake, "Settings.Set", q, nil)
}

func (f fakeSettings) PageAddress(_ context.Context, q control.None) (control.PageAddress, error) {
	return give[control.PageAddress](f.fake, "Settings.PageAddress", q, nil)
}

func (f fakeSettings) Lock(_ context.Context, q control.None) (control.None, error) {
	return give[control.None](f.fake, "Settings.Lock", q, nil)
}

func (f fakeSettings) Unlock(_ context.Context, q control.None) (control.None, error) {
	return give[control.None](f.fake, "Settings.Unlock", q, nil)
}

func (f fakeSettings) Stop(_ context.Context, q control.None) (control.None, error) {
	return give[control.None](f.fake, "Settings.Stop", q, nil)
}

type fakeSimulation struct{ *fake }

func (f fakeSimulation) Stage(_ context.Context, q control.None) (control.Stage, error) {
	return give[control.Stage](f.fake, "Simulation.Stage", q, nil)
}

func (f fakeSimulation) Dial(_ context.Context, q control.DialOrder) (control.Conversation, error) {
	return give[control.Conversation](f.fake, "Simulation.Dial", q, nil)
}

func (f fakeSimulation) Play(_ context.Context, q control.ActQuery) (control.None, error) {
	return give[control.None](f.fake, "Simulation.Play", q, nil)
}
