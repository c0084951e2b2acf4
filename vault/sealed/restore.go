package sealed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Restore copies a database that [DB.Backup] wrote into place at path, once it is known
// to open. What it replaces is kept under another name.
func Restore(ctx context.Context, backup, path string, key Key) error {
	fresh := path + ".restoring"
	if err := errors.Join(remove(fresh), copyFile(ctx, backup, fresh)); err != nil {
		return err
	}
	db, err := Open(fresh, key)
	if err == nil {
		err = errors.Join(db.Check(ctx), db.Close())
	}
	if err != nil {
		return errors.Join(fmt.Errorf("opening the copy of the database: %w", err), remove(fresh))
	}
	for _, part := range []string{"-shm", "-wal", ""} {
		err := os.Rename(path+part, path+".before-restore"+part)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.Rename(fresh, path)
}

// remove deletes a database with its log.
func remove(path string) error {
	for _, part := range []string{"-shm", "-wal", ""} {
		if err := os.Remove(path + part); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
