package platform_test

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"countersign/platform"
)

func TestFindDirs(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, given, env, want string
	}{
		{"given", "/srv/a", "/srv/b", "/srv/a"},
		{"given, relative", "a", "", filepath.Join(here, "a")},
		{"by variable", "", "/srv/b", "/srv/b"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv(platform.HomeVariable, test.env)
			dirs, err := platform.FindDirs(test.given)
			if err != nil {
				t.Fatal(err)
			}
			data, err := filepath.Abs(test.want) // Windows puts a drive before it
			if err != nil {
				t.Fatal(err)
			}
			if want := (platform.Dirs{Data: data, Run: filepath.Join(data, "run")}); dirs != want {
				t.Errorf("got %v, want %v", dirs, want)
			}
		})
	}
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keys")
	for _, content := range []string{"first", "second, which is longer", ""} {
		if err := platform.WriteFile(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != content {
			t.Errorf("read %q, %v", got, err)
		}
	}
	onlyEntry(t, dir, "keys")
}

func TestWriteFileThatFailsLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keys")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := platform.WriteFile(path, []byte("x")); err == nil {
		t.Error("a folder was written over")
	}
	onlyEntry(t, dir, "keys")
	if err := platform.WriteFile(filepath.Join(dir, "missing", "keys"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

func onlyEntry(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, want) {
		t.Errorf("the folder holds %q", got)
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	first, err := platform.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := platform.Lock(dir); !errors.Is(err, platform.ErrRunning) {
		t.Errorf("a second agent: %v", err)
	}
	if other, err := platform.Lock(t.TempDir()); err != nil {
		t.Errorf("another profile: %v", err)
	} else {
		other.Close()
	}
	first.Close()
	again, err := platform.Lock(dir)
	if err != nil {
		t.Fatalf("after the first ended: %v", err)
	}
	again.Close()
}

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("this machine does not offer %s: %v", address, err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestPeerIsMe(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(address, func(t *testing.T) {
			l := listen(t, address)
			client, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			for name, conn := range map[string]net.Conn{"client": server, "server": client} {
				t.Run(name, func(t *testing.T) {
					if underWine() && (name == "server" || address == "[::1]:0") {
						t.Skip("wine does not know whose connection this is")
					}
					me, err := platform.PeerIsMe(conn)
					if errors.Is(err, errors.ErrUnsupported) {
						t.Skip("macOS does not tell")
					}
					if err != nil || !me {
						t.Errorf("the %s is me: %v, %v", name, me, err)
					}
				})
			}
		})
	}
}

func TestPeerThatHasGone(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	client.(*net.TCPConn).SetLinger(0)
	client.Close()
	io.Copy(io.Discard, server) // until it is gone
	if me, err := platform.PeerIsMe(server); me {
		t.Errorf("nobody is me: %v, %v", me, err)
	}
}

func TestPeerElsewhere(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if _, err := platform.PeerIsMe(a); err == nil {
		t.Error("a pipe has an owner")
	}
}
