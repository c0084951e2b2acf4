package web

import (
	"fmt"
	"slices"
	"strings"

	"countersign/tray/control"
	"countersign/tray/web/phrase"
)

const listLength = 50 // messages on one page of a list

// home is the inbox, or the first set-up while there is nobody to read mail for.
func (v *visit) home() error {
	st, err := v.p.svc.Settings.Status(v.ctx(), control.None{})
	if err != nil {
		return err
	}
	if st.Address == "" {
		return v.goTo("setup")
	}
	return v.goTo("inbox")
}

// mailbox is the content of inbox and sent.
type mailbox struct {
	Folder, Search string
	Messages       []control.Summary
	Older          string // the ID to go on from
}

func (v *visit) inbox() error { return v.mailbox("inbox") }
func (v *visit) sent() error  { return v.mailbox("sent") }

func (v *visit) mailbox(folder string) error {
	m := mailbox{Folder: folder, Search: strings.TrimSpace(v.form("q"))}
	var err error
	m.Messages, err = v.p.svc.Mail.List(v.ctx(), control.ListQuery{Folder: folder, Search: m.Search, Limit: listLength + 1, Before: v.query("before")})
	if err != nil {
		return err
	}
	if len(m.Messages) > listLength {
		m.Messages = m.Messages[:listLength]
		m.Older = m.Messages[listLength-1].ID
	}
	return v.show("mailbox", folder, m)
}

// fetch asks for new mail now.
func (v *visit) fetch() error {
	got, err := v.p.svc.Mail.Fetch(v.ctx(), control.None{})
	if err != nil {
		return v.tell("inbox", noteOf(err))
	}
	n := note{Level: "good", Says: "No new mail."}
	switch {
	case got.New == 1:
		n.Says = "One new message."
	case got.New > 1:
		n.Says = fmt.Sprintf("%d new messages.", got.New)
	}
	if len(got.Problems) > 0 {
		n.Level, n.Next = "care", strings.Join(got.Problems, " ")
	}
	return v.tell("inbox", n)
}

// reading is the content of one message's page.
type reading struct {
	control.Message
	Outside []control.Field // what is shown although nothing protected it
}

func (v *visit) message() error {
	// A page is loaded for many reasons, so it asks for no PIN: unseal does.
	m, err := v.p.svc.Mail.Show(v.ctx(), control.MessageQuery{ID: v.path("id"), Quiet: true})
	if err != nil {
		return err
	}
	nav := "inbox"
	if m.Folder == "sent" {
		nav = "sent"
	}
	return v.show("message", nav, reading{Message: m, Outside: outside(m)})
}

// outside lists what must stand before the frame of a protected message: the
// frame holds only what the protection covers.
func outside(m control.Message) []control.Field {
	if m.Verdict.Protection == "none" {
		return nil
	}
	var out []control.Field
	for _, f := range []control.Field{
		{Name: "Subject", Value: m.Subject},
		{Name: "From", Value: m.From},
		{Name: "To", Value: strings.Join(m.To, ", ")},
		{Name: "Cc", Value: strings.Join(m.Cc, ", ")},
	} {
		hidden := m.Locked && f.Value == "[...]" // what stands outside in place of a subject
		if f.Value != "" && !hidden && contains(m.Unprotected, f.Name) {
			out = append(out, f)
		}
	}
	return out
}

func (v *visit) seen() error {
	read := v.form("read") == "yes"
	_, err := v.p.svc.Mail.MarkRead(v.ctx(), control.ReadMark{ID: v.path("id"), Read: read})
	if err != nil {
		return v.tell("message/"+v.path("id"), noteOf(err))
	}
	if v.form("stay") != "" {
		return v.goTo("message/" + v.path("id"))
	}
	return v.goTo("inbox")
}

func (v *visit) attachment() error {
	a, body, err := v.p.svc.Mail.Attachment(v.ctx(), control.AttachmentQuery{ID: v.path("id"), Part: v.path("part")})
	if err != nil {
		return err
	}
	return v.download(a.Name, body)
}

func (v *visit) raw() error {
	body, err := v.p.svc.Mail.Raw(v.ctx(), control.MessageQuery{ID: v.path("id")})
	if err != nil {
		return err
	}
	return v.download("message.eml", body)
}

// reply makes a draft that answers a message. Text that may not be quoted
// (rule O3) is not.
func (v *visit) reply() error {
	id := v.path("id")
	m, err := v.p.svc.Mail.Show(v.ctx(), control.MessageQuery{ID: id})
	if err != nil {
		return v.tell("message/"+id, noteOf(err))
	}
	d := control.Draft{ID: control.NewID(), To: []string{m.From}, InReplyTo: id, Subject: m.Subject}
	if m.ReplyDenied != "" && slices.ContainsFunc(m.Layers, func(l control.Layer) bool { return l.Kind == "encrypted" }) {
		d.Subject = "" // it came out of the envelope too, and whoever made that may wait for it (O3)
	}
	if !strings.HasPrefix(strings.ToLower(d.Subject), "re:") {
		d.Subject = strings.TrimSpace("Re: " + d.Subject)
	}
	if v.form("all") != "" {
		st, err := v.p.svc.Settings.Status(v.ctx(), control.None{})
		if err != nil {
			return v.tell("message/"+id, noteOf(err))
		}
		for _, a := range append(m.To, m.Cc...) {
			if !strings.EqualFold(a, st.Address) && !strings.EqualFold(a, m.From) {
				d.Cc = append(d.Cc, a)
			}
		}
	}
	if m.ReplyDenied == "" {
		d.Text = fmt.Sprintf("\n\nOn %s, %s wrote:\n%s", m.Date.In(v.p.o.Zone).Format("2 January 2006, 15:04"), m.From, phrase.Quote(m.Text))
	}
	if _, err := v.p.svc.Mail.SaveDraft(v.ctx(), d); err != nil {
		return v.tell("message/"+id, noteOf(err))
	}
	return v.goTo("write/" + d.ID)
}
