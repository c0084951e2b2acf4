package book_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"errors"
	"math/big"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"countersign/vault/book"
	"countersign/vault/contacts"
	"countersign/vault/sealed"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return noon }

// keeper is a keychain's part, in memory.
type keeper struct {
	private ed25519.PrivateKey
	head    [32]byte
	counter uint64
	epoch   uint64
	fail    error
}

func newKeeper() *keeper {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return &keeper{private: private}
}

func (k *keeper) Public() ed25519.PublicKey  { return k.private.Public().(ed25519.PublicKey) }
func (k *keeper) Sign(message []byte) []byte { return ed25519.Sign(k.private, message) }
func (k *keeper) Derive(info string) []byte  { return k.Sign([]byte(info))[:32] }
func (k *keeper) Head() ([32]byte, uint64)   { return k.head, k.counter }
func (k *keeper) Epoch() uint64              { return k.epoch }

func (k *keeper) Advance(_ context.Context, head [32]byte, counter uint64) error {
	if k.fail != nil {
		return k.fail
	}
	if counter < k.counter {
		return errors.New("the counter went back")
	}
	k.head, k.counter = head, counter
	return nil
}

func (k *keeper) Restart(_ context.Context, head [32]byte) error {
	k.head, k.counter = head, 1
	return k.fail
}

// profile is a database file with its keeper, that can be opened again.
type profile struct {
	t    *testing.T
	path string
	*keeper
	db   *sealed.DB
	book *book.Book
}

func newProfile(t *testing.T) *profile {
	t.Helper()
	p := &profile{t: t, path: filepath.Join(t.TempDir(), "test.db"), keeper: newKeeper()}
	t.Cleanup(func() { p.db.Close() })
	p.open()
	return p
}

func (p *profile) open() {
	p.t.Helper()
	var err error
	if p.db, err = sealed.Open(p.path, sealed.Key{1}); err == nil {
		p.book, err = book.Open(p.t.Context(), p.db, p.keeper, clock)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *profile) reopen() {
	p.t.Helper()
	if err := p.db.Close(); err != nil {
		p.t.Fatal(err)
	}
	p.open()
}

// sql changes the database by hand, with its key.
func (p *profile) sql(query string, args ...any) {
	p.t.Helper()
	err := p.db.Update(p.t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec(query, args...)
		return err
	})
	if err != nil {
		p.t.Fatalf("%s: %v", query, err)
	}
}

func (p *profile) blob(query string, args ...any) (data []byte) {
	p.t.Helper()
	err := p.db.View(p.t.Context(), func(tx *sql.Tx) error { return tx.QueryRow(query, args...).Scan(&data) })
	if err != nil {
		p.t.Fatalf("%s: %v", query, err)
	}
	return data
}

func (p *profile) get(address string) contacts.Contact {
	p.t.Helper()
	c, err := p.book.Get(p.t.Context(), address)
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

func (p *profile) state(address string) contacts.State { p.t.Helper(); return p.get(address).State }

func (p *profile) append(c contacts.Contact, draft *contacts.RecordDraft) {
	p.t.Helper()
	if err := p.book.Append(p.t.Context(), c, draft); err != nil {
		p.t.Fatal(err)
	}
}

// verify makes a verified contact, as a finished call does.
func (p *profile) verify(address string) contacts.Contact {
	p.t.Helper()
	c, draft := verified(p.t, address)
	p.append(c, draft)
	return c
}

func verified(t *testing.T, address string) (contacts.Contact, *contacts.RecordDraft) {
	t.Helper()
	cert := certificate(t, address)
	keys := contacts.KeySet{Sign: cert, Encrypt: cert}
	call := contacts.Call{At: noon, Number: "+49 30 1234", Source: contacts.SourceDirectory}
	c, err := contacts.New(address, "Dr "+address)
	if err != nil {
		t.Fatal(err)
	}
	c.Pin, c.State = &contacts.Pin{Keys: keys, Call: call}, contacts.Verified
	return c, &contacts.RecordDraft{Kind: contacts.RecordVerified, Address: address, Keys: keys.Hashes(),
		Certificates: [][]byte{cert.Raw, cert.Raw}, Time: noon, Call: call}
}

// suspend stops sending to a verified contact, as the user does.
func (p *profile) suspend(address string) {
	p.t.Helper()
	c, draft, err := p.get(address).Suspend(contacts.Moment{Now: noon}, contacts.ByUser)
	if err != nil {
		p.t.Fatal(err)
	}
	p.append(c, draft)
}

func certificate(t *testing.T, address string) *x509.Certificate {
	t.Helper()
	return certificateOf(t, address)
}

func certificateOf(t *testing.T, address string, organisation ...string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: address, Organization: organisation}, EmailAddresses: []string{address},
		NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c
}

