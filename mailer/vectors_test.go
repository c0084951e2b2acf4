package mailer_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/vault/book"
)

// What Thunderbird's test messages are said to be, by someone who has Bob's key and
// trusts their authority.
func TestThunderbird(t *testing.T) {
	dir := filepath.Join("..", "..", "shared", "vectors", "thunderbird")
	files, _ := filepath.Glob(filepath.Join(dir, "*.eml"))
	if len(files) == 0 {
		t.Skip("the vectors of thunderbird are not beside the project (../shared/vectors)")
	}
	w, ctx := newWorld(t), t.Context()
	bob := w.join("Bob", "bob@here.example")
	read := func(name string) []byte {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	block, _ := pem.Decode(read("TestCA.pem"))
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := bob.Book.AddAnchor(ctx, book.Anchor{Certificate: root}); err != nil {
		t.Fatal(err)
	}
	if _, err := bob.Vault.ImportPKCS12(ctx, read("Bob.p12"), "nss"); err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		i, err := bob.Inspect(ctx, bytes.NewReader(read(name)), time.Time{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := expected(name)
		got := strings.Join([]string{i.Verdict.Protection, i.Verdict.Signature, i.Verdict.Chain, i.Verdict.From}, " ")
		if got != want {
			t.Errorf("%s: %s, not %s", name, got, want)
		}
		if !strings.Contains(i.Text, "This is a") {
			t.Errorf("%s: the text is %q", name, i.Text)
		}
		if quotable := i.Verdict.Denied == ""; quotable && (i.Verdict.Signature != "valid" || strings.Contains(name, "env.sig") || strings.Contains(name, "env.dsig")) {
			t.Errorf("%s may be quoted", name)
		}
	}
}

// expected reads a verdict off the name of a file: what was done, from the inside out.
func expected(name string) string {
	switch {
	case name == "alice.env.eml":
		return "encrypted none untrusted mismatch"
	case strings.Contains(name, ".env."):
		name = "encrypted-and-" + name
	}
	protection := "signed"
	if strings.HasPrefix(name, "encrypted-and-") {
		protection = "encrypted-and-signed"
	}
	// SHA-1 proves nothing; .bad and .mismatch are tampered with; and the clear
	// signatures made around an envelope do not verify (nor do they with OpenSSL).
	for _, spoilt := range []string{"SHA1.", ".bad.", ".mismatch-"} {
		if strings.Contains(name, spoilt) {
			return protection + " invalid untrusted mismatch"
		}
	}
	if strings.Contains(name, "alice.env.dsig.") && !strings.Contains(name, "dave") {
		return protection + " invalid untrusted mismatch"
	}
	return protection + " valid unknown match" // their authority names no place to ask about withdrawal
}
