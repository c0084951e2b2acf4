package mailer_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"countersign/mailer"
	"countersign/mailer/policy"
	"countersign/vault/book"
	"countersign/vault/contacts"
)

const (
	adaAddress = "ada.osei@harbour.example"
	beaAddress = "bea.brandt@northclinic.example"
)

// The main path: refused; test; answer; call; verified; letter; reply.
func TestStory(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada, bea := w.join("Ada Osei", adaAddress), w.join("Dr Bea Brandt", beaAddress)

	if _, err := ada.AddContact(ctx, mailer.NewContact{Address: beaAddress, Name: "Dr Bea Brandt"}); err != nil {
		t.Fatal(err)
	}
	_, err := ada.write(mailer.Draft{To: []string{beaAddress}, Subject: "Mrs K"})
	refused(t, err, "no-certificate")
	ada.knows(bea)
	_, err = ada.write(mailer.Draft{To: []string{beaAddress}, Subject: "Mrs K"})
	refused(t, err, "not-verified")
	w.post()
	if len(w.wire) != 0 {
		t.Fatal("something went over the wire")
	}

	if _, err := ada.StartTest(ctx, beaAddress, ""); err != nil {
		t.Fatal(err)
	}
	ada.state(bea, contacts.TestSent)
	w.post()
	if raw := w.wire[0].raw; !bytes.Contains(raw, []byte("\r\nSubject: Test message: please wait for a telephone call\r\n")) || !bytes.Contains(raw, []byte("\r\nAuto-Submitted: auto-generated\r\n")) {
		t.Errorf("the test travels as %.700s", raw)
	}
	test := bea.last()
	if test.Form != "test" || test.Test == nil || len(test.Test.Words) != 4 || len(test.Test.Mine) != 6 || test.Subject != "Test message: please wait for a telephone call" {
		t.Fatalf("the test was received as %q: %+v", test.Form, test.Test)
	}
	if !strings.Contains(test.Text, strings.Join(test.Test.Words, " ")) {
		t.Error("the test does not read well without Countersign")
	}
	bea.state(ada, contacts.HasCertificate)
	if _, err := bea.Answer(ctx, adaAddress); err != nil {
		t.Fatal(err)
	}
	bea.state(ada, contacts.Answered)
	w.post()
	ada.state(bea, contacts.Answered)
	if m := ada.last(); m.Form != "answer" {
		t.Errorf("the answer was received as %q", m.Form)
	}
	_, err = ada.write(mailer.Draft{To: []string{beaAddress}})
	refused(t, err, "not-verified")

	heard := bea.reads(ada)
	r, err := ada.Call(ctx, beaAddress, contacts.CallReport{Number: number, Source: contacts.SourceDirectory, Code: heard.Words})
	if err != nil || !r.Matched {
		t.Fatalf("%+v, %v", r, err)
	}
	ada.state(bea, contacts.Answered)
	r, err = ada.Call(ctx, beaAddress, contacts.CallReport{Words: heard.Mine})
	if err != nil || !r.Matched {
		t.Fatalf("%+v, %v", r, err)
	}
	ada.state(bea, contacts.Verified)
	bea.state(ada, contacts.Answered) // being called verifies nobody

	sent, err := ada.write(mailer.Draft{To: []string{"Bea <" + strings.ToUpper(beaAddress) + ">"}, Subject: "Mrs K, echo", Text: "Dear Bea,\n\nEF 45.\n"}, "echo.pdf")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(sent.To, []string{beaAddress}) || sent.Again {
		t.Errorf("%+v", sent)
	}
	if list, err := ada.Drafts.List(ctx); err != nil || len(list) != 3 { // the refused ones
		t.Errorf("%d drafts are left, %v", len(list), err)
	}
	again, err := ada.SendLetter(ctx, sent.ID)
	if err != nil || !again.Again || again.MessageID != sent.MessageID {
		t.Errorf("sent twice: %+v, %v", again, err)
	}
	before := len(w.wire)
	w.post()
	if len(w.wire) != before+1 {
		t.Fatalf("%d messages went out", len(w.wire)-before)
	}
	onTheWire(t, w.wire[before].raw, "Mrs K", "EF 45", "echo.pdf", "content of", "Ada Osei", "Bea Brandt")
	m := bea.last()
	if m.Subject != "Mrs K, echo" || !strings.Contains(m.Text, "EF 45.") || m.Verdict.Protection != "encrypted-and-signed" ||
		m.Verdict.Label != "Signed by "+adaAddress+". Certificate valid, person not verified." || m.Verdict.Level != policy.Care {
		t.Errorf("%+v", m)
	}
	if len(m.Files) != 1 || m.Files[0].Name != "echo.pdf" || m.Files[0].Size != 19 {
		t.Fatalf("%+v", m.Files)
	}
	f, content, err := bea.Attachment(ctx, m.ID, m.Files[0].Part)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(content)
	if content.Close(); err != nil || string(data) != "content of echo.pdf" || f.Name != "echo.pdf" {
		t.Errorf("%+v %q %v", f, data, err)
	}
	own := ada.newest(mailer.SentMail)
	if own.Subject != "Mrs K, echo" || own.Verdict.Label != "You wrote this, and signed it." || own.Verdict.Short != "Sent, encrypted and signed" || !strings.Contains(own.Text, "EF 45.") || len(own.Files) != 1 || !slices.Equal(own.To, []string{beaAddress}) {
		t.Errorf("%+v", own)
	}
	if raw, err := ada.Raw(ctx, own.ID); err != nil {
		t.Error(err)
	} else {
		data, _ := io.ReadAll(raw)
		onTheWire(t, data, "Mrs K", "EF 45")
		raw.Close()
	}

	_, err = bea.write(mailer.Draft{To: []string{adaAddress}, InReplyTo: m.ID, Subject: "Re: Mrs K, echo"})
	refused(t, err, "not-verified")
	bea.verifies(ada)
	if m := bea.last(); m.Form != "answer" {
		t.Errorf("the answer was received as %q", m.Form)
	}
	list, err := bea.List(ctx, mailer.Query{Search: "mrs k"})
	if err != nil || len(list) != 1 || list[0].Verdict.Level != policy.Good || !strings.Contains(list[0].Verdict.Label, "Confirmed by telephone") {
		t.Errorf("the earlier letter is not seen anew: %+v, %v", list, err)
	}
	if _, err = bea.write(mailer.Draft{To: []string{adaAddress}, InReplyTo: m.ID, Subject: "Re: Mrs K, echo", Text: "Thank you."}); err != nil {
		t.Fatal(err)
	}
	w.post()
	reply := ada.last()
	if reply.Verdict.Level != policy.Good || reply.Verdict.Label != "From Dr Bea Brandt <"+beaAddress+">. Confirmed by telephone on "+w.now.Format("2 January 2006")+"." {
		t.Errorf("%s %q", reply.Verdict.Level, reply.Verdict.Label)
	}
	if reply.ReplyDenied != "" || len(reply.Unprotected) != 0 || reply.FromName != "Dr Bea Brandt" {
		t.Errorf("%+v", reply)
	}
	if raw := string(w.wire[len(w.wire)-1].raw); !strings.Contains(raw, "In-Reply-To: "+sent.MessageID) {
		t.Error("the reply does not refer to the letter")
	}
	if proof, err := ada.Journal.Verify(ctx); err != nil || !proof.OK {
		t.Errorf("%+v, %v", proof, err)
	}
}

