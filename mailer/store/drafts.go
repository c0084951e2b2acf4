package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"countersign/mailer/message"
	"countersign/vault/sealed"
)

// Bounds of a draft.
const (
	MaxText    = 1 << 20 // bytes of a draft's text
	maxSubject = 900     // bytes; what fits one header line with room to spare
	maxFiles   = 100
	maxListed  = 100 // addresses in one list
)

// Draft is a message being written. It lives in the sealed database only, and
// goes when it is accepted for sending.
type Draft struct {
	ID          string `json:"-"` // made by the face: 26 of a to z and 2 to 7
	To, Cc, Bcc []string
	Subject     string
	Text        string
	InReplyTo   string    // the ID of the message that it answers
	Files       []File    `json:"-"`
	Saved       time.Time `json:"-"`
}

// File is one attachment of a draft.
type File struct {
	Part string // its identifier within the draft
	Name string // safe to use as a file's name
	Type string // media type as stated
	Size int64  // bytes
	Blob int64  // its bytes
}

// Drafts keeps what is being written.
type Drafts struct {
	DB    *sealed.DB
	Clock func() time.Time
}

// What can be wrong with a draft.
var (
	ErrNoDraft      = &Problem{"not-found", "There is no such draft. It may have been sent already.", "Look in the outbox, or write it again."}
	ErrDraftName    = &Problem{"invalid", "A draft is named by 26 letters and digits.", ""}
	ErrDraftChanged = &Problem{"draft-changed", "The draft was changed while it was being sent, so nothing was sent.", "Look at it again, then send it."}
	ErrDraftSize    = &Problem{"too-large", "This is too long for one message.", "Shorten the text, or send it in parts."}
	ErrTooLarge     = &Problem{"too-large", "This file is larger than what may be sent.", "Send it in parts, or in another way that you agree on."}
)

// draftName is compiled when it is wanted, and not whenever a program starts.
var draftName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z2-7]{26}$`) })

// Migrate makes the tables that are missing.
func (d *Drafts) Migrate() error {
	return d.DB.Migrate("drafts",
		`CREATE TABLE draft (id TEXT PRIMARY KEY, saved INTEGER NOT NULL, body TEXT NOT NULL) STRICT`,
		`CREATE TABLE draft_file (
			draft TEXT NOT NULL REFERENCES draft (id) ON DELETE CASCADE,
			part INTEGER NOT NULL, name TEXT NOT NULL, type TEXT NOT NULL, size INTEGER NOT NULL, blob INTEGER NOT NULL,
			PRIMARY KEY (draft, part)) STRICT`)
}

// Save stores a draft, new or not, and returns it as stored. Files are attached
// apart, by Attach.
func (d *Drafts) Save(ctx context.Context, w Draft) (Draft, error) {
	switch {
	case !draftName().MatchString(w.ID):
		return Draft{}, ErrDraftName
	case len(w.Text) > MaxText || len(w.Subject) > maxSubject,
		len(w.To) > maxListed, len(w.Cc) > maxListed, len(w.Bcc) > maxListed:
		return Draft{}, ErrDraftSize
	}
	body, err := json.Marshal(w)
	if err != nil {
		return Draft{}, fmt.Errorf("saving a draft: %w", err)
	}
	err = d.DB.Update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO draft (id, saved, body) VALUES (?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET saved = excluded.saved, body = excluded.body`, w.ID, d.Clock().UnixMilli(), string(body))
		return err
	})
	if err != nil {
		return Draft{}, fmt.Errorf("saving a draft: %w", err)
	}
	return d.Get(ctx, w.ID)
}

// Get returns one draft, or ErrNoDraft.
func (d *Drafts) Get(ctx context.Context, id string) (Draft, error) {
	list, err := d.query(ctx, `SELECT id, saved, body FROM draft WHERE id = ?`, id)
	if err == nil && len(list) == 0 {
		err = ErrNoDraft
	}
	if err != nil {
		return Draft{}, err
	}
	return list[0], nil
}

// List returns every draft, the last saved first.
func (d *Drafts) List(ctx context.Context) ([]Draft, error) {
	return d.query(ctx, `SELECT id, saved, body FROM draft ORDER BY saved DESC`)
}

