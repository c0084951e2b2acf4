package mailer_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/mailer"
	"countersign/mailer/outbox"
	"countersign/mailer/people"
	"countersign/mailer/smime"
	"countersign/mailer/transport"
	"countersign/platform/keychain"
	"countersign/tray/demo/authority"
	"countersign/vault"
	"countersign/vault/book"
	"countersign/vault/contacts"
	"countersign/vault/contacts/keyset"
	"countersign/vault/journal"
	"countersign/vault/sealed"
	"countersign/vault/settings"
	"countersign/vault/trust"
)

// world is a certification authority, a post office and a clock.
type world struct {
	*testing.T
	ca       *authority.Authority
	now      time.Time
	people   map[string]*person
	admitted map[string]*authority.Person
	wire     []letter // everything that was ever submitted
}

// letter is one message on the wire.
type letter struct {
	from string
	to   []string
	raw  []byte
}

// person is somebody with a whole mailer of their own.
type person struct {
	*mailer.Mailer
	w        *world
	who      *authority.Person
	address  string
	uid      uint32
	rules    settings.Policy
	prefs    settings.Preferences
	broken   error // of the policy file
	down     error // of their mail server
	events   []mailer.Event
	dir      string
	keychain *memory
	tokens   vault.Tokens

	certificates []byte // PEM, as they would send them
}

// common is an authority for all the tests that revoke nothing: keys are slow to make.
var common = sync.OnceValues(func() (*world, error) {
	now := time.Now().UTC().Truncate(time.Second)
	ca, err := authority.New(context.Background(), now.AddDate(0, 0, -1))
	return &world{ca: ca, now: now, admitted: map[string]*authority.Person{}}, err
})

func newWorld(t *testing.T) *world {
	t.Helper()
	w, err := common()
	if err != nil {
		t.Fatal(err)
	}
	return &world{T: t, ca: w.ca, now: w.now, admitted: w.admitted, people: map[string]*person{}}
}

// newWorldOfItsOwn is for tests that revoke.
func newWorldOfItsOwn(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, now: time.Now().UTC().Truncate(time.Second), people: map[string]*person{}, admitted: map[string]*authority.Person{}}
	var err error
	if w.ca, err = authority.New(t.Context(), w.now.AddDate(0, 0, -1)); err != nil {
		t.Fatal(err)
	}
	return w
}

// admit gives somebody a valid certificate for any address. Each name and address has
// keys of its own.
func (w *world) admit(name, address string) *authority.Person {
	w.Helper()
	id := name + " <" + address + ">"
	if w.admitted[id] == nil {
		p, err := w.ca.Admit(name, address)
		if err != nil {
			w.Fatal(err)
		}
		w.admitted[id] = p
	}
	return w.admitted[id]
}

// join gives somebody a certificate and everything else that set-up asks for.
func (w *world) join(name, address string) *person {
	w.Helper()
	return w.enter(w.admit(name, address))
}

// enter is join for somebody with certificates of any kind, more than one perhaps.
func (w *world) enter(who *authority.Person, more ...*authority.Person) *person {
	w.Helper()
	return w.settle(who, nil, func(p *person) error {
		for _, who := range append(more, who) {
			if _, err := p.Vault.ImportPKCS12(w.Context(), who.PKCS12, authority.Password); err != nil {
				return err
			}
			p.certificates = append(p.certificates, who.PEM()...)
		}
		return nil
	})
}

// settle makes a mailer for somebody who takes their keys in.
func (w *world) settle(who *authority.Person, tokens vault.Tokens, take func(*person) error) *person {
	w.Helper()
	p := &person{w: w, who: who, address: who.Address, prefs: settings.Default(), dir: w.TempDir(), keychain: &memory{items: map[string][]byte{}}, tokens: tokens}
	p.open()
	if err := take(p); err != nil {
		w.Fatal(err)
	}
	if err := p.Book.AddAnchor(w.Context(), book.Anchor{Certificate: w.ca.Root}); err != nil {
		w.Fatal(err)
	}
	p.recovery()
	w.people[p.address] = p
	w.Cleanup(func() { p.Vault.Close() })
	return p
}

func (p *person) recovery() {
	p.w.Helper()
	f, err := p.Vault.MakeRecovery(p.w.Context(), false)
	if err != nil {
		p.w.Fatal(err)
	}
	var back []string
	for _, n := range f.Ask {
		back = append(back, f.Words[n-1])
	}
	if err := p.Vault.ConfirmRecovery(p.w.Context(), back); err != nil {
		p.w.Fatal(err)
	}
}

