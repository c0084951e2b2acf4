package control_test

import (
	"context"
	"io"

	"countersign/tray/control"
)

// fake is a Service that hands every call to one function: what it answers,
// and with which error, is the test's to say.
type fake struct {
	// call gets the method's name ("Mail.List"), the query and, for an upload,
	// what the file held and how it ended. It returns the answer.
	call func(ctx context.Context, method string, query any, file io.Reader) (any, error)
	// file is what a download streams.
	file func() io.ReadCloser
	// watch is Events.Watch.
	watch func(ctx context.Context, after control.Cursor, each func(control.Event) error) error
}

func (f *fake) service() *control.Service {
	return &control.Service{
		Mail: fakeMail{f}, Contacts: fakeContacts{f}, Identities: fakeIdentities{f}, Anchors: fakeAnchors{f}, Tokens: fakeTokens{f},
		Accounts: fakeAccounts{f}, Journal: fakeJournal{f}, Settings: fakeSettings{f}, Events: fakeEvents{f}, Simulation: fakeSimulation{f},
	}
}

func answer[A any](ctx context.Context, f *fake, method string, query any, file io.Reader) (A, error) {
	a, err := f.call(ctx, method, query, file)
	if err != nil {
		var none A
		return none, err
	}
	return a.(A), nil
}

type fakeEvents struct{ *fake }

func (f fakeEvents) Watch(ctx context.Context, after control.Cursor, each func(control.Event) error) error {
	return f.watch(ctx, after, each)
}

type fakeMail struct{ *fake }

func (f fakeMail) Fetch(ctx context.Context, q control.None) (control.Fetched, error) {
	return answer[control.Fetched](ctx, f.fake, "Mail.Fetch", q, nil)
}

func (f fakeMail) List(ctx context.Context, q control.ListQuery) ([]control.Summary, error) {
	return answer[[]control.Summary](ctx, f.fake, "Mail.List", q, nil)
}

func (f fakeMail) Show(ctx context.Context, q control.MessageQuery) (control.Message, error) {
	return answer[control.Message](ctx, f.fake, "Mail.Show", q, nil)
}

func (f fakeMail) Attachment(ctx context.Context, q control.AttachmentQuery) (control.Attachment, io.ReadCloser, error) {
	a, err := answer[control.Attachment](ctx, f.fake, "Mail.Attachment", q, nil)
	return a, f.file(), err
}

func (f fakeMail) Raw(ctx context.Context, q control.MessageQuery) (io.ReadCloser, error) {
	_, err := answer[control.None](ctx, f.fake, "Mail.Raw", q, nil)
	return f.file(), err
}

func (f fakeMail) MarkRead(ctx context.Context, q control.ReadMark) (control.None, error) {
	return answer[control.None](ctx, f.fake, "Mail.MarkRead", q, nil)
}

func (f fakeMail) Check(ctx context.Context, q control.CheckQuery) ([]control.RecipientState, error) {
	return answer[[]control.RecipientState](ctx, f.fake, "Mail.Check", q, nil)
}

func (f fakeMail) SaveDraft(ctx context.Context, q control.Draft) (control.Draft, error) {
	return answer[control.Draft](ctx, f.fake, "Mail.SaveDraft", q, nil)
}

func (f fakeMail) Draft(ctx context.Context, q control.DraftQuery) (control.Draft, error) {
	return answer[control.Draft](ctx, f.fake, "Mail.Draft", q, nil)
}

func (f fakeMail) Drafts(ctx context.Context, q control.None) ([]control.Draft, error) {
	return answer[[]control.Draft](ctx, f.fake, "Mail.Drafts", q, nil)
}

func (f fakeMail) DiscardDraft(ctx context.Context, q control.DraftQuery) (control.None, error) {
	return answer[control.None](ctx, f.fake, "Mail.DiscardDraft", q, nil)
}

func (f fakeMail) Attach(ctx context.Context, q control.AttachOrder, file io.Reader) (control.Attachment, error) {
	return answer[control.Attachment](ctx, f.fake, "Mail.Attach", q, file)
}

func (f fakeMail) Detach(ctx context.Context, q control.DetachOrder) (control.None, error) {
	return answer[control.None](ctx, f.fake, "Mail.Detach", q, nil)
}

func (f fakeMail) Send(ctx context.Context, q control.DraftQuery) (control.Sent, error) {
	return answer[control.Sent](ctx, f.fake, "Mail.Send", q, nil)
}

