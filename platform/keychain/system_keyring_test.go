//go:build windows || darwin

package keychain

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"
)

// The system's own keychain. What the test keeps there it takes away again.
func TestSystemKeychain(t *testing.T) {
	run := "test " + strconv.FormatInt(time.Now().UnixNano(), 36)
	suite(t, func(t *testing.T, profile string) Store {
		s, err := OpenSystem(t.Context(), run+" "+profile)
		if errors.Is(err, ErrUnavailable) {
			t.Skip("this build has no keychain: macOS needs cgo")
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			names, err := s.List(context.Background())
			if err != nil {
				t.Error(err)
			}
			for _, name := range names {
				if err := s.Delete(context.Background(), name); err != nil {
					t.Error(err)
				}
			}
		})
		return s
	})
}
