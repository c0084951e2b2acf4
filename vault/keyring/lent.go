package keyring

import (
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"countersign/platform/keychain"
	"countersign/vault/sealed"
)

// Keys is the private keys. It may be used from several goroutines.
type Keys struct {
	kc     keychain.Store
	db     *sealed.DB
	random io.Reader
	hold   time.Duration

	mu      sync.Mutex
	present map[string]bool // the keys that the keychain has, by id
	held    map[string]*held
}

// held is a key in memory, until its timer ends.
type held struct {
	key   Private
	timer *time.Timer
}

// wrapSize tells a wrapping key from a private key: no PKCS #8 is so short.
const wrapSize = 32

const table = `CREATE TABLE keyring_key (
	id     TEXT PRIMARY KEY,
	sealed BLOB NOT NULL
) STRICT`

// OpenKeys looks which keys the keychain has. A key stays in memory for the time
// hold after its last use.
func OpenKeys(ctx context.Context, kc keychain.Store, db *sealed.DB, random io.Reader, hold time.Duration) (*Keys, error) {
	k := &Keys{kc: kc, db: db, random: random, hold: hold, present: map[string]bool{}, held: map[string]*held{}}
	if err := db.Migrate("keyring", table); err != nil {
		return nil, err
	}
	names, err := kc.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the keychain: %w", err)
	}
	for _, name := range names {
		if id, ok := strings.CutPrefix(name, keyPrefix); ok {
			k.present[id] = true
		}
	}
	return k, nil
}

// ID names the key of a certificate by its public half: 32 digits of the SHA-256
// of the SubjectPublicKeyInfo.
func ID(cert *x509.Certificate) string { return Name(cert.RawSubjectPublicKeyInfo) }

// Name is the ID of the key with that SubjectPublicKeyInfo, in DER.
func Name(spki []byte) string {
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:16])
}

// Has says whether the keychain has the key of a certificate. For nil it has not.
func (k *Keys) Has(cert *x509.Certificate) bool {
	return cert != nil && k.Holds(ID(cert))
}

// Holds says whether the keychain has the key of that ID.
func (k *Keys) Holds(id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.present[id]
}

// Remove forgets a private key for good. One that is not there is no error.
func (k *Keys) Remove(ctx context.Context, id string) error {
	if err := k.kc.Delete(ctx, keyPrefix+id); err != nil && !errors.Is(err, keychain.ErrNotFound) {
		return fmt.Errorf("removing a private key: %w", err)
	}
	k.mu.Lock()
	delete(k.present, id)
	if h := k.held[id]; h != nil {
		h.timer.Stop()
		delete(k.held, id)
	}
	k.mu.Unlock()
	return k.db.Update(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec(`DELETE FROM keyring_key WHERE id = ?`, id)
		return err
	})
}

// InDatabase says whether the key of a certificate is one that is sealed in the
// database.
func (k *Keys) InDatabase(ctx context.Context, cert *x509.Certificate) (is bool, err error) {
	err = k.db.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT count(*) FROM keyring_key WHERE id = ?`, ID(cert)).Scan(&is)
	})
	return is, err
}

// Put stores a private key, PKCS #8 in DER, under the ID of its certificate.
func (k *Keys) Put(ctx context.Context, id string, der []byte) error {
	item := der
	if len(der) > keychain.MaxItem {
		item = make([]byte, wrapSize)
		if _, err := io.ReadFull(k.random, item); err != nil {
			return err
		}
		defer clear(item)
		aead, err := wrapper(item)
		if err != nil {
			return err
		}
		nonce := make([]byte, aead.NonceSize())
		if _, err := io.ReadFull(k.random, nonce); err != nil {
			return err
		}
		box := aead.Seal(nonce, nonce, der, []byte(id))
		err = k.db.Update(ctx, func(tx *sql.Tx) error {
			_, err := tx.Exec(`INSERT OR REPLACE INTO keyring_key VALUES (?, ?)`, id, box)
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := k.kc.Set(ctx, keyPrefix+id, item); err != nil {
		return fmt.Errorf("keeping a private key: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.present[id] = true
	return nil
}

// Get fetches a private key as PKCS #8 in DER, or ErrMissing. The caller clears it.
func (k *Keys) Get(ctx context.Context, id string) ([]byte, error) {
	item, err := k.kc.Get(ctx, keyPrefix+id)
	if errors.Is(err, keychain.ErrNotFound) {
		return nil, ErrMissing
	}
	if err != nil {
		return nil, fmt.Errorf("fetching a private key: %w", err)
	}
	if len(item) != wrapSize {
		return item, nil
	}
	defer clear(item)
	var box []byte
	err = k.db.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT sealed FROM keyring_key WHERE id = ?`, id).Scan(&box)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrMissing
	}
	if err != nil {
		return nil, fmt.Errorf("fetching a private key: %w", err)
	}
	aead, err := wrapper(item)
	if err != nil {
		return nil, err
	}
	if len(box) < aead.NonceSize() {
		return nil, fmt.Errorf("opening a private key: %w", ErrDamaged)
	}
	der, err := aead.Open(nil, box[:aead.NonceSize()], box[aead.NonceSize():], []byte(id))
	if err != nil {
		return nil, fmt.Errorf("opening a private key: %w", ErrDamaged)
	}
	return der, nil
}

