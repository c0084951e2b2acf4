package control

import (
	"context"
	"io"
)

// The client's half of the table in routes.go: one line a method.

type mailClient struct{ *client }

func (m mailClient) Fetch(ctx context.Context, q None) (Fetched, error) {
	return ask(ctx, m.client, mailFetch, q)
}

func (m mailClient) List(ctx context.Context, q ListQuery) ([]Summary, error) {
	return ask(ctx, m.client, mailList, q)
}

func (m mailClient) Show(ctx context.Context, q MessageQuery) (Message, error) {
	return ask(ctx, m.client, mailShow, q)
}

func (m mailClient) Attachment(ctx context.Context, q AttachmentQuery) (Attachment, io.ReadCloser, error) {
	return get(ctx, m.client, mailAttachment, q)
}

func (m mailClient) Raw(ctx context.Context, q MessageQuery) (io.ReadCloser, error) {
	_, file, err := get(ctx, m.client, mailRaw, q)
	return file, err
}

func (m mailClient) MarkRead(ctx context.Context, q ReadMark) (None, error) {
	return ask(ctx, m.client, mailMarkRead, q)
}

func (m mailClient) Check(ctx context.Context, q CheckQuery) ([]RecipientState, error) {
	return ask(ctx, m.client, mailCheck, q)
}

func (m mailClient) SaveDraft(ctx context.Context, q Draft) (Draft, error) {
	return ask(ctx, m.client, mailSaveDraft, q)
}

func (m mailClient) Draft(ctx context.Context, q DraftQuery) (Draft, error) {
	return ask(ctx, m.client, mailDraft, q)
}

func (m mailClient) Drafts(ctx context.Context, q None) ([]Draft, error) {
	return ask(ctx, m.client, mailDrafts, q)
}

func (m mailClient) DiscardDraft(ctx context.Context, q DraftQuery) (None, error) {
	return ask(ctx, m.client, mailDiscardDraft, q)
}

func (m mailClient) Attach(ctx context.Context, q AttachOrder, file io.Reader) (Attachment, error) {
	return put(ctx, m.client, mailAttach, q, file)
}

func (m mailClient) Detach(ctx context.Context, q DetachOrder) (None, error) {
	return ask(ctx, m.client, mailDetach, q)
}

func (m mailClient) Send(ctx context.Context, q DraftQuery) (Sent, error) {
	return ask(ctx, m.client, mailSend, q)
}

func (m mailClient) Outbox(ctx context.Context, q None) ([]Outgoing, error) {
	return ask(ctx, m.client, mailOutbox, q)
}

func (m mailClient) Withdraw(ctx context.Context, q OutgoingQuery) (None, error) {
	return ask(ctx, m.client, mailWithdraw, q)
}

func (m mailClient) Inspect(ctx context.Context, q InspectQuery, file io.Reader) (Inspection, error) {
	return put(ctx, m.client, mailInspect, q, file)
}

type contactsClient struct{ *client }

func (c contactsClient) List(ctx context.Context, q SearchQuery) ([]Contact, error) {
	return ask(ctx, c.client, contactsList, q)
}

func (c contactsClient) Show(ctx context.Context, q ContactQuery) (Contact, error) {
	return ask(ctx, c.client, contactsShow, q)
}

func (c contactsClient) Add(ctx context.Context, q NewContact) (Contact, error) {
	return ask(ctx, c.client, contactsAdd, q)
}

func (c contactsClient) Remove(ctx context.Context, q ContactQuery) (None, error) {
	return ask(ctx, c.client, contactsRemove, q)
}

func (c contactsClient) Find(ctx context.Context, q ContactQuery) (Search, error) {
	return ask(ctx, c.client, contactsFind, q)
}

func (c contactsClient) Invite(ctx context.Context, q ContactQuery) (Contact, error) {
	return ask(ctx, c.client, contactsInvite, q)
}

func (c contactsClient) StartTest(ctx context.Context, q TestOrder) (Contact, error) {
	return ask(ctx, c.client, contactsStartTest, q)
}

func (c contactsClient) Answer(ctx context.Context, q ContactQuery) (Contact, error) {
	return ask(ctx, c.client, contactsAnswer, q)
}

func (c contactsClient) Call(ctx context.Context, q CallReport) (CallResult, error) {
	return ask(ctx, c.client, contactsCall, q)
}

