package keychain

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
)

const testWork = 10 // 2 milliseconds

func openTestFile(t *testing.T, path string) Store {
	t.Helper()
	s, err := OpenFile(path, []byte("correct horse"), testWork)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	suite(t, func(t *testing.T, profile string) Store {
		return openTestFile(t, filepath.Join(dir, profile))
	})
}

func TestFilePassphrase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	openTestFile(t, path)
	for _, wrong := range []string{"", "Correct horse", "correct horse "} {
		if _, err := OpenFile(path, []byte(wrong), testWork); !errors.Is(err, ErrPassphrase) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

func TestFileWork(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	openTestFile(t, path)
	for range 2 { // a change keeps it
		if work, err := FileWork(path); err != nil || work != testWork {
			t.Errorf("work %d, %v", work, err)
		}
		if err := openTestFile(t, path).Set(t.Context(), "n", nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, work := range []int{-1, maxWork + 1} {
		if _, err := OpenFile(path+"2", []byte("p"), work); err == nil {
			t.Errorf("work %d was taken", work)
		}
	}
	if _, err := FileWork(path + "2"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// Nothing that was kept can be read in the file, and it is for its owner alone.
func TestFileOnDisc(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keys")
	s := openTestFile(t, path)
	if err := s.Set(t.Context(), "some-name", []byte("some-secret")); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, plain := range []string{"some-name", "some-secret", "c29tZS1zZWNyZXQ", "AGE-SECRET-KEY", "age1"} {
		if bytes.Contains(data, []byte(plain)) {
			t.Errorf("the file holds %q", plain)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("beside it: %v, %v", entries, err)
	}
}

// The file is two ordinary age files: the passphrase alone, and any age
// program, is enough to get everything out.
func TestFileIsPlainAge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	if err := openTestFile(t, path).Set(t.Context(), "n", []byte("v")); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.SplitAfter(string(data), "-----END AGE ENCRYPTED FILE-----\n")
	passphrase, err := age.NewScryptIdentity("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	id, err := age.ParseX25519Identity(plain(t, parts[0], passphrase))
	if err != nil {
		t.Fatal(err)
	}
	if got := plain(t, parts[1], id); got != `{"n":"dg=="}` {
		t.Errorf("items %s", got)
	}
}

func plain(t *testing.T, part string, id age.Identity) string {
	t.Helper()
	r, err := age.Decrypt(armor.NewReader(strings.NewReader(part)), id)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestFileThatWasChanged(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keys")
	if err := openTestFile(t, path).Set(t.Context(), "n", []byte("v")); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.SplitAfter(string(good), "-----END AGE ENCRYPTED FILE-----\n")
	openTestFile(t, path+"2")
	other, err := os.ReadFile(path + "2")
	if err != nil {
		t.Fatal(err)
	}
	stranger := strings.SplitAfter(string(other), "-----END AGE ENCRYPTED FILE-----\n")
	lines := strings.SplitAfter(string(good), "\n")
	lines[len(lines)-3] = strings.Repeat("A", len(lines[len(lines)-3])-1) + "\n"
	for name, content := range map[string]string{
		"empty":                     "",
		"something else":            "hello\n",
		"the first part only":       parts[0],
		"another file's items":      parts[0] + stranger[1],
		"a changed line":            strings.Join(lines, ""),
		"cut off":                   string(good[:len(good)-40]),
		"something after it":        string(good) + "more\n",
		"the parts changed places":  parts[1] + parts[0],
		"longer than any should be": string(good) + strings.Repeat("\n", maxFile),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keys")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := OpenFile(path, []byte("correct horse"), testWork); err == nil {
				t.Error("it was opened")
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != content {
				t.Errorf("it was written over: %v", err)
			}
		})
	}
}

// A file that goes away while it is open is an error, not an empty keychain.
func TestFileThatVanished(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	s := openTestFile(t, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "n"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("get: %v", err)
	}
	if err := s.Set(t.Context(), "n", nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("set: %v", err)
	}
}
