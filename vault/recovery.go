package vault

import (
	"context"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"countersign/vault/identity"
	"countersign/vault/keyring"
	"countersign/vault/phrase"
)

// RecoveryState is how far the recovery file is made (SECURITY K1).
type RecoveryState string

// The states.
const (
	RecoveryMissing     RecoveryState = "missing"     // none was made
	RecoveryUnconfirmed RecoveryState = "unconfirmed" // made, but the words were not typed back
	RecoveryReady       RecoveryState = "ready"       // opened once as a test
	RecoveryOutdated    RecoveryState = "outdated"    // there is a decryption key that it lacks
)

// Recovery is the state of the recovery file.
type Recovery struct {
	State RecoveryState
	Made  time.Time // zero if missing
	Ask   []int     // which two words (1 to 8) to type back, while it waits for them
	// Early says of an outdated file that all it lacks are keys that wait for their
	// certificate, so that nobody can have encrypted to them yet.
	Early bool
	// Keep is when earlier files were made that are still needed: they alone hold a key
	// that is on a token now.
	Keep []time.Time
}

// RecoveryFile is a recovery file just made: everything in it is secret. It
// prints as [secret].
type RecoveryFile struct {
	Name  string // a file name to suggest
	Bytes []byte // to be kept anywhere
	Words []string
	Ask   []int // which two words (1 to 8) ConfirmRecovery wants
}

func (RecoveryFile) String() string               { return "[secret]" }
func (RecoveryFile) GoString() string             { return "[secret]" }
func (RecoveryFile) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, "[secret]") }
func (RecoveryFile) MarshalJSON() ([]byte, error) { return []byte(`"[secret]"`), nil }

const recoveryFormat = "countersign recovery 1"

// recoveryRow is what the database remembers.
type recoveryRow struct {
	Made      time.Time `json:"made"`
	Confirmed bool      `json:"confirmed"`
	Keys      []string  `json:"keys"` // the ids of the keys in the file
	// Older is the keys on tokens that only an earlier file holds, and when that was made.
	Older map[string]time.Time `json:"older,omitempty"`
}

// older is what a file lacks of those made before, among the user's keys: those that have
// gone to a token since.
func (r *recoveryRow) older(all []Identity, in map[string][]byte) map[string]time.Time {
	older := map[string]time.Time{}
	if r == nil {
		return older
	}
	maps.Copy(older, r.Older)
	for _, id := range r.Keys {
		if r.Confirmed {
			older[id] = r.Made
		}
	}
	maps.DeleteFunc(older, func(id string, _ time.Time) bool {
		ref, _ := identity.OnToken(all, id)
		return in[id] != nil || ref == ""
	})
	return older
}

// holds says that a recovery file which was opened once as a test has a key.
func (r *recoveryRow) holds(id string) bool {
	_, older := r.Older[id]
	return older || r.Confirmed && slices.Contains(r.Keys, id)
}

// backed says that the key of a certificate is in the keychain or in a recovery file.
func (v *Vault) backed(ctx context.Context, cert *x509.Certificate) (bool, error) {
	row, err := v.recoveryRow(ctx)
	return v.keys.Has(cert) || row != nil && row.holds(keyring.ID(cert)), err
}

// unconfirmed is a file that waits for two of its words.
type unconfirmed struct {
	file RecoveryFile
	row  recoveryRow
}

// contents is what a recovery file holds, as JSON inside age.
type contents struct {
	Format     string            `json:"format"`
	Made       time.Time         `json:"made"`
	Database   []byte            `json:"database"` // the key
	Record     []byte            `json:"record"`   // the keychain item
	Keys       map[string][]byte `json:"keys"`     // PKCS #8 by id
	Identities []signedRow       `json:"identities"`
	Requests   []signedRow       `json:"requests,omitempty"`
	Places     map[string][]byte `json:"places,omitempty"`

	Older map[string]time.Time `json:"older,omitempty"` // as in recoveryRow
}

type signedRow struct {
	ID        string `json:"id"`
	Data      []byte `json:"data"`
	Signature []byte `json:"signature"`
}

// clear wipes the secrets.
func (c *contents) clear() {
	clear(c.Database)
	clear(c.Record)
	for _, der := range c.Keys {
		clear(der)
	}
}

