package web

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"countersign/tray/control"
)

// press clicks the button or link whose words begin so.
func (d *desk) press(words string) {
	d.t.Helper()
	if !of[bool](d, `(() => {
		const n = [...document.querySelectorAll("main button, main a, main summary")].find((n) => n.checkVisibility() && n.textContent.trim().startsWith("`+words+`"));
		if (n) { n.scrollIntoView({block: "center"}); n.click(); }
		return !!n;
	})()`) {
		d.t.Fatalf("there is no %q to press:\n%s", words, of[string](d, `document.body.innerText`))
	}
}

// hears types words as they are heard, into whatever box has the focus.
func (d *desk) hears(words string) {
	d.t.Helper()
	d.do(chromedp.KeyEvent(words))
}

const focused = `document.activeElement.getAttribute("aria-label") || document.activeElement.id || document.activeElement.textContent.trim()`

// TestPeerConfirmInChromium walks the verification as the person who calls.
func TestPeerConfirmInChromium(t *testing.T) {
	d := sit(t, true, true)
	imran := "contacts/" + d.person("imran.shah@northclinic.example") + "/verify"
	d.visit(imran)
	if got := of[string](d, `document.getElementById("number").value + document.getElementById("source").value`); got != "" {
		t.Errorf("number and source do not begin empty: %q", got)
	}
	d.do(chromedp.SendKeys(chromedp.CSS("#number"), "020 7946 0188"), chromedp.SetValue(chromedp.CSS("#source"), "directory"))
	d.press("Use this number")
	d.until(`document.querySelector("a.call")`)
	if got := of[string](d, `document.querySelector("a.call").getAttribute("href")`); got != "tel:02079460188" {
		t.Errorf("the link to call is %q", got)
	}
	expected := "harvest lemon orbit cradle velvet anchor ginger pilot saddle wisdom"
	html := of[string](d, `document.documentElement.outerHTML`)
	for _, w := range strings.Fields(expected) {
		if strings.Contains(html, w) {
			t.Errorf("the page holds %q before it was heard", w)
		}
	}

	d.press("Call") // the simulated telephone takes the call in place
	d.until(`document.querySelectorAll("#phone .speech li").length === 3`)
	d.shoot("call")

	box := `document.querySelector("form input[name=word]")`
	of[chromedp.Void](d, box+`.focus()`)
	if of[bool](d, `(() => { const c = new DataTransfer(); c.setData("text/plain", "harvest"); return `+box+`.dispatchEvent(new ClipboardEvent("paste", {clipboardData: c, bubbles: true, cancelable: true})); })()`) {
		t.Error("a paste is not refused")
	}
	d.until(`document.querySelector("form [data-hint]").textContent.includes("Pasting does not work")`)
	d.hears("HARVEST")
	d.until(`(` + focused + `) === "Word 2"`) // a whole word goes on by itself, in any case
	d.hears("car")                            // may yet become "card": no going on
	d.until(`(` + focused + `) === "Word 2" && document.activeElement.value === "car"`)
	d.hears("\b\b\blemn ")
	d.until(`document.querySelectorAll("form input[name=word]")[1].getAttribute("aria-invalid") === "true"`)
	d.hears("\b\b\b\blemo ")
	d.until(`(` + focused + `) === "Word 3"`)
	d.hears("orbit")
	d.until(`(` + focused + `) === "Word 4"`)
	d.clinic.mu.Lock()
	d.clinic.result = control.CallResult{Matched: true, Says: "The four words match."}
	d.clinic.mu.Unlock()
	d.hears("crad ")
	d.until(`(` + focused + `) === "Check the four words"`)
	d.hears("\r")
	d.until(`document.querySelector("#h-code.matched")`)
	d.until(`document.querySelector("#note").textContent.includes("The four words match.")`)
	if got := d.clinic.last("Contacts.Call").(control.CallReport); strings.Join(got.Code, " ") != "harvest lemo orbit crad" || got.Words != nil {
		t.Errorf("reported %+v", got)
	}
	d.press("They do not use Countersign")
	d.shoot("half-done")

	of[chromedp.Void](d, box+`.focus()`)
	d.hears("velvet anchor ginger pilot saddle wisdom ")
	d.until(`(` + focused + `) === "Check the six words"`)
	d.hears("\r")
	d.until(`document.querySelector(".state-card.good")`)
	d.shoot("confirmed-now")
	d.press("Write to Dr Imran Shah")
	d.until(`location.pathname.startsWith("/write/") && document.querySelector("#states li.good")`)
}

