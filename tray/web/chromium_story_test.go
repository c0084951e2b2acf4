package web

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"countersign/tray/control"
)

const focused = `document.activeElement.getAttribute("aria-label") || document.activeElement.id || document.activeElement.textContent.trim()`

// TestPeerConfirmInChromium walks the verification as the person who calls.
func TestPeerConfirmInChromium(t *testing.T) {
	d := sit(t, true, true)
	imran := "contacts/" + d.person("imran.shah@northclinic.example") + "/verify"
	d.open(imran)
	if got := d.reads(`document.getElementById("number").value + document.getElementById("source").value`); got != "" {
		t.Errorf("number and source do not begin empty: %q", got)
	}
	d.Fill("#number", "020 7946 0188")
	d.Choose("#source", "directory")
	d.Press("Use this number")
	d.Until(`document.querySelector("a.call")`)
	if got := d.reads(`document.querySelector("a.call").getAttribute("href")`); got != "tel:02079460188" {
		t.Errorf("the link to call is %q", got)
	}
	expected := "harvest lemon orbit cradle velvet anchor ginger pilot saddle wisdom"
	html := d.reads(`document.documentElement.outerHTML`)
	for _, w := range strings.Fields(expected) {
		if strings.Contains(html, w) {
			t.Errorf("the page holds %q before it was heard", w)
		}
	}

	d.Press("Call") // the simulated telephone takes the call in place
	d.Until(`document.querySelectorAll("#phone .speech li").length === 3`)
	d.Shoot("call")

	box := `document.querySelector("form input[name=word]")`
	d.run(box + `.focus()`)
	if d.is(`(() => { const c = new DataTransfer(); c.setData("text/plain", "harvest"); return ` + box + `.dispatchEvent(new ClipboardEvent("paste", {clipboardData: c, bubbles: true, cancelable: true})); })()`) {
		t.Error("a paste is not refused")
	}
	d.Until(`document.querySelector("form [data-hint]").textContent.includes("Pasting does not work")`)
	d.Type("HARVEST")
	d.Until(`(` + focused + `) === "Word 2"`) // a whole word goes on by itself, in any case
	d.Type("car")                             // may yet become "card": no going on
	d.Until(`(` + focused + `) === "Word 2" && document.activeElement.value === "car"`)
	d.Type("\b\b\blemn ")
	d.Until(`document.querySelectorAll("form input[name=word]")[1].getAttribute("aria-invalid") === "true"`)
	d.Type("\b\b\b\blemo ")
	d.Until(`(` + focused + `) === "Word 3"`)
	d.Type("orbit")
	d.Until(`(` + focused + `) === "Word 4"`)
	d.clinic.mu.Lock()
	d.clinic.result = control.CallResult{Matched: true, Says: "The four words match."}
	d.clinic.mu.Unlock()
	d.Type("crad ")
	d.Until(`(` + focused + `) === "Check the four words"`)
	d.Type("\r")
	d.Until(`document.querySelector("#h-code.matched")`)
	d.Until(`document.querySelector("#note").textContent.includes("The four words match.")`)
	if got := d.clinic.last("Contacts.Call").(control.CallReport); strings.Join(got.Code, " ") != "harvest lemo orbit crad" || got.Words != nil {
		t.Errorf("reported %+v", got)
	}
	d.Press("They do not use Countersign")
	d.Shoot("half-done")

	d.run(box + `.focus()`)
	d.Type("velvet anchor ginger pilot saddle wisdom ")
	d.Until(`(` + focused + `) === "Check the six words"`)
	d.Type("\r")
	d.Until(`document.querySelector(".state-card.good")`)
	d.Shoot("confirmed-now")
	d.Press("Write to Dr Imran Shah")
	d.Until(`location.pathname.startsWith("/write/") && document.querySelector("#states li.good")`)
}

