package control_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"countersign/platform/localsock"
	"countersign/tray/control"
)

// raw sends a request as written and returns the status and the body.
func raw(t *testing.T, dial dialer, request string) (int, string) {
	t.Helper()
	conn, err := dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go io.WriteString(conn, strings.ReplaceAll(request, "\n", "\r\n"))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

func TestSocketRefuses(t *testing.T) {
	f := &fake{}
	called := false
	f.call = func(context.Context, string, any, io.Reader) (any, error) {
		called = true
		return []control.Summary{}, nil
	}
	dial := serve(t, f.service())
	list := func(header, body string) string {
		return fmt.Sprintf("POST /v1/mail/list HTTP/1.1\nHost: countersign\n%sContent-Length: %d\n\n%s", header, len(body), body)
	}
	long := `{"search":"` + strings.Repeat("a", 1<<20) + `"}`
	tests := []struct {
		name, request string
		status        int
		says          string
	}{
		{"another host", strings.Replace(list("", "{}"), "Host: countersign", "Host: localhost", 1), 400, "own programs only"},
		{"no host", "POST /v1/mail/list HTTP/1.0\nContent-Length: 2\n\n{}", 400, "own programs only"},
		{"an origin", list("Origin: https://example.org\n", "{}"), 400, "own programs only"},
		{"an empty origin", list("Origin:\n", "{}"), 400, "own programs only"},
		{"a referer", list("Referer: http://countersign/\n", "{}"), 400, "own programs only"},
		{"an unknown field", list("", `{"folder":"inbox","limits":3}`), 400, "limits"},
		{"something after the query", list("", `{}{}`), 400, "something follows"},
		{"no query", list("", ``), 400, "ill-formed"},
		{"not JSON", list("", `folder=inbox`), 400, "ill-formed"},
		{"too long a query", list("", long), 400, "at most 1048576 bytes"},
		{"a method that is not there", strings.Replace(list("", "{}"), "mail/list", "mail/erase", 1), 404, "not offer"},
		{"GET", "GET /v1/mail/list HTTP/1.1\nHost: countersign\n\n", 404, "not offer"},
		{"an upload without its query", "POST /v1/mail/attach HTTP/1.1\nHost: countersign\nContent-Length: 1\n\nx", 400, "ill-formed"},
		{"an upload with a broken query", "POST /v1/mail/attach HTTP/1.1\nHost: countersign\nQuery: !!!\nContent-Length: 1\n\nx", 400, "ill-formed"},
		{"a terminal that is none", list("Terminal: !!!\n", "{}"), 400, "ill-formed"},
		{"a terminal that can more", list("Terminal: eyJwYXRoIjoiL2Rldi9wdHMvMyIsInBpbiI6IjEyMzQifQ\n", "{}"), 400, "pin"}, // {"path":"/dev/pts/3","pin":"1234"}
		{"a cursor that is none", "GET /v1/events/watch HTTP/1.1\nHost: countersign\nLast-Event-ID: x\n\n", 400, "not a number"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, body := raw(t, dial, test.request)
			if status != test.status || !strings.Contains(body, test.says) {
				t.Errorf("answered %d %s", status, body)
			}
			if called {
				t.Error("the service was asked")
			}
		})
	}
	if status, body := raw(t, dial, list("", "{}")); status != 200 || body != "[]" {
		t.Errorf("a good request: %d %s", status, body)
	}
}

// TestTerminal: the service learns at which terminal a caller of the socket sits, and of no
// other.
func TestTerminal(t *testing.T) {
	f := &fake{}
	var got []control.Terminal
	f.call = func(ctx context.Context, _ string, _ any, _ io.Reader) (any, error) {
		got = append(got, control.TerminalOf(ctx))
		return control.None{}, nil
	}
	f.file = func() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }
	s, want := dialled(t, f.service()), control.Terminal{Path: "/dev/pts/3", Kind: "xterm", Screen: true}
	ctx := control.WithTerminal(t.Context(), want)
	for _, call := range []func(context.Context) error{
		func(ctx context.Context) error { _, err := s.Settings.Stop(ctx, control.None{}); return err },
		func(ctx context.Context) error {
			file, err := s.Mail.Raw(ctx, control.MessageQuery{})
			if err == nil {
				err = file.Close()
			}
			return err
		},
	} {
		for at, want := range map[context.Context]control.Terminal{ctx: want, t.Context(): {}} {
			got = nil
			if err := call(at); err != nil || len(got) != 1 || got[0] != want {
				t.Errorf("%+v arrived, not %+v; %v", got, want, err)
			}
		}
	}
}

func TestStatusCodes(t *testing.T) {
	f := &fake{}
	dial := serve(t, f.service())
	for _, test := range []struct {
		err    error
		status int
	}{
		{&control.Refused{}, 403},
		{&control.Error{Code: control.CodeInvalid}, 400},
		{&control.Error{Code: control.CodeNotFound}, 404},
		{&control.Error{Code: "sign-in"}, 422},
		{io.ErrUnexpectedEOF, 500},
	} {
		f.call = func(context.Context, string, any, io.Reader) (any, error) { return nil, test.err }
		if status, _ := raw(t, dial, "POST /v1/mail/fetch HTTP/1.1\nHost: countersign\nContent-Length: 2\n\n{}"); status != test.status {
			t.Errorf("%#v: status %d, not %d", test.err, status, test.status)
		}
	}
}

