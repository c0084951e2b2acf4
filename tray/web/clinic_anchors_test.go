package web

import (
	"context"

	"countersign/tray/control"
)

func (c clinicAnchors) Bundles(context.Context, control.None) ([]control.Bundle, error) {
	return c.bundles, c.note("Anchors.Bundles", nil)
}

func (c clinicAnchors) Follow(_ context.Context, q control.BundleOrder) (control.Bundle, error) {
	return communityList, c.note("Anchors.Follow", q)
}

func (c clinicAnchors) Refresh(context.Context, control.None) ([]control.Bundle, error) {
	return c.bundles, c.note("Anchors.Refresh", nil)
}

func (c clinicAnchors) Accept(_ context.Context, q control.BundleConfirm) ([]control.Anchor, error) {
	return nil, c.note("Anchors.Accept", q)
}

func (c clinicAnchors) Leave(_ context.Context, q control.BundleQuery) (control.None, error) {
	return control.None{}, c.note("Anchors.Leave", q)
}
