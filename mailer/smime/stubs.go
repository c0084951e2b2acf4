package smime

import (
	"crypto/x509"
	"io"

	"countersign/mailer/cms"
	"countersign/mailer/message"
)

// Seal writes.
func Seal(w io.Writer, l Letter, k Keys, to []*x509.Certificate, rand io.Reader) error {
	return ErrLetter
}

// Sign writes.
func Sign(w io.Writer, l Letter, k Keys, rand io.Reader) error { return ErrLetter }

// CheckOuter is the last door.
func CheckOuter(r io.Reader) error { return ErrOuter }

// Open describes.
func Open(src message.Source, keys []cms.Key, o Options) (*Opened, error) { return nil, ErrDamaged }
