package discover

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"time"

	"countersign/vault/bundle"
	"countersign/vault/trust"
)

// keepCertificate is for how long a fetched certificate is not fetched again.
const keepCertificate = 30 * 24 * time.Hour

// maxCertificates bounds what one reply may bring.
const maxCertificates = 16

var errDocument = errors.New("discover: not what was asked for")

// document is one fetched and parsed thing: a list, an answer, or certificates.
type document struct {
	list    *trust.CRL
	answer  *trust.OCSP
	certs   []*x509.Certificate
	size    int       // about what it takes in memory, in bytes
	made    time.Time // thisUpdate; zero for certificates
	fetched time.Time
	until   time.Time
}

// older says that a list or answer was made before the one at hand: whoever sits
// on the line may play an old one to hide a withdrawal, so it is used but not
// kept. One from the future is no reason to refuse one; trust does not use it.
func (d *document) older(old *document, now time.Time) bool {
	return old != nil && d.made.Before(old.made) && !old.made.After(now)
}

func (d *document) fresh(now time.Time) bool { return d != nil && now.Before(d.until) }

// unwrap takes the DER out of PEM, which some servers send though it should be DER
// (RFC 5280, sections 4.2.1.13 and 4.2.2.1). Several certificates stay as they are.
func unwrap(kind trust.NeedKind, body []byte) []byte {
	block, rest := pem.Decode(body)
	if block == nil {
		return body
	}
	if more, _ := pem.Decode(rest); more != nil && kind == trust.NeedIssuer {
		return body
	}
	return block.Bytes
}

// parse reads what a server sent, unwrapped.
func parse(kind trust.NeedKind, body io.Reader, fetched time.Time) (*document, error) {
	d := &document{fetched: fetched}
	var err error
	if kind == trust.NeedCRL {
		if d.list, err = trust.ReadCRL(body); err != nil {
			return nil, fmt.Errorf("%w: %w", errDocument, err)
		}
		d.made, d.until, d.size = d.list.ThisUpdate(), d.list.NextUpdate(), d.list.Size()
		return d, nil
	}
	all, err := io.ReadAll(io.LimitReader(body, maxCertificate+1))
	if err != nil {
		return nil, fmt.Errorf("reading what was fetched: %w", err)
	}
	d.size = len(all)
	switch kind {
	case trust.NeedOCSP:
		if d.answer, err = trust.ParseOCSP(all); err == nil {
			d.made, d.until, d.size = d.answer.ThisUpdate(), d.answer.NextUpdate(), d.answer.Size()
		}
	case trust.NeedIssuer:
		d.until = fetched.Add(keepCertificate)
		d.certs, err = Certificates(all)
	default:
		err = fmt.Errorf("%q", kind)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDocument, err)
	}
	return d, nil
}

// Certificates reads certificates in PEM, one after the other in DER, or a CMS message of
// some (RFC 8551, section 3.8): at least one, and the first 16 of more.
func Certificates(body []byte) ([]*x509.Certificate, error) {
	certs, err := bundle.Certificates(body)
	return certs[:min(len(certs), maxCertificates)], err
}
