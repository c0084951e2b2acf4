// Package keychain keeps small secrets: keys, the passwords of mailboxes.
//
// A [Store] is one of
//
//   - the Secret Service of a Linux desktop ([OpenSystem]): GNOME Keyring,
//     KWallet, KeePassXC. Our own client of freedesktop's Secret Service API
//     0.2, on a private connection. Secrets cross the bus encrypted under a
//     Diffie-Hellman session; no call waits for ever; a prompt waits for the
//     user and is never dismissed for them (GNOME Keyring 42.1 aborts on it).
//   - Windows' Credential Manager, the macOS Keychain ([OpenSystem]), through
//     99designs/keyring. macOS needs a build with cgo.
//   - one file, encrypted with age under a passphrase ([OpenFile]), where there
//     is no keychain.
//
// All of them keep to the same bounds, which are the narrowest: an item holds
// at most [MaxItem] bytes, because Windows does, and a name is 1 to 200
// printable ASCII characters without capitals, because Windows does not tell
// them apart.
package keychain

import (
	"context"
	"errors"
	"io"
)

// MaxItem is how many bytes an item holds at most.
const MaxItem = 2560

// Errors that callers tell apart.
var (
	ErrNotFound    = errors.New("keychain: no such item")
	ErrLocked      = errors.New("keychain: locked")
	ErrUnavailable = errors.New("keychain: no keychain answers on this machine")
	ErrTooLarge    = errors.New("keychain: an item holds at most 2,560 bytes")
	ErrName        = errors.New("keychain: not a name for an item")
	ErrPassphrase  = errors.New("keychain: wrong passphrase")
)

// Store keeps items by name. Any number of goroutines may use it at once. An
// error wraps [ErrLocked] where the user has to unlock the keychain first (and
// was asked, where there is a screen to ask on), [ErrUnavailable] where
// nothing answers.
type Store interface {
	// Get returns an item, or [ErrNotFound].
	Get(ctx context.Context, name string) ([]byte, error)
	// Set keeps an item, in place of any of that name, or fails with
	// [ErrTooLarge]. When it returns, the item is stored.
	Set(ctx context.Context, name string, value []byte) error
	// Delete forgets an item; [ErrNotFound] if there is none.
	Delete(ctx context.Context, name string) error
	// List returns the names of all items, sorted. It works while locked.
	List(ctx context.Context) ([]string, error)
}

// OpenSystem opens the keychain of this system for one profile: items of
// different profiles do not meet. It fails with [ErrUnavailable] where there
// is none. What it returns is also an io.Closer.
func OpenSystem(ctx context.Context, profile string) (Store, error) {
	s, err := openSystem(ctx, profile)
	if err != nil {
		return nil, err
	}
	return bounded{s}, nil
}

// bounded holds a store to the bounds of all stores.
type bounded struct{ Store }

func (b bounded) Get(ctx context.Context, name string) ([]byte, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	return b.Store.Get(ctx, name)
}

func (b bounded) Set(ctx context.Context, name string, value []byte) error {
	if err := checkName(name); err != nil {
		return err
	}
	if len(value) > MaxItem {
		return ErrTooLarge
	}
	return b.Store.Set(ctx, name, value)
}

func (b bounded) Delete(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	return b.Store.Delete(ctx, name)
}

// Close closes the store's connection, if it has one.
func (b bounded) Close() error {
	if c, ok := b.Store.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

func checkName(name string) error {
	if len(name) < 1 || len(name) > 200 {
		return ErrName
	}
	for _, c := range []byte(name) {
		if c < '!' || c > '~' || 'A' <= c && c <= 'Z' {
			return ErrName
		}
	}
	return nil
}
