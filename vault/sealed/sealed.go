// Package sealed is the one encrypted database of a profile: everything but
// the private keys lies in it.
//
// It is SQLite under the Adiantum encrypting VFS of go-sqlite3: every 4 KiB
// block of the database, its write-ahead log and any journal is enciphered as
// one wide block under a key that is an argument of [Open]; temporary tables
// stay in memory. What it promises:
//
//   - Whoever has the files and not the key reads nothing, but sees how large
//     the database is, and from two copies which blocks changed between them.
//   - A page that was altered, by decay or by hand, is noticed when it is read:
//     each page carries a checksum inside the wide block, so that a change to
//     any bit garbles the checksum too ([ErrCorrupt]).
//   - An old copy of the whole file, or of a block, is still valid here. Rooms
//     that must notice that keep a signed head outside (vault/book,
//     vault/journal).
//   - What was committed when [DB.Update] returned survives a kill and, as far
//     as the disk keeps its word, a power cut (WAL, synchronous=FULL).
//
// There is one writer at a time and any number of readers, who do not wait for
// it. A callback must be short and must not wait for the network; it must not
// call Update again, which would wait for itself.
//
// Rooms own their tables: each brings its schema to [DB.Migrate] under its own
// name. Anything large is a blob: rows of at most 64 KiB, written about 1 MB a
// transaction, which count only once [Keep] commits.
package sealed

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"
	"github.com/ncruces/go-sqlite3/vfs"
)

var (
	// ErrKey says that the file does not open with this key. A damaged first
	// page looks the same: without the key nobody can tell them apart.
	ErrKey = errors.New("sealed: the key does not fit, or the beginning of the database is damaged")
	// ErrCorrupt says that a page was altered or is missing.
	ErrCorrupt = errors.New("sealed: the database is damaged")
	// ErrFull says that the disk is full; nothing was changed.
	ErrFull = errors.New("sealed: the disk is full")
	// ErrNewer says that a later version of the program wrote this database.
	ErrNewer = errors.New("sealed: the database was written by a newer version")
)

// readers bounds the connections that read; each costs a few megabytes at most.
const readers = 4

// Key is the key of a database. It prints as [secret].
type Key [32]byte

func (Key) String() string               { return "[secret]" }
func (Key) GoString() string             { return "[secret]" }
func (Key) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte("[secret]")) }
func (Key) MarshalJSON() ([]byte, error) { return []byte(`"[secret]"`), nil }
func (Key) LogValue() slog.Value         { return slog.StringValue("[secret]") }

// DB is an open database. Its methods may be called from several goroutines.
type DB struct {
	path    string
	write   *sql.DB // one connection: who has it is the writer
	read    *sql.DB
	dropped atomic.Bool   // something was dropped and not yet swept
	writes  atomic.Uint64 // how many there were, in vain or not: see Memo
}

// Open opens the database file at path, making it if there is none, and sweeps
// away what an earlier run left unfinished. The folder must exist; the files
// are readable by their owner only. One process may have it open at a time.
func Open(path string, key Key) (*DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("opening the sealed database: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the sealed database: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("opening the sealed database: %w", err)
	}

	registerVFS()
	db := &DB{path: path}
	if db.write, err = pool(path, key, 1, writer); err != nil {
		return nil, err
	}
	if db.read, err = pool(path, key, readers, reader); err != nil {
		return nil, errors.Join(err, db.write.Close())
	}
	ctx := context.Background()
	err = plain(db.write.PingContext(ctx))
	if err == nil {
		err = db.Migrate("sealed", blobTables)
	}
	if err == nil {
		err = db.sweep(ctx, unfinished)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the sealed database: %w", err), db.Close())
	}
	return db, nil
}

// writer sets the one connection that writes, and shapes a new file: what
// shapes it has to come before the log.
func writer(c *sqlite3.Conn) error {
	if err := c.Exec(`PRAGMA foreign_keys=on; PRAGMA auto_vacuum=incremental`); err != nil {
		return err
	}
	if err := c.EnableChecksums("main"); err != nil { // nothing to do after the first time
		return err
	}
	return c.Exec(`PRAGMA journal_mode=wal; PRAGMA synchronous=full; PRAGMA journal_size_limit=16777216`)
}

