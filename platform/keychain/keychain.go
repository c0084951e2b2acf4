// Package keychain keeps small secrets.
package keychain

import (
	"context"
	"errors"
)

const MaxItem = 2560

var (
	ErrNotFound    = errors.New("keychain: no such item")
	ErrLocked      = errors.New("keychain: locked")
	ErrUnavailable = errors.New("keychain: no keychain on this machine")
	ErrTooLarge    = errors.New("keychain: item larger than 2,560 bytes")
	ErrName        = errors.New("keychain: not a name for an item")
	ErrPassphrase  = errors.New("keychain: wrong passphrase")
)

type Store interface {
	Get(ctx context.Context, name string) ([]byte, error)
	Set(ctx context.Context, name string, value []byte) error
	Delete(ctx context.Context, name string) error
	List(ctx context.Context) ([]string, error)
}

func OpenSystem(ctx context.Context, profile string) (Store, error)        { return nil, nil }
func OpenSecretService(ctx context.Context, profile string) (Store, error) { return nil, nil }
func OpenFile(path string, passphrase []byte, work int) (Store, error)     { return nil, nil }
