package web

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"countersign/tray/control"
)

// clinic is a control.Service with people and mail in it that records every
// call. It decides nothing beyond what a test needs to see on a page.
type clinic struct {
	mu       sync.Mutex
	calls    []string       // "Mail.Send", in order
	got      map[string]any // the last query of each
	fail     map[string]error
	status   control.Status
	people   []control.Contact
	messages []control.Message
	drafts   map[string]control.Draft
	uploads  map[string]string // draft/name to content
	outbox   []control.Outgoing
	result   control.CallResult
	search   control.Search
	recovery control.Recovery
	anchors  []control.Anchor
	bundles  []control.Bundle
	cards    control.TokenList
	accounts []control.Account
	events   chan control.Event
	wire     string // what Attachment and Raw stream
	torn     bool   // and then fail
	fresh    bool   // no identity yet
	asked    bool   // a certificate was asked for
	movable  bool   // the key that opens mail is on this computer
}

var monday = time.Date(2026, 11, 23, 9, 50, 0, 0, time.UTC)

func newClinic() *clinic {
	c := &clinic{
		got: map[string]any{}, fail: map[string]error{}, drafts: map[string]control.Draft{}, uploads: map[string]string{},
		events: make(chan control.Event, 8), wire: "the file",
		status: control.Status{Version: "1.0", Address: "ada.osei@harbour.example", Name: "Dr Ada Osei", Keys: "Keys in this computer's keychain", LastFetch: monday.Add(-8 * time.Minute), Unread: 2, Waiting: 2},
	}
	c.people = []control.Contact{
		{Address: "bea.brandt@northclinic.example", Name: "Dr Bea Brandt", State: "verified", Level: "good", Label: "Confirmed by telephone on 3 March 2026", Next: "Nothing to do.", Verified: monday.AddDate(0, -8, -20), Number: "020 7946 0123", Source: "directory", Expires: monday.AddDate(1, 2, 0),
			Candidates: []control.Candidate{{ID: "c1", Issuer: "Clinics' Authority 3", Usage: "signing and encryption", Expires: monday.AddDate(1, 2, 0), Seen: monday.AddDate(0, -8, -21), From: "a message of 2 March", Chain: "trusted", Pinned: true}}},
		{Address: "pharmacy@hillstreet.example", Name: "Hill Street Pharmacy", Team: true, State: "verified", Level: "good", Label: "Confirmed by telephone on 12 June 2026. Several people read this mailbox.", Verified: monday.AddDate(0, -5, -11)},
		{Address: "imran.shah@northclinic.example", Name: "Dr Imran Shah", State: "answered", Level: "care", Label: "Not confirmed yet", Next: "He answered the test this morning. A short call is all that is missing.",
			Test:   &control.Test{Sent: monday.Add(-80 * time.Minute), Expires: monday.AddDate(0, 0, 7), Answered: monday.Add(-38 * time.Minute), CodeTries: 3, Fingerprints: 2},
			Script: &control.Script{Open: "This is Dr Ada Osei. I have sent you a test message by e-mail.", Code: "Would you read me the four words in it?", Words: "And now your own six safety words, please.", Fingerprints: "Would you open your two certificates and read me the last 24 digits of each?", Close: "Thank you. To be sure of me as well, please hang up and call me on a number of your own."}},
		{Address: "lena.falk@harbour.example", Name: "Lena Falk, physiotherapy", State: "has-certificate", Level: "care", Label: "Not confirmed yet", Next: "Send her a test message.",
			Candidates: []control.Candidate{{ID: "c2", Issuer: "Clinics' Authority 3", Usage: "signing and encryption", Expires: monday.AddDate(0, 9, 0), Seen: monday.AddDate(0, 0, -3), From: "a message of 20 November", Chain: "trusted"}}},
		{Address: "o.marsh@oldtown.example", Name: "Dr Owen Marsh", State: "mismatch", Level: "stop", Label: "Somebody may be between you", Next: "Send nothing. Call him on a number that you have known for long."},
	}
	good := control.Verdict{Protection: "encrypted-and-signed", Signature: "valid", Chain: "trusted", From: "match", Contact: "verified", Level: "good", Short: "Confirmed by telephone"}
	bea := good
	bea.Signer = "Dr Bea Brandt"
	bea.Label = "From Dr Bea Brandt, confirmed by telephone on 3 March 2026"
	bea.Reasons = []string{"It was signed with the key that you confirmed on 3 March 2026.", "Nothing in it has changed since it was signed.", "Her certificate is good until 23 January 2028 and was not revoked when last looked at, today at 09:40.", "It was encrypted so that only you and she can read it."}
	c.messages = []control.Message{
		{Summary: control.Summary{ID: "m1", Folder: "inbox", From: "bea.brandt@northclinic.example", FromName: "Dr Bea Brandt", To: []string{"ada.osei@harbour.example"}, Subject: "Re: Mrs K, echo result", Snippet: "Thank you. I have moved her to Thursday and", Date: monday.Add(-8 * time.Minute), Attachments: 1, Verdict: bea},
			Text:   "Dear Ada,\n\nThank you. I have moved her to Thursday and attach the echo: EF 45, mild MR, no effusion. Would you restart the beta blocker at the lower dose and see her in two weeks?\n\nBea\n",
			Files:  []control.Attachment{{Part: "p2", Name: "echo-2026-11-20.pdf", Type: "application/pdf", Size: 1_240_000}},
			Layers: []control.Layer{{Kind: "encrypted", Form: "enveloped-data", Algorithms: []string{"AES-256-CBC", "RSA PKCS#1 v1.5"}, People: []string{"ada.osei@harbour.example", "bea.brandt@northclinic.example"}}, {Kind: "signed", Form: "multipart/signed", Algorithms: []string{"ECDSA P-256", "SHA-256"}, People: []string{"Dr Bea Brandt"}}}},
		{Summary: control.Summary{ID: "m2", Folder: "inbox", From: "pharmacy@hillstreet.example", FromName: "Hill Street Pharmacy", To: []string{"ada.osei@harbour.example"}, Subject: "Query on the apixaban dose", Snippet: "Could you confirm 2.5 mg twice daily for", Date: monday.Add(-35 * time.Minute), Verdict: good}},
		{Summary: control.Summary{ID: "m3", Folder: "inbox", From: "imran.shah@northclinic.example", FromName: "Dr Imran Shah", To: []string{"ada.osei@harbour.example"}, Subject: "Test message from Countersign", Snippet: "Dr Imran Shah wants to be sure that it is you", Date: monday.AddDate(0, 0, -1), Read: true, Form: "test",
			Verdict: control.Verdict{Protection: "encrypted-and-signed", Signature: "valid", Signer: "Dr Imran Shah", Chain: "trusted", From: "match", Contact: "answered", Level: "care", Label: "Signed by Dr Imran Shah, whom you have not confirmed", Short: "Signed, not confirmed yet", Reasons: []string{"The certificate is valid and names this address.", "You have not confirmed on the telephone that the key is his."}}},
			Text: "This is a test message. Its four words stand below.\n",
			Test: &control.Incoming{From: "Dr Imran Shah", Words: []string{"harvest", "lemon", "orbit", "cradle"}, Mine: []string{"velvet", "anchor", "ginger", "pilot", "saddle", "wisdom"}, Expires: monday.AddDate(0, 0, 6), Advice: "When he has called, hang up and call Dr Imran Shah on a number of your own."}},
		{Summary: control.Summary{ID: "m4", Folder: "inbox", From: "reception@oldtown.example", To: []string{"ada.osei@harbour.example"}, Subject: "Appointment for your patient", Snippet: "Hello, please find the details of the visit below.", Date: monday.AddDate(0, 0, -3), Read: true,
			Verdict: control.Verdict{Protection: "none", Signature: "none", Chain: "unknown", From: "mismatch", Contact: "unknown", Level: "stop", Label: "Not secured. Anyone on the way could read or change this.", Short: "Not secured", Reasons: []string{"It was neither signed nor encrypted.", "It says it is from reception@oldtown.example. There is no way to tell."}}},
			Text: "Hello, please find the details of the visit below.\n\nTuesday 24 November, 10:15\n", Sanitised: true, Unprotected: []string{"Subject", "From", "To", "Date"}, ReplyDenied: "It is not quoted in an answer, because there is no telling who wrote it."},
		{Summary: control.Summary{ID: "m5", Folder: "inbox", From: "bea.brandt@northclinic.example", FromName: "Dr Bea Brandt", To: []string{"ada.osei@harbour.example"}, Subject: "New key, please use this one", Snippet: "Hello Ada, from now on please use", Date: monday.AddDate(0, 0, -20), Read: true,
			Verdict: control.Verdict{Protection: "signed", Signature: "valid", Signer: "Dr Bea Brandt", Chain: "trusted", From: "match", Contact: "verified", Level: "stop", Label: "NOT the key you verified. This may not be Dr Bea Brandt.", Short: "NOT the key you verified", Reasons: []string{"The certificate is valid and names her address, but it is not the one that you confirmed on 3 March 2026.", "Anyone can get a certificate in time. Call her before you believe this."}}},
			Text: "Hello Ada, from now on please use this key for me.\n", Unprotected: []string{"Subject"}},
	}
	c.outbox = []control.Outgoing{
		{ID: "o1", Subject: "Mrs K, echo result", Accepted: monday.Add(-2 * time.Minute), State: "waiting", Attempts: 2, Next: monday.Add(5 * time.Minute), Problem: "The server of harbour.example could not be reached.", Recipient: []control.Delivery{{Address: "bea.brandt@northclinic.example", State: "waiting"}, {Address: "pharmacy@hillstreet.example", State: "sent", At: monday.Add(-time.Minute)}}},
		{ID: "o2", Subject: "Blood results", Accepted: monday.AddDate(0, 0, -1), State: "held", Recipient: []control.Delivery{{Address: "lena.falk@harbour.example", State: "waiting"}}, Refusals: []control.Refusal{{Person: "Lena Falk", Address: "lena.falk@harbour.example", Code: "revoked", Reason: "Her certificate was revoked after you sent this.", Next: "Withdraw it, or confirm her new certificate.", Link: "/verify", Button: "Confirm her"}}},
	}
	c.anchors = []control.Anchor{{Fingerprint: strings.Repeat("0af3", 16), Name: "Clinics' Root 2024", Expires: monday.AddDate(8, 0, 0), CA: true}}
	c.accounts = []control.Account{{Address: "ada.osei@harbour.example", IMAP: control.Server{Host: "imap.harbour.example", Port: 993, TLS: "implicit"}, SMTP: control.Server{Host: "smtp.harbour.example", Port: 465, TLS: "implicit"}}}
	c.recovery = control.Recovery{State: "ready", Made: monday.AddDate(0, -1, 0)}
	c.drafts["draftaaaaaaaaaaaaaaaaaaaaa"] = control.Draft{ID: "draftaaaaaaaaaaaaaaaaaaaaa", To: []string{"bea.brandt@northclinic.example", "imran.shah@northclinic.example"}, Subject: "Mrs K, echo result", Text: "Dear both,\n\nAttached is the echo.\n", Saved: monday.Add(-time.Minute), Files: []control.Attachment{{Part: "f1", Name: "echo-2026-11-20.pdf", Size: 1_240_000}}}
	return c
}

