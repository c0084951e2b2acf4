package web

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"

	"countersign/tray/control"
)

func TestWrite(t *testing.T) {
	g := open(t, false)
	resp, body := g.get("write")
	_, rest, _ := strings.Cut(body, `action="write/`)
	id, _, _ := strings.Cut(rest, `"`)
	if resp.StatusCode != 200 || len(id) != 26 || g.clinic.called("Mail.SaveDraft") != 0 {
		t.Fatalf("a new draft is %q, saved %d times", id, g.clinic.called("Mail.SaveDraft"))
	}
	g.wants(body, `aria-disabled="true"`, "Nobody is named yet.", `spellcheck="false"`, `autocomplete="off"`)

	body = g.follow(g.upload("write/"+id, "reply", "m1", "to", "bea.brandt@northclinic.example", "cc", "", "bcc", "pharmacy@hillstreet.example", "subject", "Mrs K", "text", "Dear Bea,\r\n\r\nthe echo.", "do", "save"))
	want := control.Draft{ID: id, To: []string{"bea.brandt@northclinic.example"}, Bcc: []string{"pharmacy@hillstreet.example"}, Subject: "Mrs K", Text: "Dear Bea,\n\nthe echo.", InReplyTo: "m1"}
	if got := g.clinic.last("Mail.SaveDraft"); !reflect.DeepEqual(got, want) {
		t.Errorf("saved %+v, want %+v", got, want)
	}
	g.wants(body, "Kept as a draft", "Confirmed by telephone on 3 March 2026", "Encrypted to everyone named, and signed by you.", "<details class=\"more-to\" open>")
	g.lacks(body, "aria-disabled")

	// Two files; the button's name comes after them, as browsers send it.
	body = g.follow(g.upload("write/"+id, "to", "bea.brandt@northclinic.example", "text", "Dear Bea", "file:echo.pdf", "EF 45", "file:", "", "file:ecg.pdf", "sinus", "do", "save"))
	if g.clinic.uploads[id+"/echo.pdf"] != "EF 45" || g.clinic.uploads[id+"/ecg.pdf"] != "sinus" || len(g.clinic.uploads) != 2 {
		t.Errorf("uploads: %v", g.clinic.uploads)
	}
	g.wants(body, "echo.pdf", "ecg.pdf")
	if g.clinic.called("Mail.Send") != 0 {
		t.Error("it was sent")
	}
	body = g.follow(g.upload("write/"+id, "to", "bea.brandt@northclinic.example", "text", "Dear Bea", "detach", "f1"))
	g.lacks(body, "echo.pdf")

	resp, _ = g.upload("write/"+id, "to", "bea.brandt@northclinic.example", "text", "Dear Bea", "file:late.pdf", "x", "do", "send")
	if resp.Header.Get("Location") != g.page.Base()+"outbox" || g.clinic.last("Mail.Send") != (control.DraftQuery{ID: id}) || g.clinic.uploads[id+"/late.pdf"] != "x" {
		t.Errorf("sent: %v, %v", resp.Header.Get("Location"), g.clinic.last("Mail.Send"))
	}
	g.clinic.fail["Mail.DiscardDraft"] = &control.Error{Code: control.CodeNotFound}
	if body := g.follow(g.upload("write/neverkept", "to", "", "do", "discard")); !strings.Contains(body, "The draft is gone.") {
		t.Error("a draft that was never kept cannot be discarded")
	}
	if resp, _ = g.upload("write/"+id, "to", "", "do", "discard"); resp.Header.Get("Location") != g.page.Base()+"drafts" || g.clinic.last("Mail.DiscardDraft") != (control.DraftQuery{ID: id}) {
		t.Errorf("discarded: %v", resp.Header.Get("Location"))
	}
}

func TestRecipientsWhileTyping(t *testing.T) {
	g := open(t, false)
	const id = "draftaaaaaaaaaaaaaaaaaaaaa"
	body := g.follow(g.upload("write/"+id, "to", "bea.brandt@northclinic.example, imr"))
	g.wants(body, "Do you mean", `data-pick="imran.shah@northclinic.example"`, "An address is not complete yet.", "Confirmed by telephone on 3 March 2026")
	body = g.follow(g.upload("write/"+id, "to", "bea.brandt@northclinic.example, imr", "pick", g.person("imran.shah@northclinic.example")))
	if d := g.clinic.drafts[id]; strings.Join(d.To, " ") != "bea.brandt@northclinic.example imran.shah@northclinic.example" {
		t.Errorf("picked: %v", d.To)
	}
	g.wants(body, "Dr Imran Shah is not confirmed yet.", "Confirm now", `aria-disabled="true"`, "Nothing goes to anyone until everyone can receive it safely.")
	body = g.follow(g.upload("write/"+id, "to", "new@elsewhere.example"))
	g.wants(body, "Nobody with this address is among your contacts.", `href="contacts/`+g.person("new@elsewhere.example")+`"`)
}

