package vault

import (
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"database/sql"
	"fmt"
	"slices"

	"countersign/mailer/cms"
	"countersign/vault/keyring"
	"countersign/vault/tokenkey"
)

// What of vault/tokenkey the vault hands on.
type (
	// Tokens finds keys that lie outside the keychain.
	Tokens = tokenkey.Tokens
	// TokenKey is one of them: *pkcs11.Key, say.
	TokenKey = tokenkey.Key
	// TokenKeys is what is to be used of a token.
	TokenKeys = tokenkey.Keys
	// TokenCertificate is a certificate whose key is on a token.
	TokenCertificate = tokenkey.Certificate
)

// Why a key on a token cannot be used now. [TokenTrouble] makes such errors, and
// [WhyToken] finds them.
var (
	ErrLocked     = tokenkey.ErrLocked
	ErrAbsent     = tokenkey.ErrAbsent
	ErrCancelled  = tokenkey.ErrCancelled
	ErrPIN        = tokenkey.ErrPIN
	ErrPINBlocked = tokenkey.ErrPINBlocked
	ErrToken      = tokenkey.ErrToken
	// ErrTokenUnable is a key that is in order, and cannot do what is asked.
	ErrTokenUnable = tokenkey.ErrUnable
	ErrTokenUse    = tokenkey.ErrUse
)

// TokenTrouble is an error that wraps kind, one of the above, and its cause. says is the
// token's own sentence for a person; empty: that of kind.
func TokenTrouble(kind *Problem, says string, cause error) error {
	return tokenkey.Trouble(kind, says, cause)
}

// WhyToken returns the problem of a token that an error wraps, or nil.
func WhyToken(err error) *Problem { return tokenkey.Why(err) }

// OnToken says that a decryption key is on a token.
func OnToken(k cms.Key) bool { return tokenkey.OnToken(k) }

// TokensUntouched is a context in which keys on tokens answer [ErrLocked] at once.
func TokensUntouched(ctx context.Context) context.Context { return tokenkey.Untouched(ctx) }

// TokensInTurn is a context in which one goroutine at a time may ask for a PIN, and none after
// that was in vain.
func TokensInTurn(ctx context.Context) context.Context { return tokenkey.InTurn(ctx) }

// Use takes keys on a token into use: the signing key certifies the record key, the
// decryption key opens a test, so ctx must say that the user may be asked for the PIN.
// What they replace is retired. Check, if not nil, is asked about each identity before
// anything is changed or asked of the token.
//
// A decryption key that is neither in the keychain nor in a recovery file is refused with
// [ErrOnlyCopy] unless k says that this was accepted. Errors of the token are those above.
func (v *Vault) Use(ctx context.Context, k TokenKeys, check func(Identity) error) (done Installed, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	defer func() {
		if err != nil {
			err = fmt.Errorf("using a card: %w", err)
		}
	}()
	found, err := k.Own()
	if err != nil {
		return done, err
	}
	only := false // the decryption key is on the token and nowhere else
	for _, o := range found {
		backed, err := v.backed(ctx, o.Certificate)
		if err != nil {
			return done, err
		}
		if only = only || o.Open && !backed; only && !k.OnlyCopy {
			return done, ErrOnlyCopy
		}
	}
	asked := false
	done.Identities, done.Replaced, err = v.adopt(ctx, found, k.Chain, func(i Identity) error {
		if check != nil {
			if err := check(i); err != nil {
				return err
			}
		}
		if i.EncryptionToken != k.Encryption.Ref || asked || i.EncryptionToken == "" {
			return nil
		}
		asked = true
		return v.try(ctx, i.Encryption, i.EncryptionToken)
	}, func(*sql.Tx) error { return nil })
	return done, err
}

