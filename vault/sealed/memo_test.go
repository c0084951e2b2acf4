package sealed

import (
	"database/sql"
	"errors"
	"fmt"
	"testing"
)

func TestMemo(t *testing.T) {
	db := newDB(t)
	run(t, db, `CREATE TABLE kept (value INTEGER)`)
	var memo Memo[int64]
	reads := 0
	value := func(name string) int64 {
		t.Helper()
		v, err := memo.Get(db, name, func() (int64, error) {
			reads++
			return number(t, db, `SELECT coalesce(max(value), 0) FROM kept`), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for n := range int64(3) {
		for _, name := range []string{"a", "a", "b", "a"} {
			if got := value(name); got != n {
				t.Errorf("%s is %d, want %d", name, got, n)
			}
		}
		run(t, db, `INSERT INTO kept VALUES (?)`, n+1)
	}
	if reads != 6 {
		t.Errorf("read %d times", reads)
	}
	// What is written while it is read is not held.
	_, err := memo.Get(db, "c", func() (int64, error) {
		before := number(t, db, `SELECT max(value) FROM kept`)
		run(t, db, `INSERT INTO kept VALUES (10)`)
		return before, nil
	})
	if got := value("c"); err != nil || got != 10 {
		t.Errorf("%d, %v", got, err)
	}
	// Whether a write that failed has written something need not be known.
	reads = 0
	_ = value("c")
	if err := db.Update(t.Context(), func(*sql.Tx) error { return errors.New("no") }); err == nil {
		t.Error("no error")
	}
	if _ = value("c"); reads != 1 {
		t.Errorf("read %d times", reads)
	}
	if _, err := memo.Get(db, "d", func() (int64, error) { return 1, sql.ErrNoRows }); !errors.Is(err, sql.ErrNoRows) {
		t.Errorf("%v", err)
	}
	for n := range 3 * maxMemo {
		_ = value(fmt.Sprint(n))
	}
	if len(memo.what) > maxMemo {
		t.Errorf("it holds %d", len(memo.what))
	}
}
