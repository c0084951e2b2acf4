// Package anchors is the authorities that the user trusts, as people see them: from
// files, what each is good for, and the signed lists that are followed. It puts the
// address book, whose signed records say who is trusted, and what was fetched together.
// Nothing is trusted but by a confirmation of its fingerprint.
package anchors

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"countersign/mailer/message"
	"countersign/tray/control"
	"countersign/vault/book"
	"countersign/vault/bundle"
	"countersign/vault/sealed"
	"countersign/vault/trust"
)

// Anchors answers control.Anchors. Its fields are set by whoever makes it; then it is
// opened.
type Anchors struct {
	Book  *book.Book
	DB    *sealed.DB
	Log   *slog.Logger
	Clock func() time.Time
	Fetch func(ctx context.Context, url string) ([]byte, error) // a list, over HTTPS

	Note    func(ctx context.Context, kind, person, says string) error // writes the journal
	Tell    func(ctx context.Context, kind, id, says string) error     // tells the faces
	Changed func(context.Context) error                                // has what depends on the authorities looked at anew
	Words   func(error) error                                          // turns a room's error into what a person reads
}

// Open makes the table.
func (s *Anchors) Open() error { return s.DB.Migrate("anchors", schema) }

// maxAnchorName is how much of an authority's name is shown and journaled.
const maxAnchorName = 80

// List tells of the authorities that the signed records bear out.
func (s *Anchors) List(ctx context.Context, _ control.None) ([]control.Anchor, error) {
	trusted, err := s.Book.Anchors(ctx)
	if err != nil {
		return nil, s.Words(err)
	}
	list := make([]control.Anchor, 0, len(trusted))
	for _, a := range trusted {
		list = append(list, anchor(a))
	}
	return list, nil
}

