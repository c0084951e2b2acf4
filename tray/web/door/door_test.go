package door

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A house is a door that is served, with a clock to turn.
type house struct {
	*Door
	t       *testing.T
	mu      sync.Mutex
	now     time.Time
	entered []string // method and path of what was let in
	client  http.Client
	stop    context.CancelFunc // ends Serve
}

func open(t *testing.T, named bool, peer func(net.Conn) (bool, error)) *house {
	t.Helper()
	h := &house{t: t, now: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)}
	if peer == nil {
		peer = func(net.Conn) (bool, error) { return true, nil }
	}
	var err error
	h.Door, err = New(Options{
		PeerIsMe: peer,
		Resolves: func(context.Context) bool { return named },
		Inside: func(w http.ResponseWriter, r *http.Request, v Visitor) {
			h.mu.Lock()
			h.entered = append(h.entered, r.Method+" "+r.URL.Path)
			h.mu.Unlock()
			if v.Session != nil {
				io.WriteString(w, v.Session.Token)
			}
			if v.Parts != nil {
				for part, err := v.Parts.NextPart(); err == nil; part, err = v.Parts.NextPart() {
					io.WriteString(w, " "+part.FormName()+"="+part.FileName())
				}
			}
		},
		Style: "/style.css",
		Hold:  func() any { return "held" },
		Clock: func() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	h.stop = stop
	done := make(chan error, 1)
	go func() { done <- h.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	// Any name under .localhost is this machine; nothing is asked of a resolver.
	h.client = http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, l.Addr().String())
		}},
	}
	t.Cleanup(h.client.CloseIdleConnections)
	return h
}

func (h *house) turn(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func (h *house) visits() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.entered)
}

// ask sends a request with the headers named by turns; "" takes one away.
func (h *house) ask(method, address string, body io.Reader, headers ...string) (*http.Response, string) {
	h.t.Helper()
	r, err := http.NewRequest(method, address, body)
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for i := 0; i < len(headers); i += 2 {
		switch name, value := headers[i], headers[i+1]; {
		case name == "Host":
			r.Host = value
		case value == "":
			r.Header.Del(name)
		default:
			r.Header.Set(name, value)
		}
	}
	resp, err := h.client.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return resp, string(b)
}

func (h *house) home() string { <-h.ready; return h.origin + h.base }

// signIn returns a session's cookie and token.
func (h *house) signIn() (cookie, token string) {
	h.t.Helper()
	resp, _ := h.ask("GET", h.Address(), nil)
	if resp.StatusCode != 200 || len(resp.Cookies()) != 1 {
		h.t.Fatalf("signing in: %d %v", resp.StatusCode, resp.Cookies())
	}
	c := resp.Cookies()[0]
	cookie = c.Name + "=" + c.Value
	_, token = h.ask("GET", h.home(), nil, "Cookie", cookie)
	return cookie, token
}

