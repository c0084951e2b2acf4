package main

import (
	"errors"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"countersign/mailer/server/servertest"
	"countersign/platform/session/sessiontest"
	"countersign/tray/icon/icontest"
)

type panelKey struct{}

// panel is the tray of a story's desktop.
type panel struct {
	*icontest.Host
	icon string // that came last
}

// TestPeerIconStory runs testdata/icon/*.txtar on a desktop of their own: a real bus daemon
// with a tray, so that agents have their icon.
func TestPeerIconStory(t *testing.T) {
	long(t)
	needCards(t)
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
	h, err := icontest.Open(d.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	p := stories(openEmbeddedOffice)
	setup := p.Setup
	p.Dir, p.Setup = "testdata/icon", func(env *testscript.Env) error {
		env.Values[panelKey{}] = &panel{Host: h}
		env.Vars = append(env.Vars, "DESK="+d.Address())
		return setup(env)
	}
	p.Cmds["icon"], p.Cmds["menu"], p.Cmds["choose"] = iconComes, menu, choose
	testscript.Run(t, p)
}

// icon waits until a new icon has come; with ! until the last has gone.
func iconComes(ts *testscript.TestScript, neg bool, _ []string) {
	p := ts.Value(panelKey{}).(*panel)
	if !neg {
		name, err := p.Icon(icontest.Patience)
		ts.Check(err)
		p.icon = name
		return
	}
	for {
		var there bool
		ts.Check(p.Conn.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, p.icon).Store(&there))
		if !there {
			return
		}
	}
}

// menu TEXT waits until the icon's menu has a line that begins so; with ! until it has none.
func menu(ts *testscript.TestScript, neg bool, args []string) {
	p := ts.Value(panelKey{}).(*panel)
	text := args[0]
	if neg {
		text = "!" + text
	}
	_, err := p.Await(p.icon, text)
	ts.Check(err)
}

// choose TEXT clicks on that line.
func choose(ts *testscript.TestScript, neg bool, args []string) {
	p := ts.Value(panelKey{}).(*panel)
	ts.Check(p.Choose(p.icon, args[0]))
}
