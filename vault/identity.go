package vault

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ed25519"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"sync"

	"countersign/mailer/cms"
	"countersign/vault/identity"
	"countersign/vault/tokenkey"
)

// Identity is one key set of the user's own, for one address.
type Identity = identity.Identity

// newID makes the opaque name of an identity.
func newID(random io.Reader) (string, error) {
	var id [8]byte
	if _, err := io.ReadFull(random, id[:]); err != nil {
		return "", err
	}
	return hex.EncodeToString(id[:]), nil
}

// row is how an identity is stored.
type row struct{ data, signature []byte }

// identityTag begins what is signed of an identity's row.
const identityTag = "countersign identity 1\x00"

// save writes identities, each signed with the record key.
func (v *Vault) save(tx *sql.Tx, all ...Identity) error {
	for _, i := range all {
		data, err := i.Marshal()
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT OR REPLACE INTO vault_identity VALUES (?, ?, ?)`,
			i.ID, data, v.records.Sign(append([]byte(identityTag), data...)))
		if err != nil {
			return err
		}
	}
	return nil
}

// Identities lists the user's own key sets: those in use, those that are to take over,
// then the retired; of each the newest first.
// A row that the record key did not sign is an error: somebody has edited it.
func (v *Vault) Identities(ctx context.Context) ([]Identity, error) {
	rows, err := v.rows.Get(v.db, "", func() (rows []row, err error) {
		err = v.db.View(ctx, func(tx *sql.Tx) error {
			return each(ctx, tx, `SELECT data, signature FROM vault_identity`, func(scan scanner) error {
				var r row
				rows = append(rows, r)
				return scan(&rows[len(rows)-1].data, &rows[len(rows)-1].signature)
			})
		})
		return rows, err
	})
	if err != nil {
		return nil, fmt.Errorf("listing your certificates: %w", err)
	}
	all := make([]Identity, len(rows))
	for n, r := range rows {
		if all[n], err = v.verified(r.data, r.signature); err != nil {
			return nil, fmt.Errorf("listing your certificates: %w", err)
		}
		if all[n].KeyPlace, err = v.keyPlace(ctx, all[n]); err != nil {
			return nil, fmt.Errorf("listing your certificates: %w", err)
		}
	}
	slices.SortFunc(all, func(a, b Identity) int {
		return cmp.Or(cmp.Compare(a.Rank(), b.Rank()), b.Added.Compare(a.Added), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

// keyPlace says in words where the private keys of an identity lie.
func (v *Vault) keyPlace(ctx context.Context, i Identity) (string, error) {
	if place := i.Place(); place != "" {
		if i.EncryptionToken != "" && v.keys.Has(i.Encryption) {
			place += "; a copy in the keychain opens mail without the card"
		}
		return place, nil
	}
	for _, c := range i.Certificates() {
		if is, err := v.keys.InDatabase(ctx, c); err != nil || is {
			return "sealed under the keychain", err
		}
	}
	return "keychain", nil
}

// verified reads a row that the record key signed.
func (v *Vault) verified(data, signature []byte) (Identity, error) {
	i, err := v.parsed.read(data, signature, func() (Identity, error) {
		if !ed25519.Verify(v.records.Public(), append([]byte(identityTag), data...), signature) {
			return Identity{}, ErrEdited
		}
		return identity.Parse(data)
	})
	if err != nil {
		return i, err
	}
	now := v.o.Clock()
	if i.Signing != nil && !v.signs(i) || !i.Until.IsZero() && !now.Before(i.Until) {
		i.Retired = true
	}
	i.Coming = !i.Retired && now.Before(i.From)
	return i, nil
}

// parsed remembers rows as they were read, by all their octets: they are asked for with
// every message. The record key does not change while the vault is open.
type parsed struct {
	mu   sync.Mutex
	rows map[string]Identity
}

// maxParsed bounds what is remembered: nobody has so many keys.
const maxParsed = 200

func (p *parsed) read(data, signature []byte, parse func() (Identity, error)) (Identity, error) {
	key := string(signature) + string(data) // a signature is of one length
	p.mu.Lock()
	defer p.mu.Unlock()
	if i, known := p.rows[key]; known && len(signature) == ed25519.SignatureSize {
		return i, nil
	}
	i, err := parse()
	if err != nil {
		return i, err
	}
	if p.rows == nil || len(p.rows) >= maxParsed {
		p.rows = map[string]Identity{}
	}
	p.rows[key] = i
	return i, nil
}

type scanner = func(...any) error

// each calls f for every row of a query.
func each(ctx context.Context, tx *sql.Tx, query string, f func(scanner) error) error {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Signer returns the signing key of an identity, for one signature if it is on a token. The
// private key is fetched, or the token asked, when it is used; ctx bounds that, and says
// who may be asked.
func (v *Vault) Signer(ctx context.Context, id string) (crypto.Signer, error) {
	all, err := v.Identities(ctx)
	if err != nil {
		return nil, err
	}
	for _, i := range all {
		if i.ID == id && i.Signing != nil {
			if !i.Lost.IsZero() {
				return nil, ErrGivenUp
			}
			if !v.signs(i) {
				return nil, ErrNoKey
			}
			return v.signer(ctx, i.Signing, i.SigningToken), nil
		}
	}
	return nil, ErrNoIdentity
}

// DecryptionKeys returns every key that mail to the user may be encrypted to,
// those of retired identities too, the likeliest first. They are for one message: the
// private keys are fetched, or the tokens asked, when they are used; ctx bounds that, and
// says who may be asked.
func (v *Vault) DecryptionKeys(ctx context.Context) ([]cms.Key, error) {
	all, err := v.Identities(ctx)
	if err != nil {
		return nil, err
	}
	// What opens without asking anybody goes first.
	slices.SortStableFunc(all, func(a, b Identity) int {
		return cmp.Compare(min(len(a.EncryptionToken), 1), min(len(b.EncryptionToken), 1))
	})
	var keys []cms.Key
	var occasion tokenkey.Occasion
	seen := map[string]bool{}
	for _, i := range all {
		if i.Encryption == nil || !v.opens(i) {
			continue
		}
		// A certificate renewed for the same key is another recipient's name.
		if name := string(i.Encryption.Raw); !seen[name] {
			seen[name] = true
			keys = append(keys, v.decryptionKey(ctx, &occasion, i))
		}
	}
	return keys, nil
}
