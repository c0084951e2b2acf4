package agent

import (
	"context"
	"errors"
	"io"

	"countersign/mailer"
	"countersign/mailer/outbox"
	"countersign/tray/control"
)

// letters answers control.Mail.
type letters struct{ *Agent }

// List returns summaries, newest first.
func (s letters) List(ctx context.Context, q control.ListQuery) ([]control.Summary, error) {
	if q.Folder == "" {
		q.Folder = mailer.Inbox
	}
	list, err := s.mailer.List(ctx, mailer.Query{Folder: q.Folder, Search: q.Search, Limit: atMost(q.Limit), Before: q.Before})
	return each(list, summary), words(err)
}

// Show opens one message.
func (s letters) Show(ctx context.Context, q control.MessageQuery) (control.Message, error) {
	if !q.Quiet {
		ctx = s.tokens.Asked(ctx, "Open the message that you chose")
	}
	m, err := s.mailer.Read(ctx, q.ID)
	return shown(m), words(err)
}

// Attachment streams one attachment of a message.
func (s letters) Attachment(ctx context.Context, q control.AttachmentQuery) (control.Attachment, io.ReadCloser, error) {
	a, body, err := s.mailer.Attachment(s.tokens.Asked(ctx, "Open the attachment that you chose"), q.ID, q.Part)
	return attachment(a), body, words(err)
}

// Raw streams a message as it travelled.
func (s letters) Raw(ctx context.Context, q control.MessageQuery) (io.ReadCloser, error) {
	body, err := s.mailer.Raw(ctx, q.ID)
	return body, words(err)
}

// MarkRead records that the user has seen a message, or has not. The first is told to
// its server as well.
func (s letters) MarkRead(ctx context.Context, mark control.ReadMark) (control.None, error) {
	err := s.mailer.MarkRead(ctx, mark.ID, mark.Read)
	if err == nil && mark.Read {
		s.seen.End()
	}
	return control.None{}, words(err)
}

// Check tells, for each address, whether a message could go to it now.
func (s letters) Check(ctx context.Context, q control.CheckQuery) ([]control.RecipientState, error) {
	list, err := s.mailer.Recipients(ctx, q.Addresses)
	return each(list, recipient), words(err)
}

// SaveDraft stores a draft under the identifier that the face chose.
//
// One that was accepted already is not made anew: a late autosave must not bring
// back what is on its way.
func (s letters) SaveDraft(ctx context.Context, d control.Draft) (control.Draft, error) {
	if _, err := s.mailer.Outbox.Get(ctx, d.ID); !errors.Is(err, outbox.ErrUnknown) {
		if err == nil {
			err = &control.Error{Code: "sent", Says: "This message was accepted for sending already.", Next: "Look at it in the outbox."}
		}
		return control.Draft{}, words(err)
	}
	saved, err := s.mailer.Drafts.Save(ctx, mailer.Draft{
		ID: d.ID, To: d.To, Cc: d.Cc, Bcc: d.Bcc, Subject: d.Subject, Text: d.Text, InReplyTo: d.InReplyTo,
	})
	return draft(saved), words(err)
}

// Draft returns one draft.
func (s letters) Draft(ctx context.Context, q control.DraftQuery) (control.Draft, error) {
	d, err := s.mailer.Drafts.Get(ctx, q.ID)
	return draft(d), words(err)
}

// Drafts returns every draft, the last saved first.
func (s letters) Drafts(ctx context.Context, _ control.None) ([]control.Draft, error) {
	list, err := s.mailer.Drafts.List(ctx)
	return each(list, draft), words(err)
}

// DiscardDraft removes a draft with its files.
func (s letters) DiscardDraft(ctx context.Context, q control.DraftQuery) (control.None, error) {
	return control.None{}, words(s.mailer.Drafts.Discard(ctx, q.ID))
}

// Attach streams one file into a draft, within what may be sent.
func (s letters) Attach(ctx context.Context, o control.AttachOrder, body io.Reader) (control.Attachment, error) {
	_, rules, err := s.rules(ctx)
	if err != nil {
		return control.Attachment{}, words(err)
	}
	f, err := s.mailer.Drafts.Attach(ctx, o.Draft, mailer.File{Name: o.Name, Type: o.Type}, rules.MessageBytes(), body)
	return draftFile(f), words(err)
}

// Detach takes a file out of a draft.
func (s letters) Detach(ctx context.Context, o control.DetachOrder) (control.None, error) {
	return control.None{}, words(s.mailer.Drafts.Detach(ctx, o.Draft, o.Part))
}

// Send accepts a draft.
func (s letters) Send(ctx context.Context, q control.DraftQuery) (control.Sent, error) {
	sent, err := s.mailer.SendLetter(s.tokens.Asked(ctx, s.letterTo(ctx, q.ID)), q.ID)
	return control.Sent(sent), words(err)
}

// Outbox lists what was accepted and where each envelope stands.
func (s letters) Outbox(ctx context.Context, _ control.None) ([]control.Outgoing, error) {
	list, err := s.mailer.Outbox.List(ctx)
	if err != nil {
		return nil, words(err)
	}
	out := make([]control.Outgoing, 0, len(list))
	for _, m := range list {
		v, err := outgoing(m)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// Withdraw takes back a message that no server has taken yet.
func (s letters) Withdraw(ctx context.Context, q control.OutgoingQuery) (control.None, error) {
	if err := s.mailer.Outbox.Withdraw(ctx, q.ID); err != nil {
		return control.None{}, words(err)
	}
	return control.None{}, s.note(ctx, "withdrawn", "", "A message was taken back before any server had it.")
}

// Inspect describes a message file.
func (s letters) Inspect(ctx context.Context, q control.InspectQuery, file io.Reader) (control.Inspection, error) {
	i, err := s.mailer.Inspect(s.tokens.Asked(ctx, "Open the file that you chose"), file, q.At)
	return inspection(i), words(err)
}