func (c contactsClient) Misheard(ctx context.Context, q ContactQuery) (Contact, error) {
	return ask(ctx, c.client, contactsMisheard, q)
}

func (c contactsClient) Suspend(ctx context.Context, q ContactQuery) (Contact, error) {
	return ask(ctx, c.client, contactsSuspend, q)
}

func (c contactsClient) Mine(ctx context.Context, q None) (OwnWords, error) {
	return ask(ctx, c.client, contactsMine, q)
}

func (c contactsClient) WordList(ctx context.Context, q None) ([]string, error) {
	return ask(ctx, c.client, contactsWordList, q)
}

func (c contactsClient) Programs(ctx context.Context, q None) ([]Program, error) {
	return ask(ctx, c.client, contactsPrograms, q)
}

func (c contactsClient) StartOver(ctx context.Context, q None) (None, error) {
	return ask(ctx, c.client, contactsStartOver, q)
}

type identitiesClient struct{ *client }

func (i identitiesClient) List(ctx context.Context, q None) ([]Identity, error) {
	return ask(ctx, i.client, identitiesList, q)
}

func (i identitiesClient) ImportPKCS12(ctx context.Context, q PKCS12Order, file io.Reader) ([]Identity, error) {
	return put(ctx, i.client, identitiesImportPKCS12, q, file)
}

func (i identitiesClient) Recovery(ctx context.Context, q None) (Recovery, error) {
	return ask(ctx, i.client, identitiesRecovery, q)
}

func (i identitiesClient) MakeRecovery(ctx context.Context, q None) (RecoveryFile, error) {
	return ask(ctx, i.client, identitiesMakeRecovery, q)
}

func (i identitiesClient) ConfirmRecovery(ctx context.Context, q RecoveryCheck) (Recovery, error) {
	return ask(ctx, i.client, identitiesConfirmRecovery, q)
}

func (i identitiesClient) Backup(ctx context.Context, q BackupOrder) (None, error) {
	return ask(ctx, i.client, identitiesBackup, q)
}

type accountsClient struct{ *client }

func (a accountsClient) List(ctx context.Context, q None) ([]Account, error) {
	return ask(ctx, a.client, accountsList, q)
}

func (a accountsClient) Add(ctx context.Context, q NewAccount) (Account, error) {
	return ask(ctx, a.client, accountsAdd, q)
}

func (a accountsClient) Remove(ctx context.Context, q AccountQuery) (None, error) {
	return ask(ctx, a.client, accountsRemove, q)
}

type journalClient struct{ *client }

func (j journalClient) List(ctx context.Context, q JournalQuery) ([]Entry, error) {
	return ask(ctx, j.client, journalList, q)
}

func (j journalClient) Verify(ctx context.Context, q None) (JournalProof, error) {
	return ask(ctx, j.client, journalVerify, q)
}

type settingsClient struct{ *client }

func (s settingsClient) Status(ctx context.Context, q None) (Status, error) {
	return ask(ctx, s.client, settingsStatus, q)
}

func (s settingsClient) Get(ctx context.Context, q None) (Preferences, error) {
	return ask(ctx, s.client, settingsGet, q)
}

func (s settingsClient) Set(ctx context.Context, q Preferences) (Preferences, error) {
	return ask(ctx, s.client, settingsSet, q)
}

func (s settingsClient) PageAddress(ctx context.Context, q None) (PageAddress, error) {
	return ask(ctx, s.client, settingsPageAddress, q)
}

func (s settingsClient) Lock(ctx context.Context, q None) (None, error) {
	return ask(ctx, s.client, settingsLock, q)
}

func (s settingsClient) Unlock(ctx context.Context, q None) (None, error) {
	return ask(ctx, s.client, settingsUnlock, q)
}

func (s settingsClient) Stop(ctx context.Context, q None) (None, error) {
	return ask(ctx, s.client, settingsStop, q)
}

type simulationClient struct{ *client }

func (s simulationClient) Stage(ctx context.Context, q None) (Stage, error) {
	return ask(ctx, s.client, simulationStage, q)
}

func (s simulationClient) Dial(ctx context.Context, q DialOrder) (Conversation, error) {
	return ask(ctx, s.client, simulationDial, q)
}

func (s simulationClient) Play(ctx context.Context, q ActQuery) (None, error) {
	return ask(ctx, s.client, simulationPlay, q)
}
