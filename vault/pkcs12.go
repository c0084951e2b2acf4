package vault

import (
	"context"
	"crypto/x509"
	"database/sql"
	"fmt"
	"slices"
	"time"

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
	for _, address := range addressesOf(found) {
		now, before, err := v.arrange(address, found, chain, all)
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
		if !i.Lost.IsZero() && slices.ContainsFunc(found, func(o issued.Own) bool { return slices.Contains(i.keys(), keyring.ID(o.Certificate)) }) {
			return ErrGivenUp
		}
	}
	return nil
}

// arrange makes the identity of one address from what a file held and what was
// there, and retires what it replaces, at once or on the day on which it takes over.
func (v *Vault) arrange(address string, found []issued.Own, chain []*x509.Certificate, all []Identity) (now Identity, before []Identity, err error) {
	var signing, encryption *issued.Own
	for n := range found {
		if o := &found[n]; slices.Contains(issued.Addresses(o.Certificate), address) {
			signing, encryption = better(signing, o, o.Sign), better(encryption, o, o.Open)
		}
	}
	now = Identity{Address: address, Chain: chain, Added: v.o.Clock().UTC().Truncate(time.Second)}
	if signing != nil {
		now.Signing, now.SigningToken, now.Name = signing.Certificate, signing.Token, signing.Certificate.Subject.CommonName
	}
	if encryption != nil {
		now.Encryption, now.EncryptionToken, now.OnlyCopy = encryption.Certificate, encryption.Token, encryption.OnlyCopy
		now.Name = encryption.Certificate.Subject.CommonName
	}
	if now.ID, err = newID(v.o.Rand); err != nil {
		return now, nil, err
	}
	for _, c := range now.certificates() {
		now.Retired = now.Retired || !now.Added.Before(c.NotAfter)
	}
	for _, old := range all {
		if old.Address != address {
			continue
		}
		if same(now.Signing, old.Signing) && same(now.Encryption, old.Encryption) {
			now.ID, now.Added = old.ID, old.Added // imported again
			now.Coming, now.From, now.Announced, now.Until = old.Coming, old.From, old.Announced, old.Until
			now.Retired = now.Retired || !now.Coming && slices.ContainsFunc(all, func(i Identity) bool {
				return i.Address == address && i.ID != old.ID && i.rank() == 0
			})
			return now, nil, nil
		}
	}
	if now.Retired {
		return now, nil, nil
	}
	defer func() {
		if now.Signing != nil { // what others see beside a signature
			now.Name = now.Signing.Subject.CommonName
		}
		v.succeed(&now, before)
	}()
	for _, old := range slices.Backward(all) { // what is to come before what is in use
		if old.Address != address || old.Retired {
			continue
		}
		// Half of what was there may go on: the other half came now.
		if now.Signing == nil {
			now.Signing, now.SigningToken = old.Signing, old.SigningToken
		}
		if now.Encryption == nil {
			now.Encryption, now.EncryptionToken, now.OnlyCopy = old.Encryption, old.EncryptionToken, old.OnlyCopy
		}
		if (old.Signing == nil || same(now.Signing, old.Signing)) && (old.Encryption == nil || same(now.Encryption, old.Encryption)) {
			now.ID = old.ID // nothing is replaced
		} else {
			before = append(before, old)
		}
		for _, c := range old.Chain {
			if !slices.ContainsFunc(now.Chain, c.Equal) {
				now.Chain = append(slices.Clip(now.Chain), c)
			}
		}
	}
	return now, before, nil
}

func same(a, b *x509.Certificate) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Equal(b)
}

func addressesOf(found []issued.Own) []string {
	var all []string
	for _, o := range found {
		for _, a := range issued.Addresses(o.Certificate) {
			if !slices.Contains(all, a) {
				all = append(all, a)
			}
		}
	}
	return all
}

// better prefers the certificate that ends later.
func better(had, o *issued.Own, fits bool) *issued.Own {
	if fits && (had == nil || o.Certificate.NotAfter.After(had.Certificate.NotAfter)) {
		return o
	}
	return had
}
