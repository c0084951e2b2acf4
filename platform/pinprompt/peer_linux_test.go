package pinprompt

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"countersign/mailer/server/servertest"
	"countersign/platform/pinprompt/pinprompttest"
)

// openTerminal makes a terminal, and returns its path and the side where a person sits.
func openTerminal(t *testing.T) (path string, person *os.File) {
	t.Helper()
	path, person, err := pinprompttest.Terminal()
	if err != nil {
		servertest.Absent(t, "there are no terminals to be had: "+err.Error())
	}
	t.Cleanup(func() { person.Close() })
	return path, person
}

// see reads what a terminal shows up to a text.
func see(t *testing.T, person *os.File, text string) []byte {
	t.Helper()
	all, err := pinprompttest.See(person, text)
	if err != nil {
		t.Error(err)
	}
	return all
}

func pinentries(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{"as installed": nil}
	for _, name := range []string{"pinentry-curses", "pinentry-tty"} {
		path := filepath.Join("/usr/bin", name)
		if _, err := os.Stat(path); err != nil {
			servertest.Absent(t, name+" is not installed: make setup installs it")
		}
		found[name] = []string{path}
	}
	return found
}

// TestPeerPinentry: a person at a terminal sees what is asked, types, and the PIN arrives.
func TestPeerPinentry(t *testing.T) {
	for name, programs := range pinentries(t) {
		t.Run(name, func(t *testing.T) {
			path, person := openTerminal(t)
			q := Question{Token: "Dr Lee 50%", Purpose: "signing a letter", Again: AfterRefusal, Tries: TriesLast, Terminal: path, TerminalType: "xterm"}
			type result struct {
				pin []byte
				err error
			}
			got := make(chan result, 1)
			go func() {
				pin, err := New(Config{Programs: programs}).Ask(t.Context(), q)
				got <- result{pin, err}
			}()
			shown := see(t, person, "PIN:")
			for _, want := range []string{"50%", "signing a letter", "last try", "That PIN was wrong."} {
				if !bytes.Contains(shown, []byte(want)) {
					t.Errorf("%q is not shown in %q", want, shown)
				}
			}
			if _, err := person.WriteString("12%34 56\r"); err != nil {
				t.Fatal(err)
			}
			if r := <-got; r.err != nil || string(r.pin) != "12%34 56" {
				t.Errorf("%q, %v", r.pin, r.err)
			}
		})
	}
}

// TestPeerTakenAway: the end of the context takes the prompt away and leaves the terminal as
// it was, also what it shows.
func TestPeerTakenAway(t *testing.T) {
	for name, programs := range pinentries(t) {
		t.Run(name, func(t *testing.T) {
			path, person := openTerminal(t)
			terminal, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer terminal.Close()
			before, err := pinprompttest.State(terminal)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			over := make(chan error, 1)
			go func() {
				_, err := New(Config{Programs: programs}).Ask(ctx, Question{Terminal: path, TerminalType: "xterm"})
				over <- err
			}()
			see(t, person, "PIN:")
			cancel()
			if err := <-over; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			if after, err := pinprompttest.State(terminal); err != nil || after != before {
				t.Errorf("the terminal is left as %v, not %v; %v", after, before, err)
			}
			terminal.Close()            // so that there is an end to what it shows
			if name != "pinentry-tty" { // which draws nothing that has to be cleared
				see(t, person, "\x1b[?1049l")
			}
		})
	}
}

// TestPeerNotice: a notice is shown and goes by itself.
func TestPeerNotice(t *testing.T) {
	for name, programs := range pinentries(t) {
		t.Run(name, func(t *testing.T) {
			path, person := openTerminal(t)
			done := New(Config{Programs: programs}).Tell(t.Context(), Question{Terminal: path, TerminalType: "xterm"})
			see(t, person, "closes by itself")
			if err := done(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestPeerNoScreen: a pinentry for the screen says so where there is none, and it is not
// taken for a person's answer.
func TestPeerNoScreen(t *testing.T) {
	const program = "/usr/bin/pinentry-gnome3"
	if _, err := os.Stat(program); err != nil {
		servertest.Absent(t, "pinentry-gnome3 is not installed: make setup installs it")
	}
	t.Setenv("DISPLAY", "")
	t.Setenv("WAYLAND_DISPLAY", "")
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
	var none *Unavailable
	if _, err := New(Config{Programs: []string{program}}).Ask(t.Context(), Question{}); !errors.As(err, &none) {
		t.Error(err)
	}
	if _, err := New(Config{}).Ask(t.Context(), Question{}); !errors.As(err, &none) || !strings.Contains(none.Says, "no screen") {
		t.Error(err)
	}
}

// TestTerminals: only a terminal of this user's is one.
func TestTerminals(t *testing.T) {
	path, _ := openTerminal(t)
	for _, not := range []string{"/dev/null", "/dev/../dev/null", "/dev/absent", "/etc/passwd", "tty", path + "\n", "/dev/pts/"} {
		var none *Unavailable
		if at, err := openPlace(Question{Terminal: not}); !errors.As(err, &none) {
			t.Errorf("%q is taken as %+v, %v", not, at, err)
		}
	}
	for kind, want := range map[string]string{"xterm-256color": "xterm-256color", "": "vt100", "../x": "vt100", "a\nb": "vt100"} {
		at, err := openPlace(Question{Terminal: path, TerminalType: kind})
		if err != nil {
			t.Fatal(err)
		}
		if at.leave(); at.kind != want {
			t.Errorf("%q becomes %q", kind, at.kind)
		}
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if at, err := openPlace(Question{Terminal: link}); err == nil {
		t.Errorf("a link is taken as %+v", at)
	}
	for display, want := range map[string]string{"": path, ":0": ""} {
		t.Setenv("DISPLAY", display)
		t.Setenv("WAYLAND_DISPLAY", "")
		at, err := openPlace(Question{Terminal: path, ScreenFirst: true})
		if err != nil {
			t.Fatal(err)
		}
		if at.leave(); at.terminal != want {
			t.Errorf("with the screen %q it is asked at %q", display, at.terminal)
		}
	}
	t.Setenv("DISPLAY", "")
	if err := os.Chown(path, os.Geteuid()+1, -1); err != nil {
		t.Skip("only root can give a terminal to another user: ", err)
	}
	if at, err := openPlace(Question{Terminal: path}); err == nil {
		at.leave()
		t.Error("another user's terminal is taken")
	}
}
