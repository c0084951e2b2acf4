package web

import (
	"net/http"
	"strings"
	"testing"

	"countersign/tray/control"
)

// TestRenewing: a request is made, saved, and answered with a certificate.
func TestRenewing(t *testing.T) {
	g := open(t, true)
	g.clinic.asked = true
	_, body := g.get("setup")
	for _, want := range []string{"Asked for on ", "setup/identity/request?id=r1", "Install the certificate", "Take it back"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	resp, body := g.get("setup/identity/request?id=r1")
	if resp.StatusCode != http.StatusOK || body != asked.PEM || !strings.Contains(resp.Header.Get("Content-Disposition"), ".csr") {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
	if resp, _ := g.get("setup/identity/request?id=r2"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("another request: %d", resp.StatusCode)
	}
	body = g.follow(g.upload("setup/identity/install", "file:ada.cer", "a certificate"))
	if g.clinic.uploads["certificate"] != "a certificate" || !strings.Contains(body, "Make a new recovery file.") {
		t.Errorf("%q", g.clinic.uploads["certificate"])
	}
	g.clinic.status.Certificate = &control.Refusal{Code: "renew", Reason: "Your certificate runs out in 7 days.", Next: "Ask for a new one.", Link: "/setup", Button: "Renew it"}
	if _, body := g.get("inbox"); !strings.Contains(body, "Your certificate runs out in 7 days.") || !strings.Contains(body, "Renew it") {
		t.Error("the inbox does not say that the certificate runs out")
	}
}

// TestGivingUp: a lost key is given up after a yes only, and the page says whom to call.
func TestGivingUp(t *testing.T) {
	g := open(t, true)
	g.post("setup/identity/lost", "id", "i1")
	if g.clinic.called("Identities.Lost") != 0 {
		t.Error("given up without a yes")
	}
	_, body := g.post("setup/identity/lost", "id", "i1", "sure", "yes")
	if got := g.clinic.last("Identities.Lost"); got != (control.LostOrder{ID: "i1"}) {
		t.Errorf("%+v", got)
	}
	for _, want := range []string{"0A1B 2C", "+44 20 7946 0123", "Dr Imran Shah", "met in person", "revocation desk"} {
		if !strings.Contains(body, want) && !strings.Contains(body, strings.ReplaceAll(want, "+", "&#43;")) {
			t.Errorf("the page lacks %q", want)
		}
	}
	g.clinic.fail["Identities.Lost"] = &control.Error{Says: "There is no such certificate of yours."}
	if body := g.follow(g.post("setup/identity/lost", "id", "i9", "sure", "yes")); !strings.Contains(body, "no such certificate") {
		t.Error("a failure is not told")
	}
}
