package vault

import (
	"bytes"
	"context"
	"crypto/x509"
	"database/sql"
	"encoding/pem"
	"fmt"
	"slices"

	"countersign/mailer/cms"
	"countersign/vault/keyring"
	"countersign/vault/pkcs10"
)

const (
	// MaxCertificates bounds a file of certificates, in bytes.
	MaxCertificates = 1 << 20
	maxChain        = 16 // certificates in such a file
)

// Installed is what came of a file of certificates.
type Installed struct {
	Identities []Identity // made or changed
	Retired    []Identity // what they take the place of
	Waits      bool       // the certificate of the other key of a request is still to come
}

// Install takes in the certificate that an authority issued, for a key that was made
// here ([Vault.MakeRequest]) or that is in the keychain already (a renewal for the
// same key): PEM, DER, or a PKCS #7 bundle, with the certificates of authorities or
// without. What an identity replaces is retired: it still decrypts. Where a request
// has two keys and one certificate has come, it waits for the other.
//
// Check, if not nil, is asked about each identity before anything is changed; its
// error ends the installation. Whatever is wrong with the file is a [*Problem], and
// then nothing is changed.
func (v *Vault) Install(ctx context.Context, data []byte, check func(Identity) error) (done Installed, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	defer func() {
		if err != nil {
			err = fmt.Errorf("installing a certificate: %w", err)
		}
	}()
	certs, err := readCertificates(data)
	if err != nil {
		return done, err
	}
	requests, err := v.Requests(ctx)
	if err != nil {
		return done, err
	}
	var found []own
	var chain []*x509.Certificate
	for _, c := range certs {
		if !v.keys.Holds(keyring.ID(c)) {
			chain = append(chain, c)
			continue
		}
		o := own{cert: c}
		if err := o.judge(); err != nil {
			return done, err
		}
		if err := v.inForce(c); err != nil {
			return done, err
		}
		found = append(found, o)
	}
	if len(found) == 0 {
		return done, notOurs(certs, requests)
	}
	var finished []Request
	for n := range requests {
		r, fits, err := requests[n].take(found)
		if err != nil {
			return done, err
		}
		if !fits {
			continue
		}
		if more, complete, err := r.certified(found); err != nil {
			return done, err
		} else if !complete {
			return Installed{Waits: true}, v.db.Update(ctx, func(tx *sql.Tx) error { return v.saveRequest(tx, r) })
		} else {
			found, finished = more, append(finished, r)
		}
	}
	done.Identities, done.Retired, err = v.adopt(ctx, found, chain, check, func(tx *sql.Tx) error {
		for _, r := range finished {
			if err := dropRequest(tx, r.ID); err != nil {
				return err
			}
		}
		return nil
	})
	return done, err
}

// take puts the certificates found to the keys of a request that they are for.
func (r Request) take(found []own) (_ Request, fits bool, err error) {
	r.Keys = slices.Clone(r.Keys)
	for n, k := range r.Keys {
		for _, o := range found {
			if keyring.ID(o.cert) != k.id() {
				continue
			}
			switch {
			case !slices.Contains(addresses(o.cert), r.Address):
				return r, false, &Problem{"other-address", "This certificate is for " + addresses(o.cert)[0] + ", but the request was for " + r.Address + ".",
					"Ask your authority for a certificate in the address that you asked for."}
			case k.Use != pkcs10.Encrypt && !o.sign:
				return r, false, &Problem{"wrong-use", "This certificate may not be used for signing, which its key was made for.",
					"Ask your authority for an e-mail certificate that allows digital signatures."}
			case k.Use != pkcs10.Sign && !o.open:
				return r, false, &Problem{"wrong-use", "This certificate may not be used for encryption, which its key was made for.",
					"Ask your authority for an e-mail certificate that allows encryption, or ask anew with separate keys."}
			}
			r.Keys[n].Certificate, fits = o.cert.Raw, true
		}
	}
	return r, fits, nil
}

// certified adds to what was found the certificates that came before. It is complete
// when each key of the request has one.
func (r Request) certified(found []own) (all []own, complete bool, err error) {
	for _, k := range r.Keys {
		if k.Certificate == nil {
			return nil, false, nil
		}
		if slices.ContainsFunc(found, func(o own) bool { return bytes.Equal(o.cert.Raw, k.Certificate) }) {
			continue
		}
		o := own{}
		if o.cert, err = x509.ParseCertificate(k.Certificate); err != nil {
			return nil, false, fmt.Errorf("reading a certificate of yours: %w", err)
		}
		if err := o.judge(); err != nil {
			return nil, false, err
		}
		found = append(slices.Clip(found), o)
	}
	return found, true, nil
}

// inForce refuses a certificate outside its dates.
func (v *Vault) inForce(c *x509.Certificate) error {
	const day = "2 January 2006"
	switch now := v.o.Clock(); {
	case !now.Before(c.NotAfter):
		return &Problem{"run-out", "This certificate ran out on " + c.NotAfter.Format(day) + ".", "Ask your authority for a new one."}
	case now.Before(c.NotBefore):
		return &Problem{"not-yet", "This certificate is valid only from " + c.NotBefore.Format(day) + ".",
			"Install it then. If today is not " + now.Format(day) + ", set this computer's clock."}
	}
	return nil
}

// notOurs says why a file holds nothing to install.
func notOurs(certs []*x509.Certificate, requests []Request) error {
	leaf := slices.ContainsFunc(certs, func(c *x509.Certificate) bool { return !c.IsCA })
	switch {
	case !leaf:
		return ErrOnlyAuthorities
	case len(requests) == 0:
		return ErrNothingAsked
	}
	return ErrOtherKey
}

// readCertificates reads PEM, DER or PKCS #7.
func readCertificates(data []byte) (certs []*x509.Certificate, err error) {
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
