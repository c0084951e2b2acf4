package agent

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"countersign/platform"
	"countersign/tray/control"
	"countersign/vault"
	"countersign/vault/book"
	"countersign/vault/contacts"
	"countersign/vault/settings"
)

// preferences answers control.Settings, and tells the other rooms what the user
// prefers and the administrator allows.
type preferences struct{ *Agent }

const preferencesSchema = `CREATE TABLE preferences (only INTEGER PRIMARY KEY CHECK (only = 1), body TEXT NOT NULL) STRICT`

// load reads the preferences as stored.
func (a *Agent) load(ctx context.Context) (settings.Preferences, error) {
	var body string
	err := a.vault.DB().View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT body FROM preferences`).Scan(&body)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return settings.Default(), nil
	}
	if err != nil {
		return settings.Preferences{}, fmt.Errorf("reading the preferences: %w", err)
	}
	return settings.ParsePreferences([]byte(body))
}

// rules is what the user prefers within what the administrator allows. A policy
// file that is there and cannot be understood is an error, and stops all sending (F2).
func (a *Agent) rules(ctx context.Context) (settings.Preferences, settings.Policy, error) {
	prefs, err := a.load(ctx)
	if err != nil {
		return prefs, settings.Policy{}, err
	}
	p, err := a.policy()
	return p.Limit(prefs), p, err
}

// policy is what the administrator decided.
func (a *Agent) policy() (settings.Policy, error) {
	if a.policyPath == "" {
		return settings.Policy{}, nil
	}
	data, err := platform.PolicyFile(a.policyPath)
	if err != nil || data == nil {
		return settings.Policy{}, err
	}
	return settings.ParsePolicy(data)
}

// Get returns the preferences in force.
func (s preferences) Get(ctx context.Context, _ control.None) (control.Preferences, error) {
	p, _, err := s.rules(ctx)
	return control.Preferences(p), words(err)
}

// Set stores the preferences and returns those in force.
func (s preferences) Set(ctx context.Context, p control.Preferences) (control.Preferences, error) {
	wanted := settings.Preferences(p)
	body, err := wanted.Marshal()
	if err != nil {
		return control.Preferences{}, &control.Error{Code: control.CodeInvalid, Says: "That setting is out of bounds.", Next: err.Error()}
	}
	err = s.vault.DB().Update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO preferences (only, body) VALUES (1, ?)
			ON CONFLICT (only) DO UPDATE SET body = excluded.body`, string(body))
		return err
	})
	if err != nil {
		return control.Preferences{}, fmt.Errorf("storing the preferences: %w", err)
	}
	if err := s.note(ctx, "settings", "", "The settings were changed."); err != nil {
		return control.Preferences{}, err
	}
	s.checker.Retry() // private addresses may be allowed now
	s.wake()
	return s.Get(ctx, control.None{})
}

// Status is what stands at the edge of every face.
func (s preferences) Status(ctx context.Context, _ control.None) (control.Status, error) {
	st := control.Status{Version: version(), Demo: s.demo, LastFetch: s.fetched.Last(), Problem: s.fetched.Problem()}
	own, err := s.vault.Identities(ctx)
	if err != nil {
		st.Problem = words(err).Error()
	}
	if len(own) > 0 {
		st.Address, st.Name, st.Keys = own[0].Address, own[0].Name, keyPlace(own[0])
	}
	if st.Setup, err = s.setup(ctx, own); err != nil {
		return st, err
	}
	st.Cards = s.tokens.Problems()
	if st.Locked, err = s.mailer.Waiting(ctx); err != nil {
		return st, err
	}
	st.AddressBook = changedOutside(s.book.Problem())
	if st.Certificate, err = s.keys.Renewing(ctx); err != nil {
		st.Problem = words(err).Error()
	}
	st.Announcement = s.keys.Untold()
	if _, _, err := s.rules(ctx); err != nil {
		st.Problem = "The administrator's policy file cannot be used, so nothing is sent."
	}
	if st.Unread, err = s.mailer.Unread(ctx); err != nil {
		return st, err
	}
	if st.Waiting, err = s.book.Waiting(ctx); err != nil {
		return st, err
	}
	st.Outbox, err = s.mailer.Outbox.Unfinished(ctx)
	return st, err
}

