package web

import (
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"countersign/tray/control"
)

// TestActs sends each form that the pages hold and looks at what the agent was
// asked, and where the browser was sent.
func TestActs(t *testing.T) {
	g := open(t, true)
	imran := "imran.shah@northclinic.example"
	id := g.person(imran)
	who := control.ContactQuery{Address: imran}
	for _, c := range []struct {
		path  string
		form  []string
		call  string
		query any
		to    string
	}{
		{"fetch", nil, "Mail.Fetch", nil, "inbox"},
		{"message/m1/seen", []string{"read", "yes", "stay", "yes"}, "Mail.MarkRead", control.ReadMark{ID: "m1", Read: true}, "message/m1"},
		{"message/m1/seen", nil, "Mail.MarkRead", control.ReadMark{ID: "m1"}, "inbox"},
		{"outbox/withdraw", []string{"id", "o1"}, "Mail.Withdraw", control.OutgoingQuery{ID: "o1"}, "outbox"},
		{"contacts/new", []string{"address", " new@clinic.example ", "name", "Dr New", "team", "yes"}, "Contacts.Add", control.NewContact{Address: "new@clinic.example", Name: "Dr New", Team: true}, "contacts/" + g.person("new@clinic.example") + "/verify"},
		{"contacts/" + id + "/rename", []string{"name", "Dr I. Shah"}, "Contacts.Add", control.NewContact{Address: imran, Name: "Dr I. Shah"}, "contacts/" + id},
		{"contacts/" + id + "/find", nil, "Contacts.Find", who, "contacts/" + id + "/verify"},
		{"contacts/" + id + "/invite", nil, "Contacts.Invite", who, "contacts/" + id + "/verify"},
		{"contacts/" + id + "/test", []string{"candidate", "c7"}, "Contacts.StartTest", control.TestOrder{Address: imran, Candidate: "c7"}, "contacts/" + id + "/verify"},
		{"contacts/" + id + "/misheard", nil, "Contacts.Misheard", who, "contacts/" + id + "/verify"},
		{"contacts/" + id + "/answer", nil, "Contacts.Answer", who, "contacts/" + id},
		{"contacts/" + id + "/answer", []string{"back", "m3"}, "Contacts.Answer", who, "message/m3"},
		{"contacts/" + id + "/suspend", nil, "Contacts.Suspend", who, "contacts/" + id},
		{"contacts/" + id + "/remove", nil, "Contacts.Remove", who, "contacts"},
		{"contacts/" + id + "/call", []string{"part", "number", "number", " 020 7946 0188 ", "source", "directory", "reader", "Sam"}, "Contacts.Call", control.CallReport{Address: imran, Number: "020 7946 0188", Source: "directory", Reader: "Sam"}, "contacts/" + id + "/verify"},
		{"contacts/" + id + "/call", []string{"part", "number", "number", "020 7946 0188", "source", "in-person"}, "Contacts.Call", control.CallReport{Address: imran, Source: "in-person"}, "contacts/" + id + "/verify"},
		{"contacts/" + id + "/call", []string{"part", "code", "word", "one", "word", "two", "word", "three", "word", "four"}, "Contacts.Call", control.CallReport{Address: imran, Code: []string{"one", "two", "three", "four"}}, "contacts/" + id + "/verify"},
		{"contacts/" + id + "/call", []string{"part", "words", "word", "one", "word", "two"}, "Contacts.Call", control.CallReport{Address: imran, Words: []string{"one", "two"}}, "contacts/" + id + "/verify"},
		{"contacts/" + id + "/call", []string{"part", "fingerprint", "digits", "AB12", "digits", "CD34"}, "Contacts.Call", control.CallReport{Address: imran, Fingerprint: []string{"AB12", "CD34"}}, "contacts/" + id + "/verify"},
		{"contacts/" + id + "/call", []string{"part", "wrong"}, "Contacts.Call", control.CallReport{Address: imran, Wrong: true}, "contacts/" + id + "/verify"},
		{"settings", []string{"minutes", "7", "grace", "12", "summaries", "yes", "directories", " ldaps://a.example  ldap://b.example "}, "Settings.Set", control.Preferences{FetchMinutes: 7, GraceHours: 12, KeepSummaries: true, Directories: "ldaps://a.example ldap://b.example"}, "settings"},
		{"settings/new", nil, "Contacts.StartOver", nil, "contacts"},
		{"setup/anchor/remove", []string{"fingerprint", "0af3"}, "Anchors.Remove", control.AnchorQuery{Fingerprint: "0af3"}, "settings"},
		{"setup/account/remove", []string{"address", "a@b.example"}, "Accounts.Remove", control.AccountQuery{Address: "a@b.example"}, "settings"},
		{"setup/identity/request", []string{"address", " ada@x.example ", "name", "Dr Ada", "key", "p-256", "separate", "yes"}, "Identities.Request", control.RequestOrder{Address: "ada@x.example", Name: "Dr Ada", Key: "p-256", Separate: true}, "setup"},
		{"setup/identity/use", []string{"id", "i2"}, "Identities.TakeOver", control.IdentityQuery{ID: "i2"}, "settings"},
		{"setup/identity/discard", []string{"id", "r1"}, "Identities.Discard", control.RequestQuery{ID: "r1"}, "setup"},
		{"setup/recovery/confirm", []string{"word", "meadow", "word", "paddle"}, "Identities.ConfirmRecovery", control.RecoveryCheck{Words: []string{"meadow", "paddle"}}, "setup"},
		{"phone/dial", []string{"number", "020 7946 0188", "back", "inbox"}, "Simulation.Dial", control.DialOrder{Number: "020 7946 0188"}, "inbox"},
		{"phone/play", []string{"name", "impostor", "back", "inbox"}, "Simulation.Play", control.ActQuery{Name: "impostor"}, "inbox"},
	} {
		before := g.clinic.called(c.call)
		resp, _ := g.post(c.path, c.form...)
		if got := g.clinic.last(c.call); g.clinic.called(c.call) != before+1 || !reflect.DeepEqual(got, c.query) {
			t.Errorf("%s %v: asked %s for %+v, want %+v", c.path, c.form, c.call, got, c.query)
		}
		if got := resp.Header.Get("Location"); resp.StatusCode != http.StatusSeeOther || got != g.page.Base()+c.to {
			t.Errorf("%s %v: %d to %q, want %q", c.path, c.form, resp.StatusCode, got, c.to)
		}
	}
}

