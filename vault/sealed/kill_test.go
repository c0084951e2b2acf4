package sealed

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// writeForEver is the child of TestKill: it writes until it is killed, and says
// a number only when the row of that number is committed.
const writeForEver = "COUNTERSIGN_TEST_WRITE"

func TestMain(m *testing.M) {
	if path := os.Getenv(writeForEver); path != "" {
		fmt.Fprintln(os.Stderr, write(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// content is what the blob of row n holds: a function of n, up to 300 KB.
func content(n int64) []byte {
	r := rand.NewChaCha8(sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n))))
	data := make([]byte, 1+r.Uint64()%300_000)
	_, _ = r.Read(data)
	return data
}

func write(path string) error {
	ctx := context.Background()
	db, err := Open(path, testKey)
	if err != nil {
		return err
	}
	err = db.Migrate("test", `CREATE TABLE kept (n INTEGER PRIMARY KEY, blob INTEGER NOT NULL) STRICT`)
	if err != nil {
		return err
	}
	var n int64
	err = db.View(ctx, func(tx *sql.Tx) error { return tx.QueryRow(`SELECT coalesce(max(n), 0) FROM kept`).Scan(&n) })
	if err != nil {
		return err
	}
	for {
		n++
		b, err := db.WriteBlob(ctx, bytes.NewReader(content(n)))
		if err != nil {
			return err
		}
		err = db.Update(ctx, func(tx *sql.Tx) error {
			if n%5 == 0 { // and things go, too
				if err := db.Drop(tx, b.ID); err != nil {
					return err
				}
				b.ID = 0
			} else if err := db.Keep(tx, b.ID); err != nil {
				return err
			}
			_, err := tx.Exec(`INSERT INTO kept VALUES (?, ?)`, n, b.ID)
			return err
		})
		if err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// TestKill kills a process that writes, at random moments, and looks that
// nothing it had committed is lost, half there, or in the way.
func TestKill(t *testing.T) {
	rounds := 12
	if os.Getenv("COUNTERSIGN_SOAK") == "1" {
		rounds = 500
	}
	path := filepath.Join(t.TempDir(), "test.db")
	said := int64(0)
	for range rounds {
		said = killOnce(t, path, said)
		checkAfterKill(t, path, said)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d rows committed", said)
}

// killOnce runs the child until it has committed a few more rows, kills it
// somewhere within the next one, and returns the last number it said.
func killOnce(t *testing.T, path string, said int64) int64 {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), writeForEver+"="+path)
	var problem bytes.Buffer
	child.Stderr = &problem
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for more := rand.N(4); more >= 0 && lines.Scan(); more-- {
		if said, err = strconv.ParseInt(lines.Text(), 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	var sum [32]byte
	for range rand.N(100_000) { // some part of the time that the next row takes
		sum = sha256.Sum256(sum[:])
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // what it had said before the kill reached it
		if said, err = strconv.ParseInt(lines.Text(), 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	_ = child.Wait()
	if problem.Len() > 0 {
		t.Fatalf("the child: %s", &problem)
	}
	return said
}

func checkAfterKill(t *testing.T, path string, said int64) {
	t.Helper()
	db, err := Open(path, testKey)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	rows := number(t, db, `SELECT count(*) FROM kept`)
	if last := number(t, db, `SELECT coalesce(max(n), 0) FROM kept`); last != rows || last < said {
		t.Errorf("%d was committed; there are %d rows up to %d", said, rows, last)
	}
	// The newest are read in full; the others were, after earlier kills.
	for n := max(1, rows-5); n <= rows; n++ {
		id := number(t, db, `SELECT blob FROM kept WHERE n = ?`, n)
		if id == 0 {
			continue
		}
		r, err := db.Source(id).Open()
		if err != nil {
			t.Fatalf("row %d: %v", n, err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content(n)) {
			t.Errorf("row %d holds other bytes (%v)", n, err)
		}
	}
	orphans := number(t, db, `SELECT count(*) FROM blobs WHERE id NOT IN (SELECT blob FROM kept)`) +
		number(t, db, `SELECT count(*) FROM chunks WHERE id >> 20 NOT IN (SELECT blob FROM kept)`)
	if orphans != 0 {
		t.Errorf("%d orphans were not swept", orphans)
	}
}
