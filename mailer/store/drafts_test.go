package store

import (
	"context"
	"crypto/rand"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/vault/sealed"
)

const draftID = "abcdefghijklmnopqrstuvwxyz"

func newDrafts(t *testing.T) *Drafts {
	t.Helper()
	var key sealed.Key
	rand.Read(key[:])
	db, err := sealed.Open(filepath.Join(t.TempDir(), "db"), key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	d := &Drafts{DB: db, Clock: func() time.Time { return time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC) }}
	if err := d.Migrate(); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDraftLives(t *testing.T) {
	ctx, d := context.Background(), newDrafts(t)
	w := Draft{ID: draftID, To: []string{"a@b.example"}, Bcc: []string{"c@d.example"}, Subject: "Mrs K", Text: "one\ntwo"}
	if _, err := d.Save(ctx, w); err != nil {
		t.Fatal(err)
	}
	f, err := d.Attach(ctx, draftID, File{Name: "../../etc/passwd", Type: "text/plain"}, 100, strings.NewReader("echo"))
	if err != nil {
		t.Fatal(err)
	}
	if f.Name != "passwd" || f.Size != 4 {
		t.Errorf("attached as %+v", f)
	}
	w.Text = "changed"
	got, err := d.Save(ctx, w)
	if err != nil {
		t.Fatal(err)
	}
	if got.Text != "changed" || len(got.Files) != 1 || got.Files[0] != f || got.Bcc[0] != "c@d.example" {
		t.Errorf("saved as %+v", got)
	}
	if list, err := d.List(ctx); err != nil || len(list) != 1 {
		t.Errorf("listed %v, %v", list, err)
	}
	if err := d.Detach(ctx, draftID, f.Part); err != nil {
		t.Fatal(err)
	}
	if _, err := d.DB.Source(f.Blob).Open(); !errors.Is(err, sealed.ErrNoBlob) {
		t.Errorf("the detached file is still there: %v", err)
	}
	if err := d.Discard(ctx, draftID); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Get(ctx, draftID); !errors.Is(err, ErrNoDraft) {
		t.Errorf("the discarded draft is still there: %v", err)
	}
}

func TestDraftRefuses(t *testing.T) {
	ctx, d := context.Background(), newDrafts(t)
	for name, w := range map[string]struct {
		Draft
		want error
	}{
		"no name":       {Draft{}, ErrDraftName},
		"a path":        {Draft{ID: "../../../../../../../etc/pa"}, ErrDraftName},
		"a long text":   {Draft{ID: draftID, Text: strings.Repeat("x", MaxText+1)}, ErrDraftSize},
		"many to":       {Draft{ID: draftID, To: make([]string, maxListed+1)}, ErrDraftSize},
		"a long header": {Draft{ID: draftID, Subject: strings.Repeat("x", maxSubject+1)}, ErrDraftSize},
	} {
		if _, err := d.Save(ctx, w.Draft); !errors.Is(err, w.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := d.Attach(ctx, draftID, File{}, 1, strings.NewReader("x")); !errors.Is(err, ErrNoDraft) {
		t.Errorf("a file for no draft: %v", err)
	}
	if _, err := d.Save(ctx, Draft{ID: draftID}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Attach(ctx, draftID, File{Name: "x"}, 3, strings.NewReader("four")); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a file over the limit: %v", err)
	}
	if w, err := d.Get(ctx, draftID); err != nil || len(w.Files) != 0 {
		t.Errorf("part of a file was kept: %v, %v", w.Files, err)
	}
}

func TestMediaType(t *testing.T) {
	for in, want := range map[string]string{
		"application/pdf": "application/pdf", "text/plain": "text/plain", "": unknownType, "pdf": unknownType,
		"message/rfc822": unknownType, "multipart/mixed": unknownType, "text/plain\r\nBcc: x": unknownType, "text/html; charset=utf-8": unknownType,
	} {
		if got := mediaType(in); got != want {
			t.Errorf("%q is taken for %q", in, got)
		}
	}
}
