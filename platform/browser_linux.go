package platform

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// HasDesktop tells whether there is a screen that this process can show something on.
func HasDesktop() bool {
	return os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != ""
}

// chromiums lists the browsers that can open an app window. One in a snap
// can't read the profile's hidden folder; none runs as root.
func chromiums() []string {
	if os.Geteuid() == 0 {
		return nil
	}
	var found []string
	for _, name := range []string{"microsoft-edge", "google-chrome", "chromium", "chromium-browser"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if real, err := filepath.EvalSymlinks(path); err == nil && !strings.Contains(real, "/snap") {
			found = append(found, path)
		}
	}
	return found
}

func openDefault(file string) error {
	path, err := exec.LookPath("xdg-open")
	if err != nil {
		return ErrNoDesktop
	}
	_, err = Program{Path: path, Args: []string{file}}.Start()
	return err
}