// open starts the person's mailer, or starts it again.
func (p *person) open() {
	p.w.Helper()
	ctx, clock := p.w.Context(), func() time.Time { return p.w.now }
	must := func(err error) {
		p.w.Helper()
		if err != nil {
			p.w.Fatal(err)
		}
	}
	if p.Mailer != nil {
		must(p.Vault.Close()) // Windows deletes no file that is open
	}
	list := keyset.Words()
	v, err := vault.Open(ctx, p.dir, p.keychain, vault.Options{Clock: clock, Words: list[:], Work: 10, Tokens: p.tokens})
	must(err)
	db := v.DB()
	bk, err := book.Open(ctx, db, v.RecordKey(), clock)
	must(err)
	jr, err := journal.Open(ctx, db, v.Place("journal"), clock)
	must(err)
	box := &outbox.Box{DB: db, Clock: clock, Submit: p.submit}
	p.Mailer = &mailer.Mailer{DB: db, Outbox: box, Drafts: &mailer.Drafts{DB: db, Clock: clock}, People: &people.People{
		Vault: v, Book: bk, Journal: jr, Check: p.w.check, Clock: clock,
		Settings: func(context.Context) (settings.Preferences, settings.Policy, error) {
			return p.prefs, p.rules, p.broken
		},
		HasAccount: func(context.Context, string) bool { return true },
		Emit:       func(_ context.Context, e mailer.Event) { p.events = append(p.events, e) },
	}}
	box.Again = p.Mailer.Again
	must(p.Mailer.Open())
	must(box.Open(ctx))
}

// check asks trust, fetches what it lacks, and asks again.
func (w *world) check(_ context.Context, q trust.Question, _ bool) trust.Verdict {
	v := trust.Check(q)
	for range 2 {
		for _, need := range v.Needs {
			r, err := http.Get(need.URL)
			if err != nil {
				continue
			}
			der, err := io.ReadAll(r.Body)
			r.Body.Close()
			if crl, bad := trust.ParseCRL(der); err == nil && bad == nil {
				q.Evidence.CRLs = append(q.Evidence.CRLs, crl)
			}
		}
		v = trust.Check(q)
	}
	return v
}

// submit is the mail server of everybody: the last door, the wire, the mailboxes.
func (p *person) submit(ctx context.Context, e outbox.Envelope, src sealed.Source) (transport.Result, error) {
	var result transport.Result
	r, err := src.Open()
	if err != nil {
		return result, err
	}
	defer r.Close()
	raw, err := io.ReadAll(r)
	if err != nil {
		return result, err
	}
	if err := smime.CheckOuter(bytes.NewReader(raw)); err != nil {
		return result, err
	}
	if p.down != nil {
		return result, p.down
	}
	p.w.wire = append(p.w.wire, letter{e.From, e.To, raw})
	for _, to := range e.To {
		result.Recipients = append(result.Recipients, transport.Recipient{Address: to, State: transport.Sent})
	}
	return result, nil
}

// post sends everything that waits, everywhere, and delivers what was sent since.
func (w *world) post() {
	w.Helper()
	for _, p := range w.people {
		before := len(w.wire)
		if _, err := p.Outbox.Round(w.Context()); err != nil {
			w.Fatal(err)
		}
		for _, l := range w.wire[before:] {
			for _, to := range l.to {
				w.deliver(to, l.raw)
			}
		}
	}
}

// deliver puts one message into a mailbox and has it fetched.
func (w *world) deliver(to string, raw []byte) string {
	w.Helper()
	p := w.people[to]
	if p == nil {
		return ""
	}
	p.uid++
	id, err := p.Deliver(w.Context(), to, transport.Position{Validity: 1, UID: p.uid}, bytes.NewReader(raw))
	if err != nil {
		w.Fatal(err)
	}
	return id
}

var drafts = 0

// write saves and sends a draft.
func (p *person) write(d mailer.Draft, files ...string) (mailer.Sent, error) {
	p.w.Helper()
	return p.writeIn(p.w.Context(), d, files...)
}

