package vault

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"countersign/vault/issued"
	"countersign/vault/pkcs10"
	"countersign/vault/tokenkey"
)

// What of vault/issued the vault hands on.
type (
	// Request is one key, or a key for signing and one for encryption, made here and
	// waiting for what an authority issues for it.
	Request = issued.Request
	// RequestedKey is one key of a request.
	RequestedKey = issued.RequestedKey
)

// RequestOrder says which keys to make. Address is canonical.
type RequestOrder struct {
	Address, Name string
	Kind          pkcs10.Kind
	Separate      bool // a key for signing and one for encryption

	// A key that was made on a token already; the others are made here. Where there is one
	// key for both, it is Signing. It signs its request, so ctx must say that the user may
	// be asked for the PIN.
	Signing, Encryption TokenPublic
	// OnlyCopy says that the user accepted that a decryption key is on the token alone (K1).
	OnlyCopy bool
}

// TokenPublic is a key on a token without a certificate: its reference, and its public half.
type TokenPublic struct {
	Ref    string
	Public crypto.PublicKey
}

// on is the key for a use that is on a token, if there is one.
func (o RequestOrder) on(use pkcs10.Use) TokenPublic {
	if use == pkcs10.Encrypt {
		return o.Encryption
	}
	return o.Signing
}

const requestTag = "countersign request 1\x00"

// MakeRequest makes the keys, puts them into the keychain and returns the request.
// There can be one at a time for an address: [ErrRequested]. The decryption key
// belongs into the recovery file from now on (K1). One on a token is in none, which the
// order must accept: [ErrOnlyCopy].
func (v *Vault) MakeRequest(ctx context.Context, o RequestOrder) (Request, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	r := Request{Address: o.Address, Name: o.Name, Kind: o.Kind, Made: v.o.Clock().UTC().Truncate(time.Second)}
	all, err := v.Requests(ctx)
	if err == nil && slices.ContainsFunc(all, func(r Request) bool { return r.Address == o.Address }) {
		err = ErrRequested
	}
	if err == nil {
		r.ID, err = newID(v.o.Rand)
	}
	uses := []pkcs10.Use{pkcs10.Both}
	if o.Separate {
		uses = []pkcs10.Use{pkcs10.Sign, pkcs10.Encrypt}
	}
	for _, use := range uses {
		var key RequestedKey
		if err == nil {
			key, err = v.requestKey(ctx, o, use)
		}
		r.Keys = append(r.Keys, key)
	}
	if err == nil {
		err = v.db.Update(ctx, func(tx *sql.Tx) error { return v.saveRequest(tx, r) })
	}
	if err != nil {
		return Request{}, fmt.Errorf("asking for a certificate: %w", err)
	}
	return r, nil
}

func (v *Vault) requestKey(ctx context.Context, o RequestOrder, use pkcs10.Use) (k RequestedKey, err error) {
	if on := o.on(use); on.Ref != "" {
		return v.requestToken(ctx, o, use, on)
	}
	key, err := pkcs10.NewKey(v.o.Rand, o.Kind)
	if err != nil {
		return k, ErrKeyKind
	}
	k.Use = use
	if k.Request, err = pkcs10.New(v.o.Rand, key, use, o.Address, o.Name); err != nil {
		return k, err
	}
	if k.Public, err = x509.MarshalPKIXPublicKey(key.Public()); err != nil {
		return k, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return k, ErrKeyKind
	}
	defer clear(der)
	return k, v.keys.Put(ctx, k.ID(), der)
}

// requestToken has a key on a token sign its request.
func (v *Vault) requestToken(ctx context.Context, o RequestOrder, use pkcs10.Use, on TokenPublic) (k RequestedKey, err error) {
	k.Use, k.Token, k.OnlyCopy = use, on.Ref, use != pkcs10.Sign
	if k.OnlyCopy && !o.OnlyCopy {
		return k, ErrOnlyCopy
	}
	if k.Public, err = x509.MarshalPKIXPublicKey(on.Public); err != nil {
		return k, ErrKeyKind
	}
	var one tokenkey.Occasion
	k.Request, err = pkcs10.New(v.o.Rand, one.Lend(ctx, v.o.Tokens, on.Ref, on.Public).Signer(), use, o.Address, o.Name)
	return k, err
}

func (v *Vault) saveRequest(tx *sql.Tx, r Request) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT OR REPLACE INTO vault_request VALUES (?, ?, ?)`,
		r.ID, data, v.records.Sign(append([]byte(requestTag), data...)))
	return err
}

// Requests lists what waits for its certificate, the oldest first. A row that the
// record key did not sign is an error: somebody has edited it.
func (v *Vault) Requests(ctx context.Context) ([]Request, error) {
	var all []Request
	err := v.db.View(ctx, func(tx *sql.Tx) error {
		return each(ctx, tx, `SELECT data, signature FROM vault_request`, func(scan scanner) error {
			var data, signature []byte
			if err := scan(&data, &signature); err != nil {
				return err
			}
			if !ed25519.Verify(v.records.Public(), append([]byte(requestTag), data...), signature) {
				return ErrEdited
			}
			var r Request
			err := json.Unmarshal(data, &r)
			all = append(all, r)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("listing your requests: %w", err)
	}
	slices.SortFunc(all, func(a, b Request) int { return cmp.Or(a.Made.Compare(b.Made), cmp.Compare(a.ID, b.ID)) })
	return all, nil
}

// DiscardRequest takes a request back and destroys its keys: a certificate that is
// issued for them afterwards is of no use. It returns what was discarded.
func (v *Vault) DiscardRequest(ctx context.Context, id string) (Request, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	all, err := v.Requests(ctx)
	if err != nil {
		return Request{}, err
	}
	n := slices.IndexFunc(all, func(r Request) bool { return r.ID == id })
	if n < 0 {
		return Request{}, ErrNoRequest
	}
	own, err := v.Identities(ctx)
	if err == nil {
		err = v.db.Update(ctx, func(tx *sql.Tx) error { return dropRequest(tx, id) })
	}
	for _, k := range all[n].Keys {
		// A request that an older recovery file brought back may be of keys in use.
		used := slices.ContainsFunc(own, func(i Identity) bool { return slices.Contains(i.Keys(), k.ID()) })
		if err == nil && !used {
			err = v.keys.Remove(ctx, k.ID())
		}
	}
	if err != nil {
		return Request{}, fmt.Errorf("discarding a request: %w", err)
	}
	return all[n], nil
}

func dropRequest(tx *sql.Tx, id string) error {
	_, err := tx.Exec(`DELETE FROM vault_request WHERE id = ?`, id)
	return err
}
