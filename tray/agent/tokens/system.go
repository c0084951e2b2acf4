package tokens

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"runtime"
	"slices"
	"strings"

	"countersign/pkcs11"
	"countersign/tray/control"
	"countersign/vault/tokenkey"
)

// storePrefix begins the reference of a key in the certificate store of Windows; the SHA-256
// of the certificate follows, in hexadecimal.
const storePrefix = pkcs11.CertificateStore

// isStored tells whether a reference is that of a key in the store.
func isStored(ref string) bool { return strings.HasPrefix(ref, storePrefix) }

// system adds the certificates of the store to a list, as a token of their own, but
// those that a card of the list shows itself.
func (t *Tokens) system(ctx context.Context, list []control.Token, used func(*x509.Certificate) string) []control.Token {
	if runtime.GOOS != "windows" {
		return list
	}
	ctx, cancel := context.WithTimeout(ctx, slowest)
	defer cancel()
	keys, _, err := t.store.Keys(ctx, pkcs11.StoreName)
	if err != nil {
		t.o.Log.Warn("listing the certificates of Windows", "error", err)
	}
	return withStore(list, keys, used)
}

func withStore(list []control.Token, keys []*pkcs11.Key, used func(*x509.Certificate) string) []control.Token {
	number, shown := 0, map[string]bool{}
	for _, one := range list {
		for _, k := range one.Keys {
			number = max(number, k.Number)
			shown[k.Fingerprint] = true
		}
	}
	v := control.Token{ID: "windows", Label: "Windows", Software: "Windows", State: "ready", Lock: "none", Keys: []control.TokenKey{}}
	for _, c := range keys {
		k := control.TokenKey{Number: number + 1, URI: storeRef(c), Label: clean(c.Label), Key: kind(c.Certificate.PublicKey), Addresses: []string{}}
		describeCertificate(&k, c.Certificate, used)
		if !shown[k.Fingerprint] {
			number++
			v.Keys = append(v.Keys, k)
		}
	}
	if len(v.Keys) == 0 {
		return list
	}
	return append(list, v)
}

func storeRef(k *pkcs11.Key) string { return storePrefix + hex.EncodeToString(k.ID) }

// stored finds a certificate of the store by its reference, and the authorities above it.
func (t *Tokens) stored(ctx context.Context, ref string) (tokenkey.Certificate, []*x509.Certificate, error) {
	keys, _, err := t.store.Keys(ctx, pkcs11.StoreName)
	if err != nil {
		return tokenkey.Certificate{}, nil, trouble(err)
	}
	i := slices.IndexFunc(keys, func(k *pkcs11.Key) bool { return storeRef(k) == ref })
	if i < 0 {
		return tokenkey.Certificate{}, nil, &control.Error{Code: control.CodeNotFound, Says: "Windows does not have that certificate.", Next: "Insert the card, and look at the list: countersign token list"}
	}
	chain, err := t.store.Authorities(ctx, pkcs11.StoreName)
	return tokenkey.Certificate{Ref: ref, Certificate: keys[i].Certificate}, chain, trouble(err)
}

// inStore is a key of the store.
type inStore struct {
	t  *Tokens
	id []byte
}

// openStored makes a key of a reference into the store.
func (t *Tokens) openStored(ref string, public crypto.PublicKey) (tokenkey.Key, error) {
	id, err := hex.DecodeString(strings.TrimPrefix(ref, storePrefix))
	if err != nil || len(id) != sha256.Size {
		return nil, absent(err)
	}
	return key{inStore{t, id}, public}, nil
}

// do uses the key.
func (s inStore) do(ctx context.Context, public crypto.PublicKey, use func(tokenkey.Key) error) error {
	k, err := s.t.store.Use(pkcs11.URI{Token: pkcs11.StoreName, ID: s.id}, public)
	if err != nil {
		return err
	}
	defer s.t.use(ctx, s.t.store)()
	defer s.t.impatient(ctx, pkcs11.StoreName)()
	err = use(k)
	if e := (*pkcs11.Error)(nil); errors.As(err, &e) && e.Failure == pkcs11.NoKey {
		return absent(err)
	}
	return trouble(err)
}

// absent is what it means that Windows does not find a key.
func absent(cause error) error {
	return tokenkey.Trouble(tokenkey.ErrAbsent, "Windows does not have this key. If it is on a card, insert the card and try again.", cause)
}
