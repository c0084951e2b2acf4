// Package certstore uses the keys of the Windows user's certificate store (CurrentUser\My),
// where the cards of clinics stand whose makers bring a minidriver and no PKCS#11 library: as
// [crypto.Signer], [crypto.Decrypter] and [ecdh.KeyExchanger]. On other systems it is empty.
//
// A certificate is named "cng:" and the SHA-256 of its bytes in hexadecimal
// ([Certificate.Ref]). [Store.Open] makes a [Key] of that and the public key, and asks nothing
// of the card. A key is looked up anew for each operation, so that a card that was out and in
// again is found, and nothing stays open.
//
// # PINs
//
// Windows asks for them, in its own dialog, and keeps them as its card's minidriver says. It
// may only where the context says so ([WithUser], rule K3); the dialog then shows what for.
// In any other context the provider is told to be silent, and a key that needs a PIN fails
// with [Unasked]. One operation runs at a time. Nothing here makes Windows forget a PIN: the
// way to do so, an empty one, is to some providers a wrong PIN, and costs a try.
//
// # Keys
//
// CNG keys (NCrypt) do PKCS #1 v1.5, PSS, OAEP, ECDSA and ECDH, as far as their provider does.
// Keys of a legacy provider (CryptoAPI) that CNG cannot open sign and decrypt by PKCS #1 v1.5,
// and OAEP with SHA-1. Where the provider offers the bare operation of an RSA key, the padding
// is checked here, in constant time. A wrong PKCS #1 v1.5 padding is never told where a session
// key is expected. Every signature is checked with the public key before it is given out.
//
// # How far
//
// The decisions are tested on every system. Run under wine: the store with a key of a legacy
// provider, and CNG's signatures by an RSA key in memory. Not run, for wine 8 has none of it and
// there was no Windows: CNG's decryption, keys on curves, keys of CNG in the store, cards, and
// the PIN dialog. A minidriver runs in this process, and one that crashes takes it along.
package certstore

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// prefix begins the name of a certificate.
const prefix = "cng:"

// IsRef tells whether a reference is one of the store's.
func IsRef(ref string) bool { return strings.HasPrefix(ref, prefix) }

// Certificate is one whose private key the store knows of.
type Certificate struct {
	*x509.Certificate
	Name     string // the friendly name; may be empty
	Provider string // whose key it is, as Windows names it
}

// Ref is the certificate's name.
func (c Certificate) Ref() string {
	digest := sha256.Sum256(c.Raw)
	return prefix + hex.EncodeToString(digest[:])
}

// usable tells whether a certificate may be for mail and its key is of a kind used here. An
// old one may still open mail: its time does not count.
func (c Certificate) usable() bool {
	mail := len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 ||
		slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageEmailProtection) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
	return mail && known(c.PublicKey)
}

// known tells whether a public key is RSA or on P-256, P-384 or P-521.
func known(public crypto.PublicKey) bool {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return true
	case *ecdsa.PublicKey:
		return k.Curve == elliptic.P256() || k.Curve == elliptic.P384() || k.Curve == elliptic.P521()
	}
	return false
}

type purposeKey struct{}

// WithUser marks a context as that of something that a person just did: Windows may ask them
// for a PIN, and says purpose, in their words. Background work never has such a context.
func WithUser(ctx context.Context, purpose string) context.Context {
	return context.WithValue(ctx, purposeKey{}, purpose)
}

// Store is the certificate store. A process has one: one thing is asked of it at a time. Its
// methods may be called from several goroutines.
type Store struct {
	system  system
	turn    chan struct{} // held while Windows does something
	left    atomic.Bool   // nobody waits any more for what holds the turn
	limit   time.Duration // of an operation
	patient time.Duration // of one in which somebody may enter a PIN
}

// system is what differs: Windows, or one that has no such store.
type system interface {
	list() ([]Certificate, error)
	authorities() ([]*x509.Certificate, error)
	// acquire finds the key of the certificate with this SHA-256.
	acquire(digest [sha256.Size]byte, a access) (handle, error)
}

// access is how a key may be used.
type access struct {
	asked   bool   // a person may be asked for a PIN
	purpose string // what for
}