// Recovery returns the state of the recovery file. It waits for nobody: every letter asks
// it, and a change of identities may be at a card's prompt.
func (v *Vault) Recovery(ctx context.Context) (Recovery, error) {
	row, err := v.recoveryRow(ctx)
	if err != nil {
		return Recovery{}, err
	}
	if row == nil {
		return Recovery{State: RecoveryMissing}, nil
	}
	r := Recovery{State: RecoveryReady, Made: row.Made, Keep: slices.SortedFunc(maps.Values(row.Older), time.Time.Compare)}
	r.Keep = slices.CompactFunc(r.Keep, time.Time.Equal)
	if !row.Confirmed {
		r.State = RecoveryUnconfirmed
		if u := v.recovery.Load(); u != nil {
			r.Ask = u.file.Ask
		}
		return r, nil
	}
	all, err := v.Identities(ctx)
	if err != nil {
		return Recovery{}, err
	}
	for _, i := range all {
		if i.Encryption != nil && v.keys.Has(i.Encryption) && !slices.Contains(row.Keys, keyring.ID(i.Encryption)) {
			r.State = RecoveryOutdated
		}
	}
	requests, err := v.Requests(ctx)
	if err != nil {
		return Recovery{}, err
	}
	for _, q := range requests {
		for _, k := range q.Keys {
			if r.State == RecoveryReady && k.Opens() && k.Token == "" && !slices.Contains(row.Keys, k.ID()) {
				r.State, r.Early = RecoveryOutdated, true
			}
		}
	}
	return r, nil
}

// recoveryRow returns nil if no file was made.
func (v *Vault) recoveryRow(ctx context.Context) (*recoveryRow, error) {
	var data []byte
	err := v.db.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT data FROM vault_recovery`).Scan(&data)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	var row recoveryRow
	if err == nil {
		err = json.Unmarshal(data, &row)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the state of recovery: %w", err)
	}
	return &row, nil
}

func (v *Vault) saveRecovery(ctx context.Context, row recoveryRow) error {
	data, err := json.Marshal(row)
	if err != nil {
		return err
	}
	return v.db.Update(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT OR REPLACE INTO vault_recovery VALUES (1, ?)`, data)
		return err
	})
}

// MakeRecovery makes a recovery file with new words, which the user has to
// print and save, and waits for [Vault.ConfirmRecovery]. Keys that only sign are
// in it only if signing is true. It takes about a second.
func (v *Vault) MakeRecovery(ctx context.Context, signing bool) (RecoveryFile, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f, row, err := v.makeRecovery(ctx, signing)
	if err == nil {
		v.recovery.Store(&unconfirmed{f, row})
		err = v.saveRecovery(ctx, row)
	}
	if err != nil {
		v.recovery.Store(nil)
		return RecoveryFile{}, fmt.Errorf("making the recovery file: %w", err)
	}
	return f, nil
}

func (v *Vault) makeRecovery(ctx context.Context, signing bool) (f RecoveryFile, row recoveryRow, err error) {
	c, err := v.contents(ctx, signing)
	if err != nil {
		return f, row, err
	}
	defer c.clear()
	row.Made, row.Older = c.Made, c.Older
	for id := range c.Keys {
		row.Keys = append(row.Keys, id)
	}
	slices.Sort(row.Keys)
	if f.Words, f.Ask, err = phrase.Pick(v.o.Words, v.o.Rand); err != nil {
		return f, row, err
	}
	data, err := json.Marshal(c)
	if err != nil {
		return f, row, err
	}
	defer clear(data)
	if f.Bytes, err = phrase.Seal(data, f.Words, v.o.Work); err != nil {
		return f, row, err
	}
	f.Name = "countersign-recovery-" + row.Made.Format("2006-01-02") + ".age"
	return f, row, nil
}