func (d *Drafts) query(ctx context.Context, q string, args ...any) (list []Draft, err error) {
	err = d.DB.View(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, q, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var w Draft
			var ms int64
			var body []byte
			if err := rows.Scan(&w.ID, &ms, &body); err != nil {
				return err
			}
			if err := json.Unmarshal(body, &w); err != nil {
				return err
			}
			w.Saved = time.UnixMilli(ms).UTC()
			list = append(list, w)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		for i := range list {
			if list[i].Files, err = files(ctx, tx, list[i].ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading drafts: %w", err)
	}
	return list, nil
}

func files(ctx context.Context, tx *sql.Tx, draft string) (list []File, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT part, name, type, size, blob FROM draft_file WHERE draft = ? ORDER BY part`, draft)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var f File
		if err := rows.Scan(&f.Part, &f.Name, &f.Type, &f.Size, &f.Blob); err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	return list, rows.Err()
}

// Attach streams one file of at most limit bytes into a draft. The name is made
// safe. Nothing of it is kept if it does not arrive whole.
func (d *Drafts) Attach(ctx context.Context, draft string, f File, limit int64, body io.Reader) (File, error) {
	w, err := d.Get(ctx, draft)
	if err != nil {
		return File{}, err
	}
	if len(w.Files) >= maxFiles {
		return File{}, ErrDraftSize
	}
	bounded := &bound{r: body, left: limit}
	blob, err := d.DB.WriteBlob(ctx, bounded)
	if err != nil {
		return File{}, fmt.Errorf("attaching a file: %w", err)
	}
	f.Name, f.Type, f.Size, f.Blob = message.SafeName(f.Name), mediaType(f.Type), blob.Size, blob.ID
	err = d.DB.Update(ctx, func(tx *sql.Tx) error {
		if err := d.DB.Keep(tx, blob.ID); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `INSERT INTO draft_file (draft, part, name, type, size, blob)
			SELECT ?1, coalesce(max(part), 0) + 1, ?2, ?3, ?4, ?5 FROM draft_file WHERE draft = ?1 RETURNING part`,
			draft, f.Name, f.Type, f.Size, f.Blob).Scan(&f.Part)
	})
	if err != nil {
		return File{}, fmt.Errorf("attaching a file: %w", err)
	}
	return f, nil
}

const unknownType = "application/octet-stream"

var plainType = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}$`)
})

// mediaType keeps a bare media type (RFC 6838, section 4.2) and calls everything
// else, and what would nest or mislead, a file of unknown kind.
func mediaType(t string) string {
	kind, _, _ := strings.Cut(t, "/")
	if !plainType().MatchString(t) || kind == "multipart" || kind == "message" {
		return unknownType
	}
	return t
}

// bound fails, rather than ending, after left bytes.
type bound struct {
	r    io.Reader
	left int64
}

func (b *bound) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, ErrTooLarge
	}
	return n, err
}

// Detach takes a file out of a draft. One that is not there is no error.
func (d *Drafts) Detach(ctx context.Context, draft, part string) error {
	err := d.DB.Update(ctx, func(tx *sql.Tx) error {
		list, err := files(ctx, tx, draft)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(list, func(f File) bool { return f.Part == part })
		if i < 0 {
			return nil
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM draft_file WHERE draft = ? AND part = ?`, draft, part); err != nil {
			return err
		}
		return d.DB.Drop(tx, list[i].Blob)
	})
	if err != nil {
		return fmt.Errorf("taking a file out of a draft: %w", err)
	}
	return nil
}

// Discard removes a draft with its files. One that is not there is no error.
func (d *Drafts) Discard(ctx context.Context, id string) error {
	err := d.DB.Update(ctx, func(tx *sql.Tx) error { return d.Remove(ctx, tx, id) })
	if err != nil {
		return fmt.Errorf("discarding a draft: %w", err)
	}
	return nil
}

// Take removes a draft within the transaction that accepts it, if it is still as it
// was read: what was written since would be lost otherwise.
func (d *Drafts) Take(ctx context.Context, tx *sql.Tx, w Draft) error {
	var saved int64
	err := tx.QueryRowContext(ctx, `SELECT saved FROM draft WHERE id = ?`, w.ID).Scan(&saved)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	list, filesErr := files(ctx, tx, w.ID)
	if filesErr != nil {
		return filesErr
	}
	if err != nil || saved != w.Saved.UnixMilli() || !slices.Equal(list, w.Files) {
		return ErrDraftChanged
	}
	return d.Remove(ctx, tx, w.ID)
}

// Remove is Discard within the transaction that accepts the message.
func (d *Drafts) Remove(ctx context.Context, tx *sql.Tx, id string) error {
	list, err := files(ctx, tx, id)
	if err != nil {
		return err
	}
	for _, f := range list {
		if err := d.DB.Drop(tx, f.Blob); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM draft WHERE id = ?`, id)
	return err
}
