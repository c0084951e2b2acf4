package pinprompt

func onTerminal() []string {
	return []string{"/opt/local/bin/pinentry-curses", "/opt/local/bin/pinentry-tty"}
}

func onScreen() []string {
	return []string{
		"/usr/local/MacGPG2/libexec/pinentry-mac.app/Contents/MacOS/pinentry-mac", // GPG Suite
		"/opt/local/bin/pinentry-mac", // MacPorts
	}
}

// needs is what brings a pinentry for this place.
func (p *place) needs() string {
	if p.terminal != "" {
		return "pinentry by MacPorts"
	}
	return "GPG Suite"
}

func hasScreen() bool { return true }
