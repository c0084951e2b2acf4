package vault

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"countersign/mailer/cms"
	"countersign/vault/tokenkey"
)

// Identity is one key set of the user's own, for one address. Either half may
// be missing; often both are the same certificate.
type Identity struct {
	ID         string // opaque
	Address    string // canonical
	Name       string // as the certificate says, or empty
	Signing    *x509.Certificate
	Encryption *x509.Certificate
	Chain      []*x509.Certificate // of authorities, as they came with it
	Added      time.Time
	Retired    bool      // replaced, run out, lost, or its signing key is not here: it only decrypts
	Coming     bool      // it opens mail, and signs from From on (V7); the one before signs until then
	From       time.Time // when it takes, or took, the place of the one before; zero: at once, when it was added
	Announced  time.Time // when others were told of it; From is counted from then. Zero: not yet
	Until      time.Time // when another takes its place; zero: none is here
	Lost       time.Time // when the user said that its keys are lost or in other hands (K2); else zero
	KeyPlace   string    // where the private keys are, in words

	// Where a key is on a token, its reference; empty: it is in the keychain.
	SigningToken, EncryptionToken string
	// OnlyCopy says that the user accepted that the decryption key is on the token alone:
	// if that dies, this mail is lost (K1).
	OnlyCopy bool
}

// identityRow is an Identity as the database holds it.
type identityRow struct {
	ID         string    `json:"id"`
	Address    string    `json:"address"`
	Name       string    `json:"name,omitempty"`
	Signing    []byte    `json:"signing,omitempty"`
	Encryption []byte    `json:"encryption,omitempty"`
	Chain      [][]byte  `json:"chain,omitempty"`
	Added      time.Time `json:"added"`
	Retired    bool      `json:"retired,omitempty"`
	From       time.Time `json:"from,omitzero"`
	Announced  time.Time `json:"announced,omitzero"`
	Until      time.Time `json:"until,omitzero"`
	Lost       time.Time `json:"lost,omitzero"`

	SigningToken    string `json:"signing_token,omitempty"`
	EncryptionToken string `json:"encryption_token,omitempty"`
	OnlyCopy        bool   `json:"only_copy,omitempty"`
}

func (i Identity) row() identityRow {
	r := identityRow{ID: i.ID, Address: i.Address, Name: i.Name, Added: i.Added, Retired: i.Retired,
		From: i.From, Announced: i.Announced, Until: i.Until, Lost: i.Lost,
		SigningToken: i.SigningToken, EncryptionToken: i.EncryptionToken, OnlyCopy: i.OnlyCopy}
	if i.Signing != nil {
		r.Signing = i.Signing.Raw
	}
	if i.Encryption != nil {
		r.Encryption = i.Encryption.Raw
	}
	for _, c := range i.Chain {
		r.Chain = append(r.Chain, c.Raw)
	}
	return r
}

func (r identityRow) identity() (Identity, error) {
	i := Identity{ID: r.ID, Address: r.Address, Name: r.Name, Added: r.Added, Retired: r.Retired,
		From: r.From, Announced: r.Announced, Until: r.Until, Lost: r.Lost,
		SigningToken: r.SigningToken, EncryptionToken: r.EncryptionToken, OnlyCopy: r.OnlyCopy}
	parse := func(der []byte) (c *x509.Certificate, err error) {
		if der != nil {
			c, err = x509.ParseCertificate(der)
		}
		return c, err
	}
	var errs [2]error
	i.Signing, errs[0] = parse(r.Signing)
	i.Encryption, errs[1] = parse(r.Encryption)
	if err := errors.Join(errs[:]...); err != nil {
		return Identity{}, fmt.Errorf("reading a certificate of yours: %w", err)
	}
	if i.Signing != nil && i.Encryption != nil && i.Signing.Equal(i.Encryption) {
		i.Encryption = i.Signing
	}
	for _, der := range r.Chain {
		c, err := parse(der)
		if err != nil {
			return Identity{}, fmt.Errorf("reading a certificate of an authority: %w", err)
		}
		i.Chain = append(i.Chain, c)
	}
	return i, nil
}

// certificates lists the certificates there are, each once.
func (i Identity) certificates() []*x509.Certificate {
	var all []*x509.Certificate
	if i.Signing != nil {
		all = append(all, i.Signing)
	}
	if i.Encryption != nil && i.Encryption != i.Signing {
		all = append(all, i.Encryption)
	}
	return all
}

// newID makes the opaque name of an identity.
func newID(random io.Reader) (string, error) {
	var id [8]byte
	if _, err := io.ReadFull(random, id[:]); err != nil {
		return "", err
	}
	return hex.EncodeToString(id[:]), nil
}

// identityTag begins what is signed of an identity's row.
const identityTag = "countersign identity 1\x00"

// save writes identities, each signed with the record key.
func (v *Vault) save(tx *sql.Tx, all ...Identity) error {
	for _, i := range all {
		data, err := json.Marshal(i.row())
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
	var all []Identity
	err := v.db.View(ctx, func(tx *sql.Tx) error {
		return each(ctx, tx, `SELECT data, signature FROM vault_identity`, func(scan scanner) error {
			var data, signature []byte
			if err := scan(&data, &signature); err != nil {
				return err
			}
			i, err := v.verified(data, signature)
			if err != nil {
				return err
			}
			all = append(all, i)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("listing your certificates: %w", err)
	}
	for n := range all {
		if all[n].KeyPlace, err = v.keyPlace(ctx, all[n]); err != nil {
			return nil, fmt.Errorf("listing your certificates: %w", err)
		}
	}
	slices.SortFunc(all, func(a, b Identity) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), b.Added.Compare(a.Added), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

// rank is the place of an identity in the list of all.
func (i Identity) rank() int {
	switch {
	case i.Retired:
		return 2
	case i.Coming:
		return 1
	}
	return 0
}

// keyPlace says in words where the private keys of an identity lie.
func (v *Vault) keyPlace(ctx context.Context, i Identity) (string, error) {
	if place := tokenPlace(i); place != "" {
		return place, nil
	}
	for _, c := range i.certificates() {
		if is, err := v.keys.InDatabase(ctx, c); err != nil || is {
			return "sealed under the keychain", err
		}
	}
	return "keychain", nil
}

// verified reads a row that the record key signed.
func (v *Vault) verified(data, signature []byte) (Identity, error) {
	if !ed25519.Verify(v.records.Public(), append([]byte(identityTag), data...), signature) {
		return Identity{}, ErrEdited
	}
	var r identityRow
	if err := json.Unmarshal(data, &r); err != nil {
		return Identity{}, fmt.Errorf("reading a certificate of yours: %w", err)
	}
	i, err := r.identity()
	now := v.o.Clock()
	if i.Signing != nil && !v.signs(i) || !i.Until.IsZero() && !now.Before(i.Until) {
		i.Retired = true
	}
	i.Coming = !i.Retired && now.Before(i.From)
	return i, err
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
