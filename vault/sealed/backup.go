package sealed

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Backup writes a copy of the database to path, under the same key, and puts
// it in place only when it is whole and on the disk. Others can read meanwhile;
// who wants to write waits, about a second a gigabyte.
//
// It folds the log into the file and copies the file as it lies, sealed: the
// key is not needed, and no page passes through memory in clear.
func (db *DB) Backup(ctx context.Context, path string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("backing up: %w", err)
		}
	}()
	conn, err := db.write.Conn(ctx)
	if err != nil {
		return plain(err)
	}
	defer conn.Close()
	var busy, log, done int
	if err := conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &done); err != nil {
		return plain(err)
	}
	if busy != 0 {
		return errors.New("somebody is reading; try again")
	}
	// Holding the writer's place: nothing can reach the file until it is copied.
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable})
	if err != nil {
		return plain(err)
	}
	defer func() { _ = tx.Rollback() }()
	return copyFile(ctx, db.path, path)
}

func copyFile(ctx context.Context, from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(to), ".backup-*") // made with 0600
	if err != nil {
		return err
	}
	defer os.Remove(out.Name()) // fails once it is renamed, as it should
	_, err = io.Copy(out, stoppable{ctx, in})
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), to)
}

// stoppable stops when its context ends.
type stoppable struct {
	ctx context.Context
	io.Reader
}

func (r stoppable) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
