package anchors

import (
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"countersign/tray/control"
	"countersign/vault/book"
	"countersign/vault/bundle"
)

// Lists of authorities that are followed (F2). The signed records say which, who signs
// them and how new the last one was. What was fetched last is kept beside, and is
// believed only as far as its signature goes, each time it is read: whoever edits
// it takes nothing away and adds nothing but what would wait for a confirmation.

const schema = `CREATE TABLE bundle (
	url     TEXT PRIMARY KEY,
	file    BLOB NOT NULL,
	fetched INTEGER NOT NULL, -- Unix seconds; 0: never
	problem TEXT NOT NULL
) STRICT`

// every is how often they are fetched.
const every = 24 * time.Hour

// kept is what is kept of a bundle.
type kept struct {
	file    []byte
	fetched time.Time
	problem string
}

func (s *Anchors) kept(ctx context.Context, url string) (k kept, err error) {
	var at int64
	err = s.DB.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRow(`SELECT file, fetched, problem FROM bundle WHERE url = ?`, url).Scan(&k.file, &at, &k.problem)
	})
	if at != 0 {
		k.fetched = time.Unix(at, 0).UTC()
	}
	if errors.Is(err, sql.ErrNoRows) {
		return k, nil
	}
	return k, err
}

func (s *Anchors) keep(ctx context.Context, url string, k kept) error {
	at := int64(0)
	if !k.fetched.IsZero() {
		at = k.fetched.Unix()
	}
	err := s.DB.Update(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT OR REPLACE INTO bundle VALUES (?, ?, ?, ?)`, url, append([]byte{}, k.file...), at, k.problem)
		return err
	})
	if err != nil {
		return fmt.Errorf("keeping a list of authorities: %w", err)
	}
	return nil
}

// Bundles lists the bundles that are followed.
func (s *Anchors) Bundles(ctx context.Context, _ control.None) ([]control.Bundle, error) {
	followed, err := s.Book.Bundles(ctx)
	if err != nil {
		return nil, s.Words(err)
	}
	list := make([]control.Bundle, 0, len(followed))
	for _, b := range followed {
		k, err := s.kept(ctx, b.URL)
		if err != nil {
			return nil, err
		}
		waiting, err := s.waitingIn(ctx, b, k.file)
		if err != nil {
			return nil, s.Words(err)
		}
		v := shownBundle(b, waiting)
		v.Fetched, v.Problem = k.fetched, k.problem
		list = append(list, v)
	}
	return list, nil
}

func shownBundle(b book.Bundle, waiting []*x509.Certificate) control.Bundle {
	return control.Bundle{URL: b.URL, Signer: fingerprint(b.Signer), SignerName: anchor(book.Anchor{Certificate: b.Signer}).Name,
		Signed: b.Signed, Followed: b.Followed, For: b.For, Domains: b.Domains, Waiting: unadded(waiting)}
}

// waitingIn lists those in a bundle who are not trusted. A file that is not the
// newest one that was seen, or not the signer's, has none.
func (s *Anchors) waitingIn(ctx context.Context, b book.Bundle, file []byte) ([]*x509.Certificate, error) {
	trusted, err := s.Book.Anchors(ctx)
	if err != nil {
		return nil, err
	}
	f, err := bundle.Read(file)
	if err != nil || f.Renews(b.Signer, b.Signed, s.Clock()) != nil {
		return nil, nil
	}
	var had []*x509.Certificate
	for _, t := range trusted {
		had = append(had, t.Certificate)
	}
	_, come := f.Compare(had)
	return come, nil
}

// fetchBundle fetches one and reads it.
func (s *Anchors) fetchBundle(ctx context.Context, url string) (bundle.File, []byte, error) {
	data, err := s.Fetch(ctx, url)
	if err != nil {
		s.Log.Warn("fetching a list of authorities", "error", err)
		return bundle.File{}, nil, &control.Error{Code: "not-fetched", Says: "The list of authorities could not be fetched.",
			Next: "Check the address: it begins with https. A server at a private address has to be allowed in the settings."}
	}
	f, err := bundle.Read(data)
	return f, data, bundleWords(err)
}

// Follow fetches a bundle and, if its signer is confirmed, follows it.
func (s *Anchors) Follow(ctx context.Context, o control.BundleOrder) (control.Bundle, error) {
	domains, err := scope(o.For, o.Domains)
	if err != nil {
		return control.Bundle{}, err
	}
	f, data, err := s.fetchBundle(ctx, o.URL)
	if err != nil {
		return control.Bundle{}, err
	}
	if err := f.Renews(f.Signer, time.Time{}, s.Clock()); err != nil {
		return control.Bundle{}, bundleWords(err)
	}
	b := book.Bundle{URL: o.URL, Signer: f.Signer, Signed: f.Signed, For: o.For, Domains: domains}
	if o.Signer == "" {
		return shownBundle(b, f.Certificates), nil
	}
	if o.Signer != fingerprint(f.Signer) {
		return control.Bundle{}, bundleWords(bundle.ErrSigner)
	}
	old, err := s.followed(ctx, o.URL)
	switch {
	case err != nil && !errors.Is(err, book.ErrNoBundle):
		return control.Bundle{}, s.Words(err)
	case old.Signed.After(f.Signed):
		return control.Bundle{}, bundleWords(bundle.ErrOlder) // to follow anew is no way back
	}
	b.Followed = s.Clock()
	if err := s.Book.Follow(ctx, b); err != nil {
		return control.Bundle{}, s.Words(err)
	}
	if err := s.Note(ctx, "anchor", "", "The list of authorities at "+o.URL+" is followed"+purpose(o.For, domains)+", signed by \""+shownBundle(b, nil).SignerName+"\"."); err != nil {
		return control.Bundle{}, err
	}
	if err := s.dropGone(ctx, b, f); err != nil { // of what came from it before
		return control.Bundle{}, s.Words(err)
	}
	if err := s.keep(ctx, b.URL, kept{file: data, fetched: s.Clock()}); err != nil {
		return control.Bundle{}, err
	}
	waiting, err := s.waitingIn(ctx, b, data)
	return shownBundle(b, waiting), s.Words(err)
}

func (s *Anchors) followed(ctx context.Context, url string) (book.Bundle, error) {
	all, err := s.Book.Bundles(ctx)
	i := slices.IndexFunc(all, func(b book.Bundle) bool { return b.URL == url })
	if err == nil && i < 0 {
		err = book.ErrNoBundle
	}
	if err != nil {
		return book.Bundle{}, err
	}
	return all[i], nil
}

// Refresh fetches every bundle now.
func (s *Anchors) Refresh(ctx context.Context, _ control.None) ([]control.Bundle, error) {
	if err := s.refreshBundles(ctx); err != nil {
		return nil, s.Words(err)
	}
	return s.Bundles(ctx, control.None{})
}

// Renew fetches the lists that are followed and were not fetched for a day, and is to be
// called every hour: one that could not be had is tried each time.
func (s *Anchors) Renew(ctx context.Context) error {
	return s.eachBundle(ctx, func(b book.Bundle, k kept) error {
		if s.Clock().Sub(k.fetched) < every {
			return nil
		}
		return s.refreshBundle(ctx, b, k)
	})
}

func (s *Anchors) refreshBundles(ctx context.Context) error {
	return s.eachBundle(ctx, func(b book.Bundle, k kept) error { return s.refreshBundle(ctx, b, k) })
}

func (s *Anchors) eachBundle(ctx context.Context, do func(book.Bundle, kept) error) error {
	all, err := s.Book.Bundles(ctx)
	if err != nil {
		return err
	}
	var problems []error
	for _, b := range all {
		k, err := s.kept(ctx, b.URL)
		if err == nil {
			err = do(b, k)
		}
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// refreshBundle fetches one bundle. What is gone from it is trusted no longer, at once;
// what is new waits for the user.
func (s *Anchors) refreshBundle(ctx context.Context, b book.Bundle, k kept) error {
	f, data, err := s.fetchBundle(ctx, b.URL)
	if err == nil {
		err = bundleWords(f.Renews(b.Signer, b.Signed, s.Clock()))
	}
	if err != nil {
		return s.bundleProblem(ctx, b, k, err)
	}
	before, err := s.waitingIn(ctx, b, k.file)
	if err != nil {
		return err
	}
	if err := s.Book.Seen(ctx, b.URL, f.Signed); err != nil { // from here on no older one counts
		return err
	}
	b.Signed = f.Signed
	if err := s.dropGone(ctx, b, f); err != nil {
		return err
	}
	if err := s.keep(ctx, b.URL, kept{file: data, fetched: s.Clock()}); err != nil {
		return err
	}
	now, err := s.waitingIn(ctx, b, data)
	fresh := slices.DeleteFunc(slices.Clone(now), func(c *x509.Certificate) bool { return slices.ContainsFunc(before, c.Equal) })
	if err != nil || len(fresh) == 0 {
		return err
	}
	return s.broadcast(ctx, fmt.Sprintf("%d new in the list of authorities at %s: nothing is trusted until you confirm it.", len(fresh), b.URL))
}

// dropGone trusts no longer whatever came from the bundle and is not in it now.
func (s *Anchors) dropGone(ctx context.Context, b book.Bundle, f bundle.File) error {
	trusted, err := s.Book.Anchors(ctx)
	if err != nil {
		return err
	}
	var had []*x509.Certificate
	for _, t := range trusted {
		if t.Bundle == b.URL {
			had = append(had, t.Certificate)
		}
	}
	gone, _ := f.Compare(had)
	for _, c := range gone {
		if err := s.Book.RemoveAnchor(ctx, c); err != nil {
			return err
		}
		name := anchor(book.Anchor{Certificate: c}).Name
		if err := s.broadcast(ctx, "The authority \""+name+"\" is trusted no longer: the list at "+b.URL+" has left it out."); err != nil {
			return err
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return s.Changed(ctx)
}

// bundleProblem keeps what went wrong. That a list was refused is told once.
func (s *Anchors) bundleProblem(ctx context.Context, b book.Bundle, k kept, err error) error {
	var e *control.Error
	if !errors.As(err, &e) {
		return err
	}
	if k.problem == e.Says {
		return nil
	}
	k.problem = e.Says
	if err := s.keep(ctx, b.URL, k); err != nil || e.Code == "not-fetched" {
		return err
	}
	return s.broadcast(ctx, e.Says+" It was refused: "+b.URL+".")
}

// broadcast writes into the journal and tells the faces.
func (s *Anchors) broadcast(ctx context.Context, says string) error {
	return errors.Join(s.Note(ctx, "anchor", "", says), s.Tell(ctx, "status", "", says))
}

// Accept trusts those that wait in a bundle and are confirmed.
func (s *Anchors) Accept(ctx context.Context, o control.BundleConfirm) ([]control.Anchor, error) {
	b, err := s.followed(ctx, o.URL)
	if err != nil {
		return nil, bundleWords(err)
	}
	k, err := s.kept(ctx, o.URL)
	if err != nil {
		return nil, err
	}
	waiting, err := s.waitingIn(ctx, b, k.file)
	if err != nil {
		return nil, s.Words(err)
	}
	return s.add(ctx, waiting, o.Confirm, book.Anchor{For: b.For, Domains: b.Domains, Bundle: b.URL})
}

// Leave follows a bundle no longer.
func (s *Anchors) Leave(ctx context.Context, q control.BundleQuery) (control.None, error) {
	if err := s.Book.Leave(ctx, q.URL); err != nil {
		if errors.Is(err, book.ErrNoBundle) {
			err = bundleWords(err)
		}
		return control.None{}, s.Words(err)
	}
	return control.None{}, s.Note(ctx, "anchor", "", "The list of authorities at "+q.URL+" is followed no longer.")
}
