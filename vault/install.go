package vault

import (
	"context"
	"crypto/x509"
	"database/sql"
	"fmt"
	"slices"

	"countersign/vault/identity"
	"countersign/vault/issued"
	"countersign/vault/keyring"
)

// MaxCertificates bounds a file of certificates, in bytes.
const MaxCertificates = issued.MaxCertificates

// Installed is what came of a file of certificates.
type Installed struct {
	Identities []Identity // made or changed
	Replaced   []Identity // what they take the place of, now or on the day that stands in From
	Waits      bool       // the certificate of the other key of a request is still to come
}

// Install takes in the certificate that an authority issued, for a key that was made
// here ([Vault.MakeRequest]) or that is in the keychain already (a renewal for the
// same key): PEM, DER, or a PKCS #7 bundle, with the certificates of authorities or
// without. Each key serves what it was asked for, or what it has been used for, whatever
// else its certificate allows. What an identity replaces is retired, on the day on which a new key takes
// over (V7): it still decrypts. Where a request
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
	certs, err := issued.ReadCertificates(data)
	if err != nil {
		return done, err
	}
	requests, err := v.Requests(ctx)
	if err != nil {
		return done, err
	}
	own, err := v.Identities(ctx)
	if err != nil {
		return done, err
	}
	var found []issued.Own
	var chain []*x509.Certificate
	for _, c := range certs {
		token, only := issued.OnToken(requests, keyring.ID(c))
		if token == "" {
			token, only = identity.OnToken(own, keyring.ID(c))
		}
		if token == "" && !v.keys.Holds(keyring.ID(c)) {
			chain = append(chain, c)
			continue
		}
		o := issued.Own{Certificate: c, Token: token, OnlyCopy: only}
		if err := o.Judge(); err != nil {
			return done, err
		}
		if err := issued.InForce(c, v.o.Clock()); err != nil {
			return done, err
		}
		if err := identity.Renews(&o, own); err != nil {
			return done, err
		}
		found = append(found, o)
	}
	if len(found) == 0 {
		return done, notOurs(certs, requests)
	}
	var finished []Request
	for n := range requests {
		r, fits, err := requests[n].Take(found)
		if err != nil {
			return done, err
		}
		if !fits {
			continue
		}
		if more, complete, err := r.Certified(found); err != nil {
			return done, err
		} else if !complete {
			return Installed{Waits: true}, v.db.Update(ctx, func(tx *sql.Tx) error { return v.saveRequest(tx, r) })
		} else {
			found, finished = more, append(finished, r)
		}
	}
	done.Identities, done.Replaced, err = v.adopt(ctx, found, chain, check, func(tx *sql.Tx) error {
		for _, r := range finished {
			if err := dropRequest(tx, r.ID); err != nil {
				return err
			}
		}
		return nil
	})
	return done, err
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
