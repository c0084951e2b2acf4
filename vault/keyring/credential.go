package keyring

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"countersign/platform/keychain"
)

// Secret is a password or token. It prints as [secret]; string(s) reveals it.
type Secret string

func (Secret) String() string               { return "[secret]" }
func (Secret) GoString() string             { return "[secret]" }
func (Secret) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, "[secret]") }
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"[secret]"`), nil }
func (Secret) LogValue() slog.Value         { return slog.StringValue("[secret]") }

// Credentials is the passwords and tokens of mail servers.
type Credentials struct{ kc keychain.Store }

// NewCredentials returns those in kc.
func NewCredentials(kc keychain.Store) Credentials { return Credentials{kc} }

// credentialItem hashes the name, which may hold an address, since keychain
// programs show the names of items to whoever opens them.
func credentialItem(name string) string {
	sum := sha256.Sum256([]byte("countersign credential 1\x00" + name))
	return credentialPrefix + hex.EncodeToString(sum[:16])
}

// Credential fetches what was kept under a name, or returns ErrNoCredential.
func (c Credentials) Credential(ctx context.Context, name string) (Secret, error) {
	value, err := c.kc.Get(ctx, credentialItem(name))
	if errors.Is(err, keychain.ErrNotFound) {
		return "", ErrNoCredential
	}
	if err != nil {
		return "", fmt.Errorf("fetching a credential: %w", err)
	}
	return Secret(value), nil
}

// SetCredential keeps a secret of at most 2,560 bytes under a name, replacing
// what was there.
func (c Credentials) SetCredential(ctx context.Context, name string, secret Secret) error {
	if err := c.kc.Set(ctx, credentialItem(name), []byte(secret)); err != nil {
		return fmt.Errorf("keeping a credential: %w", err)
	}
	return nil
}

// DeleteCredential forgets a credential. One that is not there is no error.
func (c Credentials) DeleteCredential(ctx context.Context, name string) error {
	err := c.kc.Delete(ctx, credentialItem(name))
	if err != nil && !errors.Is(err, keychain.ErrNotFound) {
		return fmt.Errorf("deleting a credential: %w", err)
	}
	return nil
}
