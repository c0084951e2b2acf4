package guard

import (
	"slices"
	"testing"
)

// TestAnew: the program that begins anew is the same, but for why it is locked.
func TestAnew(t *testing.T) {
	for _, args := range [][]string{
		{"agent", "--headless", "--home", "x"},
		{"agent", "--locked=hand", "--headless", "--home", "x"},
		{"agent", "-locked=hand", "--locked=screen", "--headless", "--home", "x"},
	} {
		if got := anew(args, byScreen); !slices.Equal(got, []string{"agent", "--locked=screen", "--headless", "--home", "x"}) {
			t.Errorf("%q", got)
		}
	}
	if got := anew([]string{"agent"}, byHand); !slices.Equal(got, []string{"agent", "--locked=hand"}) {
		t.Errorf("%q", got)
	}
}
