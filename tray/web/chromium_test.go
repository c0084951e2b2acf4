package web

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// A desk is a person at Chromium, signed in through a sign-in file as the agent
// opens it.
type desk struct {
	*guest
	ctx context.Context
}

// sit opens a clinic's page in Chromium under its host name of this start.
func sit(t *testing.T, demo, named bool) *desk {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser is not started in a short run")
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("COUNTERSIGN_PEERS") == "required" {
			t.Fatal("chromium is not installed")
		}
		t.Skip("chromium is not installed: make setup installs it")
	}
	g := &guest{t: t, clinic: newClinic(), client: http.DefaultClient}
	g.page, err = New(g.clinic.service(demo), Options{
		PeerIsMe: func(net.Conn) (bool, error) { return true, nil },
		Resolves: func(context.Context) bool { return named },
		Clock:    func() time.Time { return monday }, Zone: time.UTC,
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.page.Serve(ctx, l) }()

	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-quic", true))
	if os.Geteuid() == 0 {
		opts = append(opts, chromedp.NoSandbox)
	}
	alloc, closeBrowser := chromedp.NewExecAllocator(context.Background(), opts...)
	tab, closeTab := chromedp.NewContext(alloc)
	t.Cleanup(func() {
		closeTab()
		closeBrowser()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	d := &desk{guest: g, ctx: tab}
	file, err := g.page.SignInFile(filepath.Join(t.TempDir(), "private"))
	if err != nil {
		t.Fatal(err)
	}
	d.do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate("file://"+file))
	d.until(`document.getElementById("main") && document.readyState === "complete"`)
	if _, err := os.Stat(file); err == nil {
		t.Error("the sign-in file is still there after it was used")
	}
	return d
}

func (d *desk) do(steps ...chromedp.Action[chromedp.Void]) {
	d.t.Helper()
	if err := chromedp.Do(d.ctx, steps...); err != nil {
		d.t.Fatal(err)
	}
}

// of evaluates a script on the page.
func of[T any](d *desk, script string) T {
	d.t.Helper()
	v, err := chromedp.Run(d.ctx, chromedp.Evaluate[T](script))
	if err != nil {
		d.t.Fatalf("%s: %v", script, err)
	}
	return v
}

// visit opens one of the pages by its address, as a link would.
func (d *desk) visit(path string) {
	d.t.Helper()
	of[chromedp.Void](d, `window.left = 1; location.assign(document.baseURI + "`+path+`")`)
	d.until(`window.left !== 1 && document.readyState === "complete"`)
}

// until waits for a condition on the page, across its changes.
func (d *desk) until(script string) {
	d.t.Helper()
	ctx, over := context.WithTimeout(d.ctx, 20*time.Second)
	defer over()
	for {
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+script+")"))
		if ok && err == nil {
			return
		}
		if ctx.Err() != nil {
			text, _ := chromedp.Run(d.ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
			d.t.Fatalf("never true: %s\n%s", script, text)
		}
		if err := chromedp.Do(ctx, chromedp.Sleep(15*time.Millisecond)); err != nil {
			continue // the time is over: the next turn says so
		}
	}
}

// look sets the width, the scheme and whether things may move.
func (d *desk) look(px int64, scheme string) {
	d.t.Helper()
	d.do(chromedp.EmulateViewport(px, 900))
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}
	if _, err := chromedp.Call(d.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
		d.t.Fatal(err)
	}
}

var (
	widths  = map[string]int64{"phone": 390, "tablet": 820, "wide": 1280}
	schemes = []string{"light", "dark"}
)

// shoot writes the page as it looks, in every width, light and dark, if there
// is a folder for it.
func (d *desk) shoot(name string) {
	d.t.Helper()
	folder := os.Getenv("COUNTERSIGN_SHOTS")
	if folder == "" {
		return
	}
	d.until(`document.readyState === "complete"`)
	for width, px := range widths {
		for _, scheme := range schemes {
			if width == "tablet" && scheme == "dark" {
				continue
			}
			d.look(px, scheme)
			of[chromedp.Void](d, `scrollTo(0, 0)`)
			png, err := chromedp.Run(d.ctx, chromedp.FullScreenshot(100))
			if err != nil {
				d.t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%s-%s-%s.png", name, width, scheme)), png, 0o600); err != nil {
				d.t.Fatal(err)
			}
		}
	}
	d.look(1280, "light")
}

// TestPeerEveryPageInChromium draws every page in every width and checks what a
// person with a keyboard, a screen reader or weak eyes needs.
func TestPeerEveryPageInChromium(t *testing.T) {
	d := sit(t, false, true)
	named := map[string]string{
		"inbox": "inbox", "message": "message/m1", "test": "message/m3", "unsecured": "message/m4", "other-key": "message/m5",
		"write": "write/draftaaaaaaaaaaaaaaaaaaaaa", "blank": "write", "drafts": "drafts", "outbox": "outbox", "contacts": "contacts",
		"contact": "contacts/" + d.person("bea.brandt@northclinic.example"), "confirmed": "contacts/" + d.person("bea.brandt@northclinic.example") + "/verify",
		"verify": "contacts/" + d.person("imran.shah@northclinic.example") + "/verify", "send-test": "contacts/" + d.person("lena.falk@harbour.example") + "/verify",
		"mismatch": "contacts/" + d.person("o.marsh@oldtown.example") + "/verify", "stranger": "contacts/" + d.person("nobody@elsewhere.example"),
		"words": "words", "record": "record", "settings": "settings", "setup": "setup",
	}
	check, err := os.ReadFile("testdata/accessible.js")
	if err != nil {
		t.Fatal(err)
	}
	for name, path := range named {
		d.visit(path)
		for _, px := range widths {
			for _, scheme := range schemes {
				d.look(px, scheme)
				for _, w := range of[[]string](d, string(check)) {
					t.Errorf("%s, %d px, %s: %s", name, px, scheme, w)
				}
			}
		}
		d.shoot(name)
	}
}

// TestPeerSignInWithoutName signs in where names under .localhost are not
// found: the secret stands in the path, and the cookie goes nowhere else.
func TestPeerSignInWithoutName(t *testing.T) {
	d := sit(t, false, false)
	d.visit("contacts")
	if where := of[string](d, `location.href`); !strings.HasPrefix(where, "http://127.0.0.1:") || !strings.Contains(where, d.page.Base()) {
		t.Errorf("the page is at %s", where)
	}
	if cookies := of[string](d, `document.cookie`); cookies != "" {
		t.Errorf("the script sees cookies: %s", cookies)
	}
}
