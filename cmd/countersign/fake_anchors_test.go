package main

import (
	"context"

	"countersign/tray/control"
)

func (f fakeAnchors) Bundles(_ context.Context, q control.None) ([]control.Bundle, error) {
	return give[[]control.Bundle](f.fake, "Anchors.Bundles", q, nil)
}

func (f fakeAnchors) Follow(_ context.Context, q control.BundleOrder) (control.Bundle, error) {
	return give[control.Bundle](f.fake, "Anchors.Follow", q, nil)
}

func (f fakeAnchors) Refresh(_ context.Context, q control.None) ([]control.Bundle, error) {
	return give[[]control.Bundle](f.fake, "Anchors.Refresh", q, nil)
}

func (f fakeAnchors) Accept(_ context.Context, q control.BundleConfirm) ([]control.Anchor, error) {
	return give[[]control.Anchor](f.fake, "Anchors.Accept", q, nil)
}

func (f fakeAnchors) Leave(_ context.Context, q control.BundleQuery) (control.None, error) {
	return give[control.None](f.fake, "Anchors.Leave", q, nil)
}