func TestPanicIsAFailureThatTellsNothing(t *testing.T) {
	log := captureLog(t)
	f := &fake{}
	f.call = func(context.Context, string, any, io.Reader) (any, error) { panic("the patient's name") }
	s := dialled(t, f.service())
	_, err := s.Mail.Fetch(t.Context(), control.None{})
	var failure *control.Error
	if !errors.As(err, &failure) || strings.Contains(err.Error(), "patient") {
		t.Errorf("got %v", err)
	}
	if text := log.String(); strings.Contains(text, "patient") || !strings.Contains(text, "socket_test.go") {
		t.Errorf("the log says %s", text)
	}
}

func TestPanicInTheMiddleOfAFileIsNoEnd(t *testing.T) {
	captureLog(t)
	f := &fake{}
	f.call = func(context.Context, string, any, io.Reader) (any, error) { return control.None{}, nil }
	f.file = func() io.ReadCloser {
		return io.NopCloser(io.MultiReader(io.LimitReader(zeros{}, 1<<20), panicking{}))
	}
	body, err := dialled(t, f.service()).Mail.Raw(t.Context(), control.MessageQuery{})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if _, err := io.ReadAll(body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
}

// captureLog keeps the log from the terminal and for the test.
func captureLog(t *testing.T) *bytes.Buffer {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return &log
}

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("broken") }

func TestNotRunning(t *testing.T) {
	dir := t.TempDir()
	for name, s := range map[string]*control.Service{
		"no folder": control.At(filepath.Join(dir, "missing")),
		"no socket": control.At(dir),
	} {
		if _, err := s.Settings.Status(t.Context(), control.None{}); !errors.Is(err, control.ErrNotRunning) {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.Events.Watch(t.Context(), 0, nil); !errors.Is(err, control.ErrNotRunning) {
			t.Errorf("%s: watching: %v", name, err)
		}
	}
}

func TestAgentThatVanishes(t *testing.T) {
	dir := folder(t)
	l, err := localsock.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Read(make([]byte, 1))
			conn.Close()
		}
	}()
	_, err = control.At(dir).Mail.Send(t.Context(), control.DraftQuery{})
	if err == nil || errors.Is(err, control.ErrNotRunning) || strings.Contains(err.Error(), "http") {
		t.Errorf("got %v", err)
	}
}

func TestPartsThatAreNotThere(t *testing.T) {
	s := dialled(t, &control.Service{})
	var failure *control.Error
	if _, err := s.Simulation.Stage(t.Context(), control.None{}); !errors.As(err, &failure) || failure.Code != control.CodeNotHere {
		t.Errorf("got %v", err)
	}
	if err := s.Events.Watch(t.Context(), 0, nil); !errors.As(err, &failure) || failure.Code != control.CodeNotHere {
		t.Errorf("got %v", err)
	}
}

// A watcher goes on over a restart of the agent: nothing missed, nothing twice.
func TestWatchSurvivesARestart(t *testing.T) {
	dir := folder(t)
	f := &fake{}
	last := control.Cursor(3)
	f.watch = func(ctx context.Context, after control.Cursor, each func(control.Event) error) error {
		for c := after + 1; c <= last; c++ {
			if err := each(control.Event{Cursor: c}); err != nil {
				return err
			}
		}
		<-ctx.Done()
		return ctx.Err()
	}
	start := func() (stop func()) {
		l, err := localsock.Listen(dir)
		if err != nil {
			t.Error(err)
			return func() {}
		}
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan error, 1)
		go func() { served <- control.Serve(ctx, l, f.service()) }()
		return func() {
			cancel()
			if err := <-served; err != nil {
				t.Error(err)
			}
		}
	}
	stop := start()
	var got []control.Cursor
	enough := errors.New("enough")
	err := control.At(dir).Events.Watch(t.Context(), 0, func(e control.Event) error {
		got = append(got, e.Cursor)
		switch e.Cursor {
		case 3:
			stop()
			last = 5
			stop = start()
		case 5:
			return enough
		}
		return nil
	})
	stop()
	if err != enough || !reflect.DeepEqual(got, []control.Cursor{1, 2, 3, 4, 5}) {
		t.Errorf("got %v, %v", got, err)
	}
}

// Stopping answers the call that asked for it, and lets watchers go.
func TestServeStopsInOrder(t *testing.T) {
	dir := folder(t)
	l, err := localsock.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &fake{}
	f.call = func(context.Context, string, any, io.Reader) (any, error) {
		cancel()
		return control.None{}, nil
	}
	watching := make(chan struct{})
	watched := make(chan struct{})
	f.watch = func(ctx context.Context, _ control.Cursor, _ func(control.Event) error) error {
		close(watching)
		<-ctx.Done()
		close(watched)
		return ctx.Err()
	}
	served := make(chan error, 1)
	go func() { served <- control.Serve(ctx, l, f.service()) }()

	watcher, err := localsock.Dial(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Close()
	io.WriteString(watcher, "GET /v1/events/watch HTTP/1.1\r\nHost: countersign\r\nLast-Event-ID: 0\r\n\r\n")
	<-watching
	if _, err := control.At(dir).Settings.Stop(t.Context(), control.None{}); err != nil {
		t.Errorf("Stop: %v", err)
	}
	<-watched
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := localsock.Dial(t.Context(), dir); !errors.Is(err, localsock.ErrNobody) {
		t.Errorf("somebody still listens: %v", err)
	}
}

func TestNewID(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := control.NewID()
		if !regexp.MustCompile(`^[a-z2-7]{26}$`).MatchString(id) || seen[id] {
			t.Fatalf("id %q", id)
		}
		seen[id] = true
	}
}
