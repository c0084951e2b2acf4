// Package tokens is the smartcards and security tokens of this machine: it finds the
// software of their makers, opens each behind a helper of its own, tells which tokens come
// and go, asks for PINs, and gives the vault its keys.
//
// # Which software
//
// What package pkcs11/installed finds on this machine and what the administrator's policy
// names, if it lies where only the administrator can write and the policy allows it (F2).
// The helper is the program countersign-pkcs11 beside this one, never one of PATH. Software
// that cannot be loaded is told once, in lists and in the status, and holds nothing up; what
// the administrator left out is told in lists alone.
//
// On Windows the keys of the user's certificate store (platform/certstore) are there besides, behind
// a helper of their own: Windows asks for their PINs itself.
//
// # Who is asked
//
// A PIN is asked for only in the context that [Tokens.Asked] makes, for what a person just
// did (K3). A token stays unlocked for the policy's time after the last such thing that
// used it; then its software is locked, which ends its helper and wipes the PIN. With a time
// of zero that is as soon as the thing is done.
//
// # What is told
//
// Events token-in and token-out as a token comes and goes; token-unlocked when somebody
// unlocked one, token-locked when all are locked again; token-waits where somebody has to enter
// a PIN on the reader, or touch a token that takes long. What a token calls itself
// may be anybody's words, so it is cleaned before it is shown.
package tokens

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"countersign/pkcs11"
	"countersign/pkcs11/installed"
	"countersign/platform/pinprompt"
	"countersign/vault/settings"
)

// Prompter asks a person for a PIN. platform/pinprompt is one.
type Prompter interface {
	Ask(ctx context.Context, q pinprompt.Question) ([]byte, error)
	// Tell says that the PIN is to be entered on the reader, until done is called.
	Tell(ctx context.Context, q pinprompt.Question) (done func() error)
}

// World is where things are found. The zero value is this machine; tests bring their own.
type World struct {
	Helper string                     // the path of countersign-pkcs11; empty: beside this program
	Find   func() []installed.Library // nil: installed.Find
	// Resolve says whether a library may be loaded; nil: installed.Resolve.
	Resolve func(path string, allowed []string) (string, error)
	Env     []string // of helpers; nil: this process's
	// Patience is how long a token may work before somebody is told that it may want a
	// touch, or a list goes without it; 0: 4 seconds.
	Patience time.Duration
	Prompt   Prompter // nil: platform/pinprompt
}

// Options is what the room stands on.
type Options struct {
	World
	Policy func() (settings.Policy, error) // asked again and again; an error means that no card is used
	Tell   func(ctx context.Context, kind, id, says string) error
	Log    *slog.Logger
}

// period is between two looks at the readers of one library.
const period = time.Second

// renewal is between two looks at which software is installed and allowed.
const renewal = time.Minute

// Tokens is what is in the readers. Its methods may be called from several goroutines.
type Tokens struct {
	o         Options
	store     *software    // the certificate store of Windows
	prompting atomic.Int32 // how many prompts a person sees

	mu       sync.Mutex
	closed   bool
	keep     time.Duration
	software []*software       // in the order in which it was found
	refused  map[string]string // why software is not used, by path
	left     map[string]string // the same, where the administrator left it out
	running  context.Context   // while Run runs
	watching sync.WaitGroup
	acts     int         // things that people are doing
	busy     int         // operations under way
	idle     *time.Timer // until all is locked; nil: it is
	rests    time.Time   // when idle ends
	late     bool        // its time is over, and an operation under way
}

// software is the library of a card's maker.
type software struct {
	*pkcs11.Library
	name string // of its file
	path string
	stop context.CancelFunc // ends the watching

	mu      sync.Mutex
	problem string                       // why it cannot be used
	there   map[pkcs11.Name]pkcs11.Token // as far as it is known
	used    bool                         // something was asked of a key since it was locked

	telling sync.Mutex
	told    map[pkcs11.Name]bool // what the faces know to be there; nil: nobody watches
}

