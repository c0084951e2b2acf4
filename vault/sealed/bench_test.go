package sealed

import (
	"crypto/rand"
	"database/sql"
	"io"
	"path/filepath"
	"testing"
)

// BenchmarkBlob stores, reads and drops a message of 25 MB.
func BenchmarkBlob(b *testing.B) {
	const size = 25 << 20
	db, err := Open(filepath.Join(b.TempDir(), "test.db"), testKey)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	b.SetBytes(size)
	for b.Loop() {
		blob, err := db.WriteBlob(b.Context(), io.LimitReader(rand.Reader, size))
		if err != nil {
			b.Fatal(err)
		}
		r, err := db.Source(blob.ID).Open()
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, r); n != size || err != nil {
			b.Fatal(n, err)
		}
		if err := db.Update(b.Context(), func(tx *sql.Tx) error { return db.Drop(tx, blob.ID) }); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLookUp reads one small row in a transaction of its own.
func BenchmarkLookUp(b *testing.B) {
	db, err := Open(filepath.Join(b.TempDir(), "test.db"), testKey)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate("test", `CREATE TABLE t (n INTEGER PRIMARY KEY); INSERT INTO t VALUES (7)`); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		var n int
		if err := db.View(b.Context(), func(tx *sql.Tx) error { return tx.QueryRow(`SELECT n FROM t WHERE n = 7`).Scan(&n) }); err != nil {
			b.Fatal(err)
		}
	}
}
