package web

import (
	"net/url"
	"strings"

	"countersign/tray/control"
	"countersign/tray/web/phrase"
)

// writing is the content of the page that a message is written on.
type writing struct {
	Draft  control.Draft
	States []control.RecipientState
	Half   []string          // what is not a whole address yet
	Found  []control.Contact // whom the half-typed name may mean
	Stop   string            // why it cannot be sent now; empty: it can
}

func (v *visit) blank() error {
	return v.show("write", "write", v.writing(control.Draft{ID: control.NewID()}))
}

func (v *visit) draft() error {
	d, err := v.p.svc.Mail.Draft(v.ctx(), control.DraftQuery{ID: v.path("id")})
	if err != nil {
		return err
	}
	return v.show("write", "write", v.writing(d))
}

// writing asks how each recipient stands. It never decides: Stop repeats what
// the agent said, and Send asks the agent again.
func (v *visit) writing(d control.Draft) writing {
	w := writing{Draft: d}
	var whole []string
	for _, list := range [][]string{d.To, d.Cc, d.Bcc} {
		for _, a := range list {
			if phrase.Whole(a) {
				whole = append(whole, a)
			} else {
				w.Half = append(w.Half, a)
			}
		}
	}
	if len(whole) > 0 {
		var err error
		if w.States, err = v.p.svc.Mail.Check(v.ctx(), control.CheckQuery{Addresses: whole}); err != nil {
			w.Stop = noteOf(err).Says
		}
	}
	if len(w.Half) > 0 {
		w.Found, _ = v.p.svc.Contacts.List(v.ctx(), control.SearchQuery{Text: w.Half[len(w.Half)-1], Limit: 5}) // only a help
		w.Stop = "An address is not complete yet."
	}
	for _, s := range w.States {
		if !s.OK {
			w.Stop = "Nothing goes to anyone until everyone can receive it safely."
		}
	}
	if len(whole) == 0 && w.Stop == "" {
		w.Stop = "Nobody is named yet."
	}
	return w
}

// keep saves a draft and does what the button said. Chosen files are streamed
// into the draft once the fields before them are saved.
func (v *visit) keep() error {
	here := "write/" + v.path("id")
	fields := url.Values{}
	file, err := v.next(fields)
	if err != nil {
		return v.tell(here, noteOf(err))
	}
	if fields.Get("do") != "discard" {
		if err := v.save(fields); err != nil {
			return v.tell(here, noteOf(err))
		}
	}
	for file != nil {
		order := control.AttachOrder{Draft: v.path("id"), Name: file.FileName(), Type: file.Header.Get("Content-Type")}
		if _, err := v.p.svc.Mail.Attach(v.ctx(), order, file); err != nil {
			return v.tell(here, noteOf(err))
		}
		if file, err = v.next(fields); err != nil {
			return v.tell(here, noteOf(err))
		}
	}
	if part := fields.Get("detach"); part != "" {
		if _, err := v.p.svc.Mail.Detach(v.ctx(), control.DetachOrder{Draft: v.path("id"), Part: part}); err != nil {
			return v.tell(here, noteOf(err))
		}
	}
	switch q := (control.DraftQuery{ID: v.path("id")}); fields.Get("do") {
	case "discard":
		_, err := v.p.svc.Mail.DiscardDraft(v.ctx(), q)
		if isNotFound(err) { // nothing was written yet
			err = nil
		}
		return v.done("drafts", err, "The draft is gone.")
	case "send":
		if _, err := v.p.svc.Mail.Send(v.ctx(), q); err != nil {
			return v.tell(here, noteOf(err))
		}
		return v.tell("outbox", note{Level: "good", Says: "Sealed, signed and accepted.", Next: "It stands below until a server has taken it."})
	}
	return v.goTo(here)
}

func (v *visit) save(f url.Values) error {
	d := control.Draft{
		ID: v.path("id"), To: phrase.Addresses(f.Get("to")), Cc: phrase.Addresses(f.Get("cc")), Bcc: phrase.Addresses(f.Get("bcc")),
		Subject: f.Get("subject"), Text: strings.ReplaceAll(f.Get("text"), "\r\n", "\n"), InReplyTo: f.Get("reply"),
	}
	if picked := f.Get("pick"); picked != "" && len(d.To) > 0 { // in place of what was half typed
		address, ok := v.p.names.Address(picked)
		if i := len(d.To) - 1; ok && !phrase.Whole(d.To[i]) {
			d.To[i] = address
		}
	}
	_, err := v.p.svc.Mail.SaveDraft(v.ctx(), d)
	return err
}

func (v *visit) drafts() error {
	list, err := v.p.svc.Mail.Drafts(v.ctx(), control.None{})
	if err != nil {
		return err
	}
	return v.show("drafts", "drafts", list)
}

func (v *visit) outbox() error {
	list, err := v.p.svc.Mail.Outbox(v.ctx(), control.None{})
	if err != nil {
		return err
	}
	return v.show("outbox", "outbox", list)
}

func (v *visit) withdraw() error {
	_, err := v.p.svc.Mail.Withdraw(v.ctx(), control.OutgoingQuery{ID: v.form("id")})
	return v.done("outbox", err, "Withdrawn. What no server had taken will not be sent.")
}
