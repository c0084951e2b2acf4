package pinprompt

import (
	"os"
	"path/filepath"
)

func onTerminal() []string {
	return []string{"/usr/bin/pinentry-curses", "/usr/bin/pinentry-tty"}
}

// onScreen begins with what the administrator chose for the screen, if it is for that.
func onScreen() []string {
	paths := []string{
		"/usr/bin/pinentry-x11", "/usr/bin/pinentry-gnome3", "/usr/bin/pinentry-qt", "/usr/bin/pinentry-qt5",
		"/usr/bin/pinentry-gtk-2", "/usr/bin/pinentry-gtk", "/usr/bin/pinentry-fltk", "/usr/bin/pinentry-efl",
	}
	chosen, err := filepath.EvalSymlinks("/usr/bin/pinentry")
	if err != nil {
		return paths
	}
	for _, path := range onTerminal() {
		if chosen == path {
			return paths
		}
	}
	return append([]string{chosen}, paths...)
}

// needs is the Debian package that brings a pinentry for this place.
func (p *place) needs() string {
	if p.terminal != "" {
		return "the package pinentry-curses"
	}
	return "the package pinentry-gnome3"
}

func hasScreen() bool { return os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != "" }
