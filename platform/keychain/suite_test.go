package keychain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
)

// suite is what every store has to do. open opens the store of a profile anew:
// what was kept under it before is still there.
func suite(t *testing.T, open func(t *testing.T, profile string) Store) {
	ctx := t.Context()
	t.Run("keeps what it is given", func(t *testing.T) {
		s := open(t, "a")
		values := map[string][]byte{
			"key/0123":            {0},
			"account:a@x.example": []byte("a password with spaces, é and \x00"),
			"empty":               {},
			"largest":             bytes.Repeat([]byte{0xff, 0, 16}, MaxItem)[:MaxItem],
			"block":               bytes.Repeat([]byte{16}, 16), // looks like padding
		}
		for name, value := range values {
			if err := s.Set(ctx, name, value); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		for _, s := range []Store{s, open(t, "a")} {
			for name, want := range values {
				if got, err := s.Get(ctx, name); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: got %d bytes of %d, %v", name, len(got), len(want), err)
				}
			}
			if names, err := s.List(ctx); err != nil || !slices.Equal(names, slices.Sorted(maps.Keys(values))) {
				t.Errorf("list: %q, %v", names, err)
			}
		}
	})
	t.Run("replaces", func(t *testing.T) {
		s := open(t, "replaces")
		for _, value := range []string{"first, and long", "second", "third, and longer than all before"} {
			if err := s.Set(ctx, "n", []byte(value)); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Get(ctx, "n"); err != nil || string(got) != value {
				t.Errorf("got %q, %v", got, err)
			}
		}
		if names, err := s.List(ctx); err != nil || !slices.Equal(names, []string{"n"}) {
			t.Errorf("list: %q, %v", names, err)
		}
	})
	t.Run("forgets", func(t *testing.T) {
		s := open(t, "forgets")
		for _, name := range []string{"a", "b"} {
			if err := s.Set(ctx, name, []byte(name)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Delete(ctx, "a"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(ctx, "a"); !errors.Is(err, ErrNotFound) {
			t.Errorf("after: %v", err)
		}
		if err := s.Delete(ctx, "a"); !errors.Is(err, ErrNotFound) {
			t.Errorf("again: %v", err)
		}
		if names, err := s.List(ctx); err != nil || !slices.Equal(names, []string{"b"}) {
			t.Errorf("list: %q, %v", names, err)
		}
	})
	t.Run("is empty at first", func(t *testing.T) {
		s := open(t, "new")
		if _, err := s.Get(ctx, "n"); !errors.Is(err, ErrNotFound) {
			t.Errorf("get: %v", err)
		}
		if names, err := s.List(ctx); err != nil || len(names) != 0 {
			t.Errorf("list: %q, %v", names, err)
		}
	})
	t.Run("refuses what some system could not keep", func(t *testing.T) {
		s := open(t, "bounds")
		if err := s.Set(ctx, "n", []byte("kept")); err != nil {
			t.Fatal(err)
		}
		if err := s.Set(ctx, "n", make([]byte, MaxItem+1)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("2,561 bytes: %v", err)
		}
		for _, name := range []string{"", "Capital", "a b", "é", "a\x00", strings.Repeat("n", 201)} {
			_, got := s.Get(ctx, name)
			for _, err := range []error{got, s.Set(ctx, name, nil), s.Delete(ctx, name)} {
				if !errors.Is(err, ErrName) {
					t.Errorf("name %q: %v", name, err)
				}
			}
		}
		if value, err := s.Get(ctx, "n"); err != nil || string(value) != "kept" {
			t.Errorf("afterwards: %q, %v", value, err)
		}
	})
	t.Run("takes no call whose caller has gone", func(t *testing.T) {
		s := open(t, "context")
		gone, cancel := context.WithCancel(ctx)
		cancel()
		_, get := s.Get(gone, "n")
		_, list := s.List(gone)
		for _, err := range []error{get, list, s.Set(gone, "n", nil), s.Delete(gone, "n")} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		}
	})
	t.Run("serves many at once", func(t *testing.T) {
		s := open(t, "many")
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				name, value := fmt.Sprint("n", i), bytes.Repeat([]byte{byte(i)}, 100*i)
				for range 3 {
					if err := s.Set(ctx, name, value); err != nil {
						t.Errorf("%s: %v", name, err)
					}
					if got, err := s.Get(ctx, name); err != nil || !bytes.Equal(got, value) {
						t.Errorf("%s: %x, %v", name, got, err)
					}
				}
			})
		}
		all.Wait()
		if names, err := s.List(ctx); err != nil || len(names) != 8 {
			t.Errorf("list: %q, %v", names, err)
		}
	})
	t.Run("hands out copies", func(t *testing.T) {
		s := open(t, "copies")
		value := []byte("secret")
		if err := s.Set(ctx, "n", value); err != nil {
			t.Fatal(err)
		}
		clear(value)
		got, err := s.Get(ctx, "n")
		if err != nil {
			t.Fatal(err)
		}
		clear(got)
		if got, err := s.Get(ctx, "n"); err != nil || string(got) != "secret" {
			t.Errorf("got %q, %v", got, err)
		}
	})
}
