package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"io"
	"slices"
	"time"

	"countersign/tray/control"
)

// maxAnchorFile is the size that a file of authorities may have, in octets.
const maxAnchorFile = 1 << 20

// maxAnchorName is how much of an authority's name is shown and journaled.
const maxAnchorName = 80

// anchors answers control.Anchors.
type anchors struct{ *Agent }

// List tells of the authorities that the signed records bear out.
func (s anchors) List(ctx context.Context, _ control.None) ([]control.Anchor, error) {
	trusted, err := s.book.Anchors(ctx)
	if err != nil {
		return nil, words(err)
	}
	list := make([]control.Anchor, 0, len(trusted))
	for _, a := range trusted {
		list = append(list, anchor(a.Certificate, a.Added))
	}
	return list, nil
}

func anchor(c *x509.Certificate, added time.Time) control.Anchor {
	name := c.Subject.CommonName
	if name == "" {
		name = c.Subject.String()
	}
	if short := []rune(name); len(short) > maxAnchorName {
		name = string(short[:maxAnchorName])
	}
	return control.Anchor{Fingerprint: fingerprint(c), Name: name, Expires: c.NotAfter, Added: added, CA: c.IsCA}
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// Preview tells what a file holds without changing anything.
func (s anchors) Preview(_ context.Context, _ control.None, file io.Reader) ([]control.Anchor, error) {
	certs, err := readCertificates(file, maxAnchorFile)
	if err != nil {
		return nil, err
	}
	list := make([]control.Anchor, 0, len(certs))
	for _, c := range certs {
		list = append(list, anchor(c, time.Time{}))
	}
	return list, nil
}

// Add trusts the certificates of the file that are confirmed by fingerprint.
func (s anchors) Add(ctx context.Context, order control.AnchorOrder, file io.Reader) ([]control.Anchor, error) {
	certs, err := readCertificates(file, maxAnchorFile)
	if err != nil {
		return nil, err
	}
	var list []control.Anchor
	for _, c := range certs {
		if !slices.Contains(order.Confirm, fingerprint(c)) {
			continue
		}
		if err := s.book.AddAnchor(ctx, c); err != nil {
			return nil, words(err)
		}
		a := anchor(c, s.clock())
		if err := s.note(ctx, "anchor", "", "The authority \""+a.Name+"\" was trusted."); err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	if len(list) == 0 {
		return nil, &control.Error{Code: "not-confirmed", Says: "None of the certificates in this file was confirmed.",
			Next: "Compare the fingerprint with the one that the authority publishes, and confirm it."}
	}
	return list, s.anchorsChanged(ctx)
}

// anchorsChanged has everything that depends on the authorities looked at anew.
func (a *Agent) anchorsChanged(ctx context.Context) error {
	if err := a.mailer.Reconsider(ctx); err != nil {
		return err
	}
	return a.tell(ctx, "status", "", "The authorities that you trust have changed.")
}

// Remove trusts an authority no longer.
func (s anchors) Remove(ctx context.Context, q control.AnchorQuery) (control.None, error) {
	trusted, err := s.book.Anchors(ctx)
	if err != nil {
		return control.None{}, words(err)
	}
	for _, a := range trusted {
		if fingerprint(a.Certificate) != q.Fingerprint {
			continue
		}
		if err := s.book.RemoveAnchor(ctx, a.Certificate); err != nil {
			return control.None{}, words(err)
		}
		if err := s.note(ctx, "anchor", "", "The authority \""+anchor(a.Certificate, a.Added).Name+"\" is trusted no longer."); err != nil {
			return control.None{}, err
		}
		return control.None{}, s.anchorsChanged(ctx)
	}
	return control.None{}, notFound("authority in your list")
}

// readCertificates reads certificates in PEM or DER.
func readCertificates(r io.Reader, limit int64) ([]*x509.Certificate, error) {
	data, err := readSmall(r, limit, "certificate file")
	if err != nil {
		return nil, err
	}
	var der []byte
	if bytes.Contains(data, []byte("-----BEGIN")) {
		for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
			if block.Type == "CERTIFICATE" || block.Type == "X509 CERTIFICATE" {
				der = append(der, block.Bytes...)
			}
		}
	} else {
		der = data
	}
	certs, err := x509.ParseCertificates(der)
	if err != nil || len(certs) == 0 {
		return nil, &control.Error{Code: "no-certificate", Says: "There is no certificate in this file that can be read.",
			Next: "Ask for a certificate file (.pem, .crt or .cer)."}
	}
	return certs, nil
}
