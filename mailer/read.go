package mailer

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"

	"countersign/mailer/cms"
	"countersign/mailer/detail"
	"countersign/mailer/message"
	"countersign/mailer/policy"
	"countersign/mailer/store"
	"countersign/mailer/transport"
	"countersign/mailer/waiting"
	"countersign/vault"
	"countersign/vault/contacts"
	"countersign/vault/sealed"
)

// Deliver takes in one message from an account's mailbox. When it returns nil the
// message and the position are committed. A message that is here already (I3)
// only moves the position; its identifier is returned.
func (m *Mailer) Deliver(ctx context.Context, account string, at transport.Position, r io.Reader) (string, error) {
	blob, err := m.DB.WriteBlob(ctx, r)
	if err != nil {
		return "", fmt.Errorf("storing a message: %w", err)
	}
	l, err := m.look(m.waits.Context(ctx, m.Clock()), m.DB.Source(blob.ID), store.Message{}, time.Time{})
	if err != nil {
		return "", m.abandon(ctx, outgoing{copy: blob}, fmt.Errorf("opening a message: %w", err))
	}
	m.waits.Note(l.locked, m.Clock())
	digest := policy.Identity(l.opened, blob.SHA256)
	known, err := m.mail.Same(ctx, Inbox, digest)
	if l.locked != nil && errors.Is(err, store.ErrNoMessage) { // it may be the twin of one that was opened
		known, err = m.mail.Same(ctx, Inbox, l.opened.Digest)
	}
	if !errors.Is(err, store.ErrNoMessage) {
		return known.ID, m.abandon(ctx, outgoing{copy: blob}, errors.Join(err, m.Reached(ctx, account, at)))
	}
	if err := m.follow(ctx, l, digest); err != nil {
		return "", m.abandon(ctx, outgoing{copy: blob}, err)
	}
	id, err := m.file(ctx, l, blob, digest, account, at)
	if err != nil {
		return "", m.abandon(ctx, outgoing{copy: blob}, err)
	}
	m.announce(ctx, id, l)
	return id, nil
}

// file commits a message: from here on it counts.
func (m *Mailer) file(ctx context.Context, l *look, blob sealed.Blob, digest [32]byte, account string, at transport.Position) (string, error) {
	id, err := m.newID()
	if err != nil {
		return "", err
	}
	a := store.Arrival{Account: account, At: at, Message: store.Message{
		ID: id, Folder: Inbox, Blob: blob.ID, Digest: digest, Received: m.Clock(), Confirmed: l.confirmedKey(), Key: m.contentKey(ctx, l),
	}, Form: l.formID()}
	if a.Line, err = m.line(ctx, l.summary()); err != nil {
		return "", err
	}
	a.Waits = l.locked != nil
	return id, m.mail.Arrive(ctx, a)
}

// contentKey is the key to keep beside a message, unless policy forbids it (K1b).
func (m *Mailer) contentKey(ctx context.Context, l *look) cms.ContentKey {
	if !m.keepsKeys(ctx) {
		return nil
	}
	return l.opened.ContentKey
}

func (m *Mailer) keepsKeys(ctx context.Context) bool {
	_, rules, err := m.Settings(ctx)
	return err == nil && !rules.NoContentKeys
}

// announce tells the faces of a message, without a word of it.
func (m *Mailer) announce(ctx context.Context, id string, l *look) {
	switch {
	case l.locked != nil:
		m.Tell(ctx, "locked", id, "A message has arrived that is locked. "+l.locked.Says)
	case l.form != "":
		m.Tell(ctx, "mail", id, "A message that belongs to a verification has arrived.")
	case l.verdict.Protection == "none":
		m.Tell(ctx, "unsecured", id, "An unsecured message has arrived.")
	case l.verdict.Level == policy.Good:
		m.Tell(ctx, "mail", id, "A message from "+l.facts.Contact.Who()+" has arrived.")
	default:
		m.Tell(ctx, "mail", id, "A message has arrived: "+l.verdict.Short+".")
	}
}