// New prepares the use of tokens. Nothing is loaded before it is needed.
func New(o Options) *Tokens {
	if o.Helper == "" {
		o.Helper = beside()
	}
	if o.Find == nil {
		o.Find = installed.Find
	}
	if o.Resolve == nil {
		o.Resolve = installed.Resolve
	}
	if o.Prompt == nil {
		o.Prompt = pinprompt.New(pinprompt.Config{})
	}
	if o.Patience == 0 {
		o.Patience = 4 * time.Second
	}
	store := &software{name: "Windows", path: pkcs11.CertificateStore, Library: pkcs11.Open(pkcs11.Config{
		Helper: o.Helper, Env: o.Env, Library: pkcs11.CertificateStore,
	})}
	return &Tokens{o: o, store: store, refused: map[string]string{}}
}

// beside is the helper beside this program, or empty.
func beside() string {
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	path := filepath.Join(filepath.Dir(self), "countersign-pkcs11")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	return path
}

// Run watches the readers until ctx ends.
func (t *Tokens) Run(ctx context.Context) error {
	t.mu.Lock()
	t.running = ctx
	t.mu.Unlock()
	tick := time.NewTicker(renewal)
	defer tick.Stop()
	for {
		t.renew()
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.mu.Lock()
			t.running = nil
			t.mu.Unlock()
			t.watching.Wait()
			return nil
		}
	}
}

// renew opens what was installed or allowed meanwhile, and closes what is no more.
func (t *Tokens) renew() []*software {
	policy, err := t.o.Policy()
	wanted, refused, left := map[string]installed.Library{}, map[string]string{}, map[string]string{}
	var order []string
	if err != nil {
		refused[""] = "The administrator's policy file cannot be used, so no card is used."
	} else {
		order = t.find(policy, wanted, func(path string, err error) {
			says := filepath.Base(path) + ": " + sentence(err)
			if errors.Is(err, installed.ErrNotAllowed) {
				left[path] = says
			} else {
				refused[path] = says
			}
		})
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	for path, says := range refused {
		if t.refused[path] == "" {
			t.o.Log.Warn("card software is not used", "path", path, "why", says)
		}
	}
	t.refused, t.left = refused, left
	again := t.keep != policy.KeepPIN()
	t.keep = policy.KeepPIN()
	t.software = slices.DeleteFunc(t.software, func(s *software) bool {
		_, still := wanted[s.path]
		if still && !again {
			delete(wanted, s.path)
			return false
		}
		s.end()
		return true
	})
	for _, path := range order {
		if one, new := wanted[path]; new {
			s := &software{name: filepath.Base(path), path: path, Library: pkcs11.Open(pkcs11.Config{
				Helper: t.o.Helper, Env: t.o.Env, Library: path, Reserved: one.Reserved, KeepPIN: t.keep,
			})}
			t.software = append(t.software, s)
		}
	}
	for _, s := range t.software {
		t.attend(s)
	}
	return slices.Clone(t.software)
}

// find lists by their resolved path the libraries that may be loaded, in order, and tells why
// others may not.
func (t *Tokens) find(policy settings.Policy, wanted map[string]installed.Library, refuse func(path string, err error)) (order []string) {
	found := t.o.Find()
	for _, path := range policy.CardSoftware {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			found = append(found, installed.Library{Path: path})
		}
	}
	for _, one := range found {
		path, err := t.o.Resolve(one.Path, policy.CardSoftware)
		if err != nil {
			refuse(one.Path, err)
			continue
		}
		if _, twice := wanted[path]; !twice {
			wanted[path] = one
			order = append(order, path)
		}
	}
	return order
}

// attend begins to watch the readers of a library, if somebody wants to know.
func (t *Tokens) attend(s *software) {
	if t.running == nil || t.running.Err() != nil || s.stop != nil {
		return
	}
	var ctx context.Context
	ctx, s.stop = context.WithCancel(t.running)
	t.watching.Go(func() {
		there, _ := t.look(ctx, s) // what is there at the start is no news; a problem is noted
		s.telling.Lock()
		s.told = map[pkcs11.Name]bool{}
		for _, one := range there {
			s.told[one.Name] = true
		}
		s.telling.Unlock()
		_ = s.Watch(ctx, period, func(e pkcs11.Event) { t.event(ctx, s, e) })
	})
}

// end closes a library without waiting for what hangs in it.
func (s *software) end() {
	if s.stop != nil {
		s.stop()
	}
	go s.Close()
}

