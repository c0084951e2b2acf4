package main

import (
	"context"

	"countersign/tray/control"
)

type fakeTokens struct{ *fake }

func (f fakeTokens) List(_ context.Context, q control.None) (control.TokenList, error) {
	return give[control.TokenList](f.fake, "Tokens.List", q, nil)
}

func (f fakeTokens) Use(_ context.Context, q control.TokenUse) (control.Installed, error) {
	return give[control.Installed](f.fake, "Tokens.Use", q, nil)
}

func (f fakeTokens) Move(_ context.Context, q control.TokenMove) (control.Installed, error) {
	return give[control.Installed](f.fake, "Tokens.Move", q, nil)
}

func (f fakeTokens) Unlock(_ context.Context, q control.TokenQuery) (control.Unlocked, error) {
	return give[control.Unlocked](f.fake, "Tokens.Unlock", q, nil)
}

func (f fakeTokens) Lock(_ context.Context, q control.None) (control.None, error) {
	return give[control.None](f.fake, "Tokens.Lock", q, nil)
}
