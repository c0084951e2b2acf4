package control_test

import (
	"context"

	"countersign/tray/control"
)

func (f fakeAnchors) Bundles(ctx context.Context, q control.None) ([]control.Bundle, error) {
	return answer[[]control.Bundle](ctx, f.fake, "Anchors.Bundles", q, nil)
}

func (f fakeAnchors) Follow(ctx context.Context, q control.BundleOrder) (control.Bundle, error) {
	return answer[control.Bundle](ctx, f.fake, "Anchors.Follow", q, nil)
}

func (f fakeAnchors) Refresh(ctx context.Context, q control.None) ([]control.Bundle, error) {
	return answer[[]control.Bundle](ctx, f.fake, "Anchors.Refresh", q, nil)
}

func (f fakeAnchors) Accept(ctx context.Context, q control.BundleConfirm) ([]control.Anchor, error) {
	return answer[[]control.Anchor](ctx, f.fake, "Anchors.Accept", q, nil)
}

func (f fakeAnchors) Leave(ctx context.Context, q control.BundleQuery) (control.None, error) {
	return answer[control.None](ctx, f.fake, "Anchors.Leave", q, nil)
}
