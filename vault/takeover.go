package vault

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"countersign/vault/keyring"
	"countersign/vault/renewal"
)

// succeed sets the day on which an identity takes the place of those before it. A new
// signing key waits, so that others hear of it before they see it (V7). There is
// nothing to wait for where the old one can announce nothing, since it is not whole or
// has run out; nor where its own successor had not begun yet. Certificates that were
// withdrawn are for [Vault.TakeOver].
func (v *Vault) succeed(now *Identity, before []Identity) {
	at := v.o.Clock().UTC().Truncate(time.Second)
	wait := len(before) == 1 && !before[0].Coming && v.whole(before[0]) && v.whole(*now) && keyring.ID(before[0].Signing) != keyring.ID(now.Signing)
	if wait {
		_, ends := before[0].Ends()
		if from := renewal.TakesOver(at, ends); from.After(at) {
			now.From, now.Coming, before[0].Until = from, true, from
			return
		}
	}
	for n := range before {
		before[n].Retired, before[n].Until = true, at
	}
}

// whole says that an identity can sign and be written to.
func (v *Vault) whole(i Identity) bool {
	return i.Signing != nil && i.Encryption != nil && v.signs(i) && v.opens(i)
}

// TakeOver makes a coming identity sign from now on, and retires the one before it. Of
// one that is in use already it changes nothing.
func (v *Vault) TakeOver(ctx context.Context, id string) error {
	return v.change(ctx, id, func(now *Identity, before []*Identity) {
		at := v.o.Clock().UTC().Truncate(time.Second)
		now.From, now.Coming = at, false
		for _, old := range before {
			old.Until, old.Retired = at, true
		}
	})
}

// Announced notes that others are told of a coming identity from now on, and counts the
// day on which it takes over from there. Whatever is noted already stays.
func (v *Vault) Announced(ctx context.Context, id string) error {
	return v.change(ctx, id, func(now *Identity, before []*Identity) {
		if !now.Announced.IsZero() {
			return
		}
		at := v.o.Clock().UTC().Truncate(time.Second)
		now.Announced = at
		for _, old := range before {
			_, ends := old.Ends()
			now.From = renewal.TakesOver(at, ends)
			old.Until = now.From
		}
	})
}

// change changes a coming identity and those whose place it takes.
func (v *Vault) change(ctx context.Context, id string, f func(now *Identity, before []*Identity)) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	all, err := v.Identities(ctx)
	if err != nil {
		return err
	}
	n := slices.IndexFunc(all, func(i Identity) bool { return i.ID == id })
	if n < 0 {
		return ErrNoIdentity
	}
	if !all[n].Coming {
		return nil
	}
	var before []*Identity
	for i := range all {
		if i != n && all[i].Address == all[n].Address && !all[i].Retired && !all[i].Until.IsZero() {
			before = append(before, &all[i])
		}
	}
	f(&all[n], before)
	changed := []Identity{all[n]}
	for _, old := range before {
		changed = append(changed, *old)
	}
	if err := v.db.Update(ctx, func(tx *sql.Tx) error { return v.save(tx, changed...) }); err != nil {
		return fmt.Errorf("changing which key signs: %w", err)
	}
	return nil
}

// resettle puts right who signs for an address after a key was given up: a successor
// that was to come begins at once, and one that has lost its successor goes on.
func (v *Vault) resettle(all []Identity, address string) (changed []Identity) {
	signs, follows := false, false
	for _, i := range all {
		signs = signs || i.Address == address && i.Rank() == 0
		follows = follows || i.Address == address && i.Coming
	}
	for n := range all {
		i := &all[n]
		switch {
		case i.Address != address:
		case i.Coming && !signs:
			i.From, i.Coming = v.o.Clock().UTC().Truncate(time.Second), false
			changed = append(changed, *i)
		case !i.Retired && !i.Coming && !i.Until.IsZero() && !follows:
			i.Until = time.Time{}
			changed = append(changed, *i)
		}
	}
	return changed
}