func (f fakeMail) Outbox(ctx context.Context, q control.None) ([]control.Outgoing, error) {
	return answer[[]control.Outgoing](ctx, f.fake, "Mail.Outbox", q, nil)
}

func (f fakeMail) Withdraw(ctx context.Context, q control.OutgoingQuery) (control.None, error) {
	return answer[control.None](ctx, f.fake, "Mail.Withdraw", q, nil)
}

func (f fakeMail) Inspect(ctx context.Context, q control.InspectQuery, file io.Reader) (control.Inspection, error) {
	return answer[control.Inspection](ctx, f.fake, "Mail.Inspect", q, file)
}

type fakeContacts struct{ *fake }

func (f fakeContacts) List(ctx context.Context, q control.SearchQuery) ([]control.Contact, error) {
	return answer[[]control.Contact](ctx, f.fake, "Contacts.List", q, nil)
}

func (f fakeContacts) Show(ctx context.Context, q control.ContactQuery) (control.Contact, error) {
	return answer[control.Contact](ctx, f.fake, "Contacts.Show", q, nil)
}

func (f fakeContacts) Add(ctx context.Context, q control.NewContact) (control.Contact, error) {
	return answer[control.Contact](ctx, f.fake, "Contacts.Add", q, nil)
}

func (f fakeContacts) Remove(ctx context.Context, q control.ContactQuery) (control.None, error) {
	return answer[control.None](ctx, f.fake, "Contacts.Remove", q, nil)
}

func (f fakeContacts) Invite(ctx context.Context, q control.ContactQuery) (control.Contact, error) {
	return answer[control.Contact](ctx, f.fake, "Contacts.Invite", q, nil)
}

func (f fakeContacts) StartTest(ctx context.Context, q control.TestOrder) (control.Contact, error) {
	return answer[control.Contact](ctx, f.fake, "Contacts.StartTest", q, nil)
}

func (f fakeContacts) Answer(ctx context.Context, q control.ContactQuery) (control.Contact, error) {
	return answer[control.Contact](ctx, f.fake, "Contacts.Answer", q, nil)
}

func (f fakeContacts) Call(ctx context.Context, q control.CallReport) (control.CallResult, error) {
	return answer[control.CallResult](ctx, f.fake, "Contacts.Call", q, nil)
}

func (f fakeContacts) Misheard(ctx context.Context, q control.ContactQuery) (control.Contact, error) {
	return answer[control.Contact](ctx, f.fake, "Contacts.Misheard", q, nil)
}

func (f fakeContacts) Suspend(ctx context.Context, q control.ContactQuery) (control.Contact, error) {
	return answer[control.Contact](ctx, f.fake, "Contacts.Suspend", q, nil)
}

func (f fakeContacts) Mine(ctx context.Context, q control.None) (control.OwnWords, error) {
	return answer[control.OwnWords](ctx, f.fake, "Contacts.Mine", q, nil)
}

func (f fakeContacts) WordList(ctx context.Context, q control.None) ([]string, error) {
	return answer[[]string](ctx, f.fake, "Contacts.WordList", q, nil)
}

func (f fakeContacts) Find(ctx context.Context, q control.ContactQuery) (control.Search, error) {
	return answer[control.Search](ctx, f.fake, "Contacts.Find", q, nil)
}

func (f fakeContacts) Programs(ctx context.Context, q control.None) ([]control.Program, error) {
	return answer[[]control.Program](ctx, f.fake, "Contacts.Programs", q, nil)
}

func (f fakeContacts) StartOver(ctx context.Context, q control.None) (control.None, error) {
	return answer[control.None](ctx, f.fake, "Contacts.StartOver", q, nil)
}

type fakeIdentities struct{ *fake }

func (f fakeIdentities) List(ctx context.Context, q control.None) ([]control.Identity, error) {
	return answer[[]control.Identity](ctx, f.fake, "Identities.List", q, nil)
}

func (f fakeIdentities) ImportPKCS12(ctx context.Context, q control.PKCS12Order, file io.Reader) ([]control.Identity, error) {
	return answer[[]control.Identity](ctx, f.fake, "Identities.ImportPKCS12", q, file)
}

func (f fakeIdentities) Recovery(ctx context.Context, q control.None) (control.Recovery, error) {
	return answer[control.Recovery](ctx, f.fake, "Identities.Recovery", q, nil)
}

func (f fakeIdentities) MakeRecovery(ctx context.Context, q control.None) (control.RecoveryFile, error) {
	return answer[control.RecoveryFile](ctx, f.fake, "Identities.MakeRecovery", q, nil)
}

