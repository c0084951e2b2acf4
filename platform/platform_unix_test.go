//go:build unix

package platform_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"countersign/platform"
)

func TestMakePrivate(t *testing.T) {
	tests := []struct {
		name  string
		make  func(t *testing.T, dir string)
		wrong bool
	}{
		{"new, with folders above", func(*testing.T, string) {}, false},
		{"there and private", func(t *testing.T, dir string) { mkdir(t, dir, 0o700); fill(t, dir) }, false},
		{"there, open and empty", func(t *testing.T, dir string) { mkdir(t, dir, 0o777) }, false},
		{"there, readable, with something in it", func(t *testing.T, dir string) { mkdir(t, dir, 0o755); fill(t, dir) }, true},
		{"a link to a private folder", func(t *testing.T, dir string) {
			mkdir(t, dir+".real", 0o700)
			if err := os.Symlink(dir+".real", dir); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"a file", func(t *testing.T, dir string) {
			mkdir(t, filepath.Dir(dir), 0o700)
			fill(t, filepath.Dir(dir), filepath.Base(dir))
		}, true},
		{"somebody else's", func(t *testing.T, dir string) {
			mkdir(t, dir, 0o700)
			if err := os.Chown(dir, nobody, nobody); err != nil {
				t.Skip("only root can give a folder away")
			}
		}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "above", "dir")
			test.make(t, dir)
			err := platform.MakePrivate(dir)
			if test.wrong {
				if !errors.Is(err, platform.ErrExposed) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(dir)
			if err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
		})
	}
}

// nobody is a user that the tests are not run as.
const nobody = 65534

func mkdir(t *testing.T, dir string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, mode); err != nil {
		t.Fatal(err)
	}
}

func fill(t *testing.T, dir string, name ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(append([]string{dir, "x"}[:2-len(name)], name...)...), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestMakeAndFileModes(t *testing.T) {
	dirs, err := platform.FindDirs(filepath.Join(t.TempDir(), "home"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := dirs.Make(); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dirs.Data, "keys")
	if err := platform.WriteFile(path, nil); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestPolicyFile(t *testing.T) {
	if data, err := platform.PolicyFile(filepath.Join(t.TempDir(), "policy")); data != nil || err != nil {
		t.Errorf("none: %q, %v", data, err)
	}
	// Nothing below a folder that others can write to is the administrator's.
	exposed := filepath.Join(t.TempDir(), "policy")
	fill(t, filepath.Dir(exposed), "policy")
	if _, err := platform.PolicyFile(exposed); !errors.Is(err, platform.ErrExposed) {
		t.Errorf("below a folder of everybody's: %v", err)
	}
	if os.Getuid() != 0 {
		t.Skip("only root can make a policy file")
	}
	dir := adminsFolder(t)
	path := filepath.Join(dir, "policy")
	if err := os.WriteFile(path, []byte("a = b\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	wrong := func(name, path string) {
		t.Helper()
		if _, err := platform.PolicyFile(path); !errors.Is(err, platform.ErrExposed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if data, err := platform.PolicyFile(path); err != nil || string(data) != "a = b\n" {
		t.Errorf("the administrator's: %q, %v", data, err)
	}
	wrong("a link to it", link)
	wrong("a folder", dir)
	if err := os.Chmod(path, 0o664); err != nil {
		t.Fatal(err)
	}
	wrong("one that a group can write to", path)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	wrong("one in a folder of everybody's", path)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, nobody, 0); err != nil {
		t.Fatal(err)
	}
	wrong("somebody else's", path)
	if err := os.Truncate(path, 2<<20); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 0, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := platform.PolicyFile(path); err == nil {
		t.Error("two megabytes of policy")
	}
}

// adminsFolder makes a folder all of whose folders above belong to root alone.
func adminsFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/lib", "countersign-test")
	if err != nil {
		t.Skipf("no folder can be made in /var/lib: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func underWine() bool { return false }
