//go:build linux

// Package icontest is a desktop's tray for tests: a watcher where icons register, on a real
// bus, and somebody who reads and uses their menus as a panel does.
package icontest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// Patience is for what happens in other processes.
const Patience = 30 * time.Second

const (
	watcherName = "org.kde.StatusNotifierWatcher"
	watcherPath = "/StatusNotifierWatcher"
	itemName    = "org.kde.StatusNotifierItem"
	itemPath    = "/StatusNotifierItem"
	menuName    = "com.canonical.dbusmenu"
	menuPath    = "/StatusNotifierItem/menu"
)

// ErrNone says that no icon came.
var ErrNone = errors.New("icontest: no icon came")

// Host is one.
type Host struct {
	Conn *dbus.Conn
	came chan string // the bus names of icons
	told chan *dbus.Signal
}

// Line is one that can be seen in a menu.
type Line struct {
	ID      int32
	Label   string
	Enabled bool
}

type watcher struct{ h *Host }

func (w watcher) RegisterStatusNotifierItem(_ string, from dbus.Sender) *dbus.Error {
	w.h.came <- string(from)
	return nil
}

// Open puts a host on a bus.
func Open(address string) (*Host, error) {
	conn, err := dbus.Connect(address)
	if err != nil {
		return nil, err
	}
	h := &Host{Conn: conn, came: make(chan string, 64), told: make(chan *dbus.Signal, 1024)}
	conn.Signal(h.told)
	err = errors.Join(conn.Export(watcher{h}, watcherPath, watcherName), conn.AddMatchSignal(dbus.WithMatchInterface(menuName)))
	if err == nil {
		_, err = conn.RequestName(watcherName, dbus.NameFlagDoNotQueue)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return h, nil
}

// Close takes it away.
func (h *Host) Close() { h.Conn.Close() }

// Icon waits for an icon to register, and returns its name on the bus.
func (h *Host) Icon(limit time.Duration) (string, error) {
	select {
	case name := <-h.came:
		return name, nil
	case <-time.After(limit):
		return "", ErrNone
	}
}

// Property reads one of an icon.
func (h *Host) Property(icon, name string) (any, error) {
	var v dbus.Variant
	err := h.Conn.Object(icon, itemPath).Call("org.freedesktop.DBus.Properties.Get", 0, itemName, name).Store(&v)
	return v.Value(), err
}

// Menu reads what can be seen in an icon's menu.
func (h *Host) Menu(icon string) (lines []Line, err error) {
	var revision uint32
	var root struct {
		ID    int32
		Props map[string]dbus.Variant
		Kids  []dbus.Variant
	}
	if err := h.Conn.Object(icon, menuPath).Call(menuName+".GetLayout", 0, int32(0), int32(-1), []string{}).Store(&revision, &root); err != nil {
		return nil, err
	}
	for _, kid := range root.Kids {
		one := kid.Value().([]any)
		props := one[1].(map[string]dbus.Variant)
		label, _ := props["label"].Value().(string)
		visible, stated := props["visible"].Value().(bool)
		enabled, _ := props["enabled"].Value().(bool)
		if label != "" && (visible || !stated) {
			lines = append(lines, Line{one[0].(int32), label, enabled})
		}
	}
	return lines, nil
}

// Await waits until an icon's menu has a line that begins so, or with ! has none.
func (h *Host) Await(icon, begins string) (Line, error) {
	want, absent := strings.CutPrefix(begins, "!")
	for late := time.After(Patience); ; {
		lines, err := h.Menu(icon)
		if err != nil {
			return Line{}, err
		}
		i := slices.IndexFunc(lines, func(l Line) bool { return strings.HasPrefix(l.Label, want) })
		switch {
		case i >= 0 && !absent:
			return lines[i], nil
		case i < 0 && absent:
			return Line{}, nil
		}
		select {
		case <-h.told:
		case <-late:
			return Line{}, fmt.Errorf("icontest: the menu does not come to %q: %v", begins, lines)
		}
	}
}

// Choose clicks on the line that begins so, once it is there.
func (h *Host) Choose(icon, begins string) error {
	l, err := h.Await(icon, begins)
	if err != nil {
		return err
	}
	return h.Click(icon, l)
}

// Click clicks on a line, whether it can be seen or not.
func (h *Host) Click(icon string, l Line) error {
	return h.Conn.Object(icon, menuPath).Call(menuName+".Event", 0, l.ID, "clicked", dbus.MakeVariant(int32(0)), uint32(0)).Err
}
