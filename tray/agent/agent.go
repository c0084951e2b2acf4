// Package agent puts the rooms together, in one place: it opens the vault, joins
// the mailer, answers everything in tray/control, serves the page and the socket,
// fetches mail and works through the outbox. It decides nothing itself.
//
// An [Agent] is one profile. Several can live in one process, as in the demo;
// nothing here is global. [Main] is the program.
//
// Files: agent.go opens and runs; mail.go, contacts.go, identities.go,
// accounts.go, cards.go, journal.go, settings.go and finding.go answer the interfaces of control, in its
// values, which values.go converts; courier.go fetches and submits; epoch.go holds what
// was waiting when a profile was restored; restore.go brings one back. The room
// guard drops the keys and begins the program anew (K2), the room beside runs the icon. The room
// events keeps what the faces are told; the room keys is the life of the user's own keys,
// the room anchors the authorities, the room tokens the smartcards.
package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"countersign/mailer"
	"countersign/mailer/account"
	"countersign/mailer/outbox"
	"countersign/mailer/people"
	"countersign/platform"
	"countersign/platform/keychain"
	"countersign/platform/localsock"
	"countersign/platform/resolver"
	"countersign/tray/agent/anchors"
	"countersign/tray/agent/events"
	"countersign/tray/agent/guard"
	"countersign/tray/agent/keys"
	"countersign/tray/agent/tokens"
	"countersign/tray/agent/watch"
	"countersign/tray/control"
	"countersign/tray/web"
	"countersign/vault"
	"countersign/vault/book"
	"countersign/vault/contacts/keyset"
	"countersign/vault/discover"
	"countersign/vault/journal"
	"countersign/vault/settings"
	"countersign/vault/trust"
)

// Options is what an agent stands on.
type Options struct {
	Dirs       platform.Dirs
	Keychain   keychain.Store
	Policy     string             // path of the administrator's policy file; empty: none is looked for
	Simulation control.Simulation // the demo's telephone, or nil
	Demo       bool
	Log        *slog.Logger
	Work       int              // scrypt's work factor for the recovery file; 0: Work
	Clock      func() time.Time // nil: time.Now
	Rand       io.Reader        // nil: crypto/rand
	// DNS is asked for people's certificates, unless the policy file names servers; nil:
	// the system's servers are.
	DNS *resolver.Resolver
	// Cards is where card software is found, and who is asked for a PIN; nil: no cards are used.
	Cards *tokens.World
}

// Agent is one open profile.
type Agent struct {
	dirs       platform.Dirs
	policyPath string
	demo       bool
	openPage   bool
	log        *slog.Logger
	dns        *resolver.Resolver
	clock      func() time.Time

	vault    *vault.Vault
	book     *book.Book
	journal  *journal.Journal
	checker  *discover.Checker
	mailer   *mailer.Mailer
	accounts *account.Accounts
	keys     *keys.Keys
	tokens   *tokens.Tokens
	anchors  *anchors.Anchors
	events   *events.Log
	page     *web.Page
	svc      *control.Service

	held     int64      // envelopes up to here were accepted before a restore
	fetching sync.Mutex // one fetch at a time, so that nothing is brought twice
	fetched  watch.Fetched
	seen     watch.Waits   // ended when something was read here
	poke     chan struct{} // wakes the fetching
	stop     context.CancelFunc
	stopped  context.Context
	drop     context.CancelFunc // ends Run with guard.ErrLocked
	dropped  context.Context
	lockable bool // somebody opens it again
}

// stopDelay lets the page's answer to a stop get out first: its server does not wait.
const stopDelay = 100 * time.Millisecond

