package control_test

import (
	"context"

	"countersign/tray/control"
)

type fakeTokens struct{ *fake }

func (f fakeTokens) List(ctx context.Context, q control.None) (control.TokenList, error) {
	return answer[control.TokenList](ctx, f.fake, "Tokens.List", q, nil)
}

func (f fakeTokens) Use(ctx context.Context, q control.TokenUse) (control.Installed, error) {
	return answer[control.Installed](ctx, f.fake, "Tokens.Use", q, nil)
}

func (f fakeTokens) Move(ctx context.Context, q control.TokenMove) (control.Installed, error) {
	return answer[control.Installed](ctx, f.fake, "Tokens.Move", q, nil)
}

func (f fakeTokens) Unlock(ctx context.Context, q control.TokenQuery) (control.Unlocked, error) {
	return answer[control.Unlocked](ctx, f.fake, "Tokens.Unlock", q, nil)
}

func (f fakeTokens) Lock(ctx context.Context, q control.None) (control.None, error) {
	return answer[control.None](ctx, f.fake, "Tokens.Lock", q, nil)
}
