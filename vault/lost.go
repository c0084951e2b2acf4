package vault

import (
	"context"
	"crypto/x509"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"countersign/vault/keyring"
)

// Lose says that the keys of an identity are lost, or in other hands: from now on
// they sign nothing, certify nothing, announce nothing and cannot be imported again.
// They still decrypt: mail that was encrypted to them exists, is no safer for being
// unreadable to its owner, and would be lost. Other identities with one of these keys
// are lost with them. What was to take over begins at once. It returns the identity.
func (v *Vault) Lose(ctx context.Context, id string) (Identity, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	all, err := v.Identities(ctx)
	if err != nil {
		return Identity{}, err
	}
	n := slices.IndexFunc(all, func(i Identity) bool { return i.ID == id })
	if n < 0 {
		return Identity{}, ErrNoIdentity
	}
	keys := all[n].Keys()
	var changed []Identity
	for i := range all {
		if all[i].Lost.IsZero() && slices.ContainsFunc(all[i].Keys(), func(k string) bool { return slices.Contains(keys, k) }) {
			all[i].Retired, all[i].Coming, all[i].Lost = true, false, v.o.Clock().UTC().Truncate(time.Second)
			changed = append(changed, all[i])
		}
	}
	changed = append(changed, v.resettle(all, all[n].Address)...)
	if err := v.db.Update(ctx, func(tx *sql.Tx) error { return v.save(tx, changed...) }); err != nil {
		return Identity{}, fmt.Errorf("giving up a key: %w", err)
	}
	v.keys.Forget()
	return all[n], nil
}

// Before is the identity whose place another took, or is to take, so that its key can
// vouch for the new one (V7): of the same address, with other keys, whole, the last one
// and not lost. Its ID is empty if there is none.
func (v *Vault) Before(ctx context.Context, now Identity) (Identity, error) {
	all, err := v.Identities(ctx)
	if err != nil {
		return Identity{}, err
	}
	same := func(a, b *x509.Certificate) bool { return keyring.ID(a) == keyring.ID(b) }
	for _, i := range all {
		whole := (i.Retired || !i.Until.IsZero()) && i.Lost.IsZero() && i.Address == now.Address && i.Signing != nil && i.Encryption != nil && v.signs(i)
		if whole && now.Signing != nil && now.Encryption != nil && !i.Added.After(now.Added) &&
			!(same(i.Signing, now.Signing) && same(i.Encryption, now.Encryption)) {
			return i, nil
		}
	}
	return Identity{}, nil
}