func wrapper(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// use returns the private key of a certificate, from memory if it was used a
// moment ago.
func (k *Keys) use(ctx context.Context, cert *x509.Certificate) (Private, error) {
	id := ID(cert)
	k.mu.Lock()
	if h := k.held[id]; h != nil && h.timer.Reset(k.hold) {
		k.mu.Unlock()
		return h.key, nil
	}
	k.mu.Unlock()

	// Not under the lock: a keychain may take its time, or ask the user.
	der, err := k.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	defer clear(der)
	key, err := Parse(der)
	if err != nil {
		return nil, err
	}
	if !Fits(key, cert) {
		return nil, ErrDamaged
	}
	h := &held{key: key}
	k.mu.Lock()
	defer k.mu.Unlock()
	h.timer = time.AfterFunc(k.hold, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.held[id] == h {
			delete(k.held, id)
		}
	})
	k.held[id] = h
	return key, nil
}

// Forget drops the keys held in memory.
func (k *Keys) Forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, h := range k.held {
		h.timer.Stop()
		delete(k.held, id)
	}
}

// Private is a private key of one of the kinds that are used here: *rsa.PrivateKey,
// *ecdsa.PrivateKey, ed25519.PrivateKey, or *ecdh.PrivateKey on X25519.
type Private interface{ Public() crypto.PublicKey }

// Parse reads a private key, PKCS #8 in DER.
func Parse(der []byte) (Private, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, ErrKind // and not err, which may quote the key
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return key, nil
	case *ecdsa.PrivateKey:
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	case *ecdh.PrivateKey:
		return key, nil
	}
	return nil, ErrKind
}

// Public is the public key of a certificate, or nil if it is of an unknown kind. x509
// knows X25519 keys, but not in certificates.
func Public(cert *x509.Certificate) crypto.PublicKey {
	if cert.PublicKey != nil {
		return cert.PublicKey
	}
	key, err := x509.ParsePKIXPublicKey(cert.RawSubjectPublicKeyInfo)
	if err != nil {
		return nil
	}
	return key
}

// Fits says whether a private key belongs to a certificate.
func Fits(key Private, cert *x509.Certificate) bool {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(Public(cert))
}

// Signer lends the key of a certificate for signing. Nothing is fetched before
// it is used; ctx bounds that.
func (k *Keys) Signer(ctx context.Context, cert *x509.Certificate) crypto.Signer {
	return lent{ctx, k, cert}
}

// Decrypter lends the key of a certificate for decrypting. Nothing is fetched
// before it is used; ctx bounds that.
func (k *Keys) Decrypter(ctx context.Context, cert *x509.Certificate) crypto.Decrypter {
	return lentDecrypter{lent{ctx, k, cert}}
}

// Exchanger lends the key of a certificate for agreeing on a key, or is nil if it
// is not on an elliptic curve. Nothing is fetched before it is used; ctx bounds that.
func (k *Keys) Exchanger(ctx context.Context, cert *x509.Certificate) ecdh.KeyExchanger {
	switch public := Public(cert).(type) {
	case *ecdh.PublicKey:
		return lentExchanger{lent{ctx, k, cert}, public}
	case *ecdsa.PublicKey:
		if point, err := public.ECDH(); err == nil {
			return lentExchanger{lent{ctx, k, cert}, point}
		}
	}
	return nil
}

// lent is a private key that is fetched when it is used.
type lent struct {
	ctx  context.Context // of the operation that the key was lent for
	keys *Keys
	cert *x509.Certificate
}

// Public returns the public key, without asking the keychain.
func (l lent) Public() crypto.PublicKey { return Public(l.cert) }

// Sign implements [crypto.Signer].
func (l lent) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	key, err := l.keys.use(l.ctx, l.cert)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("signing: %w", ErrKind)
	}
	return signer.Sign(random, digest, opts)
}

// lentDecrypter is a key that also decrypts.
type lentDecrypter struct{ lent }

// Decrypt implements [crypto.Decrypter].
func (l lentDecrypter) Decrypt(random io.Reader, message []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	key, err := l.keys.use(l.ctx, l.cert)
	if err != nil {
		return nil, fmt.Errorf("decrypting: %w", err)
	}
	decrypter, ok := key.(crypto.Decrypter)
	if !ok {
		return nil, fmt.Errorf("decrypting: %w", ErrKind)
	}
	return decrypter.Decrypt(random, message, opts)
}

// lentExchanger is a key on an elliptic curve.
type lentExchanger struct {
	lent
	public *ecdh.PublicKey
}

// PublicKey implements [ecdh.KeyExchanger], without asking the keychain.
func (l lentExchanger) PublicKey() *ecdh.PublicKey { return l.public }

// Curve implements [ecdh.KeyExchanger], without asking the keychain.
func (l lentExchanger) Curve() ecdh.Curve { return l.public.Curve() }

// ECDH implements [ecdh.KeyExchanger].
func (l lentExchanger) ECDH(peer *ecdh.PublicKey) ([]byte, error) {
	key, err := l.keys.use(l.ctx, l.cert)
	if err != nil {
		return nil, fmt.Errorf("agreeing on a key: %w", err)
	}
	switch private := key.(type) {
	case *ecdh.PrivateKey:
		return private.ECDH(peer)
	case *ecdsa.PrivateKey:
		if exchanger, err := private.ECDH(); err == nil {
			return exchanger.ECDH(peer)
		}
	}
	return nil, fmt.Errorf("agreeing on a key: %w", ErrKind)
}
