//go:build windows || darwin

package keychain

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/99designs/keyring"
)

// openSystem opens Credential Manager or the Keychain. On macOS without cgo
// there is none.
func openSystem(_ context.Context, profile string) (Store, error) {
	ring, err := keyring.Open(keyring.Config{
		ServiceName:                    "countersign." + profile,
		AllowedBackends:                []keyring.BackendType{keyring.WinCredBackend, keyring.KeychainBackend},
		WinCredPrefix:                  "countersign",
		KeychainTrustApplication:       true,
		KeychainAccessibleWhenUnlocked: true,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return system{ring}, nil
}

// system is a keyring. Its calls take no context: they are short, or wait for
// a dialogue of the system's own.
type system struct{ ring keyring.Keyring }

func (s system) Get(ctx context.Context, name string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	item, err := s.ring.Get(name)
	return item.Data, named("reading", err)
}

func (s system) Set(ctx context.Context, name string, value []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	item := keyring.Item{Key: name, Data: value, Label: "Countersign " + name, KeychainNotSynchronizable: true}
	return named("writing", s.ring.Set(item))
}

func (s system) Delete(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := s.ring.Get(name); err != nil { // not every ring tells that there was nothing
		return named("deleting", err)
	}
	return named("deleting", s.ring.Remove(name))
}

func (s system) List(ctx context.Context) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	names, err := s.ring.Keys()
	slices.Sort(names)
	return names, named("listing", err)
}

func named(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, keyring.ErrKeyNotFound):
		return ErrNotFound
	}
	return fmt.Errorf("%s the system's keychain: %w", doing, err)
}