// TestUploadsStayInMemory sends a large file and looks for it on disk.
func TestUploadsStayInMemory(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	t.Setenv("TMP", temp)
	g := open(t, false)
	const id = "draftaaaaaaaaaaaaaaaaaaaaa"
	large := strings.Repeat("EF 45, mild MR. ", 1<<20)
	if resp, _ := g.upload("write/"+id, "to", "", "text", "", "file:echo.pdf", large); resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("%d", resp.StatusCode)
	}
	if got := g.clinic.uploads[id+"/echo.pdf"]; got != large {
		t.Errorf("%d bytes arrived", len(got))
	}
	if found, err := os.ReadDir(temp); err != nil || len(found) != 0 {
		t.Errorf("on disk: %v %v", found, err)
	}
	body := g.follow(g.upload("write/"+id, "to", "", "text", strings.Repeat("x", maxField+1)))
	g.wants(body, "That is too long to be taken.")
}

func TestReply(t *testing.T) {
	g := open(t, false)
	g.clinic.messages[0].Cc = []string{"ADA.osei@harbour.example", "pharmacy@hillstreet.example"}
	resp, _ := g.post("message/m1/reply", "all", "yes")
	d := g.clinic.last("Mail.SaveDraft").(control.Draft)
	if resp.Header.Get("Location") != g.page.Base()+"write/"+d.ID || d.InReplyTo != "m1" || d.Subject != "Re: Mrs K, echo result" ||
		strings.Join(d.To, " ") != "bea.brandt@northclinic.example" || strings.Join(d.Cc, " ") != "pharmacy@hillstreet.example" {
		t.Errorf("%+v", d)
	}
	if !strings.Contains(d.Text, "\n\nOn 23 November 2026, 09:42, bea.brandt@northclinic.example wrote:\n> Dear Ada,\n>\n> Thank you.") {
		t.Errorf("%q", d.Text)
	}
	g.post("message/m4/reply")
	if d := g.clinic.last("Mail.SaveDraft").(control.Draft); d.Text != "" || d.Cc != nil || d.Subject != "Re: Appointment for your patient" {
		t.Errorf("what may not be quoted was: %+v", d)
	}
	// Whatever the verdict calls it: a weak envelope counts as none.
	g.clinic.messages[0].ReplyDenied, g.clinic.messages[0].Verdict.Protection = "It is not signed.", "none"
	g.post("message/m1/reply")
	if d := g.clinic.last("Mail.SaveDraft").(control.Draft); d.Text != "" || d.Subject != "Re:" {
		t.Errorf("what came out of an envelope that nobody signed goes back: %q %q", d.Subject, d.Text)
	}
}