const (
	ada   = "ada@clinic.example"
	bea   = "bea@clinic.example"
	carol = "carol@clinic.example"
)

func TestLasts(t *testing.T) {
	p := newProfile(t)
	p.verify(ada)
	p.verify(bea)
	p.suspend(bea)
	if c, err := contacts.New(carol, "Carol"); err != nil || p.book.Put(t.Context(), c) != nil {
		t.Fatal(err)
	}
	for range 2 {
		for address, want := range map[string]contacts.State{
			ada: contacts.Verified, bea: contacts.Suspended, carol: contacts.Unknown,
		} {
			if got := p.state(address); got != want {
				t.Errorf("%s is %s, want %s", address, got, want)
			}
		}
		if err := p.book.Problem(); err != nil {
			t.Errorf("a problem where there is none: %v", err)
		}
		if p.counter != 3 {
			t.Errorf("the counter is %d, want 3", p.counter)
		}
		p.reopen()
	}
	if c := p.get(ada); c.Pin.Call.Number != "+49 30 1234" || c.Name != "Dr "+ada {
		t.Errorf("the contact came back as %+v", c)
	}
	if _, err := p.book.Get(t.Context(), "nobody@clinic.example"); !errors.Is(err, book.ErrUnknown) {
		t.Errorf("got %v, want ErrUnknown", err)
	}
}

func TestOnlyARecordVerifies(t *testing.T) {
	p := newProfile(t)
	c, draft := verified(t, ada)
	if err := p.book.Put(t.Context(), c); !errors.Is(err, book.ErrUnrecorded) {
		t.Errorf("without a record: got %v, want ErrUnrecorded", err)
	}
	if err := p.book.Append(t.Context(), c, &contacts.RecordDraft{Kind: contacts.RecordVerified, Address: ada}); !errors.Is(err, book.ErrUnrecorded) {
		t.Errorf("with a record of other keys: got %v, want ErrUnrecorded", err)
	}
	other := *draft
	other.Address = bea
	if err := p.book.Append(t.Context(), c, &other); err == nil {
		t.Error("a record for another address was accepted")
	}
	if _, err := p.book.Get(t.Context(), ada); !errors.Is(err, book.ErrUnknown) || p.counter != 0 {
		t.Errorf("something was stored: %v, counter %d", err, p.counter)
	}
	p.append(c, draft)
	p.suspend(ada)
	c.Suspension, c.State = nil, contacts.Verified
	if err := p.book.Put(t.Context(), c); !errors.Is(err, book.ErrUnrecorded) {
		t.Errorf("ending a suspension without a record: got %v, want ErrUnrecorded", err)
	}
}

func TestStopBetweenDatabaseAndKeychain(t *testing.T) {
	p := newProfile(t)
	p.verify(ada)
	p.fail = errors.New("locked")
	c, draft := verified(t, bea)
	if err := p.book.Append(t.Context(), c, draft); !errors.Is(err, book.ErrHeadBehind) || !errors.Is(err, p.fail) {
		t.Errorf("got %v, want ErrHeadBehind", err)
	}
	c2, draft2 := verified(t, carol)
	if err := p.book.Append(t.Context(), c2, draft2); !errors.Is(err, p.fail) || p.counter != 1 {
		t.Errorf("a second record beyond the head: %v", err)
	}
	if _, err := p.book.Get(t.Context(), carol); !errors.Is(err, book.ErrUnknown) {
		t.Errorf("it was stored: %v", err)
	}
	p.fail = nil
	p.reopen()
	if s := p.state(bea); s != contacts.Verified || p.counter != 2 || p.book.Problem() != nil {
		t.Errorf("after a restart bea is %s, counter %d: %v", s, p.counter, p.book.Problem())
	}
	p.append(c2, draft2)
	if p.counter != 3 {
		t.Errorf("the counter is %d", p.counter)
	}
}