// service is the clinic as the page sees it; with a telephone in the demo.
func (c *clinic) service(demo bool) *control.Service {
	s := &control.Service{Mail: clinicMail{c}, Contacts: clinicContacts{c}, Identities: clinicIdentities{c}, Anchors: clinicAnchors{c}, Tokens: clinicTokens{c}, Accounts: clinicAccounts{c}, Journal: clinicJournal{c}, Settings: clinicSettings{c}, Events: clinicEvents{c}}
	if demo {
		s.Simulation = clinicPhone{c}
		c.status.Demo = true
	}
	return s
}

// note records a call and says whether it is to fail.
func (c *clinic) note(name string, q any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, name)
	c.got[name] = q
	return c.fail[name]
}

func (c *clinic) called(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, s := range c.calls {
		if s == name {
			n++
		}
	}
	return n
}

func (c *clinic) last(name string) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got[name]
}

func (c *clinic) find(address string) (control.Contact, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.people {
		if p.Address == address {
			return p, nil
		}
	}
	return control.Contact{}, &control.Error{Code: control.CodeNotFound, Says: "There is no such contact."}
}

type (
	clinicMail       struct{ *clinic }
	clinicContacts   struct{ *clinic }
	clinicIdentities struct{ *clinic }
	clinicAnchors    struct{ *clinic }
	clinicTokens     struct{ *clinic }
	clinicAccounts   struct{ *clinic }
	clinicJournal    struct{ *clinic }
	clinicSettings   struct{ *clinic }
	clinicEvents     struct{ *clinic }
	clinicPhone      struct{ *clinic }
)