// TestNothingHappensByGet asks for the address of every change as a page.
func TestNothingHappensByGet(t *testing.T) {
	g := open(t, true)
	id := g.person("imran.shah@northclinic.example")
	before := len(g.clinic.calls)
	for _, path := range []string{"fetch", "outbox/withdraw", "contacts/new", "contacts/" + id + "/remove", "contacts/" + id + "/find", "contacts/" + id + "/call", "message/m1/seen", "message/m1/reply", "settings/end", "setup/recovery", "setup/identity/lost", "setup/identity/discard", "setup/anchor/confirm", "phone/dial"} {
		if resp, _ := g.get(path); resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
	for _, path := range g.everyPage() {
		g.get(path)
	}
	for _, call := range g.clinic.calls[before:] {
		switch name := call[strings.Index(call, ".")+1:]; name {
		case "List", "Show", "Check", "Draft", "Drafts", "Outbox", "Mine", "Programs", "Get", "Recovery", "Requests", "Preview":
		default:
			t.Errorf("reading a page called %s", call)
		}
	}
}

func TestSearchStandsInNoAddress(t *testing.T) {
	g := open(t, false)
	_, body := g.post("inbox", "q", "Mrs K")
	g.wants(body, "Found for “Mrs K”")
	if q := g.clinic.last("Mail.List").(control.ListQuery); q.Search != "Mrs K" || q.Folder != "inbox" {
		t.Errorf("%+v", q)
	}
	_, body = g.post("contacts", "q", "bea")
	g.wants(body, "Dr Bea Brandt")
	g.lacks(body, "Dr Imran Shah")
	g.get("inbox?q=Mrs+K")
	if q := g.clinic.last("Mail.List").(control.ListQuery); q.Search != "" {
		t.Errorf("a search was read from an address: %+v", q)
	}
}

// TestAddressesTellNothing looks at every link and form of every page.
func TestAddressesTellNothing(t *testing.T) {
	g := open(t, true)
	for _, path := range g.everyPage() {
		_, body := g.get(path)
		for _, attr := range []string{`href="`, `action="`, `src="`} {
			for _, rest := range strings.Split(body, attr)[1:] {
				link, _, _ := strings.Cut(rest, `"`)
				if strings.HasPrefix(link, "tel:") {
					continue
				}
				for _, tells := range []string{"@", "%40", "brandt", "imran", "northclinic", "echo", "javascript", "http", "//"} {
					if strings.Contains(strings.ToLower(link), tells) {
						t.Errorf("%s: the address %q tells %q", path, link, tells)
					}
				}
			}
		}
	}
	other := open(t, false)
	if g.person("a@b.example") == other.person("a@b.example") {
		t.Error("a person has the same identifier at two starts")
	}
	if g.person("A@b.example") != g.person(" a@B.example") {
		t.Error("one address, two identifiers")
	}
	if resp, body := other.get("contacts/" + strings.Repeat("0", 24)); resp.StatusCode != http.StatusNotFound || !strings.Contains(body, "Find the person again") {
		t.Errorf("an identifier of another start: %d", resp.StatusCode)
	}
}

// TestHostileTextStaysText puts markup wherever mail, people and servers can
// put text.
func TestHostileTextStaysText(t *testing.T) {
	const evil = `</textarea></title><script>alert(1)</script><img src=x onerror=alert(2)>" onfocus="alert(3)' javascript:alert(4)`
	g := open(t, true)
	c := g.clinic
	c.status.Name, c.status.Address, c.status.Keys, c.status.Problem = evil, "a@"+evil, evil, evil
	c.status.Setup = []control.Step{{Name: "account", Title: evil, Why: evil}}
	for i := range c.messages {
		m := &c.messages[i]
		m.FromName, m.Subject, m.Snippet, m.Text, m.Problem, m.ReplyDenied = evil, evil, evil, evil, evil, evil
		m.To, m.Cc, m.Unprotected = []string{evil}, []string{evil}, []string{"Subject", "From", evil}
		m.Verdict.Label, m.Verdict.Short, m.Verdict.Reasons, m.Verdict.Signer = evil, evil, []string{evil}, evil
		m.Files = []control.Attachment{{Part: evil, Name: evil, Type: evil}}
		m.Layers = []control.Layer{{Kind: evil, Form: evil, Algorithms: []string{evil}, People: []string{evil}, Problem: evil}}
		m.Test = &control.Incoming{From: evil, Words: []string{evil}, Mine: []string{evil}, Advice: evil}
	}
	refusal := control.Refusal{Person: evil, Address: evil, Reason: evil, Next: evil, Link: "javascript:alert(5)", Button: evil}
	for i := range c.people {
		p := &c.people[i]
		p.Name, p.Label, p.Next, p.Number, p.Source, p.Refusal = evil, evil, evil, evil, evil, &refusal
		p.Level = evil
		p.Candidates = []control.Candidate{{ID: evil, Issuer: evil, Usage: evil, From: evil, Chain: evil}, {ID: evil, Issuer: evil}}
		if p.Test != nil {
			p.Test.Number, p.Test.Source = evil, evil
		}
	}
	for i := range c.outbox {
		c.outbox[i].Subject, c.outbox[i].Problem, c.outbox[i].State, c.outbox[i].Refusals = evil, evil, evil, []control.Refusal{refusal}
		c.outbox[i].Recipient = []control.Delivery{{Address: evil, State: evil, Problem: evil}}
	}
	for id, d := range c.drafts {
		d.To, d.Cc, d.Bcc, d.Subject, d.Text, d.InReplyTo = []string{evil}, []string{evil}, []string{"x@y." + evil}, evil, evil, evil
		d.Files = []control.Attachment{{Part: evil, Name: evil}}
		c.drafts[id] = d
	}
	c.anchors, c.accounts = []control.Anchor{{Name: evil, Fingerprint: evil}}, []control.Account{{Address: evil, Problem: evil, IMAP: control.Server{Host: evil}}}
	c.fail["Mail.Fetch"] = &control.Refused{Refusals: []control.Refusal{refusal}}
	g.post("fetch")
	for _, path := range g.everyPage() {
		_, body := g.get(path)
		g.wants(body, "</html>")
		g.lacks(body, "<script>alert", "<img", `" onfocus="`, "' javascript", `href="javascript`)
		if n := strings.Count(body, "<script"); n != 1 {
			t.Errorf("%s: %d scripts", path, n)
		}
		if strings.Contains(body, "<style") || strings.Contains(body, " style=") || strings.Contains(body, " onclick=") {
			t.Errorf("%s: something inline", path)
		}
		if strings.Count(body, "</textarea>") != strings.Count(body, "<textarea") {
			t.Errorf("%s: a text breaks out of its box", path)
		}
	}
}

// TestNothingExpectedOnThePage is rule V5: what will be read out on the call is
// on no page about a person who is not confirmed, and what was typed does not
// come back.
func TestNothingExpectedOnThePage(t *testing.T) {
	g := open(t, false)
	id := g.person("imran.shah@northclinic.example")
	here := "contacts/" + id + "/verify"
	g.clinic.result = control.CallResult{Says: "They do not match. Ask to hear them again.", Unknown: []int{2}}
	g.post("contacts/"+id+"/call", "part", "number", "number", "020 7946 0188", "source", "directory")
	body := g.follow(g.post("contacts/"+id+"/call", "part", "code", "word", "harvest", "word", "xxxx", "word", "orbit", "word", "cradle"))
	g.wants(body, "They do not match. Ask to hear them again.", `aria-label="Word 2" aria-invalid="true"`)
	g.lacks(body, `aria-label="Word 1" aria-invalid`)
	for _, page := range []string{here, "contacts/" + id} {
		_, again := g.get(page)
		g.lacks(again+body, "harvest", "lemon", "orbit", "cradle", "velvet", "wisdom", "8f2c", "8F2C")
	}
	if strings.Count(body, "aria-invalid") != 1 {
		t.Error("the safety words are marked for a mistake in the code")
	}
	if _, list := g.get("wordlist"); !strings.Contains(list, "harvest\nlemon") {
		t.Error("the list of words is not served")
	}
}

// TestNumberBeginsEmpty is rule V1: nothing is filled in but an earlier
// verified number, and a source is always chosen.
func TestNumberBeginsEmpty(t *testing.T) {
	g := open(t, false)
	id := g.person("imran.shah@northclinic.example")
	_, body := g.get("contacts/" + id + "/verify")
	g.wants(body, `name="number" type="tel" value=""`, `<option value="">Choose</option>`)
	g.lacks(body, " selected", `value="earlier"`)
	body = g.follow(g.post("contacts/"+id+"/call", "part", "number", "number", "020 7946 0188"))
	if g.clinic.called("Contacts.Call") != 0 {
		t.Error("a number without a source was reported")
	}
	g.wants(body, "Say where the number is from.", `value="020 7946 0188"`)

	g.clinic.people[2].Number = "020 7946 0001"
	_, body = g.get("contacts/" + id + "/verify")
	g.wants(body, `value="020 7946 0001"`, `value="earlier"`)
	g.lacks(body, " selected")

	g.clinic.people[2].Number = ""
	g.post("contacts/"+id+"/call", "part", "number", "number", "+44 (0)20-7946 0188;ext=1", "source", "known")
	_, body = g.get("contacts/" + id + "/verify")
	g.wants(body, `href="tel:&#43;4402079460188`)
}

// TestSkipLinkStaysOnThePage: with a base, a fragment alone would lead to it.
func TestSkipLinkStaysOnThePage(t *testing.T) {
	g := open(t, false)
	_, body := g.get("inbox?before=m1")
	g.wants(body, `class="skip" href="`+g.page.Base()+`inbox?before=m1#main"`)
}

func TestRefusalsAreShownAsTheyCame(t *testing.T) {
	g := open(t, false)
	f := control.Refusal{Person: "Dr Imran Shah <imran.shah@northclinic.example>", Address: "imran.shah@northclinic.example", Reason: "He is not confirmed yet.", Next: "A short call is missing.", Command: "countersign verify call", Link: "/verify", Button: "Go on with the call"}
	g.clinic.fail["Mail.Send"] = &control.Refused{Refusals: []control.Refusal{f}}
	body := g.follow(g.post("write/draftaaaaaaaaaaaaaaaaaaaaa", "do", "send", "to", f.Address, "text", "Dear Imran"))
	g.wants(body, "Nothing was sent to anyone.", "He is not confirmed yet.", "A short call is missing.", "Dr Imran Shah &lt;imran.shah@northclinic.example&gt;", `href="contacts/`+g.person(f.Address)+`/verify">Go on with the call`)
	if d := g.clinic.drafts["draftaaaaaaaaaaaaaaaaaaaaa"]; d.Text != "Dear Imran" {
		t.Errorf("the draft was not kept: %+v", d)
	}
	_, body = g.get("write/draftaaaaaaaaaaaaaaaaaaaaa")
	g.lacks(body, "Nothing was sent to anyone.") // said once
}

// TestErrorsTellNoSecrets: an error without words of its own is not shown.
func TestErrorsTellNoSecrets(t *testing.T) {
	g := open(t, false)
	g.clinic.fail["Mail.Fetch"] = errors.New("dial tcp 10.0.0.7:993: /home/ada/.countersign")
	g.clinic.fail["Mail.List"] = errors.New("disk I/O error on /home/ada/vault.db")
	body := g.follow(g.post("fetch"))
	g.wants(body, "That did not work.")
	g.lacks(body, "10.0.0.7", "/home/ada")
	g.clinic.fail["Mail.List"] = &control.Error{Code: "locked", Says: "The keychain is locked.", Next: "Unlock it."}
	resp, body := g.get("inbox")
	if resp.StatusCode != http.StatusInternalServerError {
		t.Errorf("%d", resp.StatusCode)
	}
	g.wants(body, "The keychain is locked.", "Unlock it.")
	if resp, _ := g.get("message/none"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("%d", resp.StatusCode)
	}
}

func TestUnescapedNames(t *testing.T) {
	g := open(t, false)
	g.clinic.messages[0].Files[0].Name = "echo\r\nSet-Cookie: x=1; \"é\".pdf"
	resp, body := g.get("message/m1/file/p2")
	if body != "the file" {
		t.Errorf("%q", body)
	}
	if got, want := resp.Header.Get("Content-Disposition"), "attachment; filename*=UTF-8''"+url.PathEscape(g.clinic.messages[0].Files[0].Name); got != want || len(resp.Cookies()) != 0 {
		t.Errorf("%q", got)
	}
	for header, want := range map[string]string{"Content-Type": "application/octet-stream", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} {
		if resp.Header.Get(header) != want {
			t.Errorf("%s is %q", header, resp.Header.Get(header))
		}
	}
	if got := resp.Header.Get("Content-Security-Policy"); !strings.Contains(got, "sandbox") || strings.Contains(got, "allow-") {
		t.Errorf("the sandbox is %q", got)
	}
}
