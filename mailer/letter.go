package mailer

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"countersign/mailer/body"
	"countersign/mailer/message"
	"countersign/mailer/people"
	"countersign/mailer/policy"
	"countersign/mailer/smime"
	"countersign/mailer/store"
	"countersign/vault/contacts"
)

// addressees is whom a draft is addressed to, canonical.
type addressees struct{ To, Cc, Bcc []string }

func (a addressees) all() []string {
	var all []string
	seen := map[string]bool{}
	for _, list := range [][]string{a.To, a.Cc, a.Bcc} {
		for _, address := range list {
			if !seen[address] {
				all, seen[address] = append(all, address), true
			}
		}
	}
	return all
}

// addressed reads the addresses of a draft. All that are none are named at once.
func addressed(d Draft) (a addressees, err error) {
	var refusals []policy.Refusal
	for _, list := range []struct {
		typed []string
		to    *[]string
	}{{d.To, &a.To}, {d.Cc, &a.Cc}, {d.Bcc, &a.Bcc}} {
		for _, typed := range list.typed {
			if strings.TrimSpace(typed) == "" {
				continue
			}
			address, err := people.Canonical(typed)
			if err != nil {
				refusals = append(refusals, policy.BadAddress(typed))
				continue
			}
			*list.to = append(*list.to, address)
		}
	}
	if len(refusals) > 0 {
		return a, &Refused{refusals}
	}
	return a, nil
}

// travels is an upper bound of a draft's size as it travels: what is inside is
// base64, in lines of 76, twice.
func travels(d Draft) int64 {
	inside := 3 * int64(len(d.Text)+len(d.Subject)) // quoted-printable at its worst
	for _, f := range d.Files {
		inside += f.Size*78/57 + 1024
	}
	return inside*78/57 + 32<<10
}

// compose makes the letter that a draft describes.
func (m *Mailer) compose(ctx context.Context, d Draft, to addressees, s people.Sender) (smime.Letter, error) {
	l := smime.Letter{
		From: message.Address{Name: s.Identity.Name, Addr: s.Address}, To: bare(to.To), Cc: bare(to.Cc),
		Subject: policy.CleanLine(d.Subject), Date: m.Clock().UTC().Truncate(time.Second), Text: d.Text,
	}
	var err error
	if l.MessageID, err = m.messageID(s.Address); err != nil {
		return l, err
	}
	if d.InReplyTo != "" {
		if err := m.thread(ctx, &l, d.InReplyTo); err != nil && !errors.Is(err, store.ErrNoMessage) {
			return l, err
		}
	}
	for _, f := range d.Files {
		l.Attachments = append(l.Attachments, smime.Attachment{Name: f.Name, Type: f.Type, Content: m.DB.Source(f.Blob)})
	}
	return l, nil
}

func (m *Mailer) composeForm(f contacts.Form, s people.Sender) (smime.Letter, error) {
	data, err := f.Marshal()
	if err != nil {
		return smime.Letter{}, err
	}
	id, err := m.messageID(s.Address)
	return smime.Letter{
		From: message.Address{Addr: f.From}, To: bare([]string{f.To}), Subject: f.Subject(), OuterSubject: f.Subject(),
		Date: m.Clock().UTC().Truncate(time.Second), MessageID: id, AutoSubmitted: "auto-generated", Text: f.Text(),
		Attachments: []smime.Attachment{{Name: "countersign.json", Type: smime.FormType, Content: message.Bytes(data)}},
	}, err
}

func bare(addresses []string) (list []message.Address) {
	for _, a := range addresses {
		list = append(list, message.Address{Addr: a})
	}
	return list
}

func (m *Mailer) messageID(from string) (string, error) {
	id, err := m.newID()
	return "<" + id + from[strings.LastIndexByte(from, '@'):] + ">", err
}

// sentSummary is the line of the sender's own copy.
func sentSummary(l smime.Letter, to addressees) Summary {
	return Summary{
		From: l.From.Addr, FromName: l.From.Name, To: to.all(), Subject: l.Subject, Snippet: body.FirstWords(l.Text), Date: l.Date,
		Attachments: len(l.Attachments), Verdict: policy.Written("waiting"),
	}
}

// thread makes a letter an answer to a message (RFC 5322, section 3.6.4). What the
// writer of that hid inside does not stand outside of the answer (RFC 9788, section 6.1).
func (m *Mailer) thread(ctx context.Context, answer *smime.Letter, id string) error {
	r, err := m.mail.Get(ctx, id)
	if err != nil {
		return err
	}
	l, err := m.reopen(ctx, r)
	if err != nil {
		return err
	}
	answer.Hidden = l.opened.Hidden
	told := func(name string) []string {
		if l.verdict.Denied != "" { // what came out of the envelope may be what somebody waits for (O3)
			return message.IDs(l.opened.Outer.Get(name))
		}
		if slices.ContainsFunc(l.opened.Confidential, func(c string) bool { return strings.EqualFold(c, name) }) {
			return nil
		}
		return message.IDs(l.opened.Header.Get(name))
	}
	if own := told("Message-ID"); len(own) == 1 {
		references := append(told("References"), own[0])
		answer.InReplyTo, answer.References = own[0], references[max(0, len(references)-20):]
	}
	return nil
}
