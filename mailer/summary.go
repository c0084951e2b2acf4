package mailer

import (
	"bytes"
	"context"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"countersign/mailer/body"
	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/outbox"
	"countersign/mailer/policy"
	"countersign/mailer/store"
	"countersign/mailer/transport"
	"countersign/vault"
)

// Summary is one line of a list of messages.
type Summary struct {
	ID          string         `json:"-"`
	Folder      string         `json:"-"`
	From        string         `json:"from"` // bare address
	FromName    string         `json:"from_name,omitempty"`
	To          []string       `json:"to"`
	Subject     string         `json:"subject"`
	Snippet     string         `json:"snippet,omitempty"`
	Date        time.Time      `json:"date"` // as the message says
	Received    time.Time      `json:"-"`    // our own clock
	Read        bool           `json:"-"`
	Attachments int            `json:"attachments"`
	Form        string         `json:"form,omitempty"`
	Locked      bool           `json:"locked,omitempty"` // its key cannot be used yet
	Verdict     policy.Verdict `json:"verdict"`
}

// complete fills in what a summary has from its row, and of a sent letter where it
// stands.
func (m *Mailer) complete(ctx context.Context, s *Summary, r store.Message) error {
	s.ID, s.Folder, s.Received, s.Read = r.ID, r.Folder, r.Received, r.Read
	if r.Folder != SentMail {
		return nil
	}
	o, err := m.Outbox.Get(ctx, r.ID)
	if errors.Is(err, outbox.ErrUnknown) {
		return nil
	}
	s.Verdict = policy.Written(string(o.State))
	return err
}

// summary is the message's line in a list.
func (l *look) summary() Summary {
	h := l.opened.Header
	s := Summary{From: l.from, To: []string{}, Subject: policy.CleanLine(h.Text("Subject")), Form: string(l.form), Verdict: l.verdict, Attachments: len(l.body.Files), Locked: l.locked != nil}
	// A name is the user's own word for somebody, so it stands on confirmed mail only;
	// the one that a message gives itself can be anybody's.
	if c := l.facts.Contact; l.signer != nil && c.Pin.Holder(l.signer.Certificate, l.facts.Here) != nil && l.verdict.Level != policy.Stop {
		s.FromName = c.Name
	}
	if l.form != "" { // it says what its kind says, whatever stands beside its data (V4)
		s.Subject, s.Attachments = l.body.Form.Subject(), 0
	}
	s.To = append(s.To, listed(h, "To")...)
	if date, err := h.Date(); err == nil {
		s.Date = date.UTC()
	}
	if l.form == "" && l.verdict.Level != policy.Stop {
		s.Snippet = body.FirstWords(l.body.Text)
	}
	return s
}

// maxListed bounds the addresses shown of one field: a letter goes to 100 at most.
const maxListed = 200

// listed is the addresses of a field.
func listed(h message.Header, name string) (list []string) {
	for _, a := range h.Addresses(name) {
		if len(list) < maxListed {
			list = append(list, policy.CleanLine(a.Addr))
		}
	}
	return list
}

// summary reads the summary of a stored message, or makes it anew. No card is asked for
// the sake of a list.
func (m *Mailer) summary(ctx context.Context, r store.Message) (s Summary, err error) {
	if r.Summary != nil {
		return s, errors.Join(json.Unmarshal(r.Summary, &s), m.complete(ctx, &s, r))
	}
	l, err := m.reopen(vault.TokensUntouched(ctx), r)
	if err != nil {
		return s, err
	}
	s = l.summary()
	if l.locked != nil && !r.Waits { // it was open before, and will be
		return s, m.complete(ctx, &s, r)
	}
	return s, errors.Join(m.renew(ctx, r, s, m.contentKey(ctx, l)), m.complete(ctx, &s, r))
}

// renew stores a summary that was made anew, and the content key, unless both are
// there. What the sender's own copy says of itself does not change.
func (m *Mailer) renew(ctx context.Context, r store.Message, s Summary, key cms.ContentKey) error {
	line, err := m.line(ctx, s)
	if err != nil {
		return err
	}
	if r.Summary != nil && r.Folder == SentMail {
		line = r.Line
	}
	if bytes.Equal(line.Summary, r.Summary) && (len(r.Key) > 0 || len(key) == 0) {
		return nil
	}
	return m.mail.SetLine(ctx, r.ID, line, key)
}

// line gives the stored form of a summary and what it is found by, or nothing where
// policy or the user keeps none. What is not signed by its From is found by that
// address only (O3).
func (m *Mailer) line(ctx context.Context, s Summary) (l store.Line, err error) {
	prefs, rules, err := m.Settings(ctx)
	if err != nil || !rules.Limit(prefs).KeepSummaries {
		return store.Line{}, nil
	}
	l.Peer, l.Search = s.From, s.From
	if s.Verdict.Denied == "" {
		l.Search = strings.Join(append([]string{s.From, s.FromName, s.Subject, s.Snippet}, s.To...), "\n")
	}
	l.Search = strings.ToLower(l.Search)
	l.Summary, err = json.Marshal(s)
	return l, err
}

// newID draws 128 bits as 26 letters and digits.
func (m *Mailer) newID() (string, error) {
	b := make([]byte, 16)
	if _, err := io.ReadFull(m.random(), b); err != nil {
		return "", fmt.Errorf("drawing an identifier: %w", err)
	}
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b)), nil
}

// MarkRead records that the user has seen a message, or has not.
func (m *Mailer) MarkRead(ctx context.Context, id string, read bool) error {
	return m.mail.MarkRead(ctx, id, read)
}

// TellSeen gives tell the messages of an account that were read since its server was
// told last, if there are any.
func (m *Mailer) TellSeen(ctx context.Context, account string, tell func(context.Context, ...transport.Position) error) error {
	list, err := m.mail.Untold(ctx, account)
	if err != nil || len(list) == 0 {
		return err
	}
	if err := tell(ctx, list...); err != nil {
		return err
	}
	return m.mail.Told(ctx, account, list)
}

// Unread counts the messages of the inbox that the user has not seen.
func (m *Mailer) Unread(ctx context.Context) (int, error) { return m.mail.Unread(ctx, Inbox) }

// Position tells how far an account's mailbox was read.
func (m *Mailer) Position(ctx context.Context, account string) (transport.Position, error) {
	return m.mail.Position(ctx, account)
}

// Reached notes how far an account's mailbox was read, beyond the last message that
// was delivered.
func (m *Mailer) Reached(ctx context.Context, account string, at transport.Position) error {
	return m.mail.Reached(ctx, account, at)
}
