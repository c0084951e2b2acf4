package control_test

import (
	"context"
	"io"

	"countersign/tray/control"
)

func (f fakeIdentities) Request(ctx context.Context, q control.RequestOrder) (control.IdentityRequest, error) {
	return answer[control.IdentityRequest](ctx, f.fake, "Identities.Request", q, nil)
}

func (f fakeIdentities) Requests(ctx context.Context, q control.None) ([]control.IdentityRequest, error) {
	return answer[[]control.IdentityRequest](ctx, f.fake, "Identities.Requests", q, nil)
}

func (f fakeIdentities) TakeOver(ctx context.Context, q control.IdentityQuery) (control.None, error) {
	return answer[control.None](ctx, f.fake, "Identities.TakeOver", q, nil)
}

func (f fakeIdentities) Discard(ctx context.Context, q control.RequestQuery) (control.None, error) {
	return answer[control.None](ctx, f.fake, "Identities.Discard", q, nil)
}

func (f fakeIdentities) Install(ctx context.Context, q control.None, file io.Reader) (control.Installed, error) {
	return answer[control.Installed](ctx, f.fake, "Identities.Install", q, file)
}

func (f fakeIdentities) Lost(ctx context.Context, q control.LostOrder) (control.LostReport, error) {
	return answer[control.LostReport](ctx, f.fake, "Identities.Lost", q, nil)
}
