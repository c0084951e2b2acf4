package keyring

import (
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"countersign/platform/keychain"
)

// RecordKey is the profile's Ed25519 key for records (SECURITY V8), together
// with what the keychain remembers of the chain of records: the hash of the
// last one and how many there are. It implements the Keeper of vault/book.
type RecordKey struct {
	secret
	kc      keychain.Store
	private ed25519.PrivateKey

	mu      sync.Mutex
	head    [32]byte
	counter uint64
	epoch   uint64
}

// The keychain item: a version, the seed, then counter, epoch and head.
const (
	recordVersion = 1
	recordSize    = 1 + ed25519.SeedSize + 8 + 8 + 32
)

// OpenRecordKey fetches the record key; if there is none, it makes one from
// random, or with a nil random returns ErrMissing.
func OpenRecordKey(ctx context.Context, kc keychain.Store, random io.Reader) (*RecordKey, error) {
	value, err := kc.Get(ctx, recordItem)
	if err == nil {
		defer clear(value)
		return ParseRecordKey(kc, value)
	}
	if !errors.Is(err, keychain.ErrNotFound) {
		return nil, fmt.Errorf("fetching the record key: %w", err)
	}
	if random == nil {
		return nil, ErrMissing
	}
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, fmt.Errorf("making the record key: %w", err)
	}
	k := &RecordKey{kc: kc, private: ed25519.NewKeyFromSeed(seed)}
	return k, k.store(ctx)
}

// ParseRecordKey reads what Encode gave.
func ParseRecordKey(kc keychain.Store, value []byte) (*RecordKey, error) {
	if len(value) != recordSize || value[0] != recordVersion {
		return nil, ErrDamaged
	}
	k := &RecordKey{kc: kc, private: ed25519.NewKeyFromSeed(value[1:33])}
	k.counter = binary.BigEndian.Uint64(value[33:])
	k.epoch = binary.BigEndian.Uint64(value[41:])
	copy(k.head[:], value[49:])
	return k, nil
}

// Encode gives the whole item, for recovery. The caller clears it.
func (k *RecordKey) Encode() []byte {
	value := append([]byte{recordVersion}, k.private.Seed()...)
	value = binary.BigEndian.AppendUint64(value, k.counter)
	value = binary.BigEndian.AppendUint64(value, k.epoch)
	return append(value, k.head[:]...)
}

func (k *RecordKey) store(ctx context.Context) error {
	value := k.Encode()
	defer clear(value)
	if err := k.kc.Set(ctx, recordItem, value); err != nil {
		return fmt.Errorf("keeping the record key: %w", err)
	}
	return nil
}

// Derive makes 32 bytes from the record key for one purpose, which info names.
func (k *RecordKey) Derive(info string) []byte {
	key, err := hkdf.Key(sha256.New, k.private.Seed(), nil, info, 32)
	if err != nil {
		panic("keyring: 32 bytes are within what HKDF can give: " + err.Error())
	}
	return key
}

// Public returns the public half.
func (k *RecordKey) Public() ed25519.PublicKey { return k.private.Public().(ed25519.PublicKey) }

// Sign signs a message, which must begin with a text that says what it is, so
// that a signature for one purpose is none for another.
func (k *RecordKey) Sign(message []byte) []byte { return ed25519.Sign(k.private, message) }

// Head returns the hash of the last record and the number of records, as the
// keychain remembers them.
func (k *RecordKey) Head() (head [32]byte, counter uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.head, k.counter
}

// Epoch counts how often this profile was restored from a recovery file.
func (k *RecordKey) Epoch() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.epoch
}

// Advance makes the keychain remember a new last record. The counter never goes
// back.
func (k *RecordKey) Advance(ctx context.Context, head [32]byte, counter uint64) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if counter < k.counter {
		return fmt.Errorf("advancing the record counter: from %d back to %d", k.counter, counter)
	}
	return k.remember(ctx, head, counter)
}

func (k *RecordKey) remember(ctx context.Context, head [32]byte, counter uint64) error {
	before, number := k.head, k.counter
	k.head, k.counter = head, counter
	if err := k.store(ctx); err != nil {
		k.head, k.counter = before, number
		return err
	}
	return nil
}

// Restart makes the keychain remember the first record of a new chain, which
// takes the place of one that cannot be proved any more.
func (k *RecordKey) Restart(ctx context.Context, head [32]byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.remember(ctx, head, 1)
}

// Restore stores a key that came out of a recovery file. The counter stays at
// the higher of the file's and the keychain's, and a new epoch begins.
func (k *RecordKey) Restore(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	had, err := OpenRecordKey(ctx, k.kc, nil)
	if err != nil && !errors.Is(err, ErrMissing) && !errors.Is(err, ErrDamaged) {
		return err
	}
	if err == nil && had.private.Equal(k.private) {
		if had.counter > k.counter {
			k.counter, k.head = had.counter, had.head
		}
		k.epoch = max(k.epoch, had.epoch)
	}
	k.epoch++
	return k.store(ctx)
}

// Place is a keychain item for a few bytes that must not be in the database,
// such as the journal's head. It implements the Place of vault/journal.
type Place struct {
	kc   keychain.Store
	name string
}

// OpenPlace returns the place of that name, which is of lower-case letters.
func OpenPlace(kc keychain.Store, name string) *Place { return &Place{kc, placePrefix + name} }

// Places lists the names of the places where something was stored.
func Places(ctx context.Context, kc keychain.Store) ([]string, error) {
	items, err := kc.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the keychain: %w", err)
	}
	var names []string
	for _, item := range items {
		if name, ok := strings.CutPrefix(item, placePrefix); ok {
			names = append(names, name)
		}
	}
	return names, nil
}

// Load returns what was last stored, or nil if nothing ever was.
func (p *Place) Load(ctx context.Context) ([]byte, error) {
	value, err := p.kc.Get(ctx, p.name)
	if errors.Is(err, keychain.ErrNotFound) {
		return nil, nil
	}
	return value, err
}

// Store replaces what is there.
func (p *Place) Store(ctx context.Context, value []byte) error { return p.kc.Set(ctx, p.name, value) }