// TestPeerWriteInChromium writes to two people, one of them not confirmed.
func TestPeerWriteInChromium(t *testing.T) {
	d := sit(t, false, true)
	d.visit("write")
	d.until(`(` + focused + `) === "to"`)
	d.hears("bea")
	d.until(`document.querySelector("[data-pick]")`)
	d.shoot("suggested")
	d.press("Dr Bea Brandt")
	d.until(`document.querySelectorAll("#states li.good").length === 1 && document.getElementById("to").value === "bea.brandt@northclinic.example, "`)
	d.hears("imran.shah@northclinic.example")
	d.until(`document.querySelectorAll("#states li.stop").length === 1`)
	d.until(`document.querySelector("#send button").getAttribute("aria-disabled") === "true"`)
	if got := of[string](d, `document.querySelector("#states li.stop").innerText`); !strings.Contains(got, "is not confirmed yet") || !strings.Contains(got, "A short call") || !strings.Contains(got, "Confirm now") {
		t.Errorf("the refusal reads %q", got)
	}
	d.press("Seal and send")
	d.do(chromedp.SendKeys(chromedp.CSS("#subject"), "Mrs K, <b>echo</b>"), chromedp.SendKeys(chromedp.CSS("#text"), "Dear Bea,"))
	d.until(`document.getElementById("why").textContent.includes("Kept as a draft")`)
	if d.clinic.called("Mail.Send") != 0 {
		t.Error("a disabled button sent")
	}
	file := filepath.Join(t.TempDir(), "echo.txt")
	if err := os.WriteFile(file, []byte("EF 45"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.do(chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{file}))
	d.until(`document.querySelector("#files .name") && document.querySelector("#files .name").textContent === "echo.txt"`)
	if got := of[string](d, `document.getElementById("text").value`); got != "Dear Bea," {
		t.Errorf("after the upload the text is %q", got)
	}
	d.shoot("refused")
	d.do(chromedp.SetValue(chromedp.CSS("#to"), "bea.brandt@northclinic.example"), chromedp.SendKeys(chromedp.CSS("#to"), ","))
	d.until(`document.querySelectorAll("#states li").length === 1 && !document.querySelector("#send button").hasAttribute("aria-disabled")`)
	d.press("Seal and send")
	d.until(`location.pathname === "/outbox" && document.querySelector("#note .good")`)
	if got := d.clinic.last("Mail.SaveDraft").(control.Draft); got.Text != "Dear Bea," || got.Subject != "Mrs K, <b>echo</b>" || len(got.To) != 1 {
		t.Errorf("what was sent is %+v", got)
	}
	if d.clinic.called("Mail.Send") != 1 {
		t.Errorf("sent %d times", d.clinic.called("Mail.Send"))
	}
}

// TestPeerLiveInChromium sees mail arrive without a reload, and the page say so
// when it is locked.
func TestPeerLiveInChromium(t *testing.T) {
	d := sit(t, false, true)
	d.visit("inbox")
	of[chromedp.Void](d, `window.same = true`)
	d.until(`document.querySelectorAll("#list li").length === 5`)
	d.clinic.mu.Lock()
	m := d.clinic.messages[0]
	m.ID, m.Subject = "m9", "<img src=x onerror=alert(1)>"
	d.clinic.messages = append([]control.Message{m}, d.clinic.messages...)
	d.clinic.status.Unread = 3
	d.clinic.mu.Unlock()
	d.page.live.mu.Lock()
	seats := len(d.page.live.seats)
	d.page.live.mu.Unlock()
	if seats == 0 {
		d.until(`performance.getEntriesByName(document.baseURI + "live").length >= 0`)
	}
	d.clinic.events <- control.Event{Cursor: 1, Kind: "mail", Says: "A message from Dr Bea Brandt."}
	d.until(`window.same && document.querySelectorAll("#list li").length === 6`)
	d.until(`document.querySelector("#say").textContent === "A message from Dr Bea Brandt."`)
	d.until(`document.querySelector(".links .count").textContent.includes("3")`)
	if of[bool](d, `!!document.querySelector("#list img")`) {
		t.Error("a subject became markup")
	}
	d.visit("message/m1")
	d.until(`document.querySelector(".links .count")`)
	d.until(`!document.querySelector("form[data-silent]") && document.querySelector(".links .count")`)
	if got := d.clinic.last("Mail.MarkRead"); got != (control.ReadMark{ID: "m1", Read: true}) {
		t.Errorf("marked: %+v", got)
	}
	d.page.Lock()
	d.until(`!document.getElementById("gone").hidden`)
	d.shoot("locked")
	of[chromedp.Void](d, `location.reload()`)
	d.until(`document.body.className === "sheet"`)
	d.shoot("door")
}

// TestPeerWithoutScript does the main things with the script turned off.
func TestPeerWithoutScript(t *testing.T) {
	d := sit(t, true, true)
	if _, err := chromedp.Call(d.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	d.visit("contacts/" + d.person("imran.shah@northclinic.example") + "/verify")
	d.do(chromedp.SendKeys(chromedp.CSS("#number"), "020 7946 0188"), chromedp.SetValue(chromedp.CSS("#source"), "directory"))
	d.press("Use this number")
	d.until(`document.querySelector("a.call")`)
	d.do(chromedp.SendKeys(chromedp.CSS("#dial"), "020 7946 0188"), chromedp.Click(chromedp.CSS("#phone form button")))
	d.until(`document.querySelectorAll("#phone .speech li").length === 3`)

	d.visit("write")
	d.do(chromedp.SendKeys(chromedp.CSS("#to"), "bea"), chromedp.SendKeys(chromedp.CSS("#text"), "Dear Bea,"))
	d.press("Keep as a draft")
	d.until(`document.querySelector("[data-pick]")`)
	d.press("Dr Bea Brandt")
	d.until(`document.querySelector("#states li.good") && document.getElementById("text").value === "Dear Bea,"`)
	d.press("Seal and send")
	d.until(`location.pathname === "/outbox"`)
	if d.clinic.called("Mail.Send") != 1 {
		t.Error("nothing was sent")
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
	d.visit("")
	d.until(`location.pathname === "/setup"`)
	d.shoot("first-setup")
	file := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(file, []byte("a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.do(chromedp.SetUploadFiles(chromedp.CSS("#anchor-file"), []string{file}))
	d.press("Show its fingerprint")
	d.until(`document.querySelector("input[name=confirm]")`)
	d.shoot("anchor")
	d.do(chromedp.Click(chromedp.CSS("input[name=confirm]")))
	d.press("Trust what I have compared")
	d.until(`document.querySelector("#note .good")`)
	if got := d.clinic.uploads["anchor"]; got != "a certificate" {
		t.Errorf("the authority's file came as %q", got)
	}
	d.press("Make the recovery file")
	d.until(`document.querySelectorAll("#eight ~ ol li").length === 8`)
	d.shoot("recovery")
	d.do(chromedp.SendKeys(chromedp.CSS(`input[aria-label="Word 2"]`), "meadow"), chromedp.SendKeys(chromedp.CSS(`input[aria-label="Word 7"]`), "paddle"))
	d.press("Test the file")
	d.until(`document.querySelector("#note .good")`)
	if got := d.clinic.last("Identities.ConfirmRecovery").(control.RecoveryCheck); strings.Join(got.Words, " ") != "meadow paddle" {
		t.Errorf("typed back: %v", got)
	}
}