func (p *person) writeIn(ctx context.Context, d mailer.Draft, files ...string) (mailer.Sent, error) {
	p.w.Helper()
	drafts++
	d.ID = fmt.Sprintf("%026d", drafts)
	d.ID = strings.NewReplacer("0", "a", "1", "b", "8", "c", "9", "d").Replace(d.ID)
	if _, err := p.Drafts.Save(ctx, d); err != nil {
		p.w.Fatal(err)
	}
	for _, f := range files {
		if _, err := p.Drafts.Attach(ctx, d.ID, mailer.File{Name: f, Type: "application/pdf"}, 1<<20, strings.NewReader("content of "+f)); err != nil {
			p.w.Fatal(err)
		}
	}
	return p.SendLetter(ctx, d.ID)
}

// last opens the newest message of the inbox.
func (p *person) last() mailer.Message {
	p.w.Helper()
	return p.newest(mailer.Inbox)
}

func (p *person) newest(folder string) mailer.Message {
	p.w.Helper()
	list, err := p.List(p.w.Context(), mailer.Query{Folder: folder, Limit: 1})
	if err != nil || len(list) == 0 {
		p.w.Fatalf("%d messages, %v", len(list), err)
	}
	m, err := p.Read(p.w.Context(), list[0].ID)
	if err != nil {
		p.w.Fatal(err)
	}
	if m.Verdict.Label != list[0].Verdict.Label || m.Subject != list[0].Subject || m.Form != list[0].Form {
		p.w.Errorf("the list says %q %q %q, the message %q %q %q", list[0].Verdict.Label, list[0].Subject, list[0].Form, m.Verdict.Label, m.Subject, m.Form)
	}
	return m
}

// knows adds a contact with their certificate.
func (p *person) knows(other *person) {
	p.w.Helper()
	if _, err := p.AddContact(p.w.Context(), mailer.NewContact{Address: other.address, Name: other.who.Name, Certificates: other.certificates}); err != nil {
		p.w.Fatal(err)
	}
}

// state checks the state of a contact.
func (p *person) state(of *person, want contacts.State) mailer.Contact {
	p.w.Helper()
	c, err := p.Contact(p.w.Context(), of.address)
	if err != nil {
		p.w.Fatal(err)
	}
	if c.State != want {
		p.w.Errorf("%s is %q to %s, not %q", of.address, c.State, p.address, want)
	}
	return c
}

// reads is what a person reads out on the telephone when from calls.
func (p *person) reads(from *person) *mailer.Incoming {
	p.w.Helper()
	c, err := p.Contact(p.w.Context(), from.address)
	if err != nil || c.Incoming == nil {
		p.w.Fatalf("%s has no test from %s (%v)", p.address, from.address, err)
	}
	return c.Incoming
}

const number = "+44 20 7946 0123"

// verifies takes a person through test, answer and call.
func (p *person) verifies(other *person) {
	p.w.Helper()
	ctx := p.w.Context()
	p.knows(other)
	if _, err := p.StartTest(ctx, other.address, ""); err != nil {
		p.w.Fatal(err)
	}
	p.w.post()
	if _, err := other.Answer(ctx, p.address); err != nil {
		p.w.Fatal(err)
	}
	p.w.post()
	heard := other.reads(p)
	r, err := p.Call(ctx, other.address, contacts.CallReport{Number: number, Source: contacts.SourceDirectory, Code: heard.Words, Words: heard.Mine})
	if err != nil || !r.Matched {
		p.w.Fatalf("%+v, %v", r, err)
	}
	p.state(other, contacts.Verified)
}

// refused checks that an error is a refusal with these codes.
func refused(t *testing.T, err error, codes ...string) {
	t.Helper()
	var r *mailer.Refused
	if !errors.As(err, &r) {
		t.Fatalf("not refused: %v", err)
	}
	var got []string
	for _, f := range r.Refusals {
		got = append(got, f.Code)
	}
	if !slices.Equal(got, codes) {
		t.Errorf("refused for %q, not %q", got, codes)
	}
}

// memory is a keychain in memory.
type memory struct {
	mu     sync.Mutex
	items  map[string][]byte
	locked bool
}

func (m *memory) Get(_ context.Context, name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locked {
		return nil, keychain.ErrLocked
	}
	if v, ok := m.items[name]; ok {
		return bytes.Clone(v), nil
	}
	return nil, keychain.ErrNotFound
}

func (m *memory) Set(_ context.Context, name string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.items[name] = bytes.Clone(value)
	return nil
}

func (m *memory) Delete(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.items, name)
	return nil
}

func (m *memory) List(context.Context) (names []string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.items {
		names = append(names, name)
	}
	return names, nil
}

func envelopeTo(p *person) []*x509.Certificate { return []*x509.Certificate{p.who.Certificate} }
