//go:build unix

package platform

import (
	"errors"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// TestInheritedLock: what begins anew has the lock that it kept, and only that.
func TestInheritedLock(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	held, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := unix.Dup(int(held.(*os.File).Fd())) // as it is in the new image
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(dir); !errors.Is(err, ErrRunning) {
		t.Fatalf("another gets it: %v", err)
	}
	t.Setenv(lockVariable, strconv.Itoa(kept))
	elsewhere, err := Lock(other)
	if err != nil || elsewhere.(*os.File).Fd() == uintptr(kept) {
		t.Fatalf("the lock of another profile: %v", err)
	}
	elsewhere.Close()
	t.Setenv(lockVariable, strconv.Itoa(kept))
	same, err := Lock(dir)
	if err != nil || same.(*os.File).Fd() != uintptr(kept) {
		t.Fatalf("not the lock that was kept: %v", err)
	}
	if os.Getenv(lockVariable) != "" {
		t.Error("those started later would look for it")
	}
	held.Close()
	if _, err := Lock(dir); !errors.Is(err, ErrRunning) {
		t.Errorf("another gets it: %v", err)
	}
	same.Close()
	free, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	for _, nonsense := range []string{"x", "-1", "0", "9999"} {
		t.Setenv(lockVariable, nonsense)
		l, err := Lock(dir)
		if err != nil {
			t.Fatalf("%s: %v", nonsense, err)
		}
		l.Close()
	}
}
