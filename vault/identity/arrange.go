package identity

import (
	"crypto/x509"
	"slices"
	"time"

	"countersign/vault/issued"
	"countersign/vault/keyring"
)

// Arrange makes the identity of one address from what came and what was there. at is the
// time. Before is what it replaces. Its ID is empty if it is a new one.
func Arrange(address string, found []issued.Own, chain []*x509.Certificate, all []Identity, at time.Time) (now Identity, before []Identity) {
	var signing, encryption *issued.Own
	for n := range found {
		if o := &found[n]; slices.Contains(issued.Addresses(o.Certificate), address) {
			signing, encryption = better(signing, o, o.Sign), better(encryption, o, o.Open)
		}
	}
	now = Identity{Address: address, Chain: chain, Added: at}
	if signing != nil {
		now.Signing, now.SigningToken, now.Name = signing.Certificate, signing.Token, signing.Certificate.Subject.CommonName
	}
	if encryption != nil {
		now.Encryption, now.EncryptionToken, now.OnlyCopy = encryption.Certificate, encryption.Token, encryption.OnlyCopy
		now.Name = encryption.Certificate.Subject.CommonName
	}
	for _, c := range now.Certificates() {
		now.Retired = now.Retired || !now.Added.Before(c.NotAfter)
	}
	for _, old := range all {
		if old.Address != address {
			continue
		}
		if same(now.Signing, old.Signing) && same(now.Encryption, old.Encryption) {
			now.ID, now.Added = old.ID, old.Added // imported again
			now.Coming, now.From, now.Announced, now.Until = old.Coming, old.From, old.Announced, old.Until
			now.Retired = now.Retired || !now.Coming && slices.ContainsFunc(all, func(i Identity) bool {
				return i.Address == address && i.ID != old.ID && i.Rank() == 0
			})
			return now, nil
		}
	}
	if now.Retired {
		return now, nil
	}
	defer func() {
		if now.Signing != nil { // what others see beside a signature
			now.Name = now.Signing.Subject.CommonName
		}
	}()
	for _, old := range slices.Backward(all) { // what is to come before what is in use
		if old.Address != address || old.Retired {
			continue
		}
		// Half of what was there may go on: the other half came now.
		if now.Signing == nil {
			now.Signing, now.SigningToken = old.Signing, old.SigningToken
		}
		if now.Encryption == nil {
			now.Encryption, now.EncryptionToken, now.OnlyCopy = old.Encryption, old.EncryptionToken, old.OnlyCopy
		}
		if (old.Signing == nil || same(now.Signing, old.Signing)) && (old.Encryption == nil || same(now.Encryption, old.Encryption)) {
			now.ID = old.ID // nothing is replaced
		} else {
			before = append(before, old)
		}
		for _, c := range old.Chain {
			if !slices.ContainsFunc(now.Chain, c.Equal) {
				now.Chain = append(slices.Clip(now.Chain), c)
			}
		}
	}
	return now, before
}

func same(a, b *x509.Certificate) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Equal(b)
}

// Addresses lists those that certificates are for, each once.
func Addresses(found []issued.Own) []string {
	var all []string
	for _, o := range found {
		for _, a := range issued.Addresses(o.Certificate) {
			if !slices.Contains(all, a) {
				all = append(all, a)
			}
		}
	}
	return all
}

// better prefers the certificate that ends later.
func better(had, o *issued.Own, fits bool) *issued.Own {
	if fits && (had == nil || o.Certificate.NotAfter.After(had.Certificate.NotAfter)) {
		return o
	}
	return had
}

// OnToken is where one of the identities has the key with that ID on a token: its
// reference, empty if none has, and whether it is there alone.
func OnToken(all []Identity, id string) (ref string, only bool) {
	for _, i := range all {
		if i.EncryptionToken != "" && keyring.ID(i.Encryption) == id {
			return i.EncryptionToken, i.OnlyCopy
		}
		if i.SigningToken != "" && keyring.ID(i.Signing) == id {
			ref = i.SigningToken
		}
	}
	return ref, false
}

// Renews narrows a certificate that came for a key which is in use to what that is used for,
// if another key serves the rest, or if it is on a token: what only signed there is in no
// recovery file, so nothing must be encrypted to it (K1).
func Renews(o *issued.Own, all []Identity) error {
	id := keyring.ID(o.Certificate)
	var signs, opens, apart bool
	for _, i := range all {
		signing, opening := i.Signing != nil && keyring.ID(i.Signing) == id, i.Encryption != nil && keyring.ID(i.Encryption) == id
		signs, opens = signs || signing, opens || opening
		apart = apart || signing && i.Encryption != nil && !opening || opening && i.Signing != nil && !signing
	}
	if !signs && !opens || !apart && o.Token == "" {
		return nil
	}
	return o.Renews(signs, opens)
}
