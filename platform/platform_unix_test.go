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