// TestTornAttachment: a file whose check fails at its end never arrives as a
// whole one.
func TestTornAttachment(t *testing.T) {
	g := open(t, false)
	g.clinic.torn = true
	g.clinic.wire = strings.Repeat("EF 45 ", 100_000)
	for _, path := range []string{"message/m1/file/p2", "message/m1/raw"} {
		r, err := http.NewRequest("GET", g.base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		resp, err := g.client.Do(r)
		if err != nil {
			continue // broken off before the header: as good
		}
		if _, err := io.Copy(io.Discard, resp.Body); err == nil {
			t.Errorf("%s: arrived as whole", path)
		}
		resp.Body.Close()
	}
	g.clinic.wire = ""
	if resp, body := g.get("message/m1/file/p2"); resp.StatusCode != http.StatusInternalServerError || resp.Header.Get("Content-Disposition") != "" || !strings.Contains(body, "That did not work.") {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
}

func TestSetUpFiles(t *testing.T) {
	g := open(t, false)
	g.follow(g.upload("setup/identity", "password", "dana", "file:ada.p12", "a key"))
	if g.clinic.uploads["p12"] != "a key" || g.clinic.last("Identities.ImportPKCS12") != (control.PKCS12Order{Password: "dana"}) {
		t.Errorf("%q %v", g.clinic.uploads["p12"], g.clinic.last("Identities.ImportPKCS12"))
	}
	body := g.follow(g.upload("setup/identity", "password", "dana", "file:ada.p12", strings.Repeat("x", maxIdentity+1)))
	g.wants(body, "That file is too large to be what is asked for here.")
	body = g.follow(g.upload("setup/identity", "password", "dana"))
	g.wants(body, "No file was chosen.")
	g.lacks(body, "dana")

	body = g.follow(g.upload("setup/anchor", "file:root.pem", "a root"))
	g.wants(body, "C0FF EE11 C0FF EE11", "Northclinic Root", `name="confirm"`)
	body = g.follow(g.post("setup/anchor/confirm"))
	g.wants(body, "no fingerprint was confirmed")
	if g.clinic.called("Anchors.Add") != 0 {
		t.Error("an authority was added unconfirmed")
	}
	g.upload("setup/anchor", "file:root.pem", "a root")
	g.follow(g.post("setup/anchor/confirm", "confirm", "c0ffee"))
	if g.clinic.uploads["anchor"] != "a root" || !reflect.DeepEqual(g.clinic.last("Anchors.Add"), control.AnchorOrder{Confirm: []string{"c0ffee"}}) {
		t.Errorf("%q %v", g.clinic.uploads["anchor"], g.clinic.last("Anchors.Add"))
	}

	id := g.person("lena.falk@harbour.example")
	g.follow(g.upload("contacts/"+id+"/certificate", "file:lena.pem", "her certificate"))
	if got := g.clinic.last("Contacts.Add").(control.NewContact); got.Address != "lena.falk@harbour.example" || !bytes.Equal(got.Certificates, []byte("her certificate")) {
		t.Errorf("%+v", got)
	}
}

func TestAccountForm(t *testing.T) {
	g := open(t, false)
	form := []string{"address", "ada@harbour.example", "user", "ada", "password", "a secret", "imap-host", "imap.other.example", "imap-port", "993", "imap-tls", "implicit", "smtp-host", "smtp.other.example", "smtp-port", "587", "smtp-tls", "starttls", "roots", "PEM"}
	g.clinic.fail["Accounts.Add"] = &control.Error{Says: "imap.other.example is not under harbour.example.", Next: "Confirm that you know it."}
	body := g.follow(g.post("setup/account", form...))
	want := control.NewAccount{Account: control.Account{Address: "ada@harbour.example", IMAP: control.Server{Host: "imap.other.example", Port: 993, TLS: "implicit"}, SMTP: control.Server{Host: "smtp.other.example", Port: 587, TLS: "starttls"}}, User: "ada", Password: "a secret", RootsPEM: "PEM"}
	if got := g.clinic.last("Accounts.Add"); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	g.wants(body, "is not under harbour.example", `value="imap.other.example"`, `value="starttls" selected`)
	g.lacks(body, "a secret")
	g.clinic.fail = map[string]error{}
	g.post("setup/account", append(form, "confirmed", "yes")...)
	if !g.clinic.last("Accounts.Add").(control.NewAccount).Confirmed {
		t.Error("the confirmation was lost")
	}
	body = g.follow(g.post("setup/account", "imap-port", "many"))
	g.wants(body, "a number from 1 to 65535")
}

// TestRecoveryWordsAreShownOnce: they stand in the answer to making the file
// and nowhere after; the file can be had until it is confirmed.
func TestRecoveryWordsAreShownOnce(t *testing.T) {
	g := open(t, false)
	resp, body := g.post("setup/recovery")
	if resp.StatusCode != 200 {
		t.Fatalf("%d", resp.StatusCode)
	}
	g.wants(body, "copper", "grain", `aria-label="Word 2"`, `aria-label="Word 7"`)
	for _, path := range g.everyPage() {
		_, again := g.get(path)
		g.lacks(again, "copper", "lantern")
	}
	resp, file := g.get("setup/recovery/file")
	if file != "sealed keys" || !strings.HasSuffix(resp.Header.Get("Content-Disposition"), "countersign-recovery.age") {
		t.Errorf("%q %v", file, resp.Header)
	}
	g.clinic.fail["Identities.ConfirmRecovery"] = &control.Error{Says: "Those are not the words."}
	g.wants(g.follow(g.post("setup/recovery/confirm", "word", "x", "word", "y")), "Those are not the words.", "setup/recovery/file")
	g.clinic.fail = map[string]error{}
	g.post("setup/recovery/confirm", "word", "meadow", "word", "paddle")
	if resp, _ := g.get("setup/recovery/file"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("the file is still there: %d", resp.StatusCode)
	}
}

// TestPhoneOnlyInTheDemo: without a simulation there is nothing to dial.
func TestPhoneOnlyInTheDemo(t *testing.T) {
	g := open(t, false)
	if resp, _ := g.post("phone/dial", "number", "1", "back", "inbox"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("%d", resp.StatusCode)
	}
	g = open(t, true)
	body := g.follow(g.post("phone/dial", "number", "020 7946 0188", "back", "inbox"))
	g.wants(body, "Simulation")
	for _, back := range []string{"//evil.example", "/evil.example", `\\evil.example`, "\t/evil.example", "https://evil.example", "../evil", ""} {
		if resp, _ := g.post("phone/dial", "number", "1", "back", back); resp.Header.Get("Location") != g.page.Base()+"inbox" {
			t.Errorf("%q leads to %q", back, resp.Header.Get("Location"))
		}
	}
	g.post("phone/dial", "number", "020 7946 0188", "back", "inbox")
	_, body = g.get("inbox")
	g.wants(body, "Imran Shah speaking.", "Hang up")
	g.post("phone/hang-up", "back", "inbox")
	_, body = g.get("inbox")
	g.lacks(body, "Imran Shah speaking.")
	body = g.follow(g.post("phone/dial", "number", "999", "back", "inbox"))
	g.wants(body, "This number is not in use.")
}
