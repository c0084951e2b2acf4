package sealed

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
)

// A blob is a row in blobs and chunks numbered id<<chunkBits, +1, +2 ... so
// that a chunk is found, and a blob deleted, by the primary key alone.
const blobTables = `
	CREATE TABLE blobs (
		id     INTEGER PRIMARY KEY AUTOINCREMENT,
		state  INTEGER NOT NULL,
		size   INTEGER NOT NULL,
		sha256 BLOB NOT NULL
	) STRICT;
	CREATE INDEX blobs_to_sweep ON blobs (state) WHERE state <> 2;
	CREATE TABLE chunks (
		id   INTEGER PRIMARY KEY,
		data BLOB NOT NULL
	) STRICT`

// The states of a blob, in the order in which it passes through them.
const (
	writing = iota // not all there yet
	whole          // all there; goes at the next Open unless kept
	kept
	gone // dropped; its chunks go with the next sweep
)

const (
	chunkSize = 64 << 10
	chunkBits = 20
	// MaxBlob is the size that a blob may have, 64 GiB.
	MaxBlob = chunkSize << chunkBits
	batch   = 16 // chunks a transaction: about 1 MB
)

// What a sweep takes away: at Open everything that nobody can finish any more,
// later only what was dropped.
const (
	unfinished = "state IN (0, 1, 3)"
	dropped    = "state = 3"
)

// ErrNoBlob says that there is no such blob: never written whole, or dropped.
var ErrNoBlob = errors.New("sealed: no such blob")

// Blob names bytes that were written whole.
type Blob struct {
	ID     int64
	Size   int64 // octets
	SHA256 [32]byte
}

// WriteBlob stores what r gives, reading it between transactions of about 1 MB
// so that a slow r keeps nobody waiting. The blob can be read at once, but
// lasts only if a later transaction calls [Keep]: otherwise it is gone after
// the next Open.
func (db *DB) WriteBlob(ctx context.Context, r io.Reader) (Blob, error) {
	var (
		b    Blob
		sum  = sha256.New()
		data = make([]byte, batch*chunkSize)
		ends bool
	)
	for first := true; first || !ends; first = false {
		n, err := io.ReadFull(r, data)
		ends = err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !ends {
			return Blob{}, db.abandon(b, fmt.Errorf("reading what is to be stored: %w", err))
		}
		if b.Size+int64(n) > MaxBlob {
			return Blob{}, db.abandon(b, fmt.Errorf("storing: larger than %d bytes", int64(MaxBlob)))
		}
		sum.Write(data[:n])
		if ends {
			sum.Sum(b.SHA256[:0])
		}
		err = db.Update(ctx, func(tx *sql.Tx) error { return b.add(tx, data[:n], ends) })
		if err != nil {
			return Blob{}, db.abandon(b, fmt.Errorf("storing: %w", err))
		}
		b.Size += int64(n)
	}
	return b, nil
}