func TestSignIn(t *testing.T) {
	for name, named := range map[string]bool{"name": true, "path": false} {
		t.Run(name, func(t *testing.T) {
			h := open(t, named, nil)
			address := h.Address()
			host, path, _ := strings.Cut(strings.TrimPrefix(address, "http://"), "/")
			if named != strings.Contains(host, ".localhost:") || named == strings.HasPrefix(path, h.secret) {
				t.Fatalf("the address is %s", address)
			}
			if name, _, _ := strings.Cut(host, "."); named && (name != h.secret || len(name) != 26) {
				t.Errorf("the host is %s", host)
			}
			for _, as := range [][]string{{"no-cors", "image"}, {"navigate", "iframe"}, {"cors", "empty"}, {"", ""}} { // another site that guessed
				resp, _ := h.ask("GET", address, nil, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", as[0], "Sec-Fetch-Dest", as[1])
				if resp.StatusCode != 403 || len(resp.Cookies()) != 0 {
					t.Errorf("as %v: %d", as, resp.StatusCode)
				}
			}
			// As Chromium opens it from the sign-in file.
			resp, body := h.ask("GET", address, nil, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document")
			if resp.StatusCode != 200 || !strings.Contains(body, `content="0;url=`+h.base+`"`) {
				t.Fatalf("%d %s", resp.StatusCode, body)
			}
			c := resp.Cookies()[0]
			if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Domain != "" || c.Path != h.base || c.MaxAge != 0 || !c.Expires.IsZero() || len(c.Value) != 26 {
				t.Errorf("the cookie is %+v", c)
			}
			if resp, _ := h.ask("GET", address, nil); resp.StatusCode != 403 || len(resp.Cookies()) != 0 {
				t.Errorf("the address worked twice: %d", resp.StatusCode)
			}
			if resp, _ := h.ask("GET", h.home(), nil, "Cookie", c.Name+"="+c.Value); resp.StatusCode != 200 {
				t.Errorf("signed in, yet %d", resp.StatusCode)
			}
		})
	}
}

func TestSignInIsOver(t *testing.T) {
	h := open(t, true, nil)
	late := h.Address()
	h.turn(keyLife)
	if resp, _ := h.ask("GET", late, nil); resp.StatusCode != 403 {
		t.Errorf("an old address: %d", resp.StatusCode)
	}
	for name, address := range map[string]string{
		"a guess":  h.home() + "in/aaaaaaaaaaaaaaaaaaaaaaaaaa",
		"nothing":  h.home() + "in/",
		"the host": h.home() + "in/" + h.secret,
	} {
		if resp, _ := h.ask("GET", address, nil); resp.StatusCode != 403 || len(resp.Cookies()) != 0 {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
	good := h.Address()
	if resp, _ := h.ask("HEAD", good, nil); resp.StatusCode != 403 {
		t.Errorf("HEAD signed in: %d", resp.StatusCode)
	}
	first := h.Address()
	for range keyCount {
		h.turn(time.Second)
		h.Address()
	}
	if resp, _ := h.ask("GET", first, nil); resp.StatusCode != 403 {
		t.Errorf("more than %d addresses are good at once", keyCount)
	}
}

// TestAdmission is rule F1, a header at a time. Each request is good but for
// what its line says.
func TestAdmission(t *testing.T) {
	for _, named := range []bool{true, false} {
		h := open(t, named, nil)
		cookie, token := h.signIn()
		port := h.host[strings.LastIndex(h.host, ":"):]
		get := []string{"Cookie", cookie}
		post := []string{"Cookie", cookie, "Origin", h.origin, "Content-Type", "application/x-www-form-urlencoded"}
		form := "token=" + token + "&x=1"
		for _, c := range []struct {
			name    string
			method  string
			path    string
			body    string
			headers []string
			status  int
		}{
			{"a page", "GET", "inbox", "", nil, 200},
			{"a page typed in", "GET", "inbox", "", []string{"Sec-Fetch-Site", "none"}, 200},
			{"a page's head", "HEAD", "inbox", "", nil, 200},
			{"a form", "POST", "send", form, nil, 200},

			{"no cookie", "GET", "inbox", "", []string{"Cookie", ""}, 403},
			{"another cookie", "GET", "inbox", "", []string{"Cookie", "countersign=aaaaaaaaaaaaaaaaaaaaaaaaaa"}, 403},
			{"the token as cookie", "GET", "inbox", "", []string{"Cookie", "countersign=" + token}, 403},
			{"the style sheet without cookie", "GET", "style.css", "", []string{"Cookie", ""}, 200},
			{"the style sheet posted without cookie", "POST", "style.css", form, []string{"Cookie", ""}, 403},

			{"another host", "GET", "inbox", "", []string{"Host", "localhost" + port}, 403},
			{"the address as host", "GET", "inbox", "", []string{"Host", "evil.example" + port}, 403},
			{"the host without port", "GET", "inbox", "", []string{"Host", strings.TrimSuffix(h.host, port)}, 403},
			{"the host with a dot", "GET", "inbox", "", []string{"Host", strings.TrimSuffix(h.host, port) + "." + port}, 403},
			{"another start's host", "GET", "inbox", "", []string{"Host", "aaaaaaaaaaaaaaaaaaaaaaaaaa.localhost" + port}, 403},

			{"no word where from", "GET", "inbox", "", []string{"Sec-Fetch-Site", ""}, 403},
			{"from another site", "GET", "inbox", "", []string{"Sec-Fetch-Site", "cross-site"}, 403},
			{"from another site, as a window", "GET", "inbox", "", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 403},
			{"from another port", "GET", "inbox", "", []string{"Sec-Fetch-Site", "same-site"}, 403},
			{"a made-up site", "GET", "inbox", "", []string{"Sec-Fetch-Site", "same-origin, none"}, 403},
			{"with another origin", "GET", "inbox", "", []string{"Origin", "http://evil.example"}, 403},
			{"with our origin", "GET", "inbox", "", []string{"Origin", h.origin}, 200},

			{"a form without origin", "POST", "send", form, []string{"Origin", ""}, 403},
			{"a form with origin null", "POST", "send", form, []string{"Origin", "null"}, 403},
			{"a form from another origin", "POST", "send", form, []string{"Origin", "http://evil.example"}, 403},
			{"a form from our host over TLS", "POST", "send", form, []string{"Origin", "https://" + h.host}, 403},
			{"a form from another port", "POST", "send", form, []string{"Origin", strings.TrimSuffix(h.origin, port) + ":1"}, 403},
			{"a form typed in", "POST", "send", form, []string{"Sec-Fetch-Site", "none"}, 403},
			{"a form without word where from", "POST", "send", form, []string{"Sec-Fetch-Site", ""}, 403},
			{"a form from another site", "POST", "send", form, []string{"Sec-Fetch-Site", "cross-site"}, 403},
			{"a form to the sign-in from another site", "POST", "in/x", form, []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 403},
			{"a form without token", "POST", "send", "x=1", nil, 403},
			{"a form with an empty token", "POST", "send", "token=", nil, 403},
			{"a form with another token", "POST", "send", "token=aaaaaaaaaaaaaaaaaaaaaaaaaa", nil, 403},
			{"a form with the token in the address", "POST", "send?token=" + token, "x=1", nil, 403},
			{"a form without session", "POST", "send", form, []string{"Cookie", ""}, 403},
			{"a form as text", "POST", "send", form, []string{"Content-Type", "text/plain"}, 415},
			{"a form as JSON", "POST", "send", `{"token":"` + token + `"}`, []string{"Content-Type", "application/json"}, 415},
			{"a form of no kind", "POST", "send", form, []string{"Content-Type", ""}, 415},
			{"a form that is too large", "POST", "send", form + strings.Repeat("y", maxForm), nil, 400},

			{"PUT", "PUT", "send", form, nil, 405},
			{"DELETE", "DELETE", "send", "", nil, 405},
			{"OPTIONS", "OPTIONS", "send", "", nil, 405},
			{"TRACE", "TRACE", "send", "", nil, 405},
		} {
			headers := slices.Clone(get)
			if c.method == "POST" {
				headers = slices.Clone(post)
			}
			before := len(h.visits())
			resp, body := h.ask(c.method, h.home()+c.path, strings.NewReader(c.body), append(headers, c.headers...)...)
			if resp.StatusCode != c.status {
				t.Errorf("%s: %d, want %d: %s", c.name, resp.StatusCode, c.status, body)
			}
			if entered := len(h.visits()) > before; entered != (c.status == 200) {
				t.Errorf("%s: let in %v", c.name, entered)
			}
			if resp.StatusCode != 200 && strings.Contains(c.name, "host") && strings.Contains(body, h.secret) {
				t.Errorf("%s: the answer tells the secret", c.name)
			}
			sealed(t, c.name, resp)
		}
	}
}

// sealed checks the headers that every answer carries.
func sealed(t *testing.T, name string, resp *http.Response) {
	t.Helper()
	for header, want := range map[string]string{
		"Cache-Control":                "no-store",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Referrer-Policy":              "same-origin",
		"X-Content-Type-Options":       "nosniff",
		"Content-Security-Policy":      Policy,
	} {
		if got := resp.Header.Get(header); got != want {
			t.Errorf("%s: %s is %q", name, header, got)
		}
	}
}

func TestPolicyAllowsNothingInline(t *testing.T) {
	for _, must := range []string{"default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'self'", "require-trusted-types-for 'script'", "trusted-types 'none'"} {
		if !strings.Contains(Policy, must) {
			t.Errorf("the policy lacks %s", must)
		}
	}
	for _, never := range []string{"unsafe", "nonce", "*", "data:", "blob:", "http"} {
		if strings.Contains(Policy, never) {
			t.Errorf("the policy allows %s", never)
		}
	}
}

// TestSecretInPath: where no name resolves, nothing is answered outside the
// secret path, and no answer there tells it.
func TestSecretInPath(t *testing.T) {
	h := open(t, false, nil)
	cookie, _ := h.signIn()
	for _, path := range []string{"/", "/inbox", "/style.css", "/in/x", "/" + strings.Repeat("a", 26) + "/", "/" + h.secret, "//" + h.secret + "/inbox", "/x/../" + h.secret + "/inbox"} {
		resp, body := h.ask("GET", h.origin+path, nil, "Cookie", cookie)
		if resp.StatusCode != 403 || strings.Contains(body, h.secret) {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	if n := len(h.visits()); n != 1 {
		t.Errorf("%d visits", n)
	}
}

func TestFormWithFile(t *testing.T) {
	h := open(t, true, nil)
	cookie, token := h.signIn()
	send := func(fields ...string) (*http.Response, string) {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		for i := 0; i < len(fields); i += 2 {
			w.WriteField(fields[i], fields[i+1])
		}
		f, err := w.CreateFormFile("file", "echo.pdf")
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(f, "EF 45")
		w.Close()
		return h.ask("POST", h.home()+"attach", &b, "Cookie", cookie, "Origin", h.origin, "Content-Type", w.FormDataContentType())
	}
	if resp, body := send("token", token, "to", "bea"); resp.StatusCode != 200 || body != token+" to= file=echo.pdf" {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
	for name, fields := range map[string][]string{
		"no token":            nil,
		"another token":       {"token", "aaaaaaaaaaaaaaaaaaaaaaaaaa"},
		"token second":        {"to", "bea", "token", token},
		"token and more":      {"token", token + "x"},
		"a token without end": {"token", token + strings.Repeat("x", 1<<20)},
	} {
		if resp, _ := send(fields...); resp.StatusCode != 403 {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
	if resp, _ := h.ask("POST", h.home()+"attach", strings.NewReader("x"), "Cookie", cookie, "Origin", h.origin, "Content-Type", "multipart/form-data"); resp.StatusCode != 400 {
		t.Errorf("no boundary: %d", resp.StatusCode)
	}
}

// TestStrangersHearNothing: a peer of another user, or one that cannot be told,
// is not even answered.
func TestStrangersHearNothing(t *testing.T) {
	for name, peer := range map[string]func(net.Conn) (bool, error){
		"another user": func(net.Conn) (bool, error) { return false, nil },
		"unknown":      func(net.Conn) (bool, error) { return true, errors.New("no such socket") },
	} {
		h := open(t, true, peer)
		resp, err := h.client.Get(h.Address())
		if err == nil {
			resp.Body.Close()
			t.Errorf("%s: answered %d", name, resp.StatusCode)
		}
	}
}

func TestPeerIsRequired(t *testing.T) {
	if _, err := New(Options{Inside: func(http.ResponseWriter, *http.Request, Visitor) {}}); err == nil {
		t.Error("a door without PeerIsMe was made")
	}
	if _, err := New(Options{PeerIsMe: func(net.Conn) (bool, error) { return true, nil }}); err == nil {
		t.Error("a door to nowhere was made")
	}
}

func TestSessionsEnd(t *testing.T) {
	h := open(t, true, nil)
	status := func(cookie string) int {
		resp, _ := h.ask("GET", h.home(), nil, "Cookie", cookie)
		return resp.StatusCode
	}
	cookie, _ := h.signIn()
	h.turn(idleLimit)
	if status(cookie) != 200 {
		t.Error("a session in use ended")
	}
	h.turn(idleLimit + 1)
	if status(cookie) != 403 {
		t.Error("an idle session did not end")
	}

	cookie, _ = h.signIn()
	address := h.Address()
	var ended []<-chan struct{}
	h.Door.mu.Lock()
	for _, s := range h.seats {
		ended = append(ended, s.Ended)
		if s.Held != "held" {
			t.Errorf("a session carries %v", s.Held)
		}
	}
	h.Door.mu.Unlock()
	h.Lock()
	for _, e := range ended {
		<-e
	}
	if status(cookie) != 403 {
		t.Error("a session outlived the lock")
	}
	if resp, _ := h.ask("GET", address, nil); resp.StatusCode != 403 {
		t.Error("a one-time address outlived the lock")
	}

	first, _ := h.signIn()
	for range seatCount {
		h.turn(time.Second)
		h.signIn()
	}
	if status(first) != 403 {
		t.Errorf("more than %d sessions at once", seatCount)
	}
}

// TestEndedDoorAnswersNobody: whose connection was being accepted when the agent ended has
// no session any more.
func TestEndedDoorAnswersNobody(t *testing.T) {
	var late atomic.Bool
	asked, goOn := make(chan struct{}), make(chan struct{})
	h := open(t, true, func(net.Conn) (bool, error) {
		if late.Load() {
			close(asked)
			<-goOn
		}
		return true, nil
	})
	cookie, _ := h.signIn()
	var session *Session
	for _, session = range h.seats {
	}
	late.Store(true)
	h.client.CloseIdleConnections()
	answer := make(chan int)
	go func() {
		r, _ := http.NewRequest("GET", h.home(), nil)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Cookie", cookie)
		resp, err := h.client.Do(r)
		if err != nil {
			answer <- 0
			return
		}
		resp.Body.Close()
		answer <- resp.StatusCode
	}()
	<-asked
	h.stop()
	select {
	case <-session.Ended:
	case <-time.After(20 * time.Second):
		t.Error("the session outlives the agent while a browser connects")
	}
	close(goOn)
	if got := <-answer; got == http.StatusOK {
		t.Error("an agent that had ended showed a page")
	}
}

// TestTokensAreNotShared: a form drawn for one session is no good in another.
func TestTokensAreNotShared(t *testing.T) {
	h := open(t, true, nil)
	_, token := h.signIn()
	cookie, _ := h.signIn()
	resp, _ := h.ask("POST", h.home()+"send", strings.NewReader("token="+token), "Cookie", cookie, "Origin", h.origin, "Content-Type", "application/x-www-form-urlencoded")
	if resp.StatusCode != 403 {
		t.Errorf("%d", resp.StatusCode)
	}
}

func TestSignInFile(t *testing.T) {
	h := open(t, true, nil)
	dir := filepath.Join(t.TempDir(), "private")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	stale := filepath.Join(dir, "open-stale.html")
	if err := os.WriteFile(stale, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	path, err := h.SignInFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(stale); !errors.Is(err, os.ErrNotExist) {
		t.Error("an earlier start's file is still there")
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v", info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), `content="0;url=`)
	address, _, _ := strings.Cut(rest, `"`)
	if !ok || !strings.HasPrefix(address, h.origin+"/in/") || strings.Contains(path, address[len(h.origin)+4:]) {
		t.Fatalf("the file leads to %q:\n%s", address, text)
	}
	if resp, _ := h.ask("GET", address, nil); resp.StatusCode != 200 {
		t.Errorf("%d", resp.StatusCode)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("the file outlived its use")
	}
	if path, err = h.SignInFile(dir); err != nil {
		t.Fatal(err)
	}
	h.Lock()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("the file outlived the lock")
	}
}

func TestSignInFileWantsAPrivateFolder(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("folders have no modes on Windows: the profile's folder is private by its access list")
	}
	h := open(t, true, nil)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if _, err := h.SignInFile(dir); err == nil {
		t.Error("a sign-in file was written where others can look")
	}
	if found, _ := os.ReadDir(dir); len(found) != 0 {
		t.Errorf("left behind: %v", found)
	}
}

// TestListenTakesBoth: nobody else can hold our port on the other loopback
// address.
func TestListenTakesBoth(t *testing.T) {
	if !hasSix() {
		t.Skip("this machine has no IPv6 loopback address: there is no second one to hold")
	}
	l, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for _, host := range []string{"127.0.0.1", "::1"} {
		if other, err := net.Listen("tcp", net.JoinHostPort(host, port)); err == nil {
			other.Close()
			t.Errorf("%s was free", host)
		}
		c, err := net.Dial("tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Fatal(err)
		}
		got, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		got.Close()
		c.Close()
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accepting after the end: %v", err)
	}
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closing twice: %v", err)
	}
}

func TestRandomnessFails(t *testing.T) {
	_, err := New(Options{PeerIsMe: func(net.Conn) (bool, error) { return true, nil }, Inside: func(http.ResponseWriter, *http.Request, Visitor) {}, Rand: strings.NewReader("short")})
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v", err)
	}
}
