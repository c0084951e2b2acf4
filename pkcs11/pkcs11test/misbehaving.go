package pkcs11test

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

//go:embed testdata/misbehaving.c
var misbehaving string

// Misbehaving puts a library in front of the token's own that does what [Token.Do] says.
// It is built by gcc.
func (t *Token) Misbehaving(tb testing.TB) *Token {
	tb.Helper()
	need(tb, t.Library, "gcc")
	dir := tb.TempDir()
	source, library := filepath.Join(dir, "misbehaving.c"), filepath.Join(dir, "misbehaving.so")
	write(tb, source, misbehaving)
	if out, err := exec.Command("gcc", "-w", "-O1", "-fPIC", "-shared", "-o", library, source, "-ldl").CombinedOutput(); err != nil {
		tb.Fatalf("gcc: %v\n%s", err, out)
	}
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
