package issued

import (
	"crypto/x509"
	"errors"

	"countersign/vault/bundle"
	"countersign/vault/keyring"
	"countersign/vault/pkcs12"
)

// ReadPKCS12 takes a file apart and refuses what cannot be used.
func ReadPKCS12(data []byte, password string) (found []Own, chain []*x509.Certificate, err error) {
	c, err := pkcs12.Read(data, password)
	switch {
	case errors.Is(err, pkcs12.ErrPassphrase):
		return nil, nil, ErrPassphrase
	case errors.Is(err, pkcs12.ErrNoKey):
		return nil, nil, ErrNoPrivateKey
	case err != nil:
		return nil, nil, ErrNotPKCS12
	}
	mine := map[*x509.Certificate]bool{}
	for _, key := range c.Keys {
		had := len(found)
		for _, cert := range c.Certificates {
			if keyring.Fits(key, cert) {
				mine[cert] = true
				found = append(found, Own{Key: key, Certificate: cert})
			}
		}
		if len(found) == had {
			return nil, nil, ErrKeyMismatch
		}
	}
	for n := range found {
		if err := found[n].Judge(); err != nil {
			return nil, nil, err
		}
	}
	for _, cert := range c.Certificates {
		if !mine[cert] {
			chain = append(chain, cert)
		}
	}
	return found, chain, nil
}

const (
	// MaxCertificates bounds a file of certificates, in bytes.
	MaxCertificates = 1 << 20
	maxChain        = 16 // certificates in such a file
)

// ReadCertificates reads a file of at most [MaxCertificates] bytes: PEM, DER or PKCS #7.
func ReadCertificates(data []byte) (certs []*x509.Certificate, err error) {
	if len(data) > MaxCertificates {
		return nil, ErrNotCertificate
	}
	if certs, err = bundle.Certificates(data); err != nil || len(certs) > maxChain {
		return nil, ErrNotCertificate
	}
	return certs, nil
}
