package main

import (
	"context"
	"io"

	"countersign/tray/control"
)

func (f fakeIdentities) Request(_ context.Context, q control.RequestOrder) (control.IdentityRequest, error) {
	return give[control.IdentityRequest](f.fake, "Identities.Request", q, nil)
}

func (f fakeIdentities) Requests(_ context.Context, q control.None) ([]control.IdentityRequest, error) {
	return give[[]control.IdentityRequest](f.fake, "Identities.Requests", q, nil)
}

func (f fakeIdentities) TakeOver(_ context.Context, q control.IdentityQuery) (control.None, error) {
	return give[control.None](f.fake, "Identities.TakeOver", q, nil)
}

func (f fakeIdentities) Discard(_ context.Context, q control.RequestQuery) (control.None, error) {
	return give[control.None](f.fake, "Identities.Discard", q, nil)
}

func (f fakeIdentities) Install(_ context.Context, q control.None, file io.Reader) (control.Installed, error) {
	return give[control.Installed](f.fake, "Identities.Install", q, file)
}

func (f fakeIdentities) Lost(_ context.Context, q control.LostOrder) (control.LostReport, error) {
	return give[control.LostReport](f.fake, "Identities.Lost", q, nil)
}
