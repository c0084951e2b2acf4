package issued

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"

	"countersign/mailer/cms"
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

type inMemory []byte

func (b inMemory) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }

// ReadCertificates reads a file of at most [MaxCertificates] bytes: PEM, DER or PKCS #7.
func ReadCertificates(data []byte) (certs []*x509.Certificate, err error) {
	if len(data) > MaxCertificates {
		return nil, ErrNotCertificate
	}
	blocks := [][]byte{}
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" || block.Type == "PKCS7" || block.Type == "CMS" {
			blocks = append(blocks, block.Bytes)
		}
	}
	if len(blocks) == 0 {
		blocks = append(blocks, data)
	}
	for _, der := range blocks {
		some, err := x509.ParseCertificates(der)
		if err != nil {
			bundle, err := cms.ReadSigned(inMemory(der), nil)
			if err != nil {
				return nil, ErrNotCertificate
			}
			some = bundle.Certificates
		}
		certs = append(certs, some...)
	}
	if len(certs) == 0 || len(certs) > maxChain {
		return nil, ErrNotCertificate
	}
	return certs, nil
}
