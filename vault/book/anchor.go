package book

import (
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"countersign/vault/contacts"
)

// Anchor is an authority, or a single certificate, that the user or the administrator
// trusts. All of it is in the signed record, so that nobody who edits the database
// makes an anchor good for more.
type Anchor struct {
	Certificate *x509.Certificate
	Added       time.Time
	For         string   // what it is good for: "sending", "receiving", or both if empty
	Domains     []string // for addresses of which domains; none: of all
	Bundle      string   // the bundle that it came from, or nothing
}

// Bundle is a list of anchors that is fetched again and again (SECURITY F2).
type Bundle struct {
	URL      string
	Signer   *x509.Certificate // who signs it, as the user confirmed
	Followed time.Time
	Signed   time.Time // when the newest that was seen was signed
	For      string    // for its anchors, as with Anchor
	Domains  []string
}

// ErrNoBundle says that no such bundle is followed.
var ErrNoBundle = errors.New("book: no such bundle is followed")

// Anchors lists the authorities that the records bear out, in the order in which
// they were added. While the chain does not hold there are none.
func (b *Book) Anchors(ctx context.Context) ([]Anchor, error) {
	anchors, _, err := b.trusted(ctx)
	return anchors, err
}

// Bundles lists the bundles that are followed, in the same way.
func (b *Book) Bundles(ctx context.Context) ([]Bundle, error) {
	_, bundles, err := b.trusted(ctx)
	return bundles, err
}

func (b *Book) trusted(ctx context.Context) (anchors []Anchor, bundles []Bundle, err error) {
	err = b.db.View(ctx, func(tx *sql.Tx) (err error) {
		anchors, bundles, err = b.standing().trusted(tx)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("listing the authorities: %w", err)
	}
	return anchors, bundles, nil
}

// trusted goes through the records of anchors and bundles, in order.
func (c chain) trusted(tx *sql.Tx) (anchors []Anchor, bundles []Bundle, err error) {
	records, err := c.of(tx, "")
	if err != nil {
		return nil, nil, err
	}
	for _, r := range records {
		if r.Kind == contacts.RecordBundleSeen {
			for i := range bundles {
				if bundles[i].URL == r.Bundle {
					bundles[i].Signed = r.Signed
				}
			}
			continue
		}
		if len(r.Certificates) != 1 {
			continue
		}
		cert, err := x509.ParseCertificate(r.Certificates[0])
		if err != nil {
			return nil, nil, fmt.Errorf("reading an authority's certificate: %w", err)
		}
		switch r.Kind {
		case contacts.RecordAnchorAdded, contacts.RecordAnchorRemoved:
			anchors = slices.DeleteFunc(anchors, func(a Anchor) bool { return a.Certificate.Equal(cert) })
			if r.Kind == contacts.RecordAnchorAdded {
				anchors = append(anchors, Anchor{cert, r.Time, r.For, r.Domains, r.Bundle})
			}
		case contacts.RecordBundleFollowed, contacts.RecordBundleLeft:
			bundles = slices.DeleteFunc(bundles, func(s Bundle) bool { return s.URL == r.Bundle })
			if r.Kind == contacts.RecordBundleFollowed {
				bundles = append(bundles, Bundle{r.Bundle, cert, r.Time, r.Signed, r.For, r.Domains})
			}
		}
	}
	return anchors, bundles, nil
}

// AddAnchor trusts an authority, by a signed record. One that is trusted already for
// the same is left as it is; for something else, it is trusted for that from now on.
func (b *Book) AddAnchor(ctx context.Context, a Anchor) error {
	b.change.Lock()
	defer b.change.Unlock()
	old, err := b.anchor(ctx, a.Certificate)
	if err != nil {
		return err
	}
	if old != nil && old.For == a.For && old.Bundle == a.Bundle && slices.Equal(old.Domains, a.Domains) {
		return b.unproved()
	}
	return b.recordAnchor(ctx, contacts.RecordAnchorAdded, a)
}

// RemoveAnchor trusts an authority no longer, by a signed record. One that is not
// trusted is no error.
func (b *Book) RemoveAnchor(ctx context.Context, cert *x509.Certificate) error {
	b.change.Lock()
	defer b.change.Unlock()
	old, err := b.anchor(ctx, cert)
	if err != nil {
		return err
	}
	if old == nil {
		return b.unproved()
	}
	return b.recordAnchor(ctx, contacts.RecordAnchorRemoved, *old)
}

// anchor finds the anchor that a certificate is, or nil.
func (b *Book) anchor(ctx context.Context, cert *x509.Certificate) (*Anchor, error) {
	now, err := b.Anchors(ctx)
	i := slices.IndexFunc(now, func(a Anchor) bool { return a.Certificate.Equal(cert) })
	if err != nil || i < 0 {
		return nil, err
	}
	return &now[i], nil
}

func (b *Book) recordAnchor(ctx context.Context, kind contacts.RecordKind, a Anchor) error {
	return b.recordTrust(ctx, contacts.RecordDraft{Kind: kind, Certificates: [][]byte{a.Certificate.Raw},
		For: a.For, Domains: a.Domains, Bundle: a.Bundle})
}

func (b *Book) recordTrust(ctx context.Context, draft contacts.RecordDraft) error {
	draft.Time = b.clock()
	if err := b.record(ctx, &draft, nil); err != nil {
		return fmt.Errorf("changing the authorities: %w", err)
	}
	return nil
}

// Follow follows a bundle from now on, by a signed record. One that is followed
// already gets the new signer, use and domains.
func (b *Book) Follow(ctx context.Context, s Bundle) error {
	b.change.Lock()
	defer b.change.Unlock()
	return b.recordTrust(ctx, contacts.RecordDraft{Kind: contacts.RecordBundleFollowed, Certificates: [][]byte{s.Signer.Raw},
		For: s.For, Domains: s.Domains, Bundle: s.URL, Signed: s.Signed})
}

// Seen records that a newer one of a bundle was seen, so that no older one counts
// again. The time never goes back.
func (b *Book) Seen(ctx context.Context, url string, signed time.Time) error {
	b.change.Lock()
	defer b.change.Unlock()
	old, err := b.bundle(ctx, url)
	if err != nil || !signed.Truncate(time.Second).After(old.Signed) {
		return err
	}
	return b.recordTrust(ctx, contacts.RecordDraft{Kind: contacts.RecordBundleSeen, Bundle: url, Signed: signed})
}

// Leave follows a bundle no longer. Anchors that came from it stay.
func (b *Book) Leave(ctx context.Context, url string) error {
	b.change.Lock()
	defer b.change.Unlock()
	old, err := b.bundle(ctx, url)
	if err != nil {
		return err
	}
	return b.recordTrust(ctx, contacts.RecordDraft{Kind: contacts.RecordBundleLeft, Certificates: [][]byte{old.Signer.Raw}, Bundle: url})
}

func (b *Book) bundle(ctx context.Context, url string) (Bundle, error) {
	all, err := b.Bundles(ctx)
	i := slices.IndexFunc(all, func(s Bundle) bool { return s.URL == url })
	if err == nil && i < 0 {
		err = ErrNoBundle
	}
	if err != nil {
		return Bundle{}, err
	}
	return all[i], nil
}