// keyPlace says where the keys of an identity are.
func keyPlace(i vault.Identity) string {
	switch {
	case i.SigningToken+i.EncryptionToken != "":
		return "Keys: " + i.KeyPlace
	case i.KeyPlace == "keychain":
		return "Keys in the keychain"
	}
	return "Keys " + i.KeyPlace
}

// changedOutside tells of an address book that was changed from outside.
func changedOutside(err error) *control.Refusal {
	var p *contacts.Problem
	if !errors.As(err, &p) {
		return nil
	}
	r := &control.Refusal{Person: "you", Code: p.Code, Reason: p.Says, Next: p.Next}
	if errors.Is(err, book.ErrRolledBack) {
		r.Command, r.Link, r.Button = "countersign contact start-over", "/settings", "Begin anew"
	} else {
		r.Command, r.Link, r.Button = "countersign contact list", "/contacts", "See who is stopped"
	}
	return r
}

// setup lists the steps of the first set-up, in order.
func (s preferences) setup(ctx context.Context, own []vault.Identity) ([]control.Step, error) {
	anchors, err := s.book.Anchors(ctx)
	if err != nil {
		return nil, err
	}
	accounts, err := s.accounts.List(ctx)
	if err != nil {
		return nil, err
	}
	recovery, err := s.vault.Recovery(ctx)
	if err != nil {
		return nil, err
	}
	usable, command := false, "countersign identity import FILE.p12"
	for _, i := range own {
		usable = usable || !i.Retired && i.Signing != nil && i.Encryption != nil
	}
	if waiting, err := s.vault.Requests(ctx); err == nil && len(waiting) > 0 { // an edited list is told elsewhere
		command = "countersign identity install FILE"
	}
	return []control.Step{
		{Name: "identity", Title: "Your certificate", Why: "It signs what you write, and others encrypt to it.",
			Done: usable, Command: command},
		{Name: "anchor", Title: "An authority you trust", Why: "It vouches for other people's certificates until you have called them.",
			Done: len(anchors) > 0, Command: "countersign anchor add FILE.pem"},
		{Name: "account", Title: "Your mailbox", Why: "To send and to fetch mail.",
			Done: len(accounts) > 0, Command: "countersign account add ADDRESS"},
		{Name: "recovery", Title: "Your recovery file", Why: "If this computer breaks, it opens your mail on the next one.",
			Done: recovery.State == vault.RecoveryReady, Command: "countersign recovery make"},
	}, nil
}

// PageAddress returns an address that signs this user's browser in once.
func (s preferences) PageAddress(context.Context, control.None) (control.PageAddress, error) {
	if s.page == nil {
		return control.PageAddress{}, &control.Error{Code: control.CodeNotHere, Says: "The page is not served.", Next: "Start Countersign again."}
	}
	return control.PageAddress{URL: s.page.Address()}, nil
}

// Lock drops the keys (K2). It is asked over the socket, which lets this answer out first.
func (s preferences) Lock(context.Context, control.None) (control.None, error) {
	if !s.lockable {
		return control.None{}, &control.Error{Code: control.CodeNotHere, Says: "This agent cannot be locked.", Next: "Stop it instead."}
	}
	s.drop()
	return control.None{}, nil
}

// Drop ends Run with guard.ErrLocked: keys are to be dropped.
func (a *Agent) Drop() { a.drop() }

// Dropping is done when they are to be.
func (a *Agent) Dropping() <-chan struct{} { return a.dropped.Done() }

// lookLimit is how long the settings may take to say whether keys are dropped.
const lookLimit = 2 * time.Second

// LocksWithScreen says whether keys are dropped when the session is locked. What cannot
// be found out says that they are.
func (a *Agent) LocksWithScreen(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	prefs, _, err := a.rules(ctx)
	return err != nil || prefs.LockWithScreen
}

// Unlock has nothing to do here: a locked agent is answered for elsewhere.
func (s preferences) Unlock(context.Context, control.None) (control.None, error) {
	return control.None{}, nil
}

// Stop ends the agent in order, once this answer is on its way.
func (s preferences) Stop(context.Context, control.None) (control.None, error) {
	time.AfterFunc(stopDelay, s.stop)
	return control.None{}, nil
}
