// Package journal is the record of what was done, in a chain of hashes.
package journal

import (
	"context"
	"time"

	"countersign/vault/sealed"
)

// Place keeps a few bytes outside the database: an item of the keychain.
type Place interface {
	// Load returns nil if nothing was ever stored.
	Load(context.Context) ([]byte, error)
	Store(context.Context, []byte) error
}

// Entry is one line of the journal.
type Entry struct {
	Seq    int64
	Time   time.Time
	Kind   string
	Person string
	Says   string
}

// Proof is the result of [Journal.Verify].
type Proof struct {
	OK      bool
	Entries int64
	Proved  time.Time
	Says    string
}

// Journal is an open journal.
type Journal struct{}

// Open opens the journal in the database.
func Open(ctx context.Context, db *sealed.DB, head Place, clock func() time.Time) (*Journal, error) {
	return &Journal{}, nil
}

// Append adds one entry.
func (j *Journal) Append(ctx context.Context, kind, person, says string) error { return nil }

// List returns at most limit entries before the given one, newest first.
func (j *Journal) List(ctx context.Context, before int64, limit int) ([]Entry, error) {
	return nil, nil
}

// Hold puts the newest head outside now.
func (j *Journal) Hold(ctx context.Context) error { return nil }

// Verify checks the chain.
func (j *Journal) Verify(ctx context.Context) (Proof, error) { return Proof{}, nil }