func (c clinicMail) Fetch(context.Context, control.None) (control.Fetched, error) {
	return control.Fetched{New: 1}, c.note("Mail.Fetch", nil)
}

func (c clinicMail) List(_ context.Context, q control.ListQuery) ([]control.Summary, error) {
	err := c.note("Mail.List", q)
	var out []control.Summary
	for _, m := range c.messages {
		if m.Folder == q.Folder {
			out = append(out, m.Summary)
		}
	}
	return out, err
}

func (c clinicMail) Show(_ context.Context, q control.MessageQuery) (control.Message, error) {
	err := c.note("Mail.Show", q)
	for _, m := range c.messages {
		if m.ID == q.ID {
			return m, err
		}
	}
	return control.Message{}, &control.Error{Code: control.CodeNotFound, Says: "There is no such message."}
}

// tornReader fails after its text, as a file does whose check fails at the end.
type tornReader struct{ io.Reader }

func (t tornReader) Read(b []byte) (int, error) {
	n, err := t.Reader.Read(b)
	if err == io.EOF {
		err = fmt.Errorf("the signature is broken")
	}
	return n, err
}

func (c *clinic) stream() io.ReadCloser {
	r := io.Reader(strings.NewReader(c.wire))
	if c.torn {
		r = tornReader{r}
	}
	return io.NopCloser(r)
}

