package web

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"countersign/tray/control"
)

// watched counts the windows that listen.
func (g *guest) watched() int {
	g.page.live.mu.Lock()
	defer g.page.live.mu.Unlock()
	return len(g.page.live.seats)
}

// listens waits until the window has sat down, so that it hears the next event.
func (d *desk) listens() {
	d.t.Helper()
	d.until(func() bool { return d.watched() > 0 })
}

// until waits for something on the agent's side.
func (d *desk) until(so func() bool) {
	d.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !so(); d.Until(`true`) {
		if time.Now().After(deadline) {
			d.t.Fatal("never so")
		}
	}
}

// happens tells the window of an event, and waits until it has said so and looked again.
func (d *desk) happens(e control.Event) {
	d.t.Helper()
	d.listens()
	d.clinic.events <- e
	d.Until(`document.querySelector("#say").textContent === "` + e.Says + `"`)
}

// holds tells whether the page has these words anywhere, shown or not.
func (d *desk) holds(words string) bool {
	return d.is(`document.documentElement.outerHTML.includes("` + words + `") || [...document.querySelectorAll("textarea")].some((t) => t.value.includes("` + words + `"))`)
}

const gone = `!document.getElementById("gone").hidden`

// TestPeerNothingLeftOnScreen: mail leaves the screen when the session ends, and when the
// agent does, whatever page shows it.
func TestPeerNothingLeftOnScreen(t *testing.T) {
	for name, end := range map[string]func(*desk){
		"locked": func(d *desk) { d.page.Lock() },
		"ended":  func(d *desk) { d.stop() },
	} {
		t.Run(name, func(t *testing.T) {
			d := sit(t, false, true)
			d.open("message/m1")
			d.listens()
			if !d.holds("mild MR") {
				t.Fatal("the message is not shown")
			}
			end(d)
			d.Until(gone)
			if d.holds("mild MR") || d.holds("Mrs K") {
				t.Error("the message is still in the page")
			}
			if got := d.reads(focused); got != "gone" {
				t.Errorf("the focus is on %q", got)
			}
			d.accessible(name)
			d.Shoot(name)
			d.run(`location.reload()`)
			d.Until(`location.protocol === "chrome-error:" || document.body.className === "sheet"`)
			d.Shoot("door")
		})
	}
}

// TestPeerDraftOutlastsLock: what was kept of a draft leaves the screen too, and comes from the
// database again; what could not be kept stays.
func TestPeerDraftOutlastsLock(t *testing.T) {
	d := sit(t, false, true)
	d.open("write/draftaaaaaaaaaaaaaaaaaaaaa")
	d.Fill("#text", "Kept words. ")
	d.until(func() bool { return d.kept("Kept words.") })
	d.Until(`!writing.typed()`)
	d.offline(true)
	d.run(`refresh()`)
	d.Until(gone)
	d.Until(`document.getElementById("gone").innerText.includes("among your drafts")`)
	if d.holds("Kept words") || d.holds("Attached is the echo") {
		t.Error("the draft is still in the page")
	}
	d.offline(false)
	d.Until(`document.getElementById("text") && document.getElementById("text").value.includes("Kept words")`)

	d.listens()
	d.offline(true)
	d.Fill("#text", "Typed last. ")
	d.Until(gone)
	d.Until(`document.getElementById("gone").innerText.includes("could not be kept")`)
	if !d.holds("Typed last") {
		t.Error("what could not be kept is lost")
	}
	d.Shoot("unkept")
	d.offline(false)
	d.Until(`!(` + gone + `) && document.getElementById("text").value.includes("Typed last")`)
	d.until(func() bool { return d.kept("Typed last.") })
}

func (d *desk) kept(words string) bool {
	draft, _ := d.clinic.last("Mail.SaveDraft").(control.Draft)
	return strings.Contains(draft.Text, words)
}

