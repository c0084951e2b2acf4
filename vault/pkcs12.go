package vault

import (
	"context"
	"crypto/x509"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"countersign/vault/identity"
	"countersign/vault/issued"
	"countersign/vault/keyring"
)

// ImportPKCS12 reads a PKCS #12 file of at most 1 MiB, stores its private keys
// and returns the identities that it makes or changes, one for each address.
// Signing and encryption certificates may be one, or two in one file, or come in
// two files one after the other. What an identity replaces is retired, on the day on
// which a new key takes over (V7): it still decrypts. A certificate that has run out
// comes in retired.
//
// Whatever is wrong with the file is a [*Problem], and then nothing is changed.
func (v *Vault) ImportPKCS12(ctx context.Context, data []byte, password string) ([]Identity, error) {
	found, chain, err := issued.ReadPKCS12(data, password)
	if err != nil {
		return nil, fmt.Errorf("importing a certificate: %w", err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.refuseLost(ctx, found); err != nil {
		return nil, fmt.Errorf("importing a certificate: %w", err)
	}
	for _, o := range found {
		der, err := x509.MarshalPKCS8PrivateKey(o.Key)
		if err != nil {
			return nil, fmt.Errorf("importing a certificate: %w", ErrKeyKind)
		}
		err = v.keys.Put(ctx, keyring.ID(o.Certificate), der)
		clear(der)
		if err != nil {
			return nil, fmt.Errorf("importing a certificate: %w", err)
		}
	}
	result, _, err := v.adopt(ctx, found, chain, nil, func(*sql.Tx) error { return nil })
	if err != nil {
		return nil, fmt.Errorf("importing a certificate: %w", err)
	}
	return result, nil
}

// adopt makes identities of certificates whose keys are in the keychain. Check, if not
// nil, is asked about each before anything is stored, and also is done in the same
// transaction.
func (v *Vault) adopt(ctx context.Context, found []issued.Own, chain []*x509.Certificate, check func(Identity) error, also func(*sql.Tx) error) (result, retired []Identity, err error) {
	if err := v.refuseLost(ctx, found); err != nil {
		return nil, nil, err
	}
	all, err := v.Identities(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, address := range identity.Addresses(found) {
		now, before := identity.Arrange(address, found, chain, all, v.o.Clock().UTC().Truncate(time.Second))
		if now.ID == "" {
			now.ID, err = newID(v.o.Rand)
		}
		v.succeed(&now, before)
		if err == nil && check != nil {
			err = check(now)
		}
		if err != nil {
			return nil, nil, err
		}
		result, retired = append(result, now), append(retired, before...)
	}
	for _, o := range found {
		if o.Sign {
			if err := v.certify(ctx, o.Certificate, o.Token); err != nil {
				return nil, nil, err
			}
		}
	}
	err = v.db.Update(ctx, func(tx *sql.Tx) error {
		if err := also(tx); err != nil {
			return err
		}
		return v.save(tx, slices.Concat(retired, result)...)
	})
	return result, retired, err
}

// refuseLost refuses keys that the user has given up.
func (v *Vault) refuseLost(ctx context.Context, found []issued.Own) error {
	all, err := v.Identities(ctx)
	if err != nil {
		return err
	}
	for _, i := range all {
		if !i.Lost.IsZero() && slices.ContainsFunc(found, func(o issued.Own) bool { return slices.Contains(i.Keys(), keyring.ID(o.Certificate)) }) {
			return ErrGivenUp
		}
	}
	return nil
}
