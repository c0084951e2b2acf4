//go:build unix

package localsock_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"countersign/platform"
	"countersign/platform/localsock"
)

func TestSocketMode(t *testing.T) {
	dir := runFolder(t, 0)
	l, err := localsock.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	info, err := os.Stat(l.Addr().String())
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestListenOnlyInAPrivateFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	if _, err := localsock.Listen(dir); !errors.Is(err, platform.ErrExposed) {
		t.Errorf("got %v", err)
	}
}

// A killed agent leaves its socket behind.
func TestStaleSocket(t *testing.T) {
	dir := runFolder(t, 0)
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "agent.sock")})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	if _, err := localsock.Dial(t.Context(), dir); !errors.Is(err, localsock.ErrNobody) {
		t.Errorf("dialling it: %v", err)
	}
	stream(t, dir)
}

func TestListenReplacesNothingButASocket(t *testing.T) {
	dir := runFolder(t, 0)
	path := filepath.Join(dir, "agent.sock")
	if err := os.WriteFile(path, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := localsock.Listen(dir); err == nil {
		l.Close()
		t.Error("a file was replaced")
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "kept" {
		t.Errorf("the file holds %q, %v", data, err)
	}
}
