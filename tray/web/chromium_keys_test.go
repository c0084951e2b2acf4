package web

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"countersign/tray/control"
)

// TestPeerRenewInChromium asks for a certificate, installs what came, and gives a lost
// key up.
func TestPeerRenewInChromium(t *testing.T) {
	d := sit(t, false, true)
	d.clinic.mu.Lock()
	d.clinic.status.Certificate = &control.Refusal{Code: "renew", Reason: "Your certificate runs out in 14 days, on 7 December 2026.", Next: "Ask your authority for a new one.", Link: "/setup", Button: "Renew it"}
	d.clinic.mu.Unlock()
	d.open("inbox")
	d.accessible("runs-out")
	d.Shoot("runs-out")
	d.Press("Renew it")
	d.Until(`location.pathname === "/setup"`)
	d.Press("Renew it, with a new key")
	d.Choose("#r-key", "p-256")
	d.accessible("request")
	d.Shoot("request")
	d.Press("Make the key and the request")
	d.Until(`document.querySelector("#note .good")`)
	if got := d.clinic.last("Identities.Request").(control.RequestOrder); got.Key != "p-256" || got.Address != "ada.osei@harbour.example" {
		t.Errorf("asked for %+v", got)
	}
	d.clinic.mu.Lock()
	d.clinic.asked = true
	d.clinic.mu.Unlock()
	d.open("setup")
	d.accessible("requested")
	d.Shoot("requested")
	file := filepath.Join(t.TempDir(), "ada.cer")
	if err := os.WriteFile(file, []byte("a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.Upload("#issued", file)
	d.Press("Install it")
	d.Until(`document.querySelector("#note .good")`)
	if got := d.clinic.uploads["certificate"]; got != "a certificate" {
		t.Errorf("the certificate came as %q", got)
	}
	d.open("settings")
	d.Press("This key is lost, or in other hands")
	d.Do(chromedp.Click(chromedp.CSS("input[name=sure]")))
	d.accessible("give-up")
	d.Press("Give it up")
	d.Until(`document.getElementById("h-lost")`)
	d.accessible("lost")
	d.Shoot("lost")
}
