package session

import (
	"context"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"

	"countersign/platform"
)

// Watch calls tell with how things stand, as soon as one source has said it, and at each
// change, until ctx ends. Calls do not overlap. While tell has not returned after the
// system announced that it will sleep, sleep is held back.
func Watch(ctx context.Context, tell func(locked bool)) {
	s := newState(2, tell)
	var both sync.WaitGroup
	both.Go(func() { stay(ctx, systemBus, s.logind, sync.OnceFunc(s.heard)) })
	both.Go(func() { stay(ctx, platform.SessionBus, s.screenSavers, sync.OnceFunc(s.heard)) })
	both.Wait()
}

// Pauses between attempts to reach a bus.
const (
	firstPause = time.Second
	lastPause  = time.Minute
)

// stay keeps one connection to a bus for as long as it lasts, and makes another. Heard is
// called once how things stand is known, or cannot be.
func stay(ctx context.Context, address func() string, follow func(ctx context.Context, conn *dbus.Conn, heard func()) error, heard func()) {
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, lastPause) {
		if a := address(); a != "" {
			began := time.Now()
			if conn, err := dbus.Connect(a, dbus.WithContext(ctx)); err == nil {
				_ = follow(ctx, conn, heard) // whatever ended it, it is tried again
				conn.Close()
			}
			if time.Since(began) > lastPause {
				pause = firstPause
			}
		}
		heard()
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

func systemBus() string {
	if a := os.Getenv("DBUS_SYSTEM_BUS_ADDRESS"); a != "" {
		return a
	}
	return "unix:path=/run/dbus/system_bus_socket"
}

const (
	login        = "org.freedesktop.login1"
	loginPath    = "/org/freedesktop/login1"
	loginManager = login + ".Manager"
	loginSession = login + ".Session"
	properties   = "org.freedesktop.DBus.Properties"
	changed      = properties + ".PropertiesChanged"
	owner        = "org.freedesktop.DBus.NameOwnerChanged"
)

// logind follows the sessions of this user and the sleep of the system.
func (s *state) logind(ctx context.Context, conn *dbus.Conn, heard func()) error {
	signals := make(chan *dbus.Signal, 64)
	conn.Signal(signals)
	for _, match := range [][]dbus.MatchOption{
		{dbus.WithMatchSender(login), dbus.WithMatchInterface(loginSession)},
		{dbus.WithMatchSender(login), dbus.WithMatchInterface(properties), dbus.WithMatchArg(0, loginSession)},
		{dbus.WithMatchSender(login), dbus.WithMatchInterface(loginManager)},
		{dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, login)},
	} {
		if err := conn.AddMatchSignalContext(ctx, match...); err != nil {
			return err
		}
	}
	delay := s.hold(ctx, conn)
	defer func() { delay.release() }()
	s.sessions(ctx, conn)
	heard()
	for {
		var sig *dbus.Signal
		select {
		case sig = <-signals:
		case <-ctx.Done():
			return nil
		case <-conn.Context().Done():
			return dbus.ErrClosed
		}
		if sig == nil {
			return dbus.ErrClosed
		}
		source := "logind " + string(sig.Path)
		switch sig.Name {
		case loginSession + ".Lock", loginSession + ".Unlock":
			if s.mine(ctx, conn, sig.Path) {
				s.set(source, sig.Name == loginSession+".Lock")
			}
		case changed:
			if hint, ok := lockedHint(sig.Body); ok && s.mine(ctx, conn, sig.Path) {
				s.set(source, hint)
			}
		case loginManager + ".PrepareForSleep":
			if len(sig.Body) != 1 {
				continue
			}
			if sleeping, ok := sig.Body[0].(bool); ok {
				s.set("sleep", sleeping)
				if delay.release(); !sleeping {
					delay = s.hold(ctx, conn)
				}
			}
		case loginManager + ".SessionNew", loginManager + ".SessionRemoved", owner:
			s.sessions(ctx, conn)
		}
	}
}

// lockedHint reads the property out of a PropertiesChanged signal.
func lockedHint(body []any) (hint, ok bool) {
	if len(body) < 2 {
		return false, false
	}
	values, _ := body[1].(map[string]dbus.Variant)
	hint, ok = values["LockedHint"].Value().(bool)
	return hint, ok
}

// answerLimit is how long logind may take to answer.
const answerLimit = 5 * time.Second

