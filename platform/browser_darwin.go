package platform

import "os"

// HasDesktop tells whether there is a screen that this process can show something on.
func HasDesktop() bool { return true }

func chromiums() []string {
	var found []string
	for _, path := range []string{
		"/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
		"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
		"/Applications/Chromium.app/Contents/MacOS/Chromium",
	} {
		if _, err := os.Stat(path); err == nil {
			found = append(found, path)
		}
	}
	return found
}

func openDefault(file string) error {
	_, err := Program{Path: "/usr/bin/open", Args: []string{file}}.Start()
	return err
}
