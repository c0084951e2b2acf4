package web

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"countersign/tray/control"
	"countersign/tray/web/webtest"
)

// A desk is a person at Chromium, signed in through a sign-in file as the agent
// opens it.
type desk struct {
	*guest
	*webtest.Person
}

// sit opens a clinic's page in Chromium, under its host name of this start or
// under the secret in its path.
func sit(t *testing.T, demo, named bool) *desk {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser is not started in a short run")
	}
	g := serve(t, demo, named)
	file, err := g.page.SignInFile(filepath.Join(t.TempDir(), "private"))
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{guest: g, Person: webtest.Open(t, "file://"+file)}
	d.Until(`document.getElementById("main") && document.readyState === "complete"`)
	if _, err := os.Stat(file); err == nil {
		t.Error("the sign-in file is still there after it was used")
	}
	return d
}

// open opens one of the pages by its address, as a link would.
func (d *desk) open(path string) {
	d.t.Helper()
	d.run(`window.left = 1; location.assign(document.baseURI + "` + path + `")`)
	d.Until(`window.left !== 1 && document.readyState === "complete"`)
}

// run runs a script on the page for what it does.
func (d *desk) run(script string) {
	d.t.Helper()
	webtest.Of[chromedp.Void](d.Person, script)
}

// is tells whether something is so on the page now.
func (d *desk) is(script string) bool {
	d.t.Helper()
	return webtest.Of[bool](d.Person, "!!("+script+")")
}

// reads returns a text on the page.
func (d *desk) reads(script string) string {
	d.t.Helper()
	return webtest.Of[string](d.Person, script)
}

var (
	widths  = []int64{390, 820, 1280} // a phone, a tablet, a desk
	schemes = []string{"light", "dark"}
)

// accessible looks at the page in every width, and reports what a person with a
// keyboard, a screen reader or weak eyes would miss.
func (d *desk) accessible(name string) {
	d.t.Helper()
	check, err := os.ReadFile("testdata/accessible.js")
	if err != nil {
		d.t.Fatal(err)
	}
	for _, px := range widths {
		for _, scheme := range schemes {
			d.Look(px, scheme)
			for _, w := range webtest.Of[[]string](d.Person, string(check)) {
				d.t.Errorf("%s, %d px, %s: %s", name, px, scheme, w)
			}
		}
	}
}

// TestPeerEveryPageInChromium draws every page in every width and checks what a
// person with a keyboard, a screen reader or weak eyes needs.
func TestPeerEveryPageInChromium(t *testing.T) {
	d := sit(t, false, true)
	d.clinic.cards = control.TokenList{Tokens: []control.Token{adasCard, {ID: "t2", Label: "Spare", Problem: "It is locked."}}, Waiting: 2, PINMinutes: 15, Problems: []string{"old.so: It does not answer."}}
	d.clinic.movable = true
	named := map[string]string{
		"inbox": "inbox", "message": "message/m1", "test": "message/m3", "unsecured": "message/m4", "other-key": "message/m5",
		"write": "write/draftaaaaaaaaaaaaaaaaaaaaa", "blank": "write", "drafts": "drafts", "outbox": "outbox", "contacts": "contacts",
		"contact": "contacts/" + d.person("bea.brandt@northclinic.example"), "confirmed": "contacts/" + d.person("bea.brandt@northclinic.example") + "/verify",
		"verify": "contacts/" + d.person("imran.shah@northclinic.example") + "/verify", "send-test": "contacts/" + d.person("lena.falk@harbour.example") + "/verify",
		"mismatch": "contacts/" + d.person("o.marsh@oldtown.example") + "/verify", "stranger": "contacts/" + d.person("nobody@elsewhere.example"),
		"words": "words", "record": "record", "settings": "settings", "setup": "setup", "cards": "cards", "lists": "lists",
	}
	for name, path := range named {
		d.open(path)
		d.accessible(name)
		d.Shoot(name)
		d.ShootWindow(name+"-820-light", 820, "light")
	}
}

// TestPeerSignInWithoutName signs in where names under .localhost are not
// found: the secret stands in the path, and the cookie goes nowhere else.
func TestPeerSignInWithoutName(t *testing.T) {
	d := sit(t, false, false)
	d.open("contacts")
	if where := d.reads(`location.href`); !strings.HasPrefix(where, "http://127.0.0.1:") || !strings.Contains(where, d.page.Base()) {
		t.Errorf("the page is at %s", where)
	}
	if cookies := d.reads(`document.cookie`); cookies != "" {
		t.Errorf("the script sees cookies: %s", cookies)
	}
}