// sessions reads how the sessions of this user stand, and whether the system is about to
// sleep. Where logind does not answer what was said last holds.
func (s *state) sessions(ctx context.Context, conn *dbus.Conn) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	var list []struct {
		ID   string
		UID  uint32
		User string
		Seat string
		Path dbus.ObjectPath
	}
	manager := conn.Object(login, loginPath)
	if err := manager.CallWithContext(ctx, loginManager+".ListSessions", 0).Store(&list); err != nil {
		return
	}
	now := map[string]bool{}
	for _, session := range list {
		if int(session.UID) != os.Getuid() {
			continue
		}
		var hint dbus.Variant
		if conn.Object(login, session.Path).CallWithContext(ctx, properties+".Get", 0, loginSession, "LockedHint").Store(&hint) == nil {
			now["logind "+string(session.Path)], _ = hint.Value().(bool)
		}
	}
	s.keep("logind ", now)
	var sleeping dbus.Variant
	if manager.CallWithContext(ctx, properties+".Get", 0, loginManager, "PreparingForSleep").Store(&sleeping) == nil {
		is, _ := sleeping.Value().(bool)
		s.set("sleep", is)
	}
}

// mine says that a session is one of this user's.
func (s *state) mine(ctx context.Context, conn *dbus.Conn, session dbus.ObjectPath) bool {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	var user dbus.Variant
	if conn.Object(login, session).CallWithContext(ctx, properties+".Get", 0, loginSession, "User").Store(&user) != nil {
		return false
	}
	fields, ok := user.Value().([]any)
	if !ok || len(fields) == 0 {
		return false
	}
	uid, ok := fields[0].(uint32)
	return ok && int(uid) == os.Getuid()
}

// inhibitor holds sleep back while its descriptor is open.
type inhibitor struct{ fd int }

// hold asks logind to wait before the system sleeps. Without its leave there is no wait.
func (s *state) hold(ctx context.Context, conn *dbus.Conn) *inhibitor {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	var fd dbus.UnixFD
	err := conn.Object(login, loginPath).CallWithContext(ctx, loginManager+".Inhibit", 0,
		"sleep", "Countersign", "Keys are dropped before the computer sleeps", "delay").Store(&fd)
	if err != nil {
		return &inhibitor{-1}
	}
	syscall.CloseOnExec(int(fd)) // a new image of this program has no keys to drop
	return &inhibitor{int(fd)}
}

func (i *inhibitor) release() {
	if i.fd >= 0 {
		syscall.Close(i.fd)
		i.fd = -1
	}
}

// savers is the screen savers that tell on the session bus, and where.
var savers = map[string][]dbus.ObjectPath{
	"org.freedesktop.ScreenSaver": {"/org/freedesktop/ScreenSaver", "/ScreenSaver"},
	"org.gnome.ScreenSaver":       {"/org/gnome/ScreenSaver"},
}

// screenSavers follows them.
func (s *state) screenSavers(ctx context.Context, conn *dbus.Conn, heard func()) error {
	signals := make(chan *dbus.Signal, 64)
	conn.Signal(signals)
	for name := range savers {
		for _, match := range [][]dbus.MatchOption{
			{dbus.WithMatchSender(name), dbus.WithMatchInterface(name), dbus.WithMatchMember("ActiveChanged")},
			{dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, name)},
		} {
			if err := conn.AddMatchSignalContext(ctx, match...); err != nil {
				return err
			}
		}
		s.ask(ctx, conn, name)
	}
	heard()
	for {
		var sig *dbus.Signal
		select {
		case sig = <-signals:
		case <-ctx.Done():
			return nil
		case <-conn.Context().Done():
			return dbus.ErrClosed
		}
		if sig == nil {
			return dbus.ErrClosed
		}
		if sig.Name == owner && len(sig.Body) == 3 {
			if name, ok := sig.Body[0].(string); ok && savers[name] != nil {
				if now, _ := sig.Body[2].(string); now == "" {
					s.set(name, false) // it is gone, and nothing would ever say that it is open again
				} else {
					s.ask(ctx, conn, name)
				}
			}
			continue
		}
		name, ok := strings.CutSuffix(sig.Name, ".ActiveChanged")
		if !ok || len(sig.Body) != 1 {
			continue
		}
		if active, ok := sig.Body[0].(bool); ok {
			s.set(name, active)
		}
	}
}

// ask reads how a screen saver stands, without starting one.
func (s *state) ask(ctx context.Context, conn *dbus.Conn, name string) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	for _, path := range savers[name] {
		var active bool
		if conn.Object(name, path).CallWithContext(ctx, name+".GetActive", dbus.FlagNoAutoStart).Store(&active) == nil {
			s.set(name, active)
			return
		}
	}
}