// TestTwoBeyondTheHead has a keychain that is older than the database.
func TestTwoBeyondTheHead(t *testing.T) {
	p := newProfile(t)
	p.verify(ada)
	before := *p.keeper
	p.verify(bea)
	c := p.verify(carol)
	c.Incoming, c.State = &contacts.Incoming{ID: "x"}, contacts.Verified
	if err := p.book.Put(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	*p.keeper = before
	p.reopen()
	if err := p.book.Problem(); !errors.Is(err, book.ErrRolledBack) {
		t.Errorf("got %v, want ErrRolledBack", err)
	}
	p.nobodyVerified("two beyond")

	// The same after a recovery file was opened, which is older as a rule.
	p.epoch++
	for range 2 {
		p.reopen()
		if c := p.get(carol); c.State != contacts.Verified || p.counter != 3 || c.Incoming != nil || p.book.Problem() != nil {
			t.Errorf("carol is %s, counter %d, test %v: %v", c.State, p.counter, c.Incoming, p.book.Problem())
		}
	}
	// And an old copy of the database after that is an old copy.
	p.sql(`DELETE FROM book_record WHERE seq = 3`)
	p.epoch++
	p.reopen()
	if err := p.book.Problem(); !errors.Is(err, book.ErrRolledBack) {
		t.Errorf("got %v, want ErrRolledBack", err)
	}
}

func TestRestartCutShort(t *testing.T) {
	p := newProfile(t)
	p.verify(ada)
	p.sql(`DELETE FROM book_record`)
	p.reopen()
	before := *p.keeper
	if err := p.book.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	*p.keeper = before // the keychain was never written
	p.reopen()
	if err := p.book.Problem(); !errors.Is(err, book.ErrRolledBack) {
		t.Errorf("got %v, want ErrRolledBack", err)
	}
	if err := p.book.Restart(t.Context()); err != nil || p.book.Problem() != nil || p.state(ada) != contacts.Suspended {
		t.Errorf("again: %v, %v, ada %s", err, p.book.Problem(), p.state(ada))
	}
}

func TestRemove(t *testing.T) {
	p := newProfile(t)
	p.verify(ada)
	for range 2 {
		if err := p.book.Remove(t.Context(), ada); err != nil && !errors.Is(err, book.ErrUnknown) {
			t.Fatal(err)
		}
	}
	p.reopen()
	if _, err := p.book.Get(t.Context(), ada); !errors.Is(err, book.ErrUnknown) {
		t.Errorf("got %v, want ErrUnknown", err)
	}
	if found, err := p.book.Search(t.Context(), "ada", 10); err != nil || len(found) != 0 {
		t.Errorf("it is still found: %v, %v", found, err)
	}
	c, draft := verified(t, ada) // a second acquaintance
	p.append(c, draft)
	p.reopen()
	if s := p.state(ada); s != contacts.Verified {
		t.Errorf("verified again, it is %s", s)
	}
}

// TestChange has many change one contact at the same time.
func TestChange(t *testing.T) {
	p := newProfile(t)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			_, err := p.book.Change(t.Context(), ada, func(c contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) {
				c.Name += "x"
				return c, nil, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if c := p.get(ada); len(c.Name) != 20 {
		t.Errorf("%d of 20 changes remain", len(c.Name))
	}
	oops := errors.New("oops")
	_, err := p.book.Change(t.Context(), ada, func(c contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) {
		c.Name = "y"
		return c, nil, oops
	})
	if err != oops || p.get(ada).Name == "y" {
		t.Errorf("a change that failed: %v, %s", err, p.get(ada).Name)
	}
	if _, err := p.book.Change(t.Context(), ada, func(c contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) {
		c.Address = bea
		return c, nil, nil
	}); err == nil {
		t.Error("a contact changed its address")
	}
	if _, err := p.book.Change(t.Context(), "not an address", nil); err == nil {
		t.Error("a contact was made of no address")
	}
}

// TestUnchanged: what is as it was is not written, but whoever is new is, and what is written
// is seen at once.
func TestUnchanged(t *testing.T) {
	p := newProfile(t)
	as := func(name string) func(contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) {
		return func(c contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) {
			c.Name = name
			return c, nil, nil
		}
	}
	var writes sealed.Memo[bool] // holds until something is written
	for _, step := range []struct {
		name   string
		writes bool
	}{{"", true}, {"", false}, {"Bea", true}, {"Bea", false}, {"Be", true}} {
		wrote := false
		look := func() (bool, error) {
			wrote = true
			return true, nil
		}
		if _, err := writes.Get(p.db, "", look); err != nil {
			t.Fatal(err)
		}
		wrote = false
		c, err := p.book.Change(t.Context(), bea, as(step.name))
		if err != nil || c.Name != step.name || p.get(bea).Name != step.name {
			t.Errorf("%+v: %v, %v", step, c, err)
		}
		if _, err := writes.Get(p.db, "", look); err != nil || wrote != step.writes {
			t.Errorf("%+v: it wrote: %t, %v", step, wrote, err)
		}
	}
}

// TestWaiting: who waits for the user is counted, wherever they stand in the book, until
// it is over, and from the rows of an earlier version, too.
func TestWaiting(t *testing.T) {
	p := newProfile(t)
	ctx := t.Context()
	test := &contacts.Test{Answered: noon, Expires: noon.Add(time.Hour)}
	keys := contacts.KeySet{Sign: certificate(t, ada), Encrypt: certificate(t, ada)}
	for address, c := range map[string]contacts.Contact{
		"a@x.example": {State: contacts.Unknown},
		"b@x.example": {State: contacts.Answered, Test: test},
		"c@x.example": {State: contacts.TestSent, Test: &contacts.Test{Expires: noon.Add(time.Hour)}},
		"d@x.example": {State: contacts.Unknown, Incoming: &contacts.Incoming{Expires: noon.Add(2 * time.Hour)}},
		"e@x.example": {State: contacts.Answered, Incoming: &contacts.Incoming{Answered: noon, Expires: noon.Add(2 * time.Hour)}},
		"f@x.example": {State: contacts.Mismatch, Doubt: &contacts.Doubt{At: noon, Keys: keys.ID()}},
		"g@x.example": {State: contacts.Answered, Test: test, Incoming: &contacts.Incoming{Expires: noon.Add(-time.Hour)}},
	} {
		c.Address = address
		if err := p.book.Put(ctx, c); err != nil {
			t.Fatal(address, err)
		}
	}
	count := func(when string, want int) {
		t.Helper()
		if n, err := p.book.Waiting(ctx); err != nil || n != want {
			t.Errorf("%s: %d wait, want %d (%v)", when, n, want, err)
		}
	}
	count("at noon", 4)
	p.sql(`UPDATE book_contact SET waits = 0`)
	p.sql(`UPDATE book_indexed SET version = 1`)
	p.reopen()
	count("opened with an index of before", 4)
	p.change("f@x.example", func(c contacts.Contact) (contacts.Contact, *contacts.RecordDraft, error) {
		c, err := c.Misheard()
		return c, nil, err
	})
	count("misheard", 3)
	if err := p.book.Remove(ctx, "d@x.example"); err != nil {
		t.Fatal(err)
	}
	count("removed", 2)
	if p.book, _ = book.Open(ctx, p.db, p.keeper, func() time.Time { return noon.Add(time.Hour) }); p.book == nil {
		t.Fatal("not opened")
	}
	count("an hour later", 0)
}
