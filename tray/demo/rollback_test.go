package demo

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"countersign/platform"
	"countersign/platform/keychain"
	"countersign/tray/agent"
	"countersign/tray/control"
	"countersign/tray/demo/authority"
)

// TestRolledBack puts an old copy of the database back beneath an agent. The faces
// are told, nothing of the address book counts, and it can be begun anew.
func TestRolledBack(t *testing.T) {
	home := t.TempDir()
	dirs, err := platform.FindDirs(home)
	if err == nil {
		err = dirs.Make()
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var roots [][]byte
	for range 2 {
		ca, err := authority.New(ctx, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		roots = append(roots, ca.RootPEM())
	}
	during := func(do func(*control.Service)) {
		t.Helper()
		keys, err := keychain.OpenFile(filepath.Join(dirs.Data, "keychain.age"), []byte("a passphrase"), keychainWork)
		if err != nil {
			t.Fatal(err)
		}
		a, err := agent.Open(ctx, agent.Options{Dirs: dirs, Keychain: keys, Work: keychainWork, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
		if err != nil {
			t.Fatal(err)
		}
		do(a.Service())
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	told := func(s *control.Service) *control.Refusal {
		t.Helper()
		st, err := s.Settings.Status(ctx, control.None{})
		if err != nil {
			t.Fatal(err)
		}
		return st.AddressBook
	}
	trusted := func(s *control.Service) int {
		t.Helper()
		list, err := s.Anchors.List(ctx, control.None{})
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	trust := func(s *control.Service, pem []byte) {
		t.Helper()
		found, err := s.Anchors.Preview(ctx, control.None{}, bytes.NewReader(pem))
		if err == nil {
			_, err = s.Anchors.Add(ctx, control.AnchorOrder{Confirm: []string{found[0].Fingerprint}}, bytes.NewReader(pem))
		}
		if err != nil {
			t.Fatal(err)
		}
	}

	during(func(s *control.Service) { trust(s, roots[0]) })
	database := filepath.Join(dirs.Data, "countersign.db")
	old, err := os.ReadFile(database)
	if err != nil {
		t.Fatal(err)
	}
	during(func(s *control.Service) {
		trust(s, roots[1])
		if got := told(s); got != nil || trusted(s) != 2 {
			t.Errorf("before: %+v, %d authorities", got, trusted(s))
		}
	})
	if err := os.WriteFile(database, old, 0o600); err != nil {
		t.Fatal(err)
	}
	during(func(s *control.Service) {
		got := told(s)
		if got == nil || got.Code != "rolled-back" || got.Command == "" || got.Button == "" || trusted(s) != 0 {
			t.Fatalf("with the old copy: %+v, %d authorities", got, trusted(s))
		}
		if _, err := s.Contacts.StartOver(ctx, control.None{}); err != nil {
			t.Fatal(err)
		}
		trust(s, roots[1])
		if got := told(s); got != nil || trusted(s) != 1 {
			t.Errorf("begun anew: %+v, %d authorities", got, trusted(s))
		}
	})
	during(func(s *control.Service) {
		if got := told(s); got != nil || trusted(s) != 1 {
			t.Errorf("the next day: %+v, %d authorities", got, trusted(s))
		}
	})
}
