package web

import (
	"bytes"
	"io"
	"net/url"
	"strings"

	"countersign/tray/control"
)

const (
	maxCertificates = 64 << 10 // bytes of a certificate file
	bookLength      = 500      // contacts on one page: as many as the agent gives
)

// book is the content of the contacts' page.
type book struct {
	Search    string
	Waiting   []control.Contact // something is to be done
	Confirmed []control.Contact
	More      int // there may be more than these; 0: these are all
}

func (v *visit) people() error {
	b := book{Search: strings.TrimSpace(v.form("q"))}
	list, err := v.p.svc.Contacts.List(v.ctx(), control.SearchQuery{Text: b.Search, Limit: bookLength})
	if err != nil {
		return err
	}
	if len(list) >= bookLength {
		b.More = len(list)
	}
	for _, c := range list {
		if c.State == "verified" && !asks(c) {
			b.Confirmed = append(b.Confirmed, c)
		} else {
			b.Waiting = append(b.Waiting, c)
		}
	}
	return v.show("contacts", "contacts", b)
}

// asks tells whether a contact waits for the user to answer their test.
func asks(c control.Contact) bool { return c.Incoming != nil && c.Incoming.Answered.IsZero() }

func (v *visit) newPerson() error {
	c, err := v.p.svc.Contacts.Add(v.ctx(), control.NewContact{
		Address: strings.TrimSpace(v.form("address")), Name: strings.TrimSpace(v.form("name")), Team: v.form("team") != "",
	})
	if err != nil {
		n := noteOf(err)
		n.Kept = v.r.PostForm
		return v.tell("contacts", n)
	}
	return v.goTo("contacts/" + v.p.names.Opaque(c.Address) + "/verify")
}

// someone is the content of one contact's page.
type someone struct {
	control.Contact
	ID    string
	Known bool // in the address book
}

// Whole tells that it is an organisation: everybody there who has its certificate.
func (s someone) Whole() bool { return s.CountsBy != "" && s.CountsBy == s.Address }

func (v *visit) someone() (someone, error) {
	address, err := v.contact()
	if err != nil {
		return someone{}, err
	}
	s := someone{ID: v.path("id"), Known: true}
	s.Contact, err = v.p.svc.Contacts.Show(v.ctx(), control.ContactQuery{Address: address})
	if isNotFound(err) {
		s.Known, s.Address, err = false, address, nil
	}
	return s, err
}

func (v *visit) person() error {
	s, err := v.someone()
	if err != nil {
		return err
	}
	return v.show("contact", "contacts", s)
}

// personAct is every change to one contact that is a single word.
func (v *visit) personAct() error {
	address, err := v.contact()
	if err != nil {
		return v.tell("contacts", noteOf(err))
	}
	ctx, svc, q := v.ctx(), v.p.svc.Contacts, control.ContactQuery{Address: address}
	here, verify := "contacts/"+v.path("id"), "contacts/"+v.path("id")+"/verify"
	switch v.path("act") {
	case "find":
		return v.find(verify, q)
	case "invite":
		_, err = svc.Invite(ctx, q)
		return v.done(verify, err, "The invitation is on its way. It asks for a signed message and says nothing else.")
	case "test":
		v.hear("", nil) // the demonstration's last call was about another test
		_, err = svc.StartTest(ctx, control.TestOrder{Address: address, Candidate: v.form("candidate")})
		return v.done(verify, err, "The test message is on its way.")
	case "misheard":
		_, err = svc.Misheard(ctx, q)
		return v.done(verify, err, "Start afresh with a new test message, and a number that you trust.")
	case "answer":
		_, err = svc.Answer(ctx, q)
		if back := v.form("back"); err == nil && back != "" {
			here = "message/" + url.PathEscape(back)
		}
		return v.done(here, err, "Answered. Reading out the words confirms you to them. To confirm them, place a call of your own.")
	case "suspend":
		_, err = svc.Suspend(ctx, q)
		says := "Nothing is sent to them until they are confirmed anew."
		if !strings.Contains(address, "@") {
			says = "Nothing is sent to anybody there who counts by this certificate, until it is confirmed anew."
		}
		return v.done(here, err, says)
	case "rename":
		_, err = svc.Add(ctx, control.NewContact{Address: address, Name: strings.TrimSpace(v.form("name")), Team: v.form("team") != ""})
		return v.done(here, err, "Kept.")
	case "remove":
		_, err = svc.Remove(ctx, q)
		return v.done("contacts", err, "Removed from your contacts.")
	case "write":
		d := control.Draft{ID: control.NewID(), To: []string{address}}
		if _, err = v.p.svc.Mail.SaveDraft(ctx, d); err != nil {
			return v.tell(here, noteOf(err))
		}
		return v.goTo("write/" + d.ID)
	}
	return v.nowhere()
}

// find looks for somebody's certificate, because the user asked.
func (v *visit) find(here string, q control.ContactQuery) error {
	got, err := v.p.svc.Contacts.Find(v.ctx(), q)
	if err != nil {
		return v.tell(here, noteOf(err))
	}
	n := note{Level: "care", Says: "There is no certificate that can be used.", Next: "Ask them for a signed message.", Looked: got.Looked}
	if got.Found {
		n.Says, n.Next = "There is a certificate that can be used.", "It is not confirmed: anyone can get one in time. Send the test message, then call."
	}
	if got.Contact.State == "verified" {
		n.Level, n.Says, n.Next = "good", "You have confirmed them already, so nobody was asked.", ""
		if got.Contact.CountsBy != "" && len(got.Looked) > 1 {
			n.Says = "The certificate that you confirmed for " + got.Contact.CountsBy + " holds for them too: you can write to them."
		}
	}
	return v.tell(here, n)
}

// certificate takes a file with somebody's certificates, to be considered.
func (v *visit) certificate() error {
	address, err := v.contact()
	if err != nil {
		return v.tell("contacts", noteOf(err))
	}
	here := "contacts/" + v.path("id") + "/verify"
	data, _, err := v.smallFile(maxCertificates)
	if err != nil {
		return v.tell(here, noteOf(err))
	}
	_, err = v.p.svc.Contacts.Add(v.ctx(), control.NewContact{Address: address, Certificates: data})
	return v.done(here, err, "The certificate was added. It is trusted only once they are confirmed.")
}

// smallFile reads the one file of a form and the fields around it.
func (v *visit) smallFile(limit int64) ([]byte, url.Values, error) {
	fields := url.Values{}
	file, err := v.next(fields)
	if err != nil {
		return nil, nil, err
	}
	if file == nil {
		return nil, nil, &control.Error{Code: control.CodeInvalid, Says: "No file was chosen.", Next: "Choose a file first."}
	}
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(file, limit+1))
	if err != nil {
		return nil, nil, err
	}
	if n > limit {
		return nil, nil, &control.Error{Code: control.CodeInvalid, Says: "That file is too large to be what is asked for here."}
	}
	if _, err := v.next(fields); err != nil {
		return nil, nil, err
	}
	return b.Bytes(), fields, nil
}