func (c clinicMail) Attachment(_ context.Context, q control.AttachmentQuery) (control.Attachment, io.ReadCloser, error) {
	err := c.note("Mail.Attachment", q)
	for _, m := range c.messages {
		for _, f := range m.Files {
			if m.ID == q.ID && f.Part == q.Part {
				return f, c.stream(), err
			}
		}
	}
	return control.Attachment{}, nil, &control.Error{Code: control.CodeNotFound, Says: "There is no such file."}
}

func (c clinicMail) Raw(_ context.Context, q control.MessageQuery) (io.ReadCloser, error) {
	return c.stream(), c.note("Mail.Raw", q)
}

func (c clinicMail) MarkRead(_ context.Context, q control.ReadMark) (control.None, error) {
	err := c.note("Mail.MarkRead", q)
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.messages {
		if c.messages[i].ID == q.ID {
			c.messages[i].Read = q.Read
		}
	}
	return control.None{}, err
}

func (c clinicMail) Check(_ context.Context, q control.CheckQuery) ([]control.RecipientState, error) {
	err := c.note("Mail.Check", q)
	var out []control.RecipientState
	for _, a := range q.Addresses {
		p, missing := c.find(a)
		s := control.RecipientState{Address: a, Name: p.Name, OK: p.State == "verified", Label: p.Label}
		switch {
		case missing != nil:
			s.Label = "Not among your contacts"
			s.Refusal = &control.Refusal{Person: a, Address: a, Code: "unknown", Reason: "Nobody with this address is among your contacts.", Next: "Add them, and confirm them by a test message and a call.", Link: "/contacts", Button: "Add them"}
		case !s.OK:
			s.Refusal = &control.Refusal{Person: p.Name, Address: a, Code: "not-verified", Reason: p.Name + " is not confirmed yet.", Next: p.Next, Link: "/verify", Button: "Confirm now"}
		}
		out = append(out, s)
	}
	return out, err
}

func (c clinicMail) SaveDraft(_ context.Context, d control.Draft) (control.Draft, error) {
	err := c.note("Mail.SaveDraft", d)
	c.mu.Lock()
	defer c.mu.Unlock()
	d.Files, d.Saved = c.drafts[d.ID].Files, monday
	if err == nil {
		c.drafts[d.ID] = d
	}
	return d, err
}

func (c clinicMail) Draft(_ context.Context, q control.DraftQuery) (control.Draft, error) {
	err := c.note("Mail.Draft", q)
	c.mu.Lock()
	defer c.mu.Unlock()
	if d, ok := c.drafts[q.ID]; ok {
		return d, err
	}
	return control.Draft{}, &control.Error{Code: control.CodeNotFound, Says: "There is no such draft."}
}

func (c clinicMail) Drafts(context.Context, control.None) ([]control.Draft, error) {
	err := c.note("Mail.Drafts", nil)
	var out []control.Draft
	for _, d := range c.drafts {
		out = append(out, d)
	}
	return out, err
}

func (c clinicMail) DiscardDraft(_ context.Context, q control.DraftQuery) (control.None, error) {
	err := c.note("Mail.DiscardDraft", q)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.drafts, q.ID)
	return control.None{}, err
}

func (c clinicMail) Attach(_ context.Context, q control.AttachOrder, r io.Reader) (control.Attachment, error) {
	err := c.note("Mail.Attach", q)
	b, _ := io.ReadAll(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	a := control.Attachment{Part: "f" + fmt.Sprint(len(c.uploads)+1), Name: q.Name, Type: q.Type, Size: int64(len(b))}
	c.uploads[q.Draft+"/"+q.Name] = string(b)
	d := c.drafts[q.Draft]
	d.Files = append(d.Files, a)
	c.drafts[q.Draft] = d
	return a, err
}

func (c clinicMail) Detach(_ context.Context, q control.DetachOrder) (control.None, error) {
	err := c.note("Mail.Detach", q)
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.drafts[q.Draft]
	d.Files = slices.DeleteFunc(slices.Clone(d.Files), func(a control.Attachment) bool { return a.Part == q.Part })
	c.drafts[q.Draft] = d
	return control.None{}, err
}

func (c clinicMail) Send(_ context.Context, q control.DraftQuery) (control.Sent, error) {
	return control.Sent{ID: q.ID}, c.note("Mail.Send", q)
}

func (c clinicMail) Outbox(context.Context, control.None) ([]control.Outgoing, error) {
	return c.outbox, c.note("Mail.Outbox", nil)
}

func (c clinicMail) Withdraw(_ context.Context, q control.OutgoingQuery) (control.None, error) {
	return control.None{}, c.note("Mail.Withdraw", q)
}

func (c clinicMail) Inspect(context.Context, control.InspectQuery, io.Reader) (control.Inspection, error) {
	return control.Inspection{}, c.note("Mail.Inspect", nil)
}
