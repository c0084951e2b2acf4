package web

import (
	"bytes"
	"context"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"
)

// A guest is a browser that is signed in, as far as HTTP goes.
type guest struct {
	t      *testing.T
	clinic *clinic
	page   *Page
	base   string // with the slash
	origin string
	token  string
	client *http.Client
	stop   context.CancelFunc // ends the server
}

// serve serves a clinic's page, under a host name or under a path.
func serve(t *testing.T, demo, named bool) *guest {
	t.Helper()
	g := &guest{t: t, clinic: newClinic(), client: http.DefaultClient}
	var err error
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
	g.origin = "http://" + l.Addr().String()
	var ctx context.Context
	ctx, g.stop = context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.page.Serve(ctx, l) }()
	t.Cleanup(func() {
		g.stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return g
}

// open serves a clinic's page and signs a guest in.
func open(t *testing.T, demo bool) *guest {
	t.Helper()
	g := serve(t, demo, false)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	g.client = &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	g.base = g.origin + g.page.Base()
	g.do("GET", g.page.Address(), "", nil)
	_, body := g.get("settings")
	_, rest, _ := strings.Cut(body, `name="token" value="`)
	g.token, _, _ = strings.Cut(rest, `"`)
	return g
}

func (g *guest) do(method, address, kind string, body io.Reader) (*http.Response, string) {
	g.t.Helper()
	r, err := http.NewRequest(method, address, body)
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if method == "POST" {
		r.Header.Set("Origin", g.origin)
		r.Header.Set("Content-Type", kind)
	}
	resp, err := g.client.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return resp, string(b)
}

func (g *guest) get(path string) (*http.Response, string) {
	g.t.Helper()
	return g.do("GET", g.base+path, "", nil)
}

// post sends an ordinary form: names and values by turns.
func (g *guest) post(path string, pairs ...string) (*http.Response, string) {
	g.t.Helper()
	f := url.Values{"token": {g.token}}
	for i := 0; i+1 < len(pairs); i += 2 {
		f.Add(pairs[i], pairs[i+1])
	}
	return g.do("POST", g.base+path, "application/x-www-form-urlencoded", strings.NewReader(f.Encode()))
}

// upload sends a form with files: names and values by turns; a name with a
// colon is a file's field and name.
func (g *guest) upload(path string, pairs ...string) (*http.Response, string) {
	g.t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	w.WriteField("token", g.token)
	for i := 0; i+1 < len(pairs); i += 2 {
		if field, name, ok := strings.Cut(pairs[i], ":"); ok {
			f, _ := w.CreateFormFile(field, name)
			io.WriteString(f, pairs[i+1])
		} else {
			w.WriteField(pairs[i], pairs[i+1])
		}
	}
	w.Close()
	return g.do("POST", g.base+path, w.FormDataContentType(), &b)
}

// follow goes where an answered change leads and returns that page.
func (g *guest) follow(resp *http.Response, _ string) string {
	g.t.Helper()
	if resp.StatusCode != http.StatusSeeOther {
		g.t.Fatalf("status %d, want a redirect", resp.StatusCode)
	}
	_, body := g.do("GET", g.origin+resp.Header.Get("Location"), "", nil)
	return body
}

func (g *guest) person(address string) string { return g.page.names.Opaque(address) }

func (g *guest) wants(body string, parts ...string) {
	g.t.Helper()
	for _, p := range parts {
		if !strings.Contains(body, p) {
			g.t.Errorf("the page lacks %q:\n%s", p, body)
		}
	}
}

func (g *guest) lacks(body string, parts ...string) {
	g.t.Helper()
	for _, p := range parts {
		if strings.Contains(body, p) {
			g.t.Errorf("the page has %q", p)
		}
	}
}

// everyPage is each page there is, in the clinic.
func (g *guest) everyPage() []string {
	pages := []string{"inbox", "sent", "write", "write/draftaaaaaaaaaaaaaaaaaaaaa", "drafts", "outbox", "contacts", "words", "record", "settings", "setup", "no-such-page"}
	for _, m := range g.clinic.messages {
		pages = append(pages, "message/"+m.ID)
	}
	for _, p := range g.clinic.people {
		pages = append(pages, "contacts/"+g.person(p.Address), "contacts/"+g.person(p.Address)+"/verify")
	}
	return append(pages, "contacts/"+g.person("nobody@elsewhere.example"))
}

func TestEveryPageIsDrawn(t *testing.T) {
	for _, demo := range []bool{false, true} {
		g := open(t, demo)
		for _, path := range g.everyPage() {
			resp, body := g.get(path)
			if want := path != "no-such-page"; (resp.StatusCode == 200) != want {
				t.Errorf("%s: status %d", path, resp.StatusCode)
			}
			g.wants(body, "<title>Countersign</title>", "</html>", `id="main"`)
			if strings.Count(body, "<h1") != 1 {
				t.Errorf("%s: %d headings of the first order", path, strings.Count(body, "<h1"))
			}
			if strings.Contains(body, `id="phone"`) != demo {
				t.Errorf("%s: telephone panel %v, demo %v", path, !demo, demo)
			}
		}
	}
}