// MoveToToken puts the decryption key of an identity on a token and takes it out of the
// keychain, once the token has opened a test with it: so ctx must say that the user may be
// asked for the PIN. put gets the key, which leaves the vault for that alone, and returns
// its reference there. A key that is not in a recovery file is refused: [ErrNotBackedUp]
// (K1). Where the key signs as well it does so on the token from now on.
func (v *Vault) MoveToToken(ctx context.Context, id string, put func(crypto.PrivateKey) (ref string, err error)) (now Identity, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	defer func() {
		if err != nil {
			err = fmt.Errorf("putting a key on a card: %w", err)
		}
	}()
	all, err := v.Identities(ctx)
	if err != nil {
		return now, err
	}
	n := slices.IndexFunc(all, func(i Identity) bool { return i.ID == id })
	if n < 0 || !all[n].Lost.IsZero() {
		return now, ErrNoIdentity
	}
	now = all[n]
	if !v.keys.Has(now.Encryption) {
		return now, ErrNoKey
	}
	key := keyring.ID(now.Encryption)
	if row, err := v.recoveryRow(ctx); err != nil || row == nil || !row.holds(key) {
		return now, cmp.Or[error](err, ErrNotBackedUp)
	}
	ref, err := v.put(ctx, key, put)
	if err != nil {
		return now, err
	}
	if err := v.try(ctx, now.Encryption, ref); err != nil {
		return now, err
	}
	var changed []Identity
	for _, i := range all {
		if slices.Contains(i.Keys(), key) {
			if i.Encryption != nil && keyring.ID(i.Encryption) == key {
				i.EncryptionToken = ref
			}
			if i.Signing != nil && keyring.ID(i.Signing) == key {
				i.SigningToken = ref
			}
			changed = append(changed, i)
		}
	}
	if err := v.db.Update(ctx, func(tx *sql.Tx) error { return v.save(tx, changed...) }); err != nil {
		return now, err
	}
	return changed[slices.IndexFunc(changed, func(i Identity) bool { return i.ID == id })], v.keys.Remove(ctx, key)
}

// put hands a private key to whoever puts it on a token.
func (v *Vault) put(ctx context.Context, id string, put func(crypto.PrivateKey) (string, error)) (string, error) {
	der, err := v.keys.Get(ctx, id)
	if err != nil {
		return "", err
	}
	defer clear(der)
	key, err := keyring.Parse(der)
	if err != nil {
		return "", err
	}
	return put(key)
}

// signs says that the signing key of an identity can be reached, as far as is known
// without asking a token.
func (v *Vault) signs(i Identity) bool { return i.SigningToken != "" || v.keys.Has(i.Signing) }

// opens says the same of the decryption key.
func (v *Vault) opens(i Identity) bool { return i.EncryptionToken != "" || v.keys.Has(i.Encryption) }

// signer lends the key of a certificate, from the keychain or for one signature from a token.
func (v *Vault) signer(ctx context.Context, cert *x509.Certificate, token string) crypto.Signer {
	if token == "" {
		return v.keys.Signer(ctx, cert)
	}
	var one tokenkey.Occasion
	return one.Lend(ctx, v.o.Tokens, token, keyring.Public(cert)).Signer()
}

// decryptionKey lends the decryption key of an identity.
func (v *Vault) decryptionKey(ctx context.Context, o *tokenkey.Occasion, i Identity) cms.Key {
	key := cms.Key{Certificate: i.Encryption}
	if i.EncryptionToken == "" || v.keys.Has(i.Encryption) { // which asks nobody
		key.Decrypter, key.Exchanger = v.keys.Decrypter(ctx, i.Encryption), v.keys.Exchanger(ctx, i.Encryption)
		return key
	}
	return v.lend(ctx, o, i.Encryption, i.EncryptionToken)
}

// lend lends a decryption key from a token, wherever else it is.
func (v *Vault) lend(ctx context.Context, o *tokenkey.Occasion, cert *x509.Certificate, token string) cms.Key {
	lent := o.Lend(ctx, v.o.Tokens, token, keyring.Public(cert))
	return cms.Key{Certificate: cert, Decrypter: lent.Decrypter(), Exchanger: lent.Exchanger()}
}

// try has the token open a test, whether or not the keychain has the key too.
func (v *Vault) try(ctx context.Context, cert *x509.Certificate, token string) error {
	var one tokenkey.Occasion
	return tokenkey.Try(v.lend(ctx, &one, cert, token), v.o.Rand)
}