// Open opens a profile, or makes a new one. Nothing runs until Run.
func Open(ctx context.Context, o Options) (a *Agent, err error) {
	a = &Agent{dirs: o.Dirs, policyPath: o.Policy, demo: o.Demo, log: o.Log, dns: o.DNS, clock: o.Clock, poke: make(chan struct{}, 1)}
	if a.clock == nil {
		a.clock = time.Now
	}
	a.stopped, a.stop = context.WithCancel(context.Background())
	a.dropped, a.drop = context.WithCancel(context.Background())
	list := keyset.Words()
	a.tokens = a.cards(o.Cards)
	a.vault, err = vault.Open(ctx, o.Dirs.Data, o.Keychain, vault.Options{Clock: a.clock, Rand: o.Rand, Words: list[:], Work: o.Work, Tokens: a.tokens})
	if err != nil {
		return nil, words(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	if err := a.furnish(ctx, o); err != nil {
		return nil, err
	}
	a.serve(o.Simulation)
	a.page, err = web.New(a.svc, web.Options{PeerIsMe: platform.PeerIsMe, Resolves: resolves(), Clock: a.clock})
	if err != nil {
		return nil, fmt.Errorf("making the page: %w", err)
	}
	return a, nil
}

// resolves is how the page learns whether names under .localhost are found: by the
// browser that will be opened, or else by asking the system (nil).
func resolves() func(context.Context) bool {
	if platform.FindsLocalhost() {
		return func(context.Context) bool { return true }
	}
	return nil
}

// furnish opens the rooms that stand on the vault's database.
func (a *Agent) furnish(ctx context.Context, o Options) (err error) {
	db := a.vault.DB()
	if err := db.Migrate("agent", preferencesSchema, epochSchema); err != nil {
		return err
	}
	if a.events, err = events.Open(db, a.clock); err != nil {
		return err
	}
	if a.journal, err = journal.Open(ctx, db, a.vault.Place("journal"), a.clock); err != nil {
		return err
	}
	if a.book, err = book.Open(ctx, db, a.vault.RecordKey(), a.clock); err != nil {
		return err
	}
	if problem := a.book.Problem(); problem != nil {
		if err := a.note(ctx, "address-book", "", problem.Error()); err != nil {
			return err
		}
	}
	if a.checker, err = discover.Open(db, a.clock); err != nil {
		return err
	}
	if a.accounts, err = account.Open(a.vault); err != nil {
		return err
	}
	box := &outbox.Box{DB: db, Clock: a.clock, Rand: o.Rand, Submit: a.submit}
	a.mailer = &mailer.Mailer{
		DB: db, Outbox: box, Drafts: &mailer.Drafts{DB: db, Clock: a.clock},
		People: &people.People{
			Vault: a.vault, Book: a.book, Journal: a.journal,
			Check: a.check, Published: a.published, Settings: a.rules, HasAccount: a.hasAccount, Emit: a.emit,
			Clock: a.clock, Rand: o.Rand, Zone: time.Local,
		},
	}
	a.anchors = &anchors.Anchors{Book: a.book, DB: db, Log: a.log, Clock: a.clock, Fetch: a.list, Note: a.note, Tell: a.tell, Changed: a.anchorsChanged, Words: words}
	if err := a.anchors.Open(); err != nil {
		return err
	}
	a.keys = &keys.Keys{Vault: a.vault, Mailer: a.mailer, Book: a.book, Log: a.log, Clock: a.clock, Note: a.note, Tell: a.tell, Words: words, Asked: a.tokens.Asked}
	box.Again, box.Changed = a.again, a.mailer.Changed
	if err := a.mailer.Open(); err != nil {
		return err
	}
	if err := box.Open(ctx); err != nil {
		return err
	}
	return a.newEpoch(ctx, box)
}

// serve lays out what can be asked.
func (a *Agent) serve(sim control.Simulation) {
	a.svc = &control.Service{
		Mail: letters{a}, Contacts: addressBook{a}, Identities: identities{a, a.keys}, Anchors: a.anchors, Accounts: mailboxes{a},
		Tokens: a.desk(), Journal: record{a}, Settings: preferences{a}, Events: a.events, Simulation: sim,
	}
}

// Service is everything that can be asked of this agent.
func (a *Agent) Service() *control.Service { return a.svc }

// Run serves the socket and the page, fetches and sends, until ctx ends or the
// agent is told to stop.
func (a *Agent) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	context.AfterFunc(a.stopped, func() { cancel(nil) })
	context.AfterFunc(a.dropped, func() { cancel(guard.ErrLocked) })
	var running sync.WaitGroup
	for name, work := range map[string]func(context.Context) error{
		"the socket": a.answer, "the page": a.showPage, "the outbox": a.mailer.Outbox.Run, "the mailboxes": a.fetchAll, "the cards": a.tokens.Run,
		"the journal":             a.every(24*time.Hour, "holding the journal's head", a.journal.Hold),
		"revocation lists":        a.every(time.Hour, "renewing revocation lists", a.prefetch),
		"the user's certificates": a.every(time.Hour, "looking after your certificates", a.keys.Tend),
		"lists of authorities":    a.every(time.Hour, "renewing lists of authorities", a.anchors.Renew),
	} {
		running.Go(func() {
			if err := work(ctx); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	<-ctx.Done()
	running.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// Close locks cards and vault and closes the database. Run must have returned.
func (a *Agent) Close() error { return errors.Join(a.tokens.Close(), a.vault.Close()) }

func (a *Agent) answer(ctx context.Context) error {
	l, err := localsock.Listen(a.dirs.Run)
	if err != nil {
		return err
	}
	return control.Serve(ctx, l, a.svc)
}

func (a *Agent) showPage(ctx context.Context) error {
	l, err := web.Listen()
	if err != nil {
		return err
	}
	if a.openPage {
		go func() {
			if err := a.OpenPage(ctx); err != nil && !errors.Is(err, platform.ErrNoDesktop) {
				a.log.Warn("opening the page", "error", err)
			}
		}()
	}
	return a.page.Serve(ctx, l)
}

// OpenPage opens the page in an app window or the default browser. It fails with
// platform.ErrNoDesktop where there is no screen.
func (a *Agent) OpenPage(context.Context) error {
	file, err := a.page.SignInFile(a.dirs.Run)
	if err != nil {
		return err
	}
	return platform.OpenBrowser(file, filepath.Join(a.dirs.Data, "browser"))
}

// every does something at once, since the computer may have been off for days, and
// again after each period. What fails is tried again then.
func (a *Agent) every(period time.Duration, what string, do func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		tick := time.NewTicker(period)
		defer tick.Stop()
		for {
			if err := do(ctx); err != nil && ctx.Err() == nil {
				a.log.Warn(what, "error", err)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// check judges a certificate, by the rules of the moment for what may be fetched
// (I1). A policy file that cannot be understood allows nothing beyond them.
func (a *Agent) check(ctx context.Context, q trust.Question, fetch bool) trust.Verdict {
	prefs, policy, err := a.rules(ctx)
	if err != nil {
		prefs.AllowPrivate, policy = false, settings.Policy{}
	}
	return a.checker.Check(ctx, q, fetching(prefs, policy, fetch))
}

// fetching is what may be fetched, and from whom first. A responder that is asked because
// the administrator wants the newest word has to say something new, so with a nonce.
func fetching(prefs settings.Preferences, policy settings.Policy, chosen bool) discover.Rules {
	return discover.Rules{Chosen: chosen, AllowPrivate: prefs.AllowPrivate, Hosts: policy.RevocationHosts,
		OCSPFirst: policy.RespondersFirst, Nonce: policy.RespondersFirst}
}

// list fetches a list of authorities, by the same rules.
func (a *Agent) list(ctx context.Context, url string) ([]byte, error) {
	prefs, _, err := a.rules(ctx)
	if err != nil {
		return nil, err
	}
	return a.checker.Bundle(ctx, url, discover.Rules{AllowPrivate: prefs.AllowPrivate})
}

// anchorsChanged has everything that depends on the authorities looked at anew.
func (a *Agent) anchorsChanged(ctx context.Context) error {
	if err := a.mailer.Reconsider(ctx); err != nil {
		return err
	}
	return a.tell(ctx, "status", "", "The authorities that you trust have changed.")
}

// prefetch renews revocation lists before they run out, so that sending never waits
// for one.
func (a *Agent) prefetch(ctx context.Context) error {
	prefs, policy, err := a.rules(ctx)
	if err != nil {
		return nil // shown in the status; the lists can wait
	}
	return a.checker.Prefetch(ctx, fetching(prefs, policy, false))
}

// note writes a line into the journal.
func (a *Agent) note(ctx context.Context, kind, person, says string) error {
	return a.journal.Append(ctx, kind, person, says)
}

// tell stores an event for the faces.
func (a *Agent) tell(ctx context.Context, kind, id, says string) error {
	return a.events.Add(ctx, kind, id, says)
}

func (a *Agent) emit(ctx context.Context, e mailer.Event) {
	if err := a.tell(ctx, e.Kind, e.ID, e.Says); err != nil {
		a.log.Warn("telling the faces", "error", err)
	}
}

// version is the module's version as built.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
