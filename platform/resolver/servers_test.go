package resolver

import (
	"errors"
	"io/fs"
	"testing"
)

// TestSystemServers: whatever this machine is set to, it is addresses that can be asked.
func TestSystemServers(t *testing.T) {
	servers, err := systemServers()
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("this machine has no /etc/resolv.conf")
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range servers {
		if _, err := parseServer(text); err != nil {
			t.Error(err)
		}
	}
}

func TestParseServer(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1": "192.0.2.1:53", "192.0.2.1:5353": "192.0.2.1:5353", "::1": "[::1]:53", "[::1]:5353": "[::1]:5353",
		"fe80::1%2": "[fe80::1%2]:53", "dns.example": "", "dns.example:53": "", "": "", "192.0.2.1:x": "",
	} {
		got, err := parseServer(text)
		if (err == nil) != (want != "") || err == nil && got.String() != want {
			t.Errorf("%q: %v, %v; want %q", text, got, err, want)
		}
	}
}
