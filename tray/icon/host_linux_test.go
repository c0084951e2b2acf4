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
const patience = 30 * time.Second

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

const (
	watcherName = "org.kde.StatusNotifierWatcher"
	watcherPath = "/StatusNotifierWatcher"
	itemName    = "org.kde.StatusNotifierItem"
	menuName    = "com.canonical.dbusmenu"
	properties  = "org.freedesktop.DBus.Properties"
)

// host is a desktop's tray: a watcher where icons register, and somebody who opens menus.
type host struct {
	conn *dbus.Conn
	came chan string // the bus names of icons
	told chan *dbus.Signal
}

type watcher struct{ h *host }

func (w watcher) RegisterStatusNotifierItem(_ string, from dbus.Sender) *dbus.Error {
	w.h.came <- string(from)
	return nil
}

func newHost(t *testing.T, d *sessiontest.Desktop) *host {
	t.Helper()
	conn, err := dbus.Connect(d.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	h := &host{conn: conn, came: make(chan string, 16), told: make(chan *dbus.Signal, 1024)}
	if err := conn.Export(watcher{h}, watcherPath, watcherName); err != nil {
		t.Fatal(err)
	}
	if err := conn.AddMatchSignal(dbus.WithMatchInterface(menuName)); err != nil {
		t.Fatal(err)
	}
	conn.Signal(h.told)
	if _, err := conn.RequestName(watcherName, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	return h
}

// icon waits for an icon to register.
func (h *host) icon(t *testing.T) string {
	t.Helper()
	select {
	case name := <-h.came:
		return name
	case <-time.After(patience):
		t.Fatal("no icon came")
		return ""
	}
}

// hostWith starts hosts until an icon registers: the library does not notice one that comes in
// the moment in which it starts itself.
func hostWith(t *testing.T, d *sessiontest.Desktop) (*host, string) {
	t.Helper()
	for range 10 {
		h := newHost(t, d)
		select {
		case name := <-h.came:
			return h, name
		case <-time.After(patience / 10):
			h.conn.Close()
		}
	}
	t.Fatal("no icon came")
	return nil, ""
}

func (h *host) property(t *testing.T, icon, name string) any {
	t.Helper()
	var v dbus.Variant
	if err := h.conn.Object(icon, "/StatusNotifierItem").Call(properties+".Get", 0, itemName, name).Store(&v); err != nil {
		t.Fatal(err)
	}
	return v.Value()
}

// line is one that can be seen in a menu.
type line struct {
	id      int32
	label   string
	enabled bool
}

// menu reads what can be seen in an icon's menu.
func (h *host) menu(t *testing.T, icon string) (lines []line) {
	t.Helper()
	var revision uint32
	var root struct {
		ID    int32
		Props map[string]dbus.Variant
		Kids  []dbus.Variant
	}
	if err := h.conn.Object(icon, "/StatusNotifierItem/menu").Call(menuName+".GetLayout", 0, int32(0), int32(-1), []string{}).Store(&revision, &root); err != nil {
		t.Fatal(err)
	}
	for _, kid := range root.Kids {
		one := kid.Value().([]any)
		props := one[1].(map[string]dbus.Variant)
		label, _ := props["label"].Value().(string)
		visible, stated := props["visible"].Value().(bool)
		enabled, _ := props["enabled"].Value().(bool)
		if label != "" && (visible || !stated) {
			lines = append(lines, line{one[0].(int32), label, enabled})
		}
	}
	return lines
}

// shows waits until an icon's menu has a line that begins so, or with ! has none.
func (h *host) shows(t *testing.T, icon, begins string) line {
	t.Helper()
	want, absent := strings.CutPrefix(begins, "!")
	late := time.After(patience)
	for {
		lines := h.menu(t, icon)
		i := slices.IndexFunc(lines, func(l line) bool { return strings.HasPrefix(l.label, want) })
		switch {
		case i >= 0 && !absent:
			return lines[i]
		case i < 0 && absent:
			return line{}
		}
		select {
		case <-h.told:
		case <-late:
			t.Fatalf("the menu does not come to %q: %v", begins, lines)
		}
	}
}

// choose clicks on a line.
func (h *host) choose(t *testing.T, icon, begins string) {
	t.Helper()
	l := h.shows(t, icon, begins)
	if err := h.conn.Object(icon, "/StatusNotifierItem/menu").Call(menuName+".Event", 0, l.id, "clicked", dbus.MakeVariant(int32(0)), uint32(0)).Err; err != nil {
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
func (h *host) notesOn(t *testing.T) desktopNotes {
	t.Helper()
	n := desktopNotes{make(chan [2]string, 64)}
	if err := h.conn.Export(n, "/org/freedesktop/Notifications", "org.freedesktop.Notifications"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.conn.RequestName("org.freedesktop.Notifications", dbus.NameFlagDoNotQueue); err != nil {
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
