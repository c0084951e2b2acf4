// Package vault holds what is the user's own: identities (certificates and the
// use of their private keys), credentials, the record key, and the recovery of
// all of them.
//
// What of them lies in the keychain is the business of vault/keyring. Everything
// else is in the sealed database, where each identity's row is signed with the
// record key, so that whoever can write the database cannot exchange a
// certificate.
//
// # What it promises
//
// Private keys (RSA, ECDSA and ECDH on P-256 to P-521, Ed25519, X25519) leave as
// operations only: [Vault.Signer] and [Vault.DecryptionKeys] hand out [crypto.Signer],
// [crypto.Decrypter] and ecdh.KeyExchanger. The exceptions are the recovery file and the
// way to a token.
//
// A key on a smartcard or security token stays there ([Vault.Use]); noted beside its
// certificate is a reference. Nothing but the use of such a key asks the token, and
// vault/tokenkey says how that can fail. A key that was made here can be put on a token
// ([Vault.MoveToToken]) once it is in the recovery file: for that it leaves.
//
// The record key (Ed25519) signs what must not be forged by editing the
// database. Each signing key of the user certifies it once, as a CMS SignedData
// under a content type of our own, so that it can be shown later whose records
// they are ([Vault.Certifications]).
//
// # The life of an identity
//
// Keys come in a PKCS #12 file ([Vault.ImportPKCS12]) or are made here
// ([Vault.MakeRequest]) and wait for what the authority issues ([Vault.Install]).
// [Vault.Reminders] tells when a certificate runs out. A new key that comes while the
// old one is in force opens mail at once and signs from a day on (V7): 30 days after it
// was announced ([Vault.Announced]), or 7 days before the old certificate ends, or when
// the user says so ([Vault.TakeOver]). A key that was replaced is retired: it decrypts,
// and signs nothing but the announcement of its successor ([Vault.Before]). One that was
// lost ([Vault.Lose]) only decrypts.
//
// # Recovery
//
// The recovery file is an age file under eight words. It holds the database
// key, the record key, every decryption key with its certificates, and signing
// keys only if asked. It is small and seldom changes: a new decryption key makes
// it outdated, nothing else does. Mail and contacts are not in it. They are in
// the database, a copy of which ([sealed.DB.Backup]) can lie anywhere, because
// only the recovery file opens it. So a new machine needs two files: the
// recovery file with its words, and a copy of the database. With the recovery
// file alone, mail that lies on a server can still be read.
//
// Restoring starts a new epoch ([RecordKey.Epoch]): rooms that keep work in
// progress compare it with the one they noted, and hold or void that work.
package vault

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"countersign/platform/keychain"
	"countersign/vault/keyring"
	"countersign/vault/sealed"
)

// databaseFile is the name of the database in the profile's folder.
const databaseFile = "countersign.db"

// What of vault/keyring the vault hands on.
type (
	// Secret is a password or token. It prints as [secret].
	Secret = keyring.Secret
	// RecordKey is the profile's key for records, and what the keychain
	// remembers of their chain.
	RecordKey = keyring.RecordKey
	// Place keeps a few bytes in the keychain.
	Place = keyring.Place
)

// ErrNoCredential says that none was kept under that name.
var ErrNoCredential = keyring.ErrNoCredential

// Options is what a vault may use of the world.
type Options struct {
	Clock  func() time.Time // nil: time.Now
	Rand   io.Reader        // nil: crypto/rand.Reader
	Tokens Tokens           // nil: no keys outside the keychain can be used
	// Words is the list of 2,048 words that a recovery file's eight come from.
	// Their first four letters must tell them apart.
	Words []string
	// Hold is how long a private key stays in memory after its last use; zero
	// means 30 seconds.
	Hold time.Duration
	// Work is the base-2 logarithm of the scrypt work that the recovery file's
	// words cost to try; zero means 18, about a second.
	Work int
}

func (o Options) filled() Options {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Hold == 0 {
		o.Hold = 30 * time.Second
	}
	if o.Work == 0 {
		o.Work = 18
	}
	return o
}