// TestPeerWriteInChromium writes to two people, one of them not confirmed.
func TestPeerWriteInChromium(t *testing.T) {
	d := sit(t, false, true)
	d.open("write")
	d.Until(`(` + focused + `) === "to"`)
	d.Type("bea")
	d.Until(`document.querySelector("[data-pick]")`)
	d.Shoot("suggested")
	d.Press("Dr Bea Brandt")
	d.Until(`document.querySelectorAll("#states li.good").length === 1 && document.getElementById("to").value === "bea.brandt@northclinic.example, "`)
	d.Type("imran.shah@northclinic.example")
	d.Until(`document.querySelectorAll("#states li.stop").length === 1`)
	d.Until(`document.querySelector("#send button").getAttribute("aria-disabled") === "true"`)
	if got := d.reads(`document.querySelector("#states li.stop").innerText`); !strings.Contains(got, "is not confirmed yet") || !strings.Contains(got, "A short call") || !strings.Contains(got, "Confirm now") {
		t.Errorf("the refusal reads %q", got)
	}
	d.Press("Seal and send")
	d.Fill("#subject", "Mrs K, <b>echo</b>")
	d.Fill("#text", "Dear Bea,")
	d.Until(`document.getElementById("why").textContent.includes("Kept as a draft")`)
	if d.clinic.called("Mail.Send") != 0 {
		t.Error("a disabled button sent")
	}
	file := filepath.Join(t.TempDir(), "echo.txt")
	if err := os.WriteFile(file, []byte("EF 45"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.Upload("#file", file)
	d.Until(`document.querySelector("#files .name") && document.querySelector("#files .name").textContent === "echo.txt"`)
	if got := d.reads(`document.getElementById("text").value`); got != "Dear Bea," {
		t.Errorf("after the upload the text is %q", got)
	}
	d.Shoot("refused")
	d.Choose("#to", "bea.brandt@northclinic.example")
	d.Fill("#to", ",")
	d.Until(`document.querySelectorAll("#states li").length === 1 && !document.querySelector("#send button").hasAttribute("aria-disabled")`)
	d.Press("Seal and send")
	d.Until(`location.pathname === "/outbox" && document.querySelector("#note .good")`)
	if got := d.clinic.last("Mail.SaveDraft").(control.Draft); got.Text != "Dear Bea," || got.Subject != "Mrs K, <b>echo</b>" || len(got.To) != 1 {
		t.Errorf("what was sent is %+v", got)
	}
	if d.clinic.called("Mail.Send") != 1 {
		t.Errorf("sent %d times", d.clinic.called("Mail.Send"))
	}
}

// TestPeerLiveInChromium sees mail arrive without a reload.
func TestPeerLiveInChromium(t *testing.T) {
	d := sit(t, false, true)
	d.open("inbox")
	d.run(`window.same = true`)
	d.Until(`document.querySelectorAll("#list li").length === 5`)
	d.clinic.mu.Lock()
	m := d.clinic.messages[0]
	m.ID, m.Subject = "m9", "<img src=x onerror=alert(1)>"
	d.clinic.messages = append([]control.Message{m}, d.clinic.messages...)
	d.clinic.status.Unread = 3
	d.clinic.mu.Unlock()
	d.happens(control.Event{Cursor: 1, Kind: "mail", Says: "A message from Dr Bea Brandt."})
	d.Until(`window.same && document.querySelectorAll("#list li").length === 6`)
	d.Until(`document.querySelector(".links .count").textContent.includes("3")`)
	if d.is(`!!document.querySelector("#list img")`) {
		t.Error("a subject became markup")
	}
	d.open("message/m1")
	d.Until(`document.querySelector(".links .count")`)
	d.Until(`!document.querySelector("form[data-silent]") && document.querySelector(".links .count")`)
	if got := d.clinic.last("Mail.MarkRead"); got != (control.ReadMark{ID: "m1", Read: true}) {
		t.Errorf("marked: %+v", got)
	}
}

// TestPeerWithoutScript does the main things with the script turned off.
func TestPeerWithoutScript(t *testing.T) {
	d := sit(t, true, true)
	d.Do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
	d.open("contacts/" + d.person("imran.shah@northclinic.example") + "/verify")
	d.Fill("#number", "020 7946 0188")
	d.Choose("#source", "directory")
	d.Press("Use this number")
	d.Until(`document.querySelector("a.call")`)
	d.Fill("#dial", "020 7946 0188")
	d.Do(chromedp.Click(chromedp.CSS("#phone form button")))
	d.Until(`document.querySelectorAll("#phone .speech li").length === 3`)

	d.open("write")
	d.Fill("#to", "bea")
	d.Fill("#text", "Dear Bea,")
	d.Press("Keep as a draft")
	d.Until(`document.querySelector("[data-pick]")`)
	d.Press("Dr Bea Brandt")
	d.Until(`document.querySelector("#states li.good") && document.getElementById("text").value === "Dear Bea,"`)
	d.Press("Seal and send")
	d.Until(`location.pathname === "/outbox"`)
	if d.clinic.called("Mail.Send") != 1 {
		t.Error("nothing was sent")
	}
}

// TestPeerPageBrokenOff: a page whose script did not come shows no mail, for nothing could
// take it off the screen again.
func TestPeerPageBrokenOff(t *testing.T) {
	for name, lost := range map[string][]string{"script": {"page.js"}, "script and style": {"page.js", "style.css"}} {
		t.Run(name, func(t *testing.T) {
			d := sit(t, false, true)
			var blocked network.SetBlockedURLsParams
			for _, file := range lost {
				blocked.URLPatterns = append(blocked.URLPatterns, &network.BlockPattern{URLPattern: "*://*:*/*" + file, Block: true})
			}
			d.Do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
				if _, err := cdp.Call(ctx, tab, network.Enable, network.EnableParams{}); err != nil {
					return err
				}
				_, err := cdp.Call(ctx, tab, network.SetBlockedURLs, blocked)
				return err
			}))
			d.open("message/m1")
			if !d.holds("mild MR") || d.is(`typeof ask === "function"`) {
				t.Fatal("this is not the page without its script")
			}
			d.Until(`document.body.innerText.includes("Countersign is locked, or was stopped")`)
			if d.is(`document.getElementById("main").checkVisibility()`) {
				t.Error("the message is shown")
			}
			d.accessible("broken-off")
			d.Shoot("broken-off")
		})
	}
}

