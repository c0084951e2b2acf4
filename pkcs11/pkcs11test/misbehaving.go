package pkcs11test

import (
	"embed"
	"os"
	"path/filepath"
	"testing"
)

//go:embed testdata
var sources embed.FS

// SmallLibrary names the environment variable in which Small finds its library built
// already, for systems that have no gcc.
const SmallLibrary = "COUNTERSIGN_SMALL_LIBRARY"

// Small is a token of a library of our own that runs on every system, Windows too. Its one
// key, "small key", reverses bytes. It counts wrong PINs and locks at the third.
func Small(tb testing.TB) *Token {
	tb.Helper()
	library := os.Getenv(SmallLibrary)
	if library == "" {
		library = build(tb, &small, "small")
	}
	return &Token{Library: library, Reserved: "reserved for us", Label: "Small token", keys: map[string]Key{}, folder: tb.TempDir()}
}

// build compiles one of the sources here into a library.
func build(tb testing.TB, once *ready, name string) string {
	tb.Helper()
	need(tb, "", "gcc")
	in := &Token{folder: tb.TempDir()}
	source, library := filepath.Join(in.folder, name+".c"), filepath.Join(in.folder, name+".so")
	once.copy(tb, in, func() {
		text, err := sources.ReadFile("testdata/" + name + ".c")
		if err != nil {
			tb.Fatal(err)
		}
		write(tb, source, string(text))
		in.run(tb, "gcc", "-w", "-O1", "-fPIC", "-shared", "-o", library, source, "-ldl")
	})
	return library
}

// Misbehaving puts a library in front of the token's own that does what [Token.Do] says.
// It is built by gcc.
func (t *Token) Misbehaving(tb testing.TB) *Token {
	tb.Helper()
	library := build(tb, &misbehaving, "misbehaving")
	bad := *t
	bad.Library = library
	bad.Env = append(append([]string{}, t.Env...), "MISBEHAVING_REAL="+t.Library, "MISBEHAVING_HOW="+t.how(), "MISBEHAVING_PIN="+PIN)
	bad.Do(tb, "")
	return &bad
}

func (t *Token) how() string { return filepath.Join(t.folder, "how") }

// Do says what the library does wrong from now on: a word of misbehaving.c, with "once"
// behind it if only the next time; or nothing.
func (t *Token) Do(tb testing.TB, wrong string) {
	tb.Helper()
	part := t.how() + ".part"
	write(tb, part, wrong)
	if err := os.Rename(part, t.how()); err != nil {
		tb.Fatal(err)
	}
}

// Did tells whether what was to be done once has begun.
func (t *Token) Did(tb testing.TB) bool {
	tb.Helper()
	said, err := os.ReadFile(t.how())
	if err != nil {
		tb.Fatal(err)
	}
	return len(said) == 0
}
