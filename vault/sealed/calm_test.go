package sealed

import (
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"
	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"
)

// TestCalm sees that the database and its log are reached through calm, and that
// the Adiantum VFS lies below it.
func TestCalm(t *testing.T) {
	db := newDB(t)
	conn, err := db.write.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = conn.Raw(func(c any) error {
		for name, which := range map[string]sqlite3.FcntlOpcode{
			"database": sqlite3.FCNTL_FILE_POINTER, "log": sqlite3.FCNTL_JOURNAL_POINTER,
		} {
			f, err := c.(driver.Conn).Raw().FileControl("main", which)
			if err != nil {
				return err
			}
			calm, ok := vfsutil.UnwrapFile[*calmFile](f.(vfs.File))
			if !ok {
				t.Errorf("the %s is a %T", name, f)
				continue
			}
			if _, ok := calm.Unwrap().(vfs.FilePragma); !ok {
				t.Errorf("below the %s is a %T, which takes no key", name, calm.Unwrap())
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
