// Package keyring is what of a profile lies in the keychain, one item each: the
// user's private keys, the database key, the record key, the credentials of mail
// servers, and places for a few bytes that must not lie in the database.
//
// A private key is PKCS #8 in DER. A keychain item holds 2,560 bytes on Windows,
// so a larger key (RSA above 4,096 bits) is sealed in the database with
// AES-256-GCM under a wrapping key, which is the item. Private keys leave as
// operations: [Keys.Signer], [Keys.Decrypter] and [Keys.Exchanger] fetch the key when they are used,
// hold it briefly and let it go, at the latest with [Keys.Forget]. Only recovery
// takes the bytes ([Keys.Get]).
//
// Nothing here asks the user anything; a keychain that is locked answers with
// [keychain.ErrLocked].
package keyring

import (
	"context"
	"errors"
	"fmt"
	"io"

	"countersign/platform/keychain"
	"countersign/vault/sealed"
)

var (
	// ErrMissing says that the keychain does not hold an item that the profile needs.
	ErrMissing = errors.New("keyring: the keychain does not hold this key")
	// ErrDamaged says that an item holds something else than it should.
	ErrDamaged = errors.New("keyring: an item of the keychain is damaged")
	// ErrKind says that a private key is of a kind that is not used here.
	ErrKind = errors.New("keyring: a private key of another kind")
	// ErrNoCredential says that none was kept under that name.
	ErrNoCredential = errors.New("keyring: no such credential")
)

// The names of items, or how they begin.
const (
	databaseItem     = "database-key"
	recordItem       = "record-key"
	keyPrefix        = "key-"
	credentialPrefix = "credential-"
	placePrefix      = "place-"
)

// DatabaseKey fetches the key of the database; if there is none, it makes one
// from random, or with a nil random returns ErrMissing.
func DatabaseKey(ctx context.Context, kc keychain.Store, random io.Reader) (key sealed.Key, err error) {
	value, err := kc.Get(ctx, databaseItem)
	if err == nil && len(value) != len(key) {
		return key, ErrDamaged
	}
	if err == nil {
		copy(key[:], value)
		clear(value)
		return key, nil
	}
	if !errors.Is(err, keychain.ErrNotFound) {
		return key, fmt.Errorf("fetching the database key: %w", err)
	}
	if random == nil {
		return key, ErrMissing
	}
	if _, err := io.ReadFull(random, key[:]); err != nil {
		return key, fmt.Errorf("making the database key: %w", err)
	}
	return key, SetDatabaseKey(ctx, kc, key)
}

// SetDatabaseKey keeps the key of the database.
func SetDatabaseKey(ctx context.Context, kc keychain.Store, key sealed.Key) error {
	if err := kc.Set(ctx, databaseItem, key[:]); err != nil {
		return fmt.Errorf("keeping the database key: %w", err)
	}
	return nil
}

// secret, embedded, makes a value print as [secret].
type secret struct{}

func (secret) String() string               { return "[secret]" }
func (secret) GoString() string             { return "[secret]" }
func (secret) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, "[secret]") }
func (secret) MarshalJSON() ([]byte, error) { return []byte(`"[secret]"`), nil }
