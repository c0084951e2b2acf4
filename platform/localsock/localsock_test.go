package localsock_test

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"countersign/platform"
	"countersign/platform/localsock"
)

// runFolder returns a private folder whose path has at least length bytes.
func runFolder(t *testing.T, length int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	for len(dir) < length {
		dir = filepath.Join(dir, "a-folder-with-a-long-name")
	}
	if err := platform.MakePrivate(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestStream(t *testing.T) {
	dir := runFolder(t, 0)
	stream(t, dir)
	stream(t, dir) // again, after the first has closed
}

// stream sends a word each way.
func stream(t *testing.T, dir string) {
	t.Helper()
	l, err := localsock.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			answered <- err
			return
		}
		defer conn.Close()
		_, err = io.CopyN(conn, conn, 5)
		answered <- err
	}()
	conn, err := localsock.Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	back := make([]byte, 5)
	if _, err := io.ReadFull(conn, back); err != nil || string(back) != "hello" {
		t.Errorf("read %q, %v", back, err)
	}
	if err := <-answered; err != nil {
		t.Errorf("the other end: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := localsock.Dial(t.Context(), dir); !errors.Is(err, localsock.ErrNobody) {
		t.Errorf("after it closed: %v", err)
	}
}

func TestNobody(t *testing.T) {
	for name, dir := range map[string]string{
		"no socket":              runFolder(t, 0),
		"no folder":              filepath.Join(t.TempDir(), "missing"),
		"no folder, a long path": filepath.Join(runFolder(t, 200), "missing"),
	} {
		if _, err := localsock.Dial(t.Context(), dir); !errors.Is(err, localsock.ErrNobody) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := runFolder(t, 0)
	l, err := localsock.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := localsock.Dial(ctx, dir); !errors.Is(err, context.Canceled) && err != nil {
		t.Errorf("got %v", err)
	}
}
