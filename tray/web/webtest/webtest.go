// Package webtest is a person at Chromium, for tests: they press what the page
// offers by its words, type, choose files, save attachments, and look. The browser
// is a real one, headless, with a profile of its own that goes with the test.
//
// Where Chromium is not installed, [Open] skips the test and says why; with
// COUNTERSIGN_PEERS=required in the environment it fails instead. With
// COUNTERSIGN_SHOTS naming a folder, [Person.Shoot] writes what they see there.
package webtest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

const (
	patience = 30 * time.Second // for anything to come true
	blink    = 15 * time.Millisecond
	height   = 800 // of the window, in pixels
)

// A Person sits at a browser window.
type Person struct {
	t      testing.TB
	ctx    context.Context
	folder string // for what is saved
	shots  string // for pictures, or empty
}

// Open opens an address in a browser of its own, 1280 pixels wide.
func Open(t testing.TB, address string) *Person {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("COUNTERSIGN_PEERS") == "required" {
			t.Fatal("COUNTERSIGN_PEERS=required, but chromium is not installed")
		}
		t.Skip("chromium is not installed: make setup installs it")
	}
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
	})
	p := &Person{t: t, ctx: tab, folder: t.TempDir(), shots: os.Getenv("COUNTERSIGN_SHOTS")}
	p.Do(chromedp.Navigate(address))
	allow := browser.SetDownloadBehaviorParams{Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: p.folder}
	if _, err := chromedp.CallBrowser(tab, browser.SetDownloadBehavior, allow); err != nil {
		t.Fatal(err)
	}
	p.Look(1280, "light")
	return p
}

// Do takes steps of chromedp's own.
func (p *Person) Do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// Of evaluates a script on the page.
func Of[T any](p *Person, script string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](script))
	if err != nil {
		p.t.Fatalf("%s: %v", script, err)
	}
	return v
}

// Until waits for a condition on the page, across its changes.
func (p *Person) Until(script string) {
	p.t.Helper()
	ctx, over := context.WithTimeout(p.ctx, patience)
	defer over()
	for {
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+script+")"))
		if ok && err == nil {
			return
		}
		if ctx.Err() != nil {
			p.t.Fatalf("never true: %s\n%s", script, p.text())
		}
		if err := chromedp.Do(ctx, chromedp.Sleep(blink)); err != nil {
			continue // the time is over: the next turn says so
		}
	}
}

// Sees waits for words anywhere in the part of the page that is for reading.
func (p *Person) Sees(words string) {
	p.t.Helper()
	p.Until(`document.readyState === "complete" && document.body.innerText.includes(` + quote(words) + `)`)
}

// SeesNot fails when the words stand on the page now.
func (p *Person) SeesNot(words string) {
	p.t.Helper()
	if Of[bool](p, `document.body.innerText.includes(`+quote(words)+`)`) {
		p.t.Errorf("the page says %q:\n%s", words, p.text())
	}
}

