package platform_test

import (
	"errors"
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
			if want := (platform.Dirs{Data: test.want, Run: filepath.Join(test.want, "run")}); dirs != want {
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
