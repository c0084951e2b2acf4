package icon

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"countersign/platform"
	"countersign/platform/localsock"
	"countersign/platform/session/sessiontest"
	"countersign/tray/control"
	"countersign/tray/icon/icontest"
)

// asIcon makes the test binary the program.
const asIcon = "COUNTERSIGN_TEST_ICON"

func TestMain(m *testing.M) {
	if os.Getenv(asIcon) != "" {
		os.Exit(Main())
	}
	os.Exit(m.Run())
}

// patience is for what happens in other processes; what does not happen is told after it.
const patience = icontest.Patience

// office is an agent that says what a test has it say, on a real socket.
type office struct {
	home string

	mu      sync.Mutex
	status  control.Status
	cards   []control.Token
	events  []control.Event
	changed chan struct{}
	called  chan string
}

func newOffice(t *testing.T) *office {
	t.Helper()
	home, err := os.MkdirTemp("", "icon") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	o := &office{home: home, changed: make(chan struct{}), called: make(chan string, 64)}
	dirs, err := platform.FindDirs(home)
	if err != nil {
		t.Fatal(err)
	}
	if err := dirs.Make(); err != nil {
		t.Fatal(err)
	}
	l, err := localsock.Listen(dirs.Run)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() {
		defer close(served)
		control.Serve(ctx, l, &control.Service{Settings: officeSettings{office: o}, Tokens: officeTokens{office: o}, Events: o})
	}()
	t.Cleanup(func() { cancel(); <-served })
	return o
}

// stands says how things stand, without a word.
func (o *office) stands(s control.Status) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.status = s
}

// happens changes how things stand, and tells it.
func (o *office) happens(kind, says string, change func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if change != nil {
		change()
	}
	o.events = append(o.events, control.Event{Cursor: control.Cursor(len(o.events) + 1), Time: time.Now(), Kind: kind, Says: says})
	close(o.changed)
	o.changed = make(chan struct{})
}

func (o *office) Watch(ctx context.Context, after control.Cursor, each func(control.Event) error) error {
	for {
		o.mu.Lock()
		news, changed := slices.Clone(o.events[min(int(after), len(o.events)):]), o.changed
		o.mu.Unlock()
		for _, e := range news {
			if err := each(e); err != nil {
				return err
			}
			after = e.Cursor
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

type officeSettings struct {
	control.Settings
	*office
}

func (o officeSettings) Status(context.Context, control.None) (control.Status, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.status, nil
}

func (o officeSettings) Lock(context.Context, control.None) (control.None, error) {
	o.mu.Lock()
	o.status = control.Status{Shut: true}
	o.mu.Unlock()
	o.called <- "lock"
	return control.None{}, nil
}

func (o officeSettings) Unlock(context.Context, control.None) (control.None, error) {
	return control.None{}, &control.Error{Code: control.CodePassphrase, Says: "The keychain file needs its passphrase.", Next: "Start Countersign again: countersign unlock"}
}

func (o officeSettings) PageAddress(context.Context, control.None) (control.PageAddress, error) {
	o.called <- "page"
	return control.PageAddress{URL: "http://127.0.0.1:1/secret"}, nil
}

type officeTokens struct {
	control.Tokens
	*office
}

func (o officeTokens) List(context.Context, control.None) (control.TokenList, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return control.TokenList{Tokens: slices.Clone(o.cards)}, nil
}

func (o officeTokens) Lock(context.Context, control.None) (control.None, error) {
	o.called <- "lock cards"
	return control.None{}, nil
}

// program is the icon's program, running.
type program struct {
	*exec.Cmd
	in    *os.File
	ended chan int
	said  *strings.Builder
}

func start(t *testing.T, address, home string, args ...string) *program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{Cmd: exec.Command(self, append([]string{"--home", home}, args...)...), ended: make(chan int, 1), said: &strings.Builder{}}
	p.Env = append(os.Environ(), asIcon+"=1", "DBUS_SESSION_BUS_ADDRESS="+address, "DISPLAY=", "WAYLAND_DISPLAY=")
	p.Stdout, p.Stderr = p.said, p.said
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.Stdin, p.in = r, w
	if err := p.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.Close()
	over := make(chan struct{})
	go func() {
		defer close(over)
		p.Wait()
		p.ended <- p.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		p.Process.Kill()
		w.Close()
		<-over
		if t.Failed() {
			t.Logf("the program said: %s", p.said)
		}
	})
	return p
}

// ends waits for its end.
func (p *program) ends(t *testing.T, code int) {
	t.Helper()
	select {
	case got := <-p.ended:
		if got != code {
			t.Fatalf("it ended with %d, not %d: %s", got, code, p.said)
		}
	case <-time.After(patience):
		t.Fatal("it did not end")
	}
}

// host is a tray, of which a test demands what it does.
type host struct{ *icontest.Host }

func newHost(t *testing.T, d *sessiontest.Desktop) host {
	t.Helper()
	h, err := icontest.Open(d.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return host{h}
}

// icon waits for an icon to register.
func (h host) icon(t *testing.T) string {
	t.Helper()
	name, err := h.Icon(patience)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// hostWith starts hosts until an icon registers: the library does not notice one that comes in
// the moment in which it starts itself.
func hostWith(t *testing.T, d *sessiontest.Desktop) (host, string) {
	t.Helper()
	for range 10 {
		h := newHost(t, d)
		if name, err := h.Icon(patience / 10); err == nil {
			return h, name
		}
		h.Close()
	}
	t.Fatal("no icon came")
	return host{}, ""
}

func (h host) property(t *testing.T, icon, name string) any {
	t.Helper()
	v, err := h.Property(icon, name)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// shows waits until an icon's menu has a line that begins so, or with ! has none.
func (h host) shows(t *testing.T, icon, begins string) icontest.Line {
	t.Helper()
	l, err := h.Await(icon, begins)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// choose clicks on a line.
func (h host) choose(t *testing.T, icon, begins string) {
	t.Helper()
	if err := h.Choose(icon, begins); err != nil {
		t.Fatal(err)
	}
}

// desktopNotes stands in for a notification service.
type desktopNotes struct{ shown chan [2]string }

func (n desktopNotes) GetCapabilities() ([]string, *dbus.Error) {
	return []string{"actions", "body"}, nil
}

func (n desktopNotes) Notify(_ string, _ uint32, _, title, text string, _ []string, _ map[string]dbus.Variant, _ int32) (uint32, *dbus.Error) {
	n.shown <- [2]string{title, text}
	return 7, nil
}

func (n desktopNotes) CloseNotification(uint32) *dbus.Error { return nil }

// notesOn puts one on the host's connection.
func (h host) notesOn(t *testing.T) desktopNotes {
	t.Helper()
	n := desktopNotes{make(chan [2]string, 64)}
	if err := h.Conn.Export(n, "/org/freedesktop/Notifications", "org.freedesktop.Notifications"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Conn.RequestName("org.freedesktop.Notifications", dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n desktopNotes) shows(t *testing.T, title, text string) {
	t.Helper()
	select {
	case got := <-n.shown:
		if got[0] != title || got[1] != text {
			t.Fatalf("shown: %q, not %q %q", got, title, text)
		}
	case <-time.After(patience):
		t.Fatalf("%q is not shown", text)
	}
}

func (o *office) hears(t *testing.T, what string) {
	t.Helper()
	select {
	case got := <-o.called:
		if got != what {
			t.Fatalf("asked for %q, not %q", got, what)
		}
	case <-time.After(patience):
		t.Fatalf("not asked for %q", what)
	}
}