// offline cuts the window off from the agent, or lets it through again.
func (d *desk) offline(off bool) {
	d.t.Helper()
	rule := network.EmulateNetworkConditionsByRuleParams{MatchedNetworkConditions: []*network.Conditions{{Offline: off, DownloadThroughput: -1, UploadThroughput: -1}}}
	d.Do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		if _, err := cdp.Call(ctx, tab, network.Enable, network.EnableParams{}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, tab, network.EmulateNetworkConditionsByRule, rule)
		return err
	}))
}

// TestPeerRefreshLosesNothing: what somebody entered, ticked, opened or stands on outlasts
// what comes meanwhile, also where the thing itself has gone.
func TestPeerRefreshLosesNothing(t *testing.T) {
	d := sit(t, false, true)
	spare := control.Token{ID: "t2", Label: "Spare", Lock: "locked", Keys: []control.TokenKey{{Number: 5, URI: "pkcs11:id=%05", Name: "Dr Ada Osei", Usage: "signing", Key: "P-256", Expires: monday}}}
	third := control.Token{ID: "t3", Label: "Third", Lock: "locked"}
	d.clinic.cards = control.TokenList{Tokens: []control.Token{third, adasCard, spare}}
	d.open("cards")
	d.Do(chromedp.Click(chromedp.CSS("input[name=encryption]")), chromedp.Click(chromedp.CSS("#card-t2 input[name=signing]")))
	d.run(`document.querySelector("#card-t1 details").open = true`)
	d.Choose("#card-t1 select", "p-256")
	d.Fill("#card-t1 input[name=name]", " MD")
	d.run(`window.field = document.activeElement; field.setSelectionRange(2, 4); window.ticked = document.querySelector("input[name=encryption]")`)
	d.clinic.mu.Lock()
	one := adasCard
	one.Problem = "Something new."
	d.clinic.cards = control.TokenList{Tokens: []control.Token{one}}
	d.clinic.mu.Unlock()
	d.happens(control.Event{Cursor: 1, Says: "The card “Spare” was taken out."})
	d.Until(`document.querySelector("#card-t1").innerText.includes("Something new.") && !document.querySelector("#card-t3")`)
	for what, script := range map[string]string{
		"the tick": `ticked.isConnected && ticked.checked`, "the focus": `document.activeElement === field && field.selectionStart === 2 && field.selectionEnd === 4`,
		"the text": `field.value.includes(" MD")`, "what was chosen": `document.querySelector("#card-t1 select").value === "p-256"`, "what was opened": `document.querySelector("#card-t1 details").open`,
		"the tick of a card that went": `document.querySelector("#card-t2 input[name=signing]").checked && document.querySelector("#card-t2").innerText.includes("This has changed")`,
	} {
		if !d.is(script) {
			t.Errorf("%s is lost", what)
		}
	}
	d.Shoot("kept")
	d.clinic.mu.Lock()
	d.clinic.cards = control.TokenList{Tokens: []control.Token{one, spare}}
	d.clinic.mu.Unlock()
	d.happens(control.Event{Cursor: 2, Says: "It is back."})
	d.Until(`!document.body.innerText.includes("This has changed") && document.querySelectorAll("#deck section").length === 2`)
	if !d.is(`document.querySelector("#card-t2 input[name=signing]").checked`) {
		t.Error("the tick went when the card came back")
	}

	d.open("outbox")
	d.run(`document.querySelectorAll("#list form button")[1].focus(); window.at = document.activeElement`)
	d.clinic.mu.Lock()
	d.clinic.outbox = d.clinic.outbox[1:]
	d.clinic.mu.Unlock()
	d.happens(control.Event{Cursor: 3, Says: "It went."})
	d.Until(`document.querySelectorAll("#list section").length === 1`)
	if !d.is(`document.activeElement === at && at.form.elements.id.value === "o2"`) {
		t.Error("the focus is on another message's button, or on none")
	}
}