func reader(c *sqlite3.Conn) error { return c.Exec(`PRAGMA query_only=on`) }

// look reads the header of the file, because seeing it is what tells the VFS to
// check checksums: SQLite itself does not look there while the log holds a
// newer first page.
func look(c *sqlite3.Conn) error {
	file, err := c.FileControl("main", sqlite3.FCNTL_FILE_POINTER)
	if err != nil {
		return err
	}
	if _, err := file.(vfs.File).ReadAt(make([]byte, 100), 0); err != nil && err != io.EOF {
		return err
	}
	return nil
}

// pool makes connections that are keyed and set before anyone uses them. The
// key goes in by PRAGMA and not in the name, which errors and traces repeat.
func pool(path string, key Key, size int, set func(*sqlite3.Conn) error) (*sql.DB, error) {
	name := (&url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: url.Values{
		"vfs":     {vfsName},
		"modeof":  {path}, // the log gets the permissions of the database
		"_txlock": {"immediate"},
	}.Encode()}).String()
	db, err := driver.Open(name, func(c *sqlite3.Conn) error {
		if err := c.Exec("PRAGMA hexkey='" + hex.EncodeToString(key[:]) + "'"); err != nil {
			return ErrKey // and not err, which would carry the statement
		}
		err := c.Exec(`PRAGMA busy_timeout=10000; PRAGMA temp_store=memory; PRAGMA trusted_schema=off`)
		if err == nil {
			err = look(c)
		}
		if err == nil {
			err = set(c)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("opening the sealed database: %w", err)
	}
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db, nil
}

// Close ends all use of the database and folds the log into it.
func (db *DB) Close() error {
	return errors.Join(db.read.Close(), db.write.Close())
}

// View calls f with a transaction that sees one unchanging state of the
// database and can change nothing.
func (db *DB) View(ctx context.Context, f func(*sql.Tx) error) error {
	return within(ctx, db.read, &sql.TxOptions{ReadOnly: true}, f)
}

// Update calls f with a transaction that may change the database, and commits
// it if f returns nil: when Update returns nil, the change is on the disk. If f
// fails or panics, nothing was changed.
func (db *DB) Update(ctx context.Context, f func(*sql.Tx) error) error {
	err := within(ctx, db.write, nil, f)
	db.writes.Add(1)
	if err != nil {
		return err
	}
	if db.dropped.Swap(false) {
		// The commit stands whatever becomes of the sweeping; what is left
		// over goes next time.
		if err := db.sweep(ctx, dropped); err != nil {
			db.dropped.Store(true)
		}
	}
	return nil
}

func within(ctx context.Context, pool *sql.DB, how *sql.TxOptions, f func(*sql.Tx) error) error {
	tx, err := pool.BeginTx(ctx, how)
	if err != nil {
		return plain(err)
	}
	defer func() { _ = tx.Rollback() }() // after a commit this does nothing
	if err := f(tx); err != nil {
		return plain(err)
	}
	return plain(tx.Commit())
}

// Check reads the whole database and returns ErrCorrupt if a page is altered,
// missing or out of place. It takes about a second for 300 MB.
func (db *DB) Check(ctx context.Context) error {
	return db.View(ctx, func(tx *sql.Tx) error {
		var says string
		if err := tx.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&says); err != nil {
			return err
		}
		if says != "ok" {
			return ErrCorrupt // the text could name rows
		}
		return nil
	})
}

// plain puts our word for what happened before SQLite's.
func plain(err error) error {
	for _, known := range []struct {
		code error
		ours error
	}{
		{sqlite3.NOTADB, ErrKey},
		{sqlite3.CORRUPT, ErrCorrupt},
		{sqlite3.IOERR_DATA, ErrCorrupt},
		{sqlite3.IOERR_SHORT_READ, ErrCorrupt},
		{sqlite3.FULL, ErrFull},
	} {
		if errors.Is(err, known.code) && !errors.Is(err, known.ours) {
			return fmt.Errorf("%w (%w)", known.ours, err)
		}
	}
	return err
}
