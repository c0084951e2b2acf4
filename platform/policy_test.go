package platform_test

import (
	"errors"
	"testing"

	"countersign/platform"
)

func TestAdministratorsOnly(t *testing.T) {
	for _, path := range []string{"", "relative", t.TempDir()} { // the last is the user's own, or below what all can write to
		if err := platform.AdministratorsOnly(path); !errors.Is(err, platform.ErrExposed) {
			t.Errorf("%q: %v", path, err)
		}
	}
}