// add appends data to the blob and, if it ends, makes it whole.
func (b *Blob) add(tx *sql.Tx, data []byte, ends bool) error {
	id := b.ID
	if id == 0 {
		res, err := tx.Exec(`INSERT INTO blobs (state, size, sha256) VALUES (?, 0, x'')`, writing)
		if err != nil {
			return err
		}
		if id, err = res.LastInsertId(); err != nil {
			return err
		}
	}
	s, err := tx.Prepare(`INSERT INTO chunks (id, data) VALUES (?, ?)`)
	if err != nil {
		return err
	}
	defer s.Close()
	next := id<<chunkBits + b.Size/chunkSize
	for rest := data; len(rest) > 0; next++ {
		n := min(len(rest), chunkSize)
		if _, err := s.Exec(next, rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	if ends {
		_, err = tx.Exec(`UPDATE blobs SET state = ?, size = ?, sha256 = ? WHERE id = ?`,
			whole, b.Size+int64(len(data)), b.SHA256[:], id)
	}
	b.ID = id
	return err
}

// abandon drops what was written of a blob and returns why.
func (db *DB) abandon(b Blob, why error) error {
	if b.ID == 0 {
		return why
	}
	// Not the caller's context, whose end may be the reason.
	_ = db.Update(context.Background(), func(tx *sql.Tx) error { return db.Drop(tx, b.ID) })
	return why
}

// Keep makes a whole blob last, as part of the transaction that refers to it.
func (db *DB) Keep(tx *sql.Tx, id int64) error {
	res, err := tx.Exec(`UPDATE blobs SET state = ? WHERE id = ? AND state IN (?, ?)`, kept, id, whole, kept)
	if err != nil {
		return fmt.Errorf("keeping a blob: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return errors.Join(fmt.Errorf("keeping a blob: %w", ErrNoBlob), err)
	}
	return nil
}

// Drop gives a blob up, as part of the transaction that no longer refers to
// it. Its rows go soon after the commit, a little at a time. Dropping what is
// not there is no error.
func (db *DB) Drop(tx *sql.Tx, id int64) error {
	if _, err := tx.Exec(`UPDATE blobs SET state = ? WHERE id = ?`, gone, id); err != nil {
		return fmt.Errorf("dropping a blob: %w", err)
	}
	db.dropped.Store(true)
	return nil
}

// Source returns the blob as something that opens as often as wanted and gives
// the same bytes each time. What Open returns is an [io.Seeker] too. Each read
// is a short transaction of its own: a reader that dawdles holds up nobody. A blob of one
// chunk is read once, and kept in memory for as long as the source is.
func (db *DB) Source(id int64) Source { return Source{db, id, new(atomic.Pointer[blobReader])} }

// Source is one blob, to be read.
type Source struct {
	db   *DB
	id   int64
	held *atomic.Pointer[blobReader] // at the start of a blob of one chunk, which it holds
}

// Open begins reading at the start.
func (s Source) Open() (io.ReadCloser, error) {
	if r := s.held.Load(); r != nil {
		again := *r
		return &again, nil
	}
	r, err := s.db.begin(s.id)
	if err != nil {
		return nil, fmt.Errorf("opening a blob: %w", err)
	}
	if r.held == 0 {
		first := *r
		s.held.Store(&first)
	}
	return r, nil
}

// begin reads a blob of one chunk, and of a longer one nothing yet: much of that is opened for a
// part of it. A chunk that is not as it should be is missed where it is read.
func (db *DB) begin(id int64) (*blobReader, error) {
	r := &blobReader{db: db, blob: Blob{ID: id}, held: -1}
	err := db.View(context.Background(), func(tx *sql.Tx) error {
		err := tx.QueryRow(`SELECT size, CASE WHEN size <= ? THEN (SELECT data FROM chunks WHERE id = ?) END FROM blobs WHERE id = ? AND state IN (?, ?)`,
			chunkSize, id<<chunkBits, id, whole, kept).Scan(&r.blob.Size, &r.data)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNoBlob
		}
		return err
	})
	if err == nil && r.blob.Size <= chunkSize && int64(len(r.data)) == r.blob.Size {
		r.held = 0
	}
	return r, err
}

// blobReader holds one chunk at a time.
type blobReader struct {
	db   *DB
	blob Blob
	off  int64
	held int64 // the number of the chunk in data, or -1
	data []byte
}

func (r *blobReader) Read(p []byte) (int, error) {
	if r.db == nil {
		return 0, errors.New("reading a blob: closed")
	}
	if r.off >= r.blob.Size {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if err := r.fetch(r.off / chunkSize); err != nil {
		return 0, fmt.Errorf("reading a blob: %w", err)
	}
	n := copy(p, r.data[r.off%chunkSize:])
	r.off += int64(n)
	return n, nil
}

func (r *blobReader) fetch(n int64) error {
	if r.held == n {
		return nil
	}
	r.held = -1
	err := r.db.View(context.Background(), func(tx *sql.Tx) error {
		var data sql.RawBytes
		rows, err := tx.Query(`SELECT data FROM chunks WHERE id = ?`, r.blob.ID<<chunkBits+n)
		if err != nil {
			return err
		}
		defer rows.Close()
		if !rows.Next() {
			return errors.Join(ErrNoBlob, rows.Err())
		}
		if err := rows.Scan(&data); err != nil {
			return err
		}
		r.data = append(r.data[:0], data...)
		return rows.Close()
	})
	if err != nil {
		return err
	}
	if int64(len(r.data)) != min(chunkSize, r.blob.Size-n*chunkSize) {
		return ErrCorrupt
	}
	r.held = n
	return nil
}

// Seek implements [io.Seeker].
func (r *blobReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.off
	case io.SeekEnd:
		offset += r.blob.Size
	}
	if offset < 0 {
		return r.off, errors.New("reading a blob: sought before its start")
	}
	r.off = offset
	return offset, nil
}

func (r *blobReader) Close() error {
	r.db, r.data = nil, nil
	return nil
}

// sweep deletes the blobs that which names, in transactions of about 1 MB, and
// gives space back to the disk once a quarter of the file is free.
func (db *DB) sweep(ctx context.Context, which string) error {
	for more := true; more; {
		err := within(ctx, db.write, nil, func(tx *sql.Tx) error {
			var id int64
			err := tx.QueryRow(`SELECT id FROM blobs WHERE ` + which + ` LIMIT 1`).Scan(&id)
			if errors.Is(err, sql.ErrNoRows) {
				more = false
				return nil
			}
			if err != nil {
				return err
			}
			res, err := tx.Exec(`DELETE FROM chunks WHERE id IN
				(SELECT id FROM chunks WHERE id >= ? AND id < ? LIMIT ?)`,
				id<<chunkBits, (id+1)<<chunkBits, batch)
			if err != nil {
				return err
			}
			if n, err := res.RowsAffected(); err != nil || n == batch {
				return err
			}
			_, err = tx.Exec(`DELETE FROM blobs WHERE id = ?`, id)
			return err
		})
		if err != nil {
			return fmt.Errorf("sweeping: %w", err)
		}
	}
	return db.shrink(ctx)
}

// shrink returns free pages to the disk, 1 MB a transaction.
func (db *DB) shrink(ctx context.Context) error {
	for {
		var pages, free int64
		err := within(ctx, db.write, nil, func(tx *sql.Tx) error {
			if err := tx.QueryRow("PRAGMA page_count").Scan(&pages); err != nil {
				return err
			}
			if err := tx.QueryRow("PRAGMA freelist_count").Scan(&free); err != nil {
				return err
			}
			if free < 1024 || free < pages/4 {
				free = 0
				return nil
			}
			_, err := tx.Exec("PRAGMA incremental_vacuum(256)")
			return err
		})
		if err != nil || free == 0 {
			return err
		}
	}
}