// TestPeerSetUpInChromium goes through the first set-up.
func TestPeerSetUpInChromium(t *testing.T) {
	d := sit(t, false, true)
	d.clinic.mu.Lock()
	d.clinic.status = control.Status{Version: "1.0", Keys: "Keys in this computer's keychain", Setup: []control.Step{
		{Name: "identity", Title: "Your identity", Why: "The key and certificate that your certification authority gave you."},
		{Name: "anchor", Title: "The authority you trust", Why: "Other people's certificates are checked against it."},
		{Name: "account", Title: "Your mailbox", Why: "Where your mail is kept, and who sends it on."},
		{Name: "recovery", Title: "The recovery file", Why: "So that a lost computer does not mean lost mail."},
	}}
	d.clinic.anchors, d.clinic.accounts, d.clinic.recovery = nil, nil, control.Recovery{State: "missing"}
	d.clinic.mu.Unlock()
	d.clinic.fresh = true
	d.open("")
	d.Until(`location.pathname === "/setup"`)
	d.Shoot("first-setup")
	file := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(file, []byte("a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.Press("Choose the authority's file")
	d.Upload("#anchor-file", file)
	d.Press("Show its fingerprint")
	d.Until(`document.querySelector("input[name=confirm]")`)
	d.Shoot("anchor")
	d.Do(chromedp.Click(chromedp.CSS("input[name=confirm]")))
	d.Press("Trust what I have compared")
	d.Until(`document.querySelector("#note .good")`)
	if got := d.clinic.uploads["anchor"]; got != "a certificate" {
		t.Errorf("the authority's file came as %q", got)
	}
	d.Press("Make the recovery file")
	d.Until(`document.querySelectorAll("#eight ~ ol li").length === 8`)
	d.Shoot("recovery")
	d.Fill(`input[aria-label="Word 2"]`, "meadow")
	d.Fill(`input[aria-label="Word 7"]`, "paddle")
	d.Press("Test the file")
	d.Until(`document.querySelector("#note .good")`)
	if got := d.clinic.last("Identities.ConfirmRecovery").(control.RecoveryCheck); strings.Join(got.Words, " ") != "meadow paddle" {
		t.Errorf("typed back: %v", got)
	}
}
