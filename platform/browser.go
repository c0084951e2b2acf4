package platform

import (
	"html"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
)

// OpenBrowser opens an HTML file. Where Edge, Chrome or Chromium is installed
// it is an app window with a profile of its own in the folder profile: no
// extensions, no sync, no history. Otherwise, or where profile is empty, it is
// the default browser. It returns once the browser was started, and fails with
// [ErrNoDesktop] where there is no screen. Only the file's path stands in the
// argument list, which other users can read: a secret belongs in the file.
func OpenBrowser(file, profile string) error {
	if !HasDesktop() {
		return ErrNoDesktop
	}
	if profile != "" {
		for _, browser := range chromiums() {
			if _, err := appWindow(browser, file, profile).Start(); err == nil {
				return nil
			}
		}
	}
	return openDefault(file)
}

// OpenPage opens the browser of [OpenBrowser] at an address that signs its user in: by a
// private file that leads there, for others could read it in an argument list.
func OpenPage(d Dirs, address string) error {
	file := filepath.Join(d.Run, "open.html")
	page := `<!doctype html><meta charset="utf-8"><title>Countersign</title><meta http-equiv="refresh" content="0;url=` +
		html.EscapeString(address) + `">`
	if err := WriteFile(file, []byte(page)); err != nil {
		return err
	}
	return OpenBrowser(file, filepath.Join(d.Data, "browser"))
}

// FindsLocalhost tells whether the browser of [OpenBrowser] will be Edge, Chrome or
// Chromium, which find every name under .localhost whatever the system's resolver
// says (RFC 6761, section 6.3).
func FindsLocalhost() bool {
	for _, browser := range chromiums() {
		if _, err := exec.LookPath(browser); err == nil {
			return HasDesktop()
		}
	}
	return false
}

func appWindow(browser, file, profile string) Program {
	return Program{Path: browser, Args: []string{
		"--app=" + fileURL(file),
		"--user-data-dir=" + profile,
		"--incognito",
		"--disable-extensions",
		"--disable-sync",
		"--disable-background-networking",
		"--disable-breakpad",
		"--no-first-run",
		"--no-default-browser-check",
		"--password-store=basic", // else it asks to open the keychain that it has no use for
	}}
}

func fileURL(file string) string {
	path := filepath.ToSlash(file)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/Users
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}