// handle is a key that Windows found. What it returns is big-endian.
type handle interface {
	sign(p pad, digest []byte) ([]byte, error) // on a curve: r and s, side by side
	decrypt(p pad, label, block []byte) ([]byte, error)
	agree(peer *ecdh.PublicKey) ([]byte, error)
	close()
}

// pad is an RSA padding.
type pad struct {
	scheme scheme
	hash   crypto.Hash
	salt   int // bytes
}

type scheme uint8

const (
	none scheme = iota
	pkcs1
	pss
	oaep
)

// New gives access to the store. Nothing is opened before it is needed.
func New() *Store { return with(opened()) }

func with(s system) *Store {
	return &Store{system: s, turn: make(chan struct{}, 1), limit: 20 * time.Second, patient: 2 * time.Minute}
}

// List is the certificates that may be for mail and have a private key. No card is asked.
func (s *Store) List(ctx context.Context) ([]Certificate, error) {
	all, err := run(ctx, s, func(access) ([]Certificate, error) { return s.system.list() })
	if err != nil {
		return nil, fmt.Errorf("listing the certificates of Windows: %w", err)
	}
	return slices.DeleteFunc(all, func(c Certificate) bool { return !c.usable() }), nil
}

// maxChain is how many authorities stand above a certificate.
const maxChain = 8

// Authorities is the chain of authorities above a certificate, the nearest first, as far as
// Windows keeps it (CurrentUser\CA, where those of every user show too). Nothing is said of
// whether they are trusted.
func (s *Store) Authorities(ctx context.Context, c *x509.Certificate) ([]*x509.Certificate, error) {
	all, err := run(ctx, s, func(access) ([]*x509.Certificate, error) { return s.system.authorities() })
	if err != nil {
		return nil, fmt.Errorf("looking for authorities in Windows: %w", err)
	}
	var chain []*x509.Certificate
	for range maxChain {
		i := slices.IndexFunc(all, func(above *x509.Certificate) bool {
			return bytes.Equal(above.RawSubject, c.RawIssuer) && !above.Equal(c) && c.CheckSignatureFrom(above) == nil
		})
		if i < 0 {
			break
		}
		c = all[i]
		chain = append(chain, c)
	}
	return chain, nil
}

// Open makes a key of what is remembered of it. Nothing is asked of the card. It fails if the
// reference is not one of this store, or the public key is of no kind used here.
func (s *Store) Open(ref string, public crypto.PublicKey) (*Key, error) {
	digits, ok := strings.CutPrefix(ref, prefix)
	digest, err := hex.DecodeString(digits)
	if !ok || err != nil || len(digest) != sha256.Size || !known(public) {
		return nil, fmt.Errorf("opening a key: %w", fail(NoKey, fmt.Errorf("%.80q names none", ref)))
	}
	return &Key{store: s, digest: [sha256.Size]byte(digest), public: public}, nil
}

// run does something in the store's turn. Its limit is counted from then: before, others may
// need theirs. What Windows does not end stays behind, holds the turn, and is waited for less.
func run[T any](ctx context.Context, s *Store, do func(access) (T, error)) (result T, err error) {
	var a access
	a.purpose, a.asked = ctx.Value(purposeKey{}).(string)
	limit := s.limit
	if a.asked {
		limit = s.patient
	}
	waiting := s.patient
	if s.left.Load() {
		waiting = limit
	}
	inLine, cancel := context.WithTimeoutCause(ctx, waiting, fail(Hung, nil))
	defer cancel()
	select {
	case s.turn <- struct{}{}:
	case <-inLine.Done():
		return result, context.Cause(inLine)
	}
	ctx, cancel = context.WithTimeoutCause(ctx, limit, fail(Hung, nil))
	defer cancel()
	type outcome struct {
		result T
		err    error
	}
	over := make(chan outcome, 1)
	go func() {
		defer func() {
			s.left.Store(false)
			<-s.turn
		}()
		if ctx.Err() != nil {
			over <- outcome{err: context.Cause(ctx)}
			return
		}
		r, err := do(a)
		over <- outcome{r, err}
	}()
	select {
	case o := <-over:
		return o.result, explain(o.err, a)
	case <-ctx.Done():
		s.left.Store(true)
		return result, context.Cause(ctx)
	}
}
