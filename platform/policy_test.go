package platform_test

import (
	"errors"
	"os"
	"path/filepath"
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

func TestAdministratorsFile(t *testing.T) {
	mine := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(mine, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, exposed := range map[string]bool{"": true, "relative": true, mine: true, mine + ".absent": false, filepath.Dir(mine): false} {
		if real, err := platform.AdministratorsFile(path); err == nil || errors.Is(err, platform.ErrExposed) != exposed {
			t.Errorf("%q: %q, %v", path, real, err)
		}
	}
}
