package discover

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"time"

	"countersign/mailer/cms"
	"countersign/vault/trust"
)

// keepCertificate is for how long a fetched certificate is not fetched again.
const keepCertificate = 30 * 24 * time.Hour

// maxCertificates bounds what one reply may bring.
const maxCertificates = 16

var errDocument = errors.New("discover: not what was asked for")

// document is one fetched and parsed thing: a list, or certificates.
type document struct {
	list    *trust.CRL
	certs   []*x509.Certificate
	size    int
	fetched time.Time
	until   time.Time
}

// older says that a list was made before the one at hand: whoever sits on the
// line may play an old one to hide a withdrawal, so it is used but not kept. A
// list from the future is no reason to refuse one; trust does not use it.
func (d *document) older(old *document, now time.Time) bool {
	return old != nil && old.list != nil && d.list != nil &&
		d.list.ThisUpdate().Before(old.list.ThisUpdate()) && !old.list.ThisUpdate().After(now)
}

func (d *document) fresh(now time.Time) bool { return d != nil && now.Before(d.until) }

// parse reads what a server sent. It should be DER (RFC 5280, sections 4.2.1.13
// and 4.2.2.1); some servers send PEM.
func parse(kind trust.NeedKind, body []byte, fetched time.Time) (*document, error) {
	if block, _ := pem.Decode(body); block != nil {
		body = block.Bytes
	}
	d := &document{size: len(body), fetched: fetched}
	switch kind {
	case trust.NeedCRL:
		list, err := trust.ParseCRL(body)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errDocument, err)
		}
		d.list, d.until = list, list.NextUpdate()
	case trust.NeedIssuer:
		certs, err := certificates(body)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errDocument, err)
		}
		d.certs, d.until = certs, fetched.Add(keepCertificate)
	default:
		return nil, fmt.Errorf("%w: %q", errDocument, kind)
	}
	return d, nil
}

// certificates reads one certificate, or a certs-only CMS message of some.
func certificates(body []byte) ([]*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(body)
	if err == nil {
		return []*x509.Certificate{cert}, nil
	}
	signed, errCMS := cms.ReadSigned(source(body), nil)
	if errCMS != nil || len(signed.Certificates) == 0 {
		return nil, err
	}
	return signed.Certificates[:min(len(signed.Certificates), maxCertificates)], nil
}

// source is bytes that can be opened twice.
type source []byte

func (s source) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(s)), nil }
