package platform

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// HasDesktop tells whether there is a screen that this process can show something on.
func HasDesktop() bool { return true }

func chromiums() []string {
	var found []string
	for _, program := range []string{`Microsoft\Edge\Application\msedge.exe`, `Google\Chrome\Application\chrome.exe`} {
		for _, folder := range []string{"ProgramFiles", "ProgramFiles(x86)", "LocalAppData"} {
			path := filepath.Join(os.Getenv(folder), program)
			if _, err := os.Stat(path); err == nil && filepath.IsAbs(path) {
				found = append(found, path)
			}
		}
	}
	return found
}

func openDefault(file string) error {
	verb, err1 := windows.UTF16PtrFromString("open")
	path, err2 := windows.UTF16PtrFromString(file)
	if err1 != nil || err2 != nil {
		return fmt.Errorf("opening the browser: not a path")
	}
	if err := windows.ShellExecute(0, verb, path, nil, nil, windows.SW_SHOWNORMAL); err != nil {
		return fmt.Errorf("opening the browser: %w", err)
	}
	return nil
}