func (f fakeIdentities) ConfirmRecovery(ctx context.Context, q control.RecoveryCheck) (control.Recovery, error) {
	return answer[control.Recovery](ctx, f.fake, "Identities.ConfirmRecovery", q, nil)
}

func (f fakeIdentities) Backup(ctx context.Context, q control.BackupOrder) (control.None, error) {
	return answer[control.None](ctx, f.fake, "Identities.Backup", q, nil)
}

type fakeAnchors struct{ *fake }

func (f fakeAnchors) List(ctx context.Context, q control.None) ([]control.Anchor, error) {
	return answer[[]control.Anchor](ctx, f.fake, "Anchors.List", q, nil)
}

func (f fakeAnchors) Preview(ctx context.Context, q control.None, file io.Reader) ([]control.Anchor, error) {
	return answer[[]control.Anchor](ctx, f.fake, "Anchors.Preview", q, file)
}

func (f fakeAnchors) Add(ctx context.Context, q control.AnchorOrder, file io.Reader) ([]control.Anchor, error) {
	return answer[[]control.Anchor](ctx, f.fake, "Anchors.Add", q, file)
}

func (f fakeAnchors) Remove(ctx context.Context, q control.AnchorQuery) (control.None, error) {
	return answer[control.None](ctx, f.fake, "Anchors.Remove", q, nil)
}

type fakeAccounts struct{ *fake }

func (f fakeAccounts) List(ctx context.Context, q control.None) ([]control.Account, error) {
	return answer[[]control.Account](ctx, f.fake, "Accounts.List", q, nil)
}

func (f fakeAccounts) Add(ctx context.Context, q control.NewAccount) (control.Account, error) {
	return answer[control.Account](ctx, f.fake, "Accounts.Add", q, nil)
}

func (f fakeAccounts) Remove(ctx context.Context, q control.AccountQuery) (control.None, error) {
	return answer[control.None](ctx, f.fake, "Accounts.Remove", q, nil)
}

type fakeJournal struct{ *fake }

func (f fakeJournal) List(ctx context.Context, q control.JournalQuery) ([]control.Entry, error) {
	return answer[[]control.Entry](ctx, f.fake, "Journal.List", q, nil)
}

func (f fakeJournal) Verify(ctx context.Context, q control.None) (control.JournalProof, error) {
	return answer[control.JournalProof](ctx, f.fake, "Journal.Verify", q, nil)
}

type fakeSettings struct{ *fake }

func (f fakeSettings) Status(ctx context.Context, q control.None) (control.Status, error) {
	return answer[control.Status](ctx, f.fake, "Settings.Status", q, nil)
}

func (f fakeSettings) Get(ctx context.Context, q control.None) (control.Preferences, error) {
	return answer[control.Preferences](ctx, f.fake, "Settings.Get", q, nil)
}

func (f fakeSettings) Set(ctx context.Context, q control.Preferences) (control.Preferences, error) {
	return answer[control.Preferences](ctx, f.fake, "Settings.Set", q, nil)
}

func (f fakeSettings) PageAddress(ctx context.Context, q control.None) (control.PageAddress, error) {
	return answer[control.PageAddress](ctx, f.fake, "Settings.PageAddress", q, nil)
}

func (f fakeSettings) Lock(ctx context.Context, q control.None) (control.None, error) {
	return answer[control.None](ctx, f.fake, "Settings.Lock", q, nil)
}

func (f fakeSettings) Unlock(ctx context.Context, q control.None) (control.None, error) {
	return answer[control.None](ctx, f.fake, "Settings.Unlock", q, nil)
}

func (f fakeSettings) Stop(ctx context.Context, q control.None) (control.None, error) {
	return answer[control.None](ctx, f.fake, "Settings.Stop", q, nil)
}

type fakeSimulation struct{ *fake }

func (f fakeSimulation) Stage(ctx context.Context, q control.None) (control.Stage, error) {
	return answer[control.Stage](ctx, f.fake, "Simulation.Stage", q, nil)
}

func (f fakeSimulation) Dial(ctx context.Context, q control.DialOrder) (control.Conversation, error) {
	return answer[control.Conversation](ctx, f.fake, "Simulation.Dial", q, nil)
}

func (f fakeSimulation) Play(ctx context.Context, q control.ActQuery) (control.None, error) {
	return answer[control.None](ctx, f.fake, "Simulation.Play", q, nil)
}