func anchor(a book.Anchor) control.Anchor {
	c := a.Certificate
	name := c.Subject.CommonName
	if name == "" {
		name = c.Subject.String()
	}
	if short := []rune(name); len(short) > maxAnchorName {
		name = string(short[:maxAnchorName])
	}
	return control.Anchor{Fingerprint: fingerprint(c), Name: name, Expires: c.NotAfter, Added: a.Added, CA: c.IsCA,
		For: a.For, Domains: a.Domains, Bundle: a.Bundle}
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// Preview tells what a file holds without changing anything.
func (s *Anchors) Preview(_ context.Context, _ control.None, file io.Reader) ([]control.Anchor, error) {
	f, err := readAnchors(file)
	if err != nil {
		return nil, err
	}
	return unadded(f.Certificates), nil
}

// unadded tells of certificates that nobody trusts yet.
func unadded(certs []*x509.Certificate) []control.Anchor {
	list := make([]control.Anchor, 0, len(certs))
	for _, c := range certs {
		list = append(list, anchor(book.Anchor{Certificate: c}))
	}
	return list
}

// Add trusts the certificates of the file that are confirmed by fingerprint.
func (s *Anchors) Add(ctx context.Context, order control.AnchorOrder, file io.Reader) ([]control.Anchor, error) {
	domains, err := scope(order.For, order.Domains)
	if err != nil {
		return nil, err
	}
	f, err := readAnchors(file)
	if err != nil {
		return nil, err
	}
	return s.add(ctx, f.Certificates, order.Confirm, book.Anchor{For: order.For, Domains: domains})
}

// add trusts those that are confirmed, each like the one given.
func (s *Anchors) add(ctx context.Context, certs []*x509.Certificate, confirmed []string, like book.Anchor) ([]control.Anchor, error) {
	var list []control.Anchor
	for _, c := range certs {
		if !slices.Contains(confirmed, fingerprint(c)) {
			continue
		}
		like.Certificate, like.Added = c, s.Clock()
		if err := s.Book.AddAnchor(ctx, like); err != nil {
			return nil, s.Words(err)
		}
		a := anchor(like)
		if err := s.Note(ctx, "anchor", "", "The authority \""+a.Name+"\" was trusted"+purpose(a.For, a.Domains)+"."); err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	if len(list) == 0 {
		return nil, &control.Error{Code: "not-confirmed", Says: "None of the certificates in this file was confirmed.",
			Next: "Compare the fingerprint with the one that the authority publishes, and confirm it."}
	}
	return list, s.Changed(ctx)
}

// purpose says in words what an authority is trusted for, if not for everything.
func purpose(use string, domains []string) string {
	says := ""
	switch trust.Purpose(use) {
	case trust.ForSending:
		says = " for sending only"
	case trust.ForReceiving:
		says = " for receiving only"
	}
	if len(domains) > 0 {
		says += " for addresses at " + strings.Join(domains, ", ")
	}
	return says
}

// maxDomains is how many domains one authority may be limited to.
const maxDomains = 50

// scope checks what authorities are to be good for, and brings domains to the form in
// which addresses have them.
func scope(use string, domains []string) (canonical []string, err error) {
	if p := trust.Purpose(use); p != trust.ForBoth && p != trust.ForSending && p != trust.ForReceiving {
		return nil, &control.Error{Code: control.CodeInvalid, Says: "An authority is trusted for sending, for receiving, or for both.",
			Next: "Say sending or receiving, or nothing for both."}
	}
	for _, d := range domains {
		below := strings.HasPrefix(d, ".")
		whole, err := message.Canonical("x@" + strings.TrimPrefix(d, "."))
		if err != nil || len(domains) > maxDomains {
			return nil, &control.Error{Code: control.CodeInvalid, Says: "That is not a list of domains.",
				Next: "Name domains such as clinic.example, or .clinic.example for all below it, 50 at most."}
		}
		d = strings.TrimPrefix(whole, "x@")
		if below {
			d = "." + d
		}
		canonical = append(canonical, d)
	}
	slices.Sort(canonical)
	return slices.Compact(canonical), nil
}

// Remove trusts an authority no longer.
func (s *Anchors) Remove(ctx context.Context, q control.AnchorQuery) (control.None, error) {
	trusted, err := s.Book.Anchors(ctx)
	if err != nil {
		return control.None{}, s.Words(err)
	}
	for _, a := range trusted {
		if fingerprint(a.Certificate) != q.Fingerprint {
			continue
		}
		if err := s.Book.RemoveAnchor(ctx, a.Certificate); err != nil {
			return control.None{}, s.Words(err)
		}
		if err := s.Note(ctx, "anchor", "", "The authority \""+anchor(a).Name+"\" is trusted no longer."); err != nil {
			return control.None{}, err
		}
		return control.None{}, s.Changed(ctx)
	}
	return control.None{}, notFound("authority in your list")
}

// readAnchors reads a file of authorities.
func readAnchors(r io.Reader) (bundle.File, error) {
	data, err := io.ReadAll(io.LimitReader(r, bundle.MaxFile+1))
	if err != nil {
		return bundle.File{}, fmt.Errorf("reading a certificate file: %w", err)
	}
	f, err := bundle.Read(data)
	return f, bundleWords(err)
}

// bundleWords says what is wrong with a file of authorities.
func bundleWords(err error) error {
	e := &control.Error{Code: "no-certificate", Says: "There is no certificate in this file that can be read.",
		Next: "Ask for a certificate file (.pem, .crt, .cer or .p7b)."}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bundle.ErrSize):
		e = &control.Error{Code: control.CodeInvalid, Says: "This file is too large for a list of authorities.", Next: "Ask for a smaller one."}
	case errors.Is(err, bundle.ErrSignature):
		e = &control.Error{Code: "bad-signature", Says: "The signature of this list of authorities is not valid.", Next: "Do not trust it. Ask whoever publishes it."}
	case errors.Is(err, bundle.ErrNothingSigned):
		e = &control.Error{Code: "bad-signature", Says: "The signature of this list does not cover its certificates.", Next: "Ask whoever publishes it for one that does."}
	case errors.Is(err, bundle.ErrSigner):
		e = &control.Error{Code: "other-signer", Says: "This list of authorities is not signed by whom you confirmed.", Next: "Ask whoever publishes it. If they have a new certificate, follow the list anew."}
	case errors.Is(err, bundle.ErrUndated):
		e = &control.Error{Code: "no-date", Says: "This list of authorities does not say when it was signed, or its signer's certificate did not hold then.", Next: "Ask whoever publishes it."}
	case errors.Is(err, bundle.ErrOlder):
		e = &control.Error{Code: "older", Says: "This list of authorities is older than the one seen before.", Next: "Ask whoever publishes it. What you trust stays as it is."}
	case errors.Is(err, book.ErrNoBundle):
		return notFound("list of authorities that you follow")
	}
	return e
}

func notFound(what string) error {
	return &control.Error{Code: control.CodeNotFound, Says: "There is no such " + what + ".", Next: "Look at the list again."}
}
