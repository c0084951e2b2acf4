package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"

	"countersign/platform"
	"countersign/platform/keychain"
	"countersign/platform/resolver"
	"countersign/tray/agent"
	"countersign/tray/control"
	"countersign/tray/demo/authority"
)

// keychainWork is scrypt's work factor for the demo's own keychains and recovery
// files, whose words nobody types and which go with the demo.
const keychainWork = 10

// troupe starts agents and waits for their end.
type troupe struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	dir    string
	ca     *authority.Authority
	post   post

	running sync.WaitGroup
	agents  []*agent.Agent
}

// start runs something until the demo ends; its failure ends the demo.
func (t *troupe) start(f func(context.Context) error) {
	t.running.Go(func() {
		if err := f(t.ctx); err != nil && t.ctx.Err() == nil {
			t.cancel(err)
		}
	})
}

// wait ends everything and closes every vault.
func (t *troupe) wait() error {
	t.cancel(nil)
	t.running.Wait()
	var all error
	for _, a := range t.agents {
		all = errors.Join(all, a.Close())
	}
	return all
}

// enter opens an agent with a home of its own and sets it up as its user would.
func (t *troupe) enter(a *actor, sim control.Simulation) error {
	dirs, err := platform.FindDirs(filepath.Join(t.dir, a.Address))
	if err != nil {
		return err
	}
	if err := dirs.Make(); err != nil {
		return err
	}
	keys, err := keychain.OpenFile(filepath.Join(dirs.Data, "keychain.age"), []byte(control.NewID()), keychainWork)
	if err != nil {
		return err
	}
	a.agent, err = agent.Open(t.ctx, agent.Options{
		Dirs: dirs, Keychain: keys, Simulation: sim, Demo: true, Work: keychainWork, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		DNS: noDNS(),
	})
	if err != nil {
		return fmt.Errorf("starting the agent of %s: %w", a.Name, err)
	}
	t.agents = append(t.agents, a.agent)
	a.svc = a.agent.Service()
	if err := t.furnish(a); err != nil {
		return fmt.Errorf("setting up %s: %w", a.Name, err)
	}
	t.start(func(ctx context.Context) error {
		err := a.agent.Run(ctx)
		if err == nil { // stopped from its page: the play is over
			t.cancel(nil)
		}
		return err
	})
	return nil
}

var errNoNetwork = errors.New("demo: the play has no network")

// noDNS is a DNS that does not answer: nobody outside is asked for the play's people.
func noDNS() *resolver.Resolver {
	return &resolver.Resolver{Servers: []string{"127.0.0.1"}, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errNoNetwork }}
}

// furnish does the first set-up: identity, authority, mailbox, recovery.
func (t *troupe) furnish(a *actor) error {
	ctx, svc := t.ctx, a.svc
	if _, err := svc.Identities.ImportPKCS12(ctx, control.PKCS12Order{Password: authority.Password}, bytes.NewReader(a.PKCS12)); err != nil {
		return err
	}
	roots, err := svc.Anchors.Preview(ctx, control.None{}, bytes.NewReader(t.ca.RootPEM()))
	if err != nil {
		return err
	}
	if _, err := svc.Anchors.Add(ctx, control.AnchorOrder{Confirm: []string{roots[0].Fingerprint}}, bytes.NewReader(t.ca.RootPEM())); err != nil {
		return err
	}
	prefs, err := svc.Settings.Get(ctx, control.None{})
	if err != nil {
		return err
	}
	prefs.AllowPrivate = true // the authority's revocation lists are on loopback
	if _, err := svc.Settings.Set(ctx, prefs); err != nil {
		return err
	}
	if _, err := svc.Accounts.Add(ctx, t.post.account(a.Address)); err != nil {
		return err
	}
	file, err := svc.Identities.MakeRecovery(ctx, control.None{})
	if err != nil {
		return err
	}
	check := control.RecoveryCheck{}
	for _, n := range file.Ask {
		check.Words = append(check.Words, file.Words[n-1])
	}
	_, err = svc.Identities.ConfirmRecovery(ctx, check)
	return err
}