// contents collects what a recovery file holds. The caller clears it.
func (v *Vault) contents(ctx context.Context, signing bool) (c *contents, err error) {
	c = &contents{Format: recoveryFormat, Made: v.o.Clock().UTC().Truncate(time.Second),
		Keys: map[string][]byte{}, Places: map[string][]byte{}}
	made := c
	defer func() {
		if err != nil {
			made.clear()
		}
	}()
	key, err := keyring.DatabaseKey(ctx, v.kc, nil)
	if err != nil {
		return nil, err
	}
	c.Database = key[:]
	c.Record = v.records.Encode()
	all, err := v.Identities(ctx)
	if err != nil {
		return nil, err
	}
	for _, i := range all {
		for _, cert := range i.Certificates() {
			wanted := cert == i.Encryption || signing
			if !wanted || !v.keys.Has(cert) {
				continue
			}
			if c.Keys[keyring.ID(cert)], err = v.keys.Get(ctx, keyring.ID(cert)); err != nil {
				return nil, err
			}
		}
	}
	if err := v.requested(ctx, c, signing); err != nil {
		return nil, err
	}
	before, err := v.recoveryRow(ctx)
	if err != nil {
		return nil, err
	}
	c.Older = before.older(all, c.Keys)
	err = v.db.View(ctx, func(tx *sql.Tx) error {
		if c.Identities, err = signedRows(ctx, tx, `SELECT id, data, signature FROM vault_identity ORDER BY id`); err != nil {
			return err
		}
		c.Requests, err = signedRows(ctx, tx, `SELECT id, data, signature FROM vault_request ORDER BY id`)
		return err
	})
	if err != nil {
		return nil, err
	}
	names, err := keyring.Places(ctx, v.kc)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if c.Places[name], err = v.Place(name).Load(ctx); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// requested adds the keys that wait for their certificate: a decryption key is backed
// up before it is used (K1).
func (v *Vault) requested(ctx context.Context, c *contents, signing bool) error {
	requests, err := v.Requests(ctx)
	if err != nil {
		return err
	}
	for _, r := range requests {
		for _, k := range r.Keys {
			if !signing && !k.Opens() || !v.keys.Holds(k.ID()) {
				continue
			}
			if c.Keys[k.ID()], err = v.keys.Get(ctx, k.ID()); err != nil {
				return err
			}
		}
	}
	return nil
}

func signedRows(ctx context.Context, tx *sql.Tx, query string) (rows []signedRow, err error) {
	err = each(ctx, tx, query, func(scan scanner) error {
		var r signedRow
		err := scan(&r.ID, &r.Data, &r.Signature)
		rows = append(rows, r)
		return err
	})
	return rows, err
}

// ConfirmRecovery takes the two words that were asked for, in the order asked,
// then opens the file once as a test. After a restart of the program there is
// nothing to confirm any more, and a new file has to be made.
func (v *Vault) ConfirmRecovery(ctx context.Context, words []string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	u := v.recovery.Load()
	if u == nil {
		return ErrNothingMade
	}
	f, row := u.file, u.row
	if !phrase.Same(words, f.Words, f.Ask) {
		return ErrRecoveryWords
	}
	data, err := phrase.Open(f.Bytes, f.Words, v.o.Work)
	if err != nil {
		return fmt.Errorf("opening the recovery file as a test: %w", err)
	}
	c, err := opened(data)
	if err != nil {
		return fmt.Errorf("opening the recovery file as a test: %w", err)
	}
	defer c.clear()
	if err := c.check(); err != nil {
		return fmt.Errorf("opening the recovery file as a test: %w", err)
	}
	row.Confirmed = true
	if err := v.saveRecovery(ctx, row); err != nil {
		return fmt.Errorf("confirming recovery: %w", err)
	}
	v.recovery.Store(nil)
	return nil
}

// check says whether everything in the file can be used.
func (c *contents) check() error {
	if len(c.Database) != 32 {
		return ErrRecoveryFile
	}
	if _, err := keyring.ParseRecordKey(nil, c.Record); err != nil {
		return ErrRecoveryFile
	}
	for _, der := range c.Keys {
		if _, err := keyring.Parse(der); err != nil {
			return ErrRecoveryFile
		}
	}
	return nil
}

// opened reads what was under the words.
func opened(data []byte) (*contents, error) {
	defer clear(data)
	var c contents
	if json.Unmarshal(data, &c) != nil || c.Format != recoveryFormat {
		return nil, ErrRecoveryFile
	}
	return &c, nil
}
