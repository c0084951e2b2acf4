package phrase_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"countersign/vault/phrase"
)

func list() []string {
	all := make([]string, 2048)
	for n := range all {
		all[n] = fmt.Sprintf("%c%c%c%cword", 'a'+n%16, 'a'+n/16%16, 'a'+n/256, 'z')
	}
	return all
}

func TestSealAndOpen(t *testing.T) {
	words, ask, err := phrase.Pick(list(), rand.Reader)
	if err != nil || len(words) != 8 || len(ask) != 2 || ask[0] < 1 || ask[0] >= ask[1] || ask[1] > 8 {
		t.Fatal(words, ask, err)
	}
	file, err := phrase.Seal([]byte("secret"), words, 10)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file  []byte
		typed []string
		work  int
		err   error
	}{
		"right":         {file, words, 10, nil},
		"as one line":   {file, []string{strings.ToUpper(strings.Join(words, "-"))}, 10, nil},
		"short":         {file, []string{first(words)}, 10, nil},
		"wrong order":   {file, append(words[1:8:8], words[0]), 10, phrase.ErrWords},
		"one too few":   {file, words[:7], 10, phrase.ErrWords},
		"unknown":       {file, append(words[:7:7], "unknown"), 10, phrase.ErrWords},
		"costs more":    {file, words, 9, phrase.ErrFile},
		"cut short":     {file[:len(file)/2], words, 10, phrase.ErrFile},
		"something":     {[]byte("something"), words, 10, phrase.ErrFile},
		"far too large": {make([]byte, 2<<20), words, 10, phrase.ErrFile},
	} {
		read, err := phrase.Read(c.typed, list())
		var data []byte
		if err == nil {
			data, err = phrase.Open(c.file, read, c.work)
		}
		if !errors.Is(err, c.err) || (err == nil) != (string(data) == "secret") {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
}

// first is the first four letters of each word, which are enough.
func first(words []string) string {
	var short []string
	for _, w := range words {
		short = append(short, w[:4])
	}
	return strings.Join(short, " ")
}

func TestSame(t *testing.T) {
	words := slices.Repeat([]string{"alpha", "bravo"}, 4)
	for typed, want := range map[string]bool{"alpha bravo": true, " ALPH brav": true, "bravo alpha": false, "alpha": false, "": false} {
		if got := phrase.Same(strings.Fields(typed), words, []int{1, 4}); got != want {
			t.Errorf("%q: %v", typed, got)
		}
	}
}

func TestPickNeedsTheList(t *testing.T) {
	if _, _, err := phrase.Pick(list()[1:], rand.Reader); err == nil {
		t.Error("picked from another list")
	}
}