// look lists what is in the readers of a library, notes what it learns, and tells what is
// new: the watching may be late, or miss a card that was out for a moment.
func (t *Tokens) look(ctx context.Context, s *software) ([]pkcs11.Token, error) {
	all, err := s.Tokens(ctx)
	defer t.news(ctx, s)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		if says := sentence(err); ctx.Err() == nil && s.problem != says {
			s.problem = says
			t.o.Log.Warn("asking card software for its cards", "library", s.path, "error", err)
		}
		return nil, err
	}
	s.problem = ""
	s.there = map[pkcs11.Name]pkcs11.Token{}
	all = slices.DeleteFunc(all, blank)
	for _, one := range all {
		s.there[one.Name] = one
	}
	return all, nil
}

// blank is a token that nobody has set up: some software always shows one.
func blank(one pkcs11.Token) bool {
	return one.Label == "" && one.Serial == "" || !one.Ready && one.Label == ""
}

// event notes that a token came or went, and tells it.
func (t *Tokens) event(ctx context.Context, s *software, e pkcs11.Event) {
	if blank(e.Token) {
		return
	}
	s.mu.Lock()
	s.problem = ""
	if s.there == nil {
		s.there = map[pkcs11.Name]pkcs11.Token{}
	}
	if e.Present {
		s.there[e.Token.Name] = e.Token
	} else {
		delete(s.there, e.Token.Name)
	}
	s.mu.Unlock()
	t.news(ctx, s)
}

// news tells what came and went since the faces were told last, whoever noticed it.
func (t *Tokens) news(ctx context.Context, s *software) {
	ctx = context.WithoutCancel(ctx) // it may be that of a request which is over
	s.telling.Lock()
	defer s.telling.Unlock()
	if s.told == nil {
		return
	}
	s.mu.Lock()
	there := maps.Clone(s.there)
	s.mu.Unlock()
	for name := range s.told {
		if _, still := there[name]; !still {
			delete(s.told, name)
			t.tell(ctx, "token-out", identifier(name), "The card "+quoted(name)+" was taken out.")
		}
	}
	for name := range there {
		if !s.told[name] {
			s.told[name] = true
			t.tell(ctx, "token-in", identifier(name), "The card "+quoted(name)+" is in the reader.")
		}
	}
}

func (t *Tokens) tell(ctx context.Context, kind, id, says string) {
	if err := t.o.Tell(ctx, kind, id, says); err != nil && ctx.Err() == nil {
		t.o.Log.Warn("telling the faces", "error", err)
	}
}

// all is the software in use, found if it was not yet.
func (t *Tokens) all() []*software {
	t.mu.Lock()
	known := slices.Clone(t.software)
	t.mu.Unlock()
	if len(known) == 0 {
		return t.renew()
	}
	return known
}

// leftOut says which software the administrator left out, in a sentence each.
func (t *Tokens) leftOut() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Sorted(maps.Values(t.left))
}

// Problems says which software cannot be used though it was to be, in a sentence each.
func (t *Tokens) Problems() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := []string{}
	for _, s := range t.software {
		s.mu.Lock()
		if s.problem != "" {
			list = append(list, s.name+": "+s.problem)
		}
		s.mu.Unlock()
	}
	return append(list, slices.Sorted(maps.Values(t.refused))...)
}

// LockAll forgets every PIN and locks every token, and returns when that is done.
func (t *Tokens) LockAll() { t.lock(false) }

// lock is LockAll, or leaves alone the software of which no key was used since.
func (t *Tokens) lock(used bool) {
	t.mu.Lock()
	known := append(slices.Clone(t.software), t.store)
	t.unsettle()
	t.late = false
	t.mu.Unlock()
	var locking sync.WaitGroup
	news := false
	for _, s := range known {
		s.mu.Lock()
		was := s.used
		s.used = false
		s.mu.Unlock()
		news = news || was
		if was || !used {
			locking.Go(s.Lock)
		}
	}
	locking.Wait()
	if news {
		t.tell(context.Background(), "token-locked", "", "Every card is locked again.")
	}
}

// Close locks every token and ends the helpers.
func (t *Tokens) Close() error {
	t.mu.Lock()
	t.closed = true
	t.unsettle()
	known := append(t.software, t.store)
	t.software = nil
	t.mu.Unlock()
	var closing sync.WaitGroup
	for _, s := range known {
		if s.stop != nil {
			s.stop()
		}
		closing.Go(func() { _ = s.Close() })
	}
	closing.Wait()
	return nil
}
