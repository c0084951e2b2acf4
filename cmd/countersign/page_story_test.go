package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/rogpeppe/go-internal/testscript"

	"countersign/mailer/server/servertest"
	"countersign/tray/web/webtest"
)

// TestPeerCardPages runs the stories of people with a card who use the page: a real agent,
// SoftHSM, and Chromium.
func TestPeerCardPages(t *testing.T) {
	long(t)
	needCards(t)
	if _, err := exec.LookPath("chromium"); err != nil {
		servertest.Absent(t, "chromium is not installed: make setup installs it")
	}
	p := stories(openEmbeddedOffice)
	p.Dir = "testdata/pages"
	testscript.Run(t, p)
}

// browsing is the window at which a story sits. A story has one at a time.
type browsing struct{ at *webtest.Person }

type browsingKey struct{}

func theWindow(ts *testscript.TestScript) *webtest.Person {
	at := ts.Value(browsingKey{}).(*browsing).at
	if at == nil {
		ts.Fatalf("nobody sits at the page")
	}
	return at
}

// sit opens the page at the address that was printed last.
func sit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: sit")
	}
	b := ts.Value(browsingKey{}).(*browsing)
	b.at = webtest.Open(theWorld(ts).t, strings.TrimSpace(ts.ReadFile("stdout")))
	b.at.Until(`document.getElementById("main")`)
}

// press WORDS (pressButton) presses a button or link; press -row WORDS the line of a list; press -box
// SELECTOR ticks.
func pressButton(ts *testscript.TestScript, neg bool, args []string) {
	w := theWindow(ts)
	switch {
	case !neg && len(args) == 1:
		w.Press(args[0])
	case !neg && len(args) == 2 && args[0] == "-row":
		w.Open(args[1])
	case !neg && len(args) == 2 && args[0] == "-box":
		w.Do(chromedp.Click(chromedp.CSS(args[1])))
	default:
		ts.Fatalf("usage: press [-row|-box] WHAT")
	}
}

// sees TEXT... waits until the page says all of it; with ! it must not say any of it now.
func sees(ts *testscript.TestScript, neg bool, args []string) {
	for _, words := range args {
		if neg {
			theWindow(ts).SeesNot(words)
		} else {
			theWindow(ts).Sees(words)
		}
	}
}

// fill SELECTOR TEXT types into a field, chooses of a list, or chooses a file.
func fill(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fill SELECTOR TEXT")
	}
	w := theWindow(ts)
	switch webtest.Of[string](w, `document.querySelector("`+args[0]+`").type`) {
	case "file":
		w.Upload(args[0], ts.MkAbs(args[1]))
	case "select-one":
		w.Choose(args[0], args[1])
	default:
		w.Fill(args[0], args[1])
	}
}

// saves WORDS FILE presses what saves a file.
func saves(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: saves WORDS FILE")
	}
	data, err := os.ReadFile(theWindow(ts).Save(args[0]))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), data, 0o600))
}

// looks NAME looks at the page in every width, as somebody with a keyboard, a screen reader
// or weak eyes, and takes its picture.
func looks(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: looks NAME")
	}
	check, err := os.ReadFile("../../tray/web/testdata/accessible.js")
	ts.Check(err)
	w := theWindow(ts)
	for _, width := range []int64{390, 820, 1280} {
		for _, scheme := range []string{"light", "dark"} {
			w.Look(width, scheme)
			for _, wrong := range webtest.Of[[]string](w, string(check)) {
				theWorld(ts).t.Errorf("%s, %d px, %s: %s", args[0], width, scheme, wrong)
			}
		}
	}
	w.Look(1280, "light")
	w.Shoot(args[0])
	w.ShootWindow(args[0], 1280, "light")
}
