package vault_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"countersign/platform/keychain"
	"countersign/vault"
	"countersign/vault/book"
	"countersign/vault/contacts"
	"countersign/vault/journal"
)

// house is a vault with the rooms that keep a head in the keychain.
type house struct {
	*vault.Vault
	book    *book.Book
	journal *journal.Journal
}

func openHouse(t *testing.T, dir string, kc keychain.Store) house {
	t.Helper()
	clock := func() time.Time { return noon }
	h := house{Vault: open(t, dir, kc)}
	var err error
	if h.book, err = book.Open(t.Context(), h.DB(), h.RecordKey(), clock); err != nil {
		t.Fatal(err)
	}
	if h.journal, err = journal.Open(t.Context(), h.DB(), h.Place("journal"), clock); err != nil {
		t.Fatal(err)
	}
	return h
}

// verify verifies somebody, and has a test of theirs lie there unanswered.
func (h house) verify(t *testing.T, address string) {
	t.Helper()
	cert := certificate(t, rsaKey().Public())
	keys := contacts.KeySet{Sign: cert, Encrypt: cert}
	call := contacts.Call{At: noon, Number: "030 1234", Source: contacts.SourceDirectory}
	c := contacts.Contact{Address: address, State: contacts.Verified, Pin: &contacts.Pin{Keys: keys, Call: call},
		Incoming: &contacts.Incoming{ID: "x"}}
	err := h.book.Append(t.Context(), c, &contacts.RecordDraft{Kind: contacts.RecordVerified, Address: address,
		Keys: keys.Hashes(), Certificates: [][]byte{cert.Raw, cert.Raw}, Time: noon, Call: call})
	if err = errors.Join(err, h.journal.Append(t.Context(), "contact-verified", address, "Verified.")); err != nil {
		t.Fatal(err)
	}
}

func (h house) suspend(t *testing.T, address string) {
	t.Helper()
	c, err := h.book.Get(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	c, draft, err := c.Suspend(contacts.Moment{Now: noon}, contacts.ByUser)
	if err = errors.Join(err, h.book.Append(t.Context(), c, draft)); err != nil {
		t.Fatal(err)
	}
}

func (h house) backup(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := h.DB().Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRestoreStories follows a profile into every way of being restored. The
// recovery file is made after ada's verification; bea is verified after it, and
// then ada suspended.
func TestRestoreStories(t *testing.T) {
	dir, kc := t.TempDir(), newMemory()
	h := openHouse(t, dir, kc)
	before := h.backup(t)
	h.verify(t, "ada@x.example")
	early := h.backup(t)
	file := makeRecovery(t, h.Vault, false)
	h.verify(t, "bea@x.example")
	h.suspend(t, "ada@x.example")
	late := h.backup(t)
	if err := errors.Join(h.journal.Hold(t.Context()), h.Close()); err != nil {
		t.Fatal(err)
	}

	for _, c := range []struct {
		name         string
		here         bool // same machine, with its keychain
		keychainGone bool
		backup       string
		ada, bea     contacts.State // "" if not known
		rolledBack   bool
		proved       bool // the journal
	}{
		{name: "new machine", keychainGone: true, backup: late, ada: contacts.Suspended, bea: contacts.Verified, proved: true},
		{name: "new machine, copy as old as the file", keychainGone: true, backup: early, ada: contacts.Verified, proved: true},
		{name: "new machine, copy older than the file", keychainGone: true, backup: before, rolledBack: true},
		{name: "new machine, no copy", keychainGone: true, rolledBack: true},
		{name: "keychain deleted", here: true, keychainGone: true, ada: contacts.Suspended, bea: contacts.Verified, proved: true},
		{name: "old copy on the same machine", here: true, backup: early, ada: contacts.Suspended, rolledBack: true},
		{name: "latest copy on the same machine", here: true, backup: late, ada: contacts.Suspended, bea: contacts.Verified, proved: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			to, with := filepath.Join(t.TempDir(), "new"), newMemory()
			if c.here {
				if err := copyProfile(dir, to); err != nil {
					t.Fatal(err)
				}
			}
			if !c.keychainGone {
				for name, value := range kc.items {
					with.items[name] = value
				}
			}
			r, err := vault.OpenRecovery(file.Bytes, file.Words, words())
			if err == nil {
				err = r.Restore(t.Context(), to, with, c.backup)
			}
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // opened again, it is the same
				h := openHouse(t, to, with)
				if err := h.book.Problem(); errors.Is(err, book.ErrRolledBack) != c.rolledBack || err != nil && !c.rolledBack {
					t.Errorf("the book: %v", err)
				}
				for address, want := range map[string]contacts.State{"ada@x.example": c.ada, "bea@x.example": c.bea} {
					got, err := h.book.Get(t.Context(), address)
					if got.State != want || want == "" && !errors.Is(err, book.ErrUnknown) {
						t.Errorf("%s is %q (%v), want %q", address, got.State, err, want)
					}
					if !c.rolledBack && got.Incoming != nil {
						t.Errorf("a test of %s is not void", address)
					}
				}
				if p, err := h.journal.Verify(t.Context()); err != nil || p.OK != c.proved {
					t.Errorf("the journal: %+v, %v", p, err)
				}
				h.Close()
			}
		})
	}
}