// Vault is an open vault. Its methods may be called from several goroutines.
type Vault struct {
	keyring.Credentials
	o       Options
	kc      keychain.Store
	db      *sealed.DB
	records *RecordKey
	keys    *keyring.Keys
	rows    sealed.Memo[[]row] // of identities
	parsed  parsed

	mu       sync.Mutex // one change of identities or recovery at a time
	recovery atomic.Pointer[unconfirmed]
}

var tables = []string{`
	CREATE TABLE vault_identity (
		id   TEXT PRIMARY KEY,
		data BLOB NOT NULL,
		signature BLOB NOT NULL
	) STRICT;
	CREATE TABLE vault_certification (
		key  TEXT PRIMARY KEY,
		data BLOB NOT NULL
	) STRICT;
	CREATE TABLE vault_recovery (
		only INTEGER PRIMARY KEY CHECK (only = 1),
		data BLOB NOT NULL
	) STRICT`, `
	CREATE TABLE vault_request (
		id   TEXT PRIMARY KEY,
		data BLOB NOT NULL,
		signature BLOB NOT NULL
	) STRICT;
	CREATE TABLE vault_reminder (
		certificate TEXT PRIMARY KEY, -- SHA-256
		stage INTEGER NOT NULL        -- days before the end, of the last reminder
	) STRICT`}

// Open opens the profile in dir with the keys in kc, or makes a new one if
// there is none. If the folder holds a database whose keys are not in the
// keychain it returns [ErrLost]; if they do not fit, [sealed.ErrKey].
func Open(ctx context.Context, dir string, kc keychain.Store, o Options) (*Vault, error) {
	v := newVault(kc, o)
	if err := v.open(ctx, dir); err != nil {
		if v.db != nil {
			err = errors.Join(err, v.db.Close())
		}
		return nil, fmt.Errorf("opening the vault: %w", err)
	}
	return v, nil
}

func newVault(kc keychain.Store, o Options) *Vault {
	return &Vault{Credentials: keyring.NewCredentials(kc), kc: kc, o: o.filled()}
}

func (v *Vault) open(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(dir, databaseFile)
	random := v.o.Rand
	if _, err := os.Stat(path); err == nil {
		random = nil // keys to an existing database cannot be made
	}
	// The database is made last, so that a start which is cut short is taken
	// up again by the next one.
	var err error
	if v.records, err = keyring.OpenRecordKey(ctx, v.kc, random); err != nil {
		return lost(err)
	}
	key, err := keyring.DatabaseKey(ctx, v.kc, random)
	if err != nil {
		return lost(err)
	}
	return v.openDatabase(ctx, path, key)
}

func (v *Vault) openDatabase(ctx context.Context, path string, key sealed.Key) (err error) {
	if v.db, err = sealed.Open(path, key); err != nil {
		return err
	}
	if err := v.db.Migrate("vault", tables...); err != nil {
		return err
	}
	v.keys, err = keyring.OpenKeys(ctx, v.kc, v.db, v.o.Rand, v.o.Hold)
	return err
}

func lost(err error) error {
	if errors.Is(err, keyring.ErrMissing) {
		return ErrLost
	}
	return err
}

// DB returns the sealed database of the profile.
func (v *Vault) DB() *sealed.DB { return v.db }

// RecordKey returns the key that signs records.
func (v *Vault) RecordKey() *RecordKey { return v.records }

// CodeKey returns the 32 bytes under which the codes of test messages are kept
// as an HMAC. It is derived from the record key and so never in the database.
func (v *Vault) CodeKey() []byte { return v.records.Derive("countersign code key 1") }

// Place returns the place of that name in the keychain.
func (v *Vault) Place(name string) *Place { return keyring.OpenPlace(v.kc, name) }

// Lock forgets every private key held in memory. The next use fetches it from
// the keychain again.
func (v *Vault) Lock() { v.keys.Forget() }

// Close locks the vault and closes the database.
func (v *Vault) Close() error {
	v.Lock()
	return v.db.Close()
}