// onTheWire checks that nobody on the way reads any of the words.
func onTheWire(t *testing.T, raw []byte, secrets ...string) {
	t.Helper()
	for _, s := range secrets {
		if bytes.Contains(raw, []byte(s)) {
			t.Errorf("%q can be read on the way", s)
		}
	}
}

func TestEveryoneOrNobody(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	ada, bea, carl := w.join("Ada", adaAddress), w.join("Bea", beaAddress), w.join("Carl", "carl@south.example")
	ada.verifies(bea)
	ada.knows(carl)
	before := len(w.wire)
	for _, d := range []mailer.Draft{
		{To: []string{beaAddress, carl.address}}, {To: []string{beaAddress}, Cc: []string{carl.address}}, {To: []string{beaAddress}, Bcc: []string{carl.address}},
	} {
		_, err := ada.write(d)
		refused(t, err, "not-verified")
	}
	_, err := ada.write(mailer.Draft{To: []string{beaAddress, "not an address"}, Cc: []string{"@"}})
	refused(t, err, "bad-address", "bad-address")
	_, err = ada.write(mailer.Draft{})
	refused(t, err, "no-recipients")
	w.post()
	if len(w.wire) != before {
		t.Error("something went out")
	}
	states, err := ada.Recipients(ctx, []string{beaAddress, carl.address, "nobody@x.example", "?"})
	if err != nil {
		t.Fatal(err)
	}
	var ok []bool
	for _, s := range states {
		ok = append(ok, s.OK)
		if s.OK == (s.Refusal != nil) || s.Label == "" {
			t.Errorf("%+v", s)
		}
	}
	if !slices.Equal(ok, []bool{true, false, false, false}) {
		t.Errorf("%v", ok)
	}

	ada.verifies(carl)
	before = len(w.wire)
	if _, err := ada.write(mailer.Draft{To: []string{beaAddress}, Bcc: []string{carl.address}, Subject: "both", Text: "x"}); err != nil {
		t.Fatal(err)
	}
	w.post()
	if len(w.wire) != before+2 {
		t.Fatalf("%d envelopes", len(w.wire)-before)
	}
	for _, l := range w.wire[before:] {
		onTheWire(t, l.raw, "Bcc:")
		if l.to[0] == beaAddress {
			onTheWire(t, l.raw, carl.address)
		}
	}
	if m := carl.last(); m.Subject != "both" || !strings.Contains(m.Verdict.Label, "Not addressed to you.") {
		t.Errorf("the hidden copy: %q", m.Verdict.Label)
	}
	if own := ada.newest(mailer.SentMail); !slices.Equal(own.To, []string{beaAddress, carl.address}) {
		t.Errorf("sent to %q", own.To)
	}
}

func TestSenderNotReady(t *testing.T) {
	w, ctx := newWorldOfItsOwn(t), t.Context()
	ada, bea := w.join("Ada", adaAddress), w.join("Bea", beaAddress)
	ada.verifies(bea)
	carl := w.join("Carl", "carl@south.example")
	ada.knows(carl)
	roads := func(codes ...string) {
		t.Helper()
		_, err := ada.write(mailer.Draft{To: []string{beaAddress}})
		refused(t, err, codes...)
		_, err = ada.StartTest(ctx, carl.address, "")
		refused(t, err, codes...)
		_, err = ada.Invite(ctx, carl.address)
		refused(t, err, codes...)
		ada.state(carl, contacts.HasCertificate)
	}
	ada.broken = errors.New("line 3")
	roads("policy-file")
	ada.broken = nil
	if err := ada.Book.RemoveAnchor(ctx, w.ca.Root); err != nil {
		t.Fatal(err)
	}
	roads("own-untrusted")
	if err := ada.Book.AddAnchor(ctx, book.Anchor{Certificate: w.ca.Root}); err != nil {
		t.Fatal(err)
	}
	if err := w.ca.Revoke(ada.who.Certificate, w.now, 1); err != nil {
		t.Fatal(err)
	}
	roads("own-revoked")
}
