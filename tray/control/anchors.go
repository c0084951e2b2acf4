package control

import (
	"context"
	"io"
	"net/http"
	"time"
)

// Anchors is the authorities that the user or the administrator trusts.
type Anchors interface {
	List(context.Context, None) ([]Anchor, error)
	// Preview tells what a certificate file holds without changing anything.
	Preview(context.Context, None, io.Reader) ([]Anchor, error)
	// Add trusts the certificates in a file (PEM, DER, PKCS #7 or a signed bundle) whose
	// fingerprints are confirmed in the order; others in the file are left alone. One
	// that is trusted already is trusted for what the order says from then on.
	Add(context.Context, AnchorOrder, io.Reader) ([]Anchor, error)
	Remove(context.Context, AnchorQuery) (None, error)

	// Bundles lists the bundles that are followed.
	Bundles(context.Context, None) ([]Bundle, error)
	// Follow fetches a signed bundle and follows it from then on, if the fingerprint of
	// who signs it is confirmed in the order. Without that it only tells what is there.
	Follow(context.Context, BundleOrder) (Bundle, error)
	// Refresh fetches every bundle now. What is gone from one is trusted no longer; what
	// is new waits for Accept.
	Refresh(context.Context, None) ([]Bundle, error)
	// Accept trusts those that wait in a bundle whose fingerprints are confirmed.
	Accept(context.Context, BundleConfirm) ([]Anchor, error)
	// Leave follows a bundle no longer. Authorities that came from it stay.
	Leave(context.Context, BundleQuery) (None, error)
}

// Anchor is one trusted authority, or a single certificate that is trusted itself.
type Anchor struct {
	Fingerprint string    `json:"fingerprint"` // SHA-256, hexadecimal
	Name        string    `json:"name"`
	Expires     time.Time `json:"expires"`
	Added       time.Time `json:"added,omitzero"`
	CA          bool      `json:"ca"`
	For         string    `json:"for,omitempty"`     // sending | receiving; empty: both
	Domains     []string  `json:"domains,omitempty"` // of addresses it vouches for; none: all
	Bundle      string    `json:"bundle,omitempty"`  // that it came from
}

// AnchorOrder confirms, by fingerprint, which certificates to trust, and for what.
type AnchorOrder struct {
	Confirm []string `json:"confirm"`
	For     string   `json:"for,omitempty"`
	Domains []string `json:"domains,omitempty"` // "clinic.example", ".clinic.example" for all below
}

// Bundle is a list of authorities that is fetched once a day.
type Bundle struct {
	URL        string    `json:"url"`
	Signer     string    `json:"signer"` // fingerprint of who signs it
	SignerName string    `json:"signer_name"`
	Signed     time.Time `json:"signed"` // the newest that was seen
	Followed   time.Time `json:"followed,omitzero"`
	Fetched    time.Time `json:"fetched,omitzero"` // last without a problem
	Problem    string    `json:"problem,omitempty"`
	For        string    `json:"for,omitempty"` // for all that come from it, as with Anchor
	Domains    []string  `json:"domains,omitempty"`
	Waiting    []Anchor  `json:"waiting"` // in it, and not trusted
}

// BundleOrder follows a bundle. Signer is the fingerprint that the user confirmed.
type BundleOrder struct {
	URL     string   `json:"url"` // https
	Signer  string   `json:"signer,omitempty"`
	For     string   `json:"for,omitempty"`
	Domains []string `json:"domains,omitempty"`
}

// BundleQuery names a bundle.
type BundleQuery struct {
	URL string `json:"url"`
}

// BundleConfirm confirms, by fingerprint, whom of those that wait to trust.
type BundleConfirm struct {
	URL     string   `json:"url"`
	Confirm []string `json:"confirm"`
}

const (
	anchorsList    route[None, []Anchor]          = "anchors/list"
	anchorsPreview route[None, []Anchor]          = "anchors/preview" // takes a file
	anchorsAdd     route[AnchorOrder, []Anchor]   = "anchors/add"     // takes a file
	anchorsRemove  route[AnchorQuery, None]       = "anchors/remove"
	anchorsBundles route[None, []Bundle]          = "anchors/bundles"
	anchorsFollow  route[BundleOrder, Bundle]     = "anchors/follow"
	anchorsRefresh route[None, []Bundle]          = "anchors/refresh"
	anchorsAccept  route[BundleConfirm, []Anchor] = "anchors/accept"
	anchorsLeave   route[BundleQuery, None]       = "anchors/leave"
)

type anchorsClient struct{ *client }

func (a anchorsClient) List(ctx context.Context, q None) ([]Anchor, error) {
	return ask(ctx, a.client, anchorsList, q)
}

func (a anchorsClient) Preview(ctx context.Context, q None, file io.Reader) ([]Anchor, error) {
	return put(ctx, a.client, anchorsPreview, q, file)
}

func (a anchorsClient) Add(ctx context.Context, q AnchorOrder, file io.Reader) ([]Anchor, error) {
	return put(ctx, a.client, anchorsAdd, q, file)
}

func (a anchorsClient) Remove(ctx context.Context, q AnchorQuery) (None, error) {
	return ask(ctx, a.client, anchorsRemove, q)
}

func (a anchorsClient) Bundles(ctx context.Context, q None) ([]Bundle, error) {
	return ask(ctx, a.client, anchorsBundles, q)
}

func (a anchorsClient) Follow(ctx context.Context, q BundleOrder) (Bundle, error) {
	return ask(ctx, a.client, anchorsFollow, q)
}

func (a anchorsClient) Refresh(ctx context.Context, q None) ([]Bundle, error) {
	return ask(ctx, a.client, anchorsRefresh, q)
}

func (a anchorsClient) Accept(ctx context.Context, q BundleConfirm) ([]Anchor, error) {
	return ask(ctx, a.client, anchorsAccept, q)
}

func (a anchorsClient) Leave(ctx context.Context, q BundleQuery) (None, error) {
	return ask(ctx, a.client, anchorsLeave, q)
}

// serveAnchors binds their routes.
func serveAnchors(mux *http.ServeMux, a Anchors) {
	call(mux, anchorsList, a.List)
	upload(mux, anchorsPreview, a.Preview)
	upload(mux, anchorsAdd, a.Add)
	call(mux, anchorsRemove, a.Remove)
	call(mux, anchorsBundles, a.Bundles)
	call(mux, anchorsFollow, a.Follow)
	call(mux, anchorsRefresh, a.Refresh)
	call(mux, anchorsAccept, a.Accept)
	call(mux, anchorsLeave, a.Leave)
}
