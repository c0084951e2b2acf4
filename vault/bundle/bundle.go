// Package bundle reads the files in which authorities, and bundles of them, are handed
// out, and judges whether a bundle fetched anew may take the place of the one before.
//
// [Read] takes certificates in PEM or DER, and CMS (RFC 5652): a SignedData that nobody
// signed (.p7b, .p7c: RFC 5280, section 4.2.2.1), whose certificates they are, or one
// that is signed around such a file: a signed trust bundle of the Direct Project. A
// signature covers what is inside it and not the certificates that stand beside it: so
// of a signed file only those inside count, and a signed file with nothing inside is
// refused ([ErrNothingSigned]).
//
// [Certificates] reads the same files where each certificate is judged by itself: one that
// an authority issued, or that was found for somebody. It minds no signature.
//
// Nothing here says that anybody is to be trusted. The user confirms each certificate,
// and a bundle that is fetched on a schedule has to be signed by the one certificate
// that the user pinned and never be older than the last ([File.Renews]; rule F2).
//
// The package is pure. A file has at most 1 MiB and 1,000 certificates.
package bundle

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"countersign/mailer/cms"
)

// Bounds of a file.
const (
	MaxFile         = 1 << 20 // octets
	maxCertificates = 1000
)

// ahead is how far the clock of a signer may be before ours.
const ahead = 24 * time.Hour

var (
	// ErrNone says that a file holds no certificate that can be read.
	ErrNone = errors.New("bundle: no certificate in it can be read")
	// ErrSize says that it is too large, or holds too many.
	ErrSize = errors.New("bundle: too large")
	// ErrSignature says that a signature of it is not valid.
	ErrSignature = errors.New("bundle: the signature is not valid")
	// ErrNothingSigned says that what is signed holds no certificates.
	ErrNothingSigned = errors.New("bundle: the signature covers no certificates")
	// ErrSigner says that another signed it than the one pinned, or nobody did.
	ErrSigner = errors.New("bundle: not signed by the pinned certificate")
	// ErrUndated says that it does not say when it was signed, or says a time to come, or
	// one at which the signer's certificate was not valid.
	ErrUndated = errors.New("bundle: no time of signing that counts")
	// ErrOlder says that it was signed before the one that was seen last.
	ErrOlder = errors.New("bundle: older than the last")
)

// File is what a file holds.
type File struct {
	Certificates []*x509.Certificate // each once, in their order
	Signer       *x509.Certificate   // whose signature is valid; nil: nobody signed
	Signed       time.Time           // as the signer says; zero: not said
}

// Read reads a file. Of a signed one the signature is checked by the certificate
// enclosed, which proves nothing until somebody pins it.
func Read(data []byte) (File, error) {
	if len(data) > MaxFile {
		return File{}, ErrSize
	}
	f, err := read(data, maybeSigned)
	if err != nil {
		return File{}, err
	}
	var once []*x509.Certificate
	for _, c := range f.Certificates {
		if !slices.ContainsFunc(once, c.Equal) {
			once = append(once, c)
		}
		if len(once) > maxCertificates {
			return File{}, ErrSize
		}
	}
	f.Certificates = once
	return f, nil
}

// Certificates returns the certificates in PEM, DER (one after the other) or CMS, those that
// stand beside the content of a CMS message as well. There is at least one, or an error.
func Certificates(data []byte) ([]*x509.Certificate, error) {
	if len(data) > MaxFile {
		return nil, ErrSize
	}
	f, err := read(data, whoever)
	if err == nil && len(f.Certificates) > maxCertificates {
		err = ErrSize
	}
	return f.Certificates, err
}

// signer is who may have signed what is read.
type signer int

const (
	bare signer = iota
	maybeSigned
	whoever // it makes no difference: nothing is taken from what is signed
)

// read reads PEM, DER or CMS.
func read(data []byte, by signer) (File, error) {
	if len(data) < 2 || data[0] != 0x30 || data[1] < 0x80 { // not a SEQUENCE of more than 127 octets
		return readPEM(data, by)
	}
	if certs, err := x509.ParseCertificates(data); err == nil && len(certs) > 0 {
		return File{Certificates: certs}, nil
	}
	return readCMS(data, by)
}

func readPEM(data []byte, by signer) (f File, err error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CERTIFICATE", "X509 CERTIFICATE":
			certs, err := x509.ParseCertificates(block.Bytes)
			if err != nil {
				return File{}, fmt.Errorf("%w: %w", ErrNone, err)
			}
			f.Certificates = append(f.Certificates, certs...)
		case "PKCS7", "CMS":
			if len(f.Certificates) > 0 {
				return File{}, fmt.Errorf("%w: several kinds of things in one file", ErrNone)
			}
			return readCMS(block.Bytes, by)
		}
	}
	if len(f.Certificates) == 0 {
		return File{}, ErrNone
	}
	return f, nil
}

// octets is a [cms.Source].
type octets []byte

func (o octets) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(o)), nil }

func readCMS(data []byte, by signer) (File, error) {
	s, err := cms.ReadSigned(octets(data), nil)
	if err != nil {
		return File{}, fmt.Errorf("%w: %w", ErrNone, err)
	}
	if len(s.Signers) == 0 || by == whoever {
		if len(s.Certificates) == 0 {
			return File{}, ErrNone
		}
		return File{Certificates: s.Certificates}, nil
	}
	if by == bare || s.Detached {
		return File{}, ErrNothingSigned
	}
	i := slices.IndexFunc(s.Signers, func(i cms.SignerInfo) bool { return i.Err == nil && i.Certificate != nil })
	if i < 0 {
		return File{}, fmt.Errorf("%w: %w", ErrSignature, s.Signers[0].Err)
	}
	r, err := s.Open()
	if err != nil {
		return File{}, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	defer r.Close()
	inside, err := io.ReadAll(io.LimitReader(r, MaxFile+1))
	if err != nil {
		return File{}, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	f, err := read(inside, bare)
	if err != nil {
		return File{}, fmt.Errorf("%w: %w", ErrNothingSigned, err)
	}
	f.Signer, f.Signed = s.Signers[i].Certificate, s.Signers[i].Time.UTC()
	return f, nil
}

// Renews says whether the bundle may take the place of one from the same signer that
// was signed at last; nil is yes. The same bundle again may.
func (f File) Renews(signer *x509.Certificate, last, now time.Time) error {
	switch {
	case f.Signer == nil || signer == nil || !f.Signer.Equal(signer):
		return ErrSigner
	case f.Signed.IsZero() || f.Signed.After(now.Add(ahead)),
		f.Signed.Before(signer.NotBefore), f.Signed.After(signer.NotAfter):
		return ErrUndated
	case f.Signed.Before(last):
		return ErrOlder
	}
	return nil
}

// Compare tells which of the certificates that came from a bundle are no longer in it,
// and which of those in it are not among them.
func (f File) Compare(had []*x509.Certificate) (gone, come []*x509.Certificate) {
	for _, c := range had {
		if !slices.ContainsFunc(f.Certificates, c.Equal) {
			gone = append(gone, c)
		}
	}
	for _, c := range f.Certificates {
		if !slices.ContainsFunc(had, c.Equal) {
			come = append(come, c)
		}
	}
	return gone, come
}
