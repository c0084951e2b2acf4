package vault

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"countersign/platform/keychain"
	"countersign/vault/keyring"
	"countersign/vault/phrase"
	"countersign/vault/sealed"
)

// Recovered is an opened recovery file. It prints as [secret].
type Recovered struct {
	Made time.Time // when the file was made
	c    *contents
}

func (Recovered) String() string               { return "[secret]" }
func (Recovered) GoString() string             { return "[secret]" }
func (Recovered) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, "[secret]") }
func (Recovered) MarshalJSON() ([]byte, error) { return []byte(`"[secret]"`), nil }

// maxWork bounds what a file may ask of us: about 2 seconds and 512 MB.
const maxWork = 19

// OpenRecovery opens a recovery file with its eight words as typed; list is the
// same list as [Options].Words, and only the first four letters of a word count.
func OpenRecovery(file []byte, typed, list []string) (*Recovered, error) {
	words, err := phrase.Read(typed, list)
	if err != nil {
		return nil, err
	}
	data, err := phrase.Open(file, words, maxWork)
	if err != nil {
		return nil, fmt.Errorf("opening the recovery file: %w", err)
	}
	c, err := opened(data)
	if err != nil {
		return nil, fmt.Errorf("opening the recovery file: %w", err)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("opening the recovery file: %w", err)
	}
	return &Recovered{Made: c.Made, c: c}, nil
}

// Restore puts the keys back into the keychain, and into dir the database: the
// copy at backup, or if that is empty the database that lies in dir, or else a
// new one with the user's certificates alone. A database that a copy replaces is
// kept beside it. Counters stay at their maximum, and a new epoch begins. What
// is in dir and the keychain must be this profile's or nothing, else the result
// is [ErrOtherProfile].
//
// Afterwards [Open] opens the profile. Restore can be repeated.
func (r *Recovered) Restore(ctx context.Context, dir string, kc keychain.Store, backup string) error {
	if err := r.restore(ctx, dir, kc, backup); err != nil {
		return fmt.Errorf("restoring: %w", err)
	}
	return nil
}

func (r *Recovered) restore(ctx context.Context, dir string, kc keychain.Store, backup string) error {
	key := sealed.Key(r.c.Database)
	had, err := keyring.DatabaseKey(ctx, kc, nil)
	if err == nil && had != key {
		return ErrOtherProfile
	}
	if err != nil && !errors.Is(err, keyring.ErrMissing) {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(dir, databaseFile)
	if backup != "" {
		if err := sealed.Restore(ctx, backup, path, key); err != nil {
			return err
		}
	}
	v := newVault(kc, Options{})
	if v.records, err = keyring.ParseRecordKey(kc, r.c.Record); err != nil {
		return err
	}
	err = v.openDatabase(ctx, path, key)
	if errors.Is(err, sealed.ErrKey) {
		return ErrOtherProfile
	}
	if err == nil {
		err = r.fill(ctx, v)
	}
	if v.db != nil {
		err = errors.Join(err, v.db.Close())
	}
	return err
}

// fill puts everything in its place. The database key comes last: only with it
// does the profile open.
func (r *Recovered) fill(ctx context.Context, v *Vault) error {
	row := recoveryRow{Made: r.Made, Confirmed: true, Older: r.c.Older}
	for id, der := range r.c.Keys {
		if err := v.keys.Put(ctx, id, der); err != nil {
			return err
		}
		row.Keys = append(row.Keys, id)
	}
	err := v.db.Update(ctx, func(tx *sql.Tx) error {
		for _, i := range r.c.Identities {
			_, err := tx.Exec(`INSERT OR IGNORE INTO vault_identity VALUES (?, ?, ?)`, i.ID, i.Data, i.Signature)
			if err != nil {
				return err
			}
		}
		for _, q := range r.c.Requests {
			_, err := tx.Exec(`INSERT OR IGNORE INTO vault_request VALUES (?, ?, ?)`, q.ID, q.Data, q.Signature)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := v.saveRecovery(ctx, row); err != nil {
		return err
	}
	for name, value := range r.c.Places {
		now, err := v.Place(name).Load(ctx)
		if err == nil && now == nil { // what the keychain still has is newer
			err = v.Place(name).Store(ctx, value)
		}
		if err != nil {
			return err
		}
	}
	if err := v.records.Restore(ctx); err != nil {
		return err
	}
	return keyring.SetDatabaseKey(ctx, v.kc, sealed.Key(r.c.Database))
}
