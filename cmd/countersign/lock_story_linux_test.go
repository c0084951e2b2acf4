package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"countersign/mailer/server/servertest"
	"countersign/platform/session/sessiontest"
	"countersign/tray/demo/authority"
)

type (
	desktopKey struct{}
	browserKey struct{}
)

// TestPeerLockStories runs testdata/lock/*.txtar on a desktop of their own: a real bus
// daemon with stand-ins for logind and the screen saver.
func TestPeerLockStories(t *testing.T) {
	long(t)
	dir, err := os.MkdirTemp("", "desk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d, err := sessiontest.Open(dir)
	if errors.Is(err, sessiontest.ErrAbsent) {
		servertest.Absent(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Stop)
	p := stories(func(ca *authority.Authority) (office, error) { return openEmbedded(ca) })
	setup := p.Setup
	p.Dir, p.Setup = "testdata/lock", func(env *testscript.Env) error {
		env.Values[desktopKey{}], env.Values[browserKey{}] = d, new(browser)
		env.Vars = append(env.Vars, "DESK="+d.Address())
		return setup(env)
	}
	p.Cmds["screen"], p.Cmds["computer"], p.Cmds["signin"], p.Cmds["signedin"], p.Cmds["holds"], p.Cmds["listens"] = screen, computer, signIn, signedIn, holds, listens
	testscript.Run(t, p)
}

// screen locked | open: the user's session.
func screen(ts *testscript.TestScript, neg bool, args []string) {
	d := ts.Value(desktopKey{}).(*sessiontest.Desktop)
	ts.Check(d.Hint(sessiontest.Session, oneOf(ts, neg, args, "locked", "open")))
}

// listens waits until a program that has come since ! listens follows the session.
func listens(ts *testscript.TestScript, neg bool, _ []string) {
	d := ts.Value(desktopKey{}).(*sessiontest.Desktop)
	if neg {
		d.Forget()
		return
	}
	heard := make(chan struct{})
	go func() {
		d.Held()
		close(heard)
	}()
	select {
	case <-heard:
	case <-time.After(time.Minute):
		ts.Fatalf("nobody has begun to follow the session")
	}
}

// computer sleeps | wakes.
func computer(ts *testscript.TestScript, neg bool, args []string) {
	d := ts.Value(desktopKey{}).(*sessiontest.Desktop)
	ts.Check(d.Sleep(oneOf(ts, neg, args, "sleeps", "wakes")))
}

func oneOf(ts *testscript.TestScript, neg bool, args []string, yes, no string) bool {
	if neg || len(args) != 1 || args[0] != yes && args[0] != no {
		ts.Fatalf("say %s or %s", yes, no)
	}
	return args[0] == yes
}

// browser is signed in to somebody's page.
type browser struct {
	client http.Client
	page   string
}

// get fetches a page as a browser does that the user leads there.
func (b *browser) get(address string) (*http.Response, string, error) {
	r, err := http.NewRequest("GET", address, nil)
	if err != nil {
		return nil, "", err
	}
	r.Header.Set("Sec-Fetch-Site", "none")
	resp, err := b.client.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

// signin NAME signs a browser in to the page of somebody.
func signIn(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: signin NAME")
	}
	ts.Check(ts.Exec(args[0], "page", "--print"))
	b := ts.Value(browserKey{}).(*browser)
	jar, err := cookiejar.New(nil)
	ts.Check(err)
	b.client = http.Client{Jar: jar, Timeout: time.Minute, Transport: &http.Transport{
		// Names under .localhost are this machine (RFC 6761, section 6.3).
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
		},
	}}
	address := strings.TrimSpace(ts.ReadFile("stdout"))
	if _, _, err := b.get(address); err != nil {
		ts.Fatalf("signing in: %v", err)
	}
	base, _, _ := strings.Cut(address, "/in/")
	b.page = base + "/"
}

// signedin SAYS: the browser still sees the user's page, and it says this. ! signedin: it
// sees nothing of it.
func signedIn(ts *testscript.TestScript, neg bool, args []string) {
	b := ts.Value(browserKey{}).(*browser)
	resp, body, err := b.get(b.page)
	in := err == nil && resp.StatusCode == http.StatusOK && (len(args) == 0 || strings.Contains(body, args[0]))
	if in == neg {
		ts.Fatalf("signed in: %v, %v\n%s", in, err, body)
	}
}

// holds NAME TEXT: the memory of somebody's agent has this text in it; ! holds: nowhere.
// Without the right to look, which only root has, it says nothing.
func holds(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: holds NAME TEXT")
	}
	if os.Getuid() != 0 {
		return
	}
	found := false
	for _, pid := range agents(ts, args[0]) {
		maps, err := os.ReadFile(filepath.Join("/proc", pid, "maps"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it has found it
		}
		ts.Check(err)
		mem, err := os.Open(filepath.Join("/proc", pid, "mem"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue
		}
		ts.Check(err)
		defer mem.Close()
		for line := range strings.Lines(string(maps)) {
			var from, to int64
			var rights string
			if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &rights); err != nil || !strings.HasPrefix(rights, "rw") || to-from > 1<<30 {
				continue
			}
			data := make([]byte, to-from)
			n, _ := mem.ReadAt(data, from) // what cannot be read holds nothing that anybody can
			found = found || bytes.Contains(data[:n], []byte(args[1]))
		}
	}
	if found == neg {
		ts.Fatalf("the text is there: %v", found)
	}
}

// agents lists the processes that are somebody's agent: one, and perhaps another that
// finds that it is not the first.
func agents(ts *testscript.TestScript, name string) (pids []string) {
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	ts.Check(err)
	for _, file := range all {
		line, err := os.ReadFile(file)
		args := strings.Split(string(line), "\x00")
		if err == nil && filepath.Base(args[0]) == "countersign-agent" && slices.Contains(args, ts.MkAbs(name)) {
			pids = append(pids, filepath.Base(filepath.Dir(file)))
		}
	}
	if len(pids) == 0 {
		ts.Fatalf("%s has no agent", name)
	}
	return pids
}
