package vault

import (
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign/vault/keyring"
	"countersign/vault/pkcs12"
)

// own is a private key with its certificate, as a file holds them.
type own struct {
	key  pkcs12.Key // nil if it is in the keychain already
	cert *x509.Certificate
	sign bool // what the certificate allows and we can do
	open bool
}

// ImportPKCS12 reads a PKCS #12 file of at most 1 MiB, stores its private keys
// and returns the identities that it makes or changes, one for each address.
// Signing and encryption certificates may be one, or two in one file, or come in
// two files one after the other. What an identity replaces is retired: it still
// decrypts. A certificate that has run out comes in retired.
//
// Whatever is wrong with the file is a [*Problem], and then nothing is changed.
func (v *Vault) ImportPKCS12(ctx context.Context, data []byte, password string) ([]Identity, error) {
	found, chain, err := readPKCS12(data, password)
	if err != nil {
		return nil, fmt.Errorf("importing a certificate: %w", err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.refuseLost(ctx, found); err != nil {
		return nil, fmt.Errorf("importing a certificate: %w", err)
	}
	for _, o := range found {
		der, err := x509.MarshalPKCS8PrivateKey(o.key)
		if err != nil {
			return nil, fmt.Errorf("importing a certificate: %w", ErrKeyKind)
		}
		err = v.keys.Put(ctx, keyring.ID(o.cert), der)
		clear(der)
		if err != nil {
			return nil, fmt.Errorf("importing a certificate: %w", err)
		}
	}
	result, _, err := v.adopt(ctx, found, chain, nil, func(*sql.Tx) error { return nil })
	if err != nil {
		return nil, fmt.Errorf("importing a certificate: %w", err)
	}
	return result, nil
}

// adopt makes identities of certificates whose keys are in the keychain. Check, if not
// nil, is asked about each before anything is stored, and also is done in the same
// transaction.
func (v *Vault) adopt(ctx context.Context, found []own, chain []*x509.Certificate, check func(Identity) error, also func(*sql.Tx) error) (result, retired []Identity, err error) {
	if err := v.refuseLost(ctx, found); err != nil {
		return nil, nil, err
	}
	all, err := v.Identities(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, address := range addressesOf(found) {
		now, before, err := v.arrange(address, found, chain, all)
		if err == nil && check != nil {
			err = check(now)
		}
		if err != nil {
			return nil, nil, err
		}
		result, retired = append(result, now), append(retired, before...)
	}
	for _, o := range found {
		if o.sign {
			if err := v.certify(ctx, o.cert); err != nil {
				return nil, nil, err
			}
		}
	}
	err = v.db.Update(ctx, func(tx *sql.Tx) error {
		if err := also(tx); err != nil {
			return err
		}
		return v.save(tx, slices.Concat(retired, result)...)
	})
	return result, retired, err
}

// refuseLost refuses keys that the user has given up.
func (v *Vault) refuseLost(ctx context.Context, found []own) error {
	all, err := v.Identities(ctx)
	if err != nil {
		return err
	}
	for _, i := range all {
		if !i.Lost.IsZero() && slices.ContainsFunc(found, func(o own) bool { return slices.Contains(i.keys(), keyring.ID(o.cert)) }) {
			return ErrGivenUp
		}
	}
	return nil
}

// arrange makes the identity of one address from what a file held and what was
// there, and retires what it replaces.
func (v *Vault) arrange(address string, found []own, chain []*x509.Certificate, all []Identity) (now Identity, before []Identity, err error) {
	var signing, encryption *own
	for n := range found {
		if o := &found[n]; slices.Contains(addresses(o.cert), address) {
			signing, encryption = better(signing, o, o.sign), better(encryption, o, o.open)
		}
	}
	now = Identity{Address: address, Chain: chain, Added: v.o.Clock().UTC().Truncate(time.Second)}
	if signing != nil {
		now.Signing, now.Name = signing.cert, signing.cert.Subject.CommonName
	}
	if encryption != nil {
		now.Encryption, now.Name = encryption.cert, encryption.cert.Subject.CommonName
	}
	if now.ID, err = newID(v.o.Rand); err != nil {
		return now, nil, err
	}
	for _, c := range now.certificates() {
		now.Retired = now.Retired || !now.Added.Before(c.NotAfter)
	}
	for _, old := range all {
		if old.Address != address {
			continue
		}
		if same(now.Signing, old.Signing) && same(now.Encryption, old.Encryption) {
			now.ID, now.Added = old.ID, old.Added // imported again
			now.Retired = now.Retired || slices.ContainsFunc(all, func(i Identity) bool {
				return i.Address == address && i.ID != old.ID && !i.Retired
			})
			return now, nil, nil
		}
	}
	if now.Retired {
		return now, nil, nil
	}
	for _, old := range all {
		if old.Address != address || old.Retired {
			continue
		}
		// Half of what was there may go on: the other half came now.
		if now.Signing == nil {
			now.Signing = old.Signing
		}
		if now.Encryption == nil {
			now.Encryption = old.Encryption
		}
		if (old.Signing == nil || same(now.Signing, old.Signing)) && (old.Encryption == nil || same(now.Encryption, old.Encryption)) {
			now.ID = old.ID // nothing is replaced
		} else {
			old.Retired = true
			before = append(before, old)
		}
		for _, c := range old.Chain {
			if !slices.ContainsFunc(now.Chain, c.Equal) {
				now.Chain = append(slices.Clip(now.Chain), c)
			}
		}
	}
	return now, before, nil
}

// better prefers the certificate that ends later.
func better(had, o *own, fits bool) *own {
	if fits && (had == nil || o.cert.NotAfter.After(had.cert.NotAfter)) {
		return o
	}
	return had
}

func same(a, b *x509.Certificate) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Equal(b)
}

// readPKCS12 takes a file apart and refuses what cannot be used.
func readPKCS12(data []byte, password string) (found []own, chain []*x509.Certificate, err error) {
	c, err := pkcs12.Read(data, password)
	switch {
	case errors.Is(err, pkcs12.ErrPassphrase):
		return nil, nil, ErrPassphrase
	case errors.Is(err, pkcs12.ErrNoKey):
		return nil, nil, ErrNoPrivateKey
	case err != nil:
		return nil, nil, ErrNotPKCS12
	}
	mine := map[*x509.Certificate]bool{}
	for _, key := range c.Keys {
		had := len(found)
		for _, cert := range c.Certificates {
			if keyring.Fits(key, cert) {
				mine[cert] = true
				found = append(found, own{key: key, cert: cert})
			}
		}
		if len(found) == had {
			return nil, nil, ErrKeyMismatch
		}
	}
	for n := range found {
		if err := found[n].judge(); err != nil {
			return nil, nil, err
		}
	}
	for _, cert := range c.Certificates {
		if !mine[cert] {
			chain = append(chain, cert)
		}
	}
	return found, chain, nil
}

// judge says what a certificate with its key can be used for, or why it cannot
// be used at all (RFC 8550, sections 3 and 4.4).
func (o *own) judge() error {
	agrees, signs := false, true // it opens mail by agreeing on a key; it can sign
	switch key := keyring.Public(o.cert).(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < 2048 {
			return ErrWeakKey
		}
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() && key.Curve != elliptic.P384() && key.Curve != elliptic.P521() {
			return ErrKeyKind
		}
		agrees = true
	case *ecdh.PublicKey: // X25519; the others are *ecdsa.PublicKey
		agrees, signs = true, false
	case ed25519.PublicKey:
	default:
		return ErrKeyKind
	}
	if len(addresses(o.cert)) == 0 {
		return ErrNoAddress
	}
	usage := o.cert.KeyUsage
	mail := len(o.cert.ExtKeyUsage)+len(o.cert.UnknownExtKeyUsage) == 0 ||
		slices.Contains(o.cert.ExtKeyUsage, x509.ExtKeyUsageEmailProtection) ||
		slices.Contains(o.cert.ExtKeyUsage, x509.ExtKeyUsageAny)
	if o.cert.IsCA || !mail {
		return ErrNotForMail
	}
	o.sign = signs && (usage == 0 || usage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) != 0)
	switch {
	case o.cert.PublicKeyAlgorithm == x509.RSA:
		o.open = usage == 0 || usage&x509.KeyUsageKeyEncipherment != 0
	case agrees:
		o.open = usage == 0 || usage&x509.KeyUsageKeyAgreement != 0
	}
	if !o.sign && !o.open {
		return ErrNotForMail
	}
	return nil
}

func addressesOf(found []own) []string {
	var all []string
	for _, o := range found {
		for _, a := range addresses(o.cert) {
			if !slices.Contains(all, a) {
				all = append(all, a)
			}
		}
	}
	return all
}

var oidEmailAddress = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}

// addresses lists the e-mail addresses of a certificate, canonical: those of its
// subjectAltName, or else of its subject (RFC 8550, section 3).
func addresses(cert *x509.Certificate) []string {
	listed := cert.EmailAddresses
	if len(listed) == 0 {
		listed = subjectAddresses(cert.Subject)
	}
	var all []string
	for _, a := range listed {
		a = strings.ToLower(strings.TrimSpace(a))
		ascii := !strings.ContainsFunc(a, func(r rune) bool { return r <= ' ' || r > '~' })
		if at := strings.LastIndexByte(a, '@'); ascii && at > 0 && at < len(a)-1 && !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all
}

func subjectAddresses(subject pkix.Name) []string {
	var all []string
	for _, name := range subject.Names {
		if text, ok := name.Value.(string); ok && name.Type.Equal(oidEmailAddress) {
			all = append(all, text)
		}
	}
	return all
}
