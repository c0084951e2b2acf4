package pkcs11test

import (
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/fstest"
)

// ready is a folder that was set up once in this process, and its keys. To set one up takes
// a second or more, to copy it nothing.
type ready struct {
	mu      sync.Mutex
	files   fstest.MapFS
	keys    map[string]Key
	offered []string
}

// What this process has set up so far.
var softHSM, nss, fakes, small, misbehaving ready

// copy fills the token's folder, by set the first time.
func (r *ready) copy(tb testing.TB, t *Token, set func()) {
	tb.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.files != nil {
		if err := os.CopyFS(t.folder, r.files); err != nil {
			tb.Fatal(err)
		}
		t.keys, t.Offered = maps.Clone(r.keys), slices.Clone(r.offered)
		return
	}
	set()
	files := fstest.MapFS{}
	from := os.DirFS(t.folder)
	err := fs.WalkDir(from, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		f := &fstest.MapFile{Mode: entry.Type() | 0o700}
		if entry.Type().IsRegular() {
			f.Data, err = fs.ReadFile(from, path)
		}
		files[path] = f
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	r.files, r.keys, r.offered = files, maps.Clone(t.keys), slices.Clone(t.Offered)
}
