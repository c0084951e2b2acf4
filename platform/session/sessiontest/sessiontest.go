//go:build linux

// Package sessiontest is a desktop for tests: a real bus daemon, and on it stand-ins for
// logind and for a screen saver, since neither runs without a system around it. One
// daemon is both the system's bus and the session's.
package sessiontest

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/introspect"
)

// config is a bus on which nothing is started behind a test's back.
const config = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=SOCKET</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>`

// The names and places that logind and a screen saver have.
const (
	login       = "org.freedesktop.login1"
	loginPath   = "/org/freedesktop/login1"
	properties  = "org.freedesktop.DBus.Properties"
	saver       = "org.freedesktop.ScreenSaver"
	saverPath   = "/org/freedesktop/ScreenSaver"
	Session     = dbus.ObjectPath("/org/freedesktop/login1/session/_31")
	SomeoneElse = dbus.ObjectPath("/org/freedesktop/login1/session/_32") // of another user
)

// ErrAbsent says that there is no bus daemon on this machine.
var ErrAbsent = errors.New("dbus-daemon is not installed: make setup installs it")

// Desktop is one.
type Desktop struct {
	dir    string
	daemon *exec.Cmd
	conn   *dbus.Conn

	mu       sync.Mutex
	hints    map[dbus.ObjectPath]bool
	sleeping bool
	active   bool
	held     *os.File // ends when sleep is no longer held back
	sent     *os.File // what holds it
	holds    chan *os.File
}

// Open starts a desktop whose socket lies in dir.
func Open(dir string) (*Desktop, error) {
	d := &Desktop{dir: dir, hints: map[dbus.ObjectPath]bool{}, holds: make(chan *os.File, 64)}
	return d, d.Start()
}

// Address is that of its bus, for DBUS_SYSTEM_BUS_ADDRESS and DBUS_SESSION_BUS_ADDRESS.
func (d *Desktop) Address() string { return "unix:path=" + d.socket() }

func (d *Desktop) socket() string { return filepath.Join(d.dir, "bus") }

// Start starts the daemon, and again after Stop: at the same address.
func (d *Desktop) Start() error {
	path, err := exec.LookPath("dbus-daemon")
	if err != nil {
		return ErrAbsent
	}
	file := filepath.Join(d.dir, "bus.conf")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(config, "SOCKET", d.socket())), 0o600); err != nil {
		return err
	}
	d.daemon = exec.Command(path, "--config-file="+file, "--nofork", "--print-address=1")
	out, err := d.daemon.StdoutPipe()
	if err == nil {
		err = d.daemon.Start()
	}
	if err != nil {
		return err
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return err
	}
	if d.conn, err = dbus.Connect(d.Address()); err != nil {
		return err
	}
	return d.furnish()
}

// Stop ends the daemon and all that hangs on it: the daemon first, or it would tell that the
// screen saver is gone.
func (d *Desktop) Stop() {
	_ = d.daemon.Process.Kill()
	_ = d.daemon.Wait()
	if d.conn != nil {
		d.conn.Close()
	}
	os.Remove(d.socket())
}

func (d *Desktop) furnish() error {
	err := errors.Join(
		d.conn.Export(manager{d}, loginPath, login+".Manager"),
		d.conn.Export(values{d}, loginPath, properties),
		d.conn.Export(screen{d}, saverPath, saver),
		d.conn.Export(introspect.Introspectable("<node/>"), loginPath, "org.freedesktop.DBus.Introspectable"),
	)
	for _, path := range []dbus.ObjectPath{Session, SomeoneElse} {
		err = errors.Join(err, d.conn.Export(sessionValues{d, path}, path, properties))
	}
	for _, name := range []string{login, saver} {
		if _, e := d.conn.RequestName(name, dbus.NameFlagDoNotQueue); e != nil {
			err = errors.Join(err, e)
		}
	}
	return err
}

// Lock is logind's signal to lock a session, as of loginctl lock-session; ! it.
func (d *Desktop) Lock(session dbus.ObjectPath, locked bool) error {
	name := login + ".Session.Unlock"
	if locked {
		name = login + ".Session.Lock"
	}
	return d.conn.Emit(session, name)
}

// Hint is what a screen locker has logind know of a session.
func (d *Desktop) Hint(session dbus.ObjectPath, locked bool) error {
	d.mu.Lock()
	d.hints[session] = locked
	d.mu.Unlock()
	return d.conn.Emit(session, properties+".PropertiesChanged", login+".Session",
		map[string]dbus.Variant{"LockedHint": dbus.MakeVariant(locked)}, []string{})
}

// Sleep says that the system is about to sleep, or awake again.
func (d *Desktop) Sleep(sleeping bool) error {
	d.mu.Lock()
	d.sleeping = sleeping
	d.mu.Unlock()
	return d.conn.Emit(loginPath, login+".Manager.PrepareForSleep", sleeping)
}

// Screen is the screen saver.
func (d *Desktop) Screen(active bool) error {
	d.mu.Lock()
	d.active = active
	d.mu.Unlock()
	return d.conn.Emit(saverPath, saver+".ActiveChanged", active)
}

// Held waits until somebody who has just come holds sleep back, and returns what ends
// when they do no more.
func (d *Desktop) Held() *os.File { return <-d.holds }

// Forget has Held wait for those who come from now on.
func (d *Desktop) Forget() {
	for {
		select {
		case <-d.holds:
		default:
			return
		}
	}
}

// manager answers as org.freedesktop.login1.Manager.
type manager struct{ d *Desktop }

type listed struct {
	ID   string
	UID  uint32
	User string
	Seat string
	Path dbus.ObjectPath
}

func (m manager) ListSessions() ([]listed, *dbus.Error) {
	m.d.mu.Lock()
	if m.d.sent != nil { // whoever asks this has had the answer before
		m.d.sent.Close()
		m.d.sent = nil
		m.d.holds <- m.d.held
	}
	m.d.mu.Unlock()
	me := uint32(os.Getuid())
	return []listed{{"1", me, "me", "seat0", Session}, {"2", me + 1, "other", "seat0", SomeoneElse}}, nil
}

func (m manager) Inhibit(what, who, why, mode string) (dbus.UnixFD, *dbus.Error) {
	if what != "sleep" || mode != "delay" {
		return 0, dbus.MakeFailedError(errors.New("not asked for"))
	}
	r, w, err := os.Pipe()
	if err != nil {
		return 0, dbus.MakeFailedError(err)
	}
	m.d.mu.Lock()
	defer m.d.mu.Unlock()
	m.d.held, m.d.sent = r, w
	return dbus.UnixFD(w.Fd()), nil
}

// values are the properties of the manager.
type values struct{ d *Desktop }

func (v values) Get(_, name string) (dbus.Variant, *dbus.Error) {
	v.d.mu.Lock()
	defer v.d.mu.Unlock()
	if name != "PreparingForSleep" {
		return dbus.Variant{}, dbus.MakeFailedError(errors.New("no such property"))
	}
	return dbus.MakeVariant(v.d.sleeping), nil
}

// sessionValues are the properties of one session.
type sessionValues struct {
	d    *Desktop
	path dbus.ObjectPath
}

func (v sessionValues) Get(_, name string) (dbus.Variant, *dbus.Error) {
	v.d.mu.Lock()
	defer v.d.mu.Unlock()
	switch name {
	case "LockedHint":
		return dbus.MakeVariant(v.d.hints[v.path]), nil
	case "User":
		uid := uint32(os.Getuid())
		if v.path == SomeoneElse {
			uid++
		}
		return dbus.MakeVariant(struct {
			UID  uint32
			Path dbus.ObjectPath
		}{uid, "/org/freedesktop/login1/user/me"}), nil
	}
	return dbus.Variant{}, dbus.MakeFailedError(errors.New("no such property"))
}

// screen answers as a screen saver.
type screen struct{ d *Desktop }

func (s screen) GetActive() (bool, *dbus.Error) {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	return s.d.active, nil
}

// New is Open for one test, which is skipped where there is no daemon.
func New(t testing.TB) *Desktop {
	t.Helper()
	dir, err := os.MkdirTemp("", "desk") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d, err := Open(dir)
	if errors.Is(err, ErrAbsent) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Stop() })
	return d
}
