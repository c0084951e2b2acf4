package sealed

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

var testKey = Key{1, 2, 3, 'k', 'e', 'y'}

func open(t *testing.T, path string) *DB {
	t.Helper()
	db, err := Open(path, testKey)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func newDB(t *testing.T) *DB { return open(t, filepath.Join(t.TempDir(), "test.db")) }

func run(t *testing.T, db *DB, query string, args ...any) {
	t.Helper()
	err := db.Update(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec(query, args...)
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func number(t *testing.T, db *DB, query string, args ...any) (n int64) {
	t.Helper()
	err := db.View(t.Context(), func(tx *sql.Tx) error { return tx.QueryRow(query, args...).Scan(&n) })
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

func TestSettings(t *testing.T) {
	db := newDB(t)
	both := map[string]string{
		"journal_mode": "wal", "temp_store": "2", "auto_vacuum": "2", "busy_timeout": "10000",
		"trusted_schema": "0", "checksum_verification": "1",
	}
	check := func(pool *sql.DB, settings map[string]string) {
		t.Helper()
		for name, want := range settings {
			var got string
			if err := pool.QueryRow("PRAGMA " + name).Scan(&got); err != nil || got != want {
				t.Errorf("%s = %q (%v), want %q", name, got, err, want)
			}
		}
	}
	check(db.write, both)
	check(db.write, map[string]string{"synchronous": "2", "foreign_keys": "1"})
	check(db.read, both)
	check(db.read, map[string]string{"query_only": "1"})
}

func TestUpdateIsAllOrNothing(t *testing.T) {
	db := newDB(t)
	run(t, db, `CREATE TABLE t (n INTEGER)`)
	oops := errors.New("oops")
	err := db.Update(t.Context(), func(tx *sql.Tx) error {
		if _, err := tx.Exec(`INSERT INTO t VALUES (1)`); err != nil {
			return err
		}
		return oops
	})
	if !errors.Is(err, oops) {
		t.Errorf("got %v, want the callback's own error", err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = db.Update(t.Context(), func(tx *sql.Tx) error {
			_, _ = tx.Exec(`INSERT INTO t VALUES (2)`)
			panic("in the middle")
		})
	}()
	if n := number(t, db, `SELECT count(*) FROM t`); n != 0 {
		t.Errorf("%d rows of failed transactions remain", n)
	}
	run(t, db, `INSERT INTO t VALUES (3)`) // the writer's place is free again
}

func TestViewCannotWrite(t *testing.T) {
	db := newDB(t)
	run(t, db, `CREATE TABLE t (n INTEGER)`)
	err := db.View(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT INTO t VALUES (1)`)
		return err
	})
	if err == nil {
		t.Error("a view wrote")
	}
}

func TestReadersDoNotWaitForTheWriter(t *testing.T) {
	db := newDB(t)
	run(t, db, `CREATE TABLE t (n INTEGER)`)
	err := db.Update(t.Context(), func(tx *sql.Tx) error {
		if _, err := tx.Exec(`INSERT INTO t VALUES (1)`); err != nil {
			return err
		}
		if n := number(t, db, `SELECT count(*) FROM t`); n != 0 {
			t.Errorf("a reader saw %d rows that are not committed", n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestMigrate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db := open(t, path)
	first, second := `CREATE TABLE a (n INTEGER)`, `ALTER TABLE a ADD COLUMN m INTEGER`
	for _, steps := range [][]string{{first}, {first}, {first, second}, {first, second}} {
		if err := db.Migrate("room", steps...); err != nil {
			t.Fatal(err)
		}
	}
	run(t, db, `INSERT INTO a VALUES (1, 2)`)
	if err := db.Migrate("other", `CREATE TABLE b (n INTEGER)`); err != nil {
		t.Errorf("a second room: %v", err)
	}
	if err := db.Migrate("room", first); !errors.Is(err, ErrNewer) {
		t.Errorf("fewer steps than ran: got %v, want ErrNewer", err)
	}
	if err := db.Migrate("room", first, second, `CREATE TABLE c (n INTEGER)`, `nonsense`); err == nil {
		t.Error("a step of nonsense was accepted")
	}
	if n := number(t, db, `SELECT count(*) FROM sqlite_schema WHERE name = 'c'`); n != 0 {
		t.Error("a failed migration left half of itself")
	}
}

func TestWrongKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db := open(t, path)
	run(t, db, `CREATE TABLE t (n INTEGER)`)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []Key{{}, {1, 2, 3, 'k', 'e', 'x'}} {
		if _, err := Open(path, key); !errors.Is(err, ErrKey) {
			t.Errorf("got %v, want ErrKey", err)
		} else if strings.Contains(fmt.Sprintf("%+v", err), "hexkey") {
			t.Errorf("the error repeats the key: %v", err)
		}
	}
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the wrong key changed the file (%v)", err)
	}
	open(t, path)
}

// TestDamage alters one byte of each block in turn. Either it is noticed, with
// the right word for it, or it made no difference because the block was free.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "test.db")
	db := open(t, path)
	run(t, db, `CREATE TABLE t (n INTEGER PRIMARY KEY, s TEXT)`)
	for n := range 300 {
		run(t, db, `INSERT INTO t VALUES (?, ?)`, n, strings.Repeat("word ", 40))
	}
	b, err := db.WriteBlob(t.Context(), strings.NewReader(strings.Repeat("blob ", 20000)))
	if err != nil {
		t.Fatal(err)
	}
	run(t, db, `UPDATE blobs SET state = ? WHERE id = ?`, kept, b.ID)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	look := func(file []byte) error {
		bad := filepath.Join(dir, "bad.db")
		if err := os.WriteFile(bad, file, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := Open(bad, testKey)
		if err != nil {
			return err
		}
		defer db.Close()
		if err := db.Check(context.Background()); err != nil {
			return err
		}
		r, err := db.Source(b.ID).Open()
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, r)
		return err
	}
	if err := look(good); err != nil {
		t.Fatalf("undamaged: %v", err)
	}
	for at := 0; at < len(good); at += 4096 {
		bad := bytes.Clone(good)
		bad[at+1234] ^= 1
		want := ErrCorrupt
		if at == 0 {
			want = ErrKey
		}
		if err := look(bad); !errors.Is(err, want) {
			t.Errorf("block %d altered: got %v, want %v", at/4096, err, want)
		}
	}
	if err := look(good[:len(good)-4096]); !errors.Is(err, ErrCorrupt) {
		t.Errorf("cut short: got %v, want ErrCorrupt", err)
	}
	if err := look(append(bytes.Clone(good[:8192]), good[4096:len(good)-4096]...)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("blocks moved: got %v, want ErrCorrupt", err)
	}
}

// TestNothingInClear writes marked text in every way there is and then looks
// for it in every file there is, with the database open, closed and copied.
func TestNothingInClear(t *testing.T) {
	dir, temp := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", temp)
	t.Setenv("SQLITE_TMPDIR", temp)
	mark := "Diagnosis-" + rand.Text()
	db := open(t, filepath.Join(dir, "test.db"))
	run(t, db, `CREATE TABLE t (n INTEGER PRIMARY KEY, s TEXT)`)
	run(t, db, `CREATE INDEX i ON t (s)`)
	err := db.Update(t.Context(), func(tx *sql.Tx) error {
		for n := range 20000 { // large enough that a sort would spill
			if _, err := tx.Exec(`INSERT INTO t VALUES (?, ?)`, n, fmt.Sprint(mark, n)); err != nil {
				return err
			}
		}
		_, err := tx.Exec(`CREATE TEMP TABLE u AS SELECT s || s AS s FROM t ORDER BY s DESC`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.WriteBlob(t.Context(), strings.NewReader(strings.Repeat(mark, 100000))); err != nil {
		t.Fatal(err)
	}
	look := func(when string) {
		t.Helper()
		files := 0
		for _, root := range []string{dir, temp} {
			err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				files++
				data, err := os.ReadFile(path)
				for _, plain := range []string{mark, "SQLite format", "CREATE TABLE", "6b6579"} {
					if bytes.Contains(data, []byte(plain)) {
						t.Errorf("%s: %s contains %q", when, filepath.Base(path), plain)
					}
				}
				if runtime.GOOS == "windows" {
					return err // modes tell nothing there: the folder's access list is what keeps others out
				}
				if info, _ := d.Info(); err == nil && info.Mode().Perm()&0o077 != 0 && !strings.HasSuffix(path, "-shm") {
					t.Errorf("%s: %s can be read by others: %v", when, filepath.Base(path), info.Mode())
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if files == 0 {
			t.Fatalf("%s: no files to look into", when)
		}
	}
	look("open")
	if _, err := os.Stat(filepath.Join(dir, "test.db-wal")); err != nil {
		t.Errorf("there is no log to look into: %v", err)
	}
	if err := db.Backup(t.Context(), filepath.Join(dir, "copy")); err != nil {
		t.Fatal(err)
	}
	look("backed up")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	look("closed")
}

func TestBackup(t *testing.T) {
	db := newDB(t)
	run(t, db, `CREATE TABLE t (n INTEGER)`)
	run(t, db, `INSERT INTO t VALUES (7)`)
	path := filepath.Join(t.TempDir(), "backup.db")
	for range 2 { // the second replaces the first
		if err := db.Backup(t.Context(), path); err != nil {
			t.Fatal(err)
		}
	}
	run(t, db, `INSERT INTO t VALUES (8)`)
	if n := number(t, open(t, path), `SELECT sum(n) FROM t`); n != 7 {
		t.Errorf("the copy holds %d, want what was there at the time, 7", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Backup(ctx, path); err == nil {
		t.Error("a backup went on after its end")
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".backup-*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestBlob(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db := open(t, path)
	for _, size := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, batch * chunkSize, batch*chunkSize + 1, 3_000_000} {
		want := make([]byte, size)
		_, _ = rand.Read(want)
		b, err := db.WriteBlob(t.Context(), iotest.HalfReader(bytes.NewReader(want)))
		if err != nil || b.Size != int64(size) {
			t.Fatalf("size %d: wrote %d: %v", size, b.Size, err)
		}
		if err := db.Update(t.Context(), func(tx *sql.Tx) error { return db.Keep(tx, b.ID) }); err != nil {
			t.Fatal(err)
		}
		src := db.Source(b.ID)
		for range 2 {
			r, err := src.Open()
			if err != nil {
				t.Fatal(err)
			}
			if err := iotest.TestReader(r, want); err != nil && size < 100_000 {
				t.Errorf("size %d: %v", size, err)
			}
			if _, err := r.(io.Seeker).Seek(0, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
				t.Errorf("size %d: read %d octets: %v", size, len(got), err)
			}
			r.Close()
		}
		if n := number(t, db, `SELECT coalesce(max(length(data)), 0) FROM chunks`); n > chunkSize {
			t.Errorf("size %d: a chunk of %d octets", size, n)
		}
	}
}

func TestBlobLasts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db := open(t, path)
	write := func() int64 {
		t.Helper()
		b, err := db.WriteBlob(t.Context(), strings.NewReader(strings.Repeat("x", 3_000_000)))
		if err != nil {
			t.Fatal(err)
		}
		return b.ID
	}
	keepIt, leave, drop := write(), write(), write()
	for _, id := range []int64{keepIt, drop, keepIt} { // keeping twice is keeping
		if err := db.Update(t.Context(), func(tx *sql.Tx) error { return db.Keep(tx, id) }); err != nil {
			t.Fatal(err)
		}
	}
	oops := errors.New("oops")
	if err := db.Update(t.Context(), func(tx *sql.Tx) error {
		return errors.Join(db.Drop(tx, keepIt), oops)
	}); !errors.Is(err, oops) {
		t.Fatal(err)
	}
	if err := db.Update(t.Context(), func(tx *sql.Tx) error { return db.Drop(tx, drop) }); err != nil {
		t.Fatal(err)
	}
	if n := number(t, db, `SELECT count(*) FROM chunks WHERE id >= ?`, drop<<chunkBits); n != 0 {
		t.Errorf("%d chunks of a dropped blob remain", n)
	}
	if _, err := db.Source(drop).Open(); !errors.Is(err, ErrNoBlob) {
		t.Errorf("a dropped blob: got %v, want ErrNoBlob", err)
	}
	if _, err := db.Source(leave).Open(); err != nil {
		t.Errorf("a blob that is whole and not yet kept: %v", err)
	}
	if err := db.Update(t.Context(), func(tx *sql.Tx) error { return db.Keep(tx, drop) }); !errors.Is(err, ErrNoBlob) {
		t.Errorf("keeping what was dropped: got %v, want ErrNoBlob", err)
	}

	// One that breaks off leaves nothing even now.
	half := io.MultiReader(strings.NewReader(strings.Repeat("x", 2_000_000)), iotest.ErrReader(oops))
	if _, err := db.WriteBlob(t.Context(), half); !errors.Is(err, oops) {
		t.Errorf("got %v, want the reader's own error", err)
	}
	if n := number(t, db, `SELECT count(*) FROM blobs`); n != 2 {
		t.Errorf("%d blobs, want the kept and the left one", n)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	db = open(t, path)
	if _, err := db.Source(leave).Open(); !errors.Is(err, ErrNoBlob) {
		t.Errorf("an orphan after the next start: got %v, want ErrNoBlob", err)
	}
	if _, err := db.Source(keepIt).Open(); err != nil {
		t.Errorf("the kept blob: %v", err)
	}
	if n := number(t, db, `SELECT count(*) FROM chunks`); n != 46 {
		t.Errorf("%d chunks remain, want the 46 of the kept blob", n)
	}
}

func TestSpaceIsGivenBack(t *testing.T) {
	db := newDB(t)
	b, err := db.WriteBlob(t.Context(), strings.NewReader(strings.Repeat("x", 12<<20)))
	if err != nil {
		t.Fatal(err)
	}
	big := number(t, db, "PRAGMA page_count")
	if err := db.Update(t.Context(), func(tx *sql.Tx) error { return db.Drop(tx, b.ID) }); err != nil {
		t.Fatal(err)
	}
	if small := number(t, db, "PRAGMA page_count"); small > big/2 {
		t.Errorf("%d pages of %d remain", small, big)
	}
}

func TestSecretPrintsAsSecret(t *testing.T) {
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("opened", "key", testKey)
	data, err := json.Marshal(struct{ K Key }{testKey})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{fmt.Sprint(testKey), fmt.Sprintf("%v %+v %#v %x %d %s", testKey, testKey, testKey, testKey, testKey, &testKey),
		string(data), log.String()} {
		if !strings.Contains(s, "[secret]") || strings.Contains(s, "107") || strings.Contains(s, "6b") {
			t.Errorf("the key prints as %s", s)
		}
	}
}