func (p *Person) text() string {
	text, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`)) // only to tell of it
	return text
}

// Press clicks the visible button, link or summary whose words begin so, once
// there is one.
func (p *Person) Press(words string) {
	p.t.Helper()
	p.press("button, a, summary", "startsWith", words)
}

// Open clicks the line of a list that holds these words, once there is one.
func (p *Person) Open(words string) {
	p.t.Helper()
	p.press("main li a", "includes", words)
}

func (p *Person) press(what, how, words string) {
	p.t.Helper()
	p.Until(`document.readyState === "complete" && (() => {
		const n = [...document.querySelectorAll("` + what + `")].find((n) => n.checkVisibility() && n.textContent.trim().` + how + `(` + quote(words) + `));
		if (n) { n.scrollIntoView({block: "center"}); n.click(); }
		return !!n;
	})()`)
}

// Type types on the keyboard, into whatever has the focus.
func (p *Person) Type(keys string) {
	p.t.Helper()
	p.Do(chromedp.KeyEvent(keys))
}

// drawn waits until the page is there as a whole: a part of it may be seen before, and its
// script has not run then.
func (p *Person) drawn() {
	p.t.Helper()
	p.Until(`document.readyState === "complete"`)
}

// Fill types into the field that a selector finds.
func (p *Person) Fill(selector, text string) {
	p.t.Helper()
	p.drawn()
	p.Do(chromedp.SendKeys(chromedp.CSS(selector), text))
}

// Choose chooses from a list by value.
func (p *Person) Choose(selector, value string) {
	p.t.Helper()
	p.Do(chromedp.SetValue(chromedp.CSS(selector), value))
}

// Upload chooses a file.
func (p *Person) Upload(selector, path string) {
	p.t.Helper()
	p.drawn()
	p.Do(chromedp.SetUploadFiles(chromedp.CSS(selector), []string{path}))
}

// Save presses what saves a file, and returns where it lies then.
func (p *Person) Save(words string) (path string) {
	p.t.Helper()
	before := p.saved()
	p.Press(words)
	for end := time.Now().Add(patience); time.Now().Before(end); {
		for _, name := range p.saved() {
			if !slices.Contains(before, name) {
				return name
			}
		}
		p.Do(chromedp.Sleep(blink))
	}
	p.t.Fatalf("%q saved nothing", words)
	return ""
}

// saved is the files that were downloaded wholly: Chromium gives them their names
// at the end.
func (p *Person) saved() (paths []string) {
	list, err := os.ReadDir(p.folder)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, f := range list {
		if !strings.HasPrefix(f.Name(), ".") && !strings.HasSuffix(f.Name(), ".crdownload") {
			paths = append(paths, filepath.Join(p.folder, f.Name()))
		}
	}
	return paths
}

// Look sets the window's width in pixels and the colour scheme, and stills what
// would move.
func (p *Person) Look(width int64, scheme string) {
	p.t.Helper()
	p.Do(chromedp.EmulateViewport(width, height))
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}
	if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
		p.t.Fatal(err)
	}
}

// Shoot writes the whole page as it looks wide and on a phone, light and dark.
func (p *Person) Shoot(name string) {
	p.t.Helper()
	if p.shots == "" {
		return
	}
	for _, width := range []int64{1280, 390} {
		for _, scheme := range []string{"light", "dark"} {
			p.Look(width, scheme)
			p.write(fmt.Sprintf("%s-%d-%s", name, width, scheme), p.picture(chromedp.FullScreenshot(100)))
		}
	}
	p.Look(1280, "light")
}

// ShootWindow writes what fits into the window, in at most 256 colours: small
// enough for a document.
func (p *Person) ShootWindow(name string, width int64, scheme string) {
	p.t.Helper()
	if p.shots == "" {
		return
	}
	p.Look(width, scheme)
	p.write(name, p.fewColours(p.picture(chromedp.CaptureScreenshot())))
	p.Look(1280, "light")
}

func (p *Person) picture(shoot chromedp.Action[[]byte]) []byte {
	p.t.Helper()
	p.Until(`document.readyState === "complete"`)
	Of[chromedp.Void](p, `scrollTo(0, 0)`)
	data, err := chromedp.Run(p.ctx, shoot)
	if err != nil {
		p.t.Fatal(err)
	}
	return data
}

func (p *Person) write(name string, data []byte) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.shots, name+".png"), data, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// fewColours draws a picture in 256 colours: the commonest, and then one of each
// hue, so that a small mark keeps its colour beside much text.
func (p *Person) fewColours(data []byte) []byte {
	p.t.Helper()
	full, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		p.t.Fatal(err)
	}
	count := map[color.RGBA]int{}
	area := full.Bounds()
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			count[color.RGBAModel.Convert(full.At(x, y)).(color.RGBA)]++
		}
	}
	common := slices.SortedFunc(maps.Keys(count), func(a, b color.RGBA) int { return cmp.Compare(count[b], count[a]) })
	few := image.NewPaletted(area, nil)
	near := map[color.RGBA]bool{}
	for i, c := range common {
		hue := color.RGBA{c.R >> 4, c.G >> 4, c.B >> 4, 0}
		if (i < 64 || !near[hue]) && len(few.Palette) < 256 {
			near[hue] = true
			few.Palette = append(few.Palette, c)
		}
	}
	draw.Draw(few, area, full, area.Min, draw.Src)
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, few); err != nil {
		p.t.Fatal(err)
	}
	return out.Bytes()
}

// quote is a string as a script has it.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""` // a string always has a form in JSON
	}
	return string(b)
}