// List returns summaries, newest first. One that speaks of somebody who has changed
// since is made anew.
func (m *Mailer) List(ctx context.Context, q Query) ([]Summary, error) {
	if q.Folder == "" {
		q.Folder = Inbox
	}
	found, err := m.mail.List(ctx, q)
	if err != nil {
		return nil, err
	}
	list := make([]Summary, 0, len(found))
	for _, r := range found {
		s, err := m.summary(ctx, r)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// reopen looks at a stored message again, forms recognised when it came included. One that
// waited for its key, and opens now, is followed.
func (m *Mailer) reopen(ctx context.Context, r store.Message) (*look, error) {
	l, err := m.look(ctx, m.DB.Source(r.Blob), r, time.Time{})
	if err != nil {
		return nil, fmt.Errorf("opening a message: %w", err)
	}
	switch {
	case l.locked != nil:
		return l, nil
	case r.Waits:
		return l, m.settle(ctx, r, l)
	}
	return l, m.recall(ctx, l, r.Digest)
}

// Message is one message, opened.
type Message struct {
	Summary
	Cc          []string
	MessageID   string
	Text        string // plain text, UTF-8
	Sanitised   bool   // taken from HTML
	Files       []Attachment
	Problem     string         // why it cannot be opened, in words
	Waits       *vault.Problem // why its key cannot be used now, and what to do; nil: it is not locked
	Unprotected []string       // header names shown that no layer covers
	Test        *Incoming      // an incoming test, explained
	ReplyDenied string         // why it may not be quoted (O3)
	Layers      []Layer
}

// Read opens one message: what was checked, and what it says. Where its key is on a card
// that cannot be used, that is [Message.Waits] and no error.
func (m *Mailer) Read(ctx context.Context, id string) (Message, error) {
	r, err := m.mail.Get(ctx, id)
	if err != nil {
		return Message{}, err
	}
	l, err := m.reopen(ctx, r)
	if err != nil {
		return Message{}, err
	}
	msg := l.message()
	if r.Folder == SentMail { // the hidden recipients stand nowhere else
		if kept, err := m.summary(ctx, r); err == nil {
			msg.To = kept.To
		}
	}
	if in := l.facts.Contact.Incoming; l.form == contacts.TestForm && in != nil && in.ID == l.body.Form.ID {
		if msg.Test, err = m.Incoming(ctx, l.facts.Contact); err != nil {
			return Message{}, err
		}
	}
	if l.locked != nil {
		return msg, m.complete(ctx, &msg.Summary, r)
	}
	key := m.contentKey(ctx, l)
	if key == nil && waiting.ByToken(l.opened, l.keys) {
		msg.Verdict.Reasons = append(msg.Verdict.Reasons, waiting.NotKept)
	}
	return msg, errors.Join(m.renew(ctx, r, msg.Summary, key), m.complete(ctx, &msg.Summary, r))
}

func (l *look) message() Message {
	msg := Message{
		Summary: l.summary(), MessageID: policy.CleanLine(l.opened.Header.Get("Message-ID")),
		Text: l.body.Text, Sanitised: l.body.Sanitised, Files: l.body.Files,
		Unprotected: l.verdict.Uncovered, ReplyDenied: l.verdict.Denied, Layers: policy.Layers(l.opened),
	}
	if l.form != "" {
		msg.Text, msg.Sanitised, msg.Files = l.body.Form.Text(), false, nil
	}
	if l.opened.Payload == nil {
		msg.Problem = policy.Obstacle(l.opened)
	}
	if msg.Waits = l.locked; l.locked != nil {
		msg.Problem = l.locked.Says
	}
	msg.Cc = listed(l.opened.Header, "Cc")
	return msg
}

// ErrNoAttachment says that the message has no such file.
var ErrNoAttachment = &Problem{Code: "not-found", Says: "There is no such attachment.", Next: "Open the message again."}

// Attachment streams one file of a message.
func (m *Mailer) Attachment(ctx context.Context, id, part string) (Attachment, io.ReadCloser, error) {
	r, err := m.mail.Get(ctx, id)
	if err != nil {
		return Attachment{}, nil, err
	}
	l, err := m.reopen(ctx, r)
	if err == nil && l.locked != nil {
		err = l.locked
	}
	if err != nil {
		return Attachment{}, nil, err
	}
	for _, f := range l.body.Files {
		if f.Part == part {
			content, err := l.body.Part(part).Open()
			return f, content, err
		}
	}
	return Attachment{}, nil, ErrNoAttachment
}

// Raw streams a message as it travelled.
func (m *Mailer) Raw(ctx context.Context, id string) (io.ReadCloser, error) {
	r, err := m.mail.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	return m.DB.Source(r.Blob).Open()
}

// Inspection describes a message file.
type Inspection struct {
	Detail    detail.Report
	Verdict   policy.Verdict
	Subject   string
	From      string
	To, Cc    []string
	Date      time.Time
	MessageID string
	Text      string
	Sanitised bool // taken from HTML
	Files     []Attachment
	Outer     []message.Field // what everyone on the way can read
	Problem   string
}

// Inspect describes a message file as of a time (zero: now). Nothing of it is kept.
func (m *Mailer) Inspect(ctx context.Context, r io.Reader, at time.Time) (Inspection, error) {
	in, late := message.AtHeader(r)
	blob, err := m.DB.WriteBlob(ctx, in)
	if err != nil {
		return Inspection{}, fmt.Errorf("reading the file: %w", err)
	}
	l, err := m.look(ctx, m.DB.Source(blob.ID), store.Message{}, at)
	if err != nil {
		return Inspection{}, m.abandon(ctx, outgoing{copy: blob}, err)
	}
	var mine []*x509.Certificate
	for _, k := range l.keys {
		mine = append(mine, k.Certificate)
	}
	msg := l.message()
	switch {
	case len(l.opened.Outer.Fields) == 0:
		msg.Problem = "This file is not a message: it does not begin with a header."
	case late:
		msg.Verdict.Reasons = append(msg.Verdict.Reasons, "The file began with an empty line, or a mark that some programs write. That is passed over: it is no part of the message.")
	}
	return Inspection{
		Detail: detail.Of(l.opened, l.facts, l.verdict, mine), Verdict: msg.Verdict, Subject: msg.Subject, From: msg.From,
		To: msg.To, Cc: msg.Cc, Date: msg.Date, MessageID: msg.MessageID, Text: msg.Text, Sanitised: msg.Sanitised,
		Files: msg.Files, Outer: l.opened.Outer.Fields, Problem: msg.Problem,
	}, m.abandon(ctx, outgoing{copy: blob}, nil)
}
