// Package identity is one key set of the user's own: its form in the database, and how what
// an authority issued becomes one beside those that are there. It stores nothing and asks no
// key.
package identity

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"countersign/vault/keyring"
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

// row is an Identity as the database holds it.
type row struct {
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

// Marshal gives the form in which the database holds it.
func (i Identity) Marshal() ([]byte, error) { return json.Marshal(i.row()) }

// Parse reads that form.
func Parse(data []byte) (Identity, error) {
	var r row
	if err := json.Unmarshal(data, &r); err != nil {
		return Identity{}, fmt.Errorf("reading a certificate of yours: %w", err)
	}
	return r.identity()
}

func (i Identity) row() row {
	r := row{ID: i.ID, Address: i.Address, Name: i.Name, Added: i.Added, Retired: i.Retired,
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

func (r row) identity() (Identity, error) {
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

// Certificates lists the certificates there are, each once.
func (i Identity) Certificates() []*x509.Certificate {
	var all []*x509.Certificate
	if i.Signing != nil {
		all = append(all, i.Signing)
	}
	if i.Encryption != nil && i.Encryption != i.Signing {
		all = append(all, i.Encryption)
	}
	return all
}

// Rank is the place of an identity in the list of all.
func (i Identity) Rank() int {
	switch {
	case i.Retired:
		return 2
	case i.Coming:
		return 1
	}
	return 0
}

// Keys names the keys of an identity.
func (i Identity) Keys() (ids []string) {
	for _, c := range i.Certificates() {
		ids = append(ids, keyring.ID(c))
	}
	return ids
}

// Ends returns the certificate of the identity that runs out first, and when.
func (i Identity) Ends() (first *x509.Certificate, at time.Time) {
	for _, c := range i.Certificates() {
		if first == nil || c.NotAfter.Before(at) {
			first, at = c, c.NotAfter
		}
	}
	return first, at
}

// Place says in words where the keys lie if one is on a token, or nothing.
func (i Identity) Place() string {
	signing, encryption := tokenkey.Place(i.SigningToken), tokenkey.Place(i.EncryptionToken)
	switch {
	case signing == encryption || i.Encryption == nil:
		return signing
	case i.Signing == nil:
		return encryption
	case signing == "":
		return encryption + " (for opening mail), keychain (for signing)"
	case encryption == "":
		return signing + " (for signing), keychain (for opening mail)"
	}
	return signing + " (for signing), " + encryption + " (for opening mail)"
}
