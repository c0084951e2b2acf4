package smime_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/smime"
)

// vectors is a folder of third-party test files, which lie beside the project.
func vectors(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join("..", "..", "..", "shared", "vectors", name)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the vectors of %s are not beside the project (../shared/vectors)", name)
	}
	return dir
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// p12 is the key in a PKCS #12 file. Those of NSS are BER, which OpenSSL reads.
func p12(t testing.TB, path, password string) cms.Key {
	t.Helper()
	out := openssl(t, nil, "pkcs12", "-in", path, "-passin", "pass:"+password, "-nodes")
	var k cms.Key
	for block, rest := pem.Decode(out); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "PRIVATE KEY":
			key, err := parsePKCS8(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			k.Decrypter = key.(crypto.Decrypter)
		case "CERTIFICATE":
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			if k.Certificate == nil || !cert.IsCA {
				k.Certificate = cert
			}
		}
	}
	return k
}

// TestThunderbird opens the messages that Thunderbird tests itself with. A name tells
// how a message was made, from the inside out: sig.SHA256.opaque.env was
// signed, then encrypted.
func TestThunderbird(t *testing.T) {
	dir := vectors(t, "thunderbird")
	bob := p12(t, filepath.Join(dir, "Bob.p12"), "nss")
	files, err := filepath.Glob(filepath.Join(dir, "*.eml"))
	if err != nil || len(files) < 60 {
		t.Fatal("vectors are missing", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".eml")
		t.Run(name, func(t *testing.T) {
			raw := readFile(t, file)
			o := open(t, message.Bytes(raw), []cms.Key{bob})
			if o.Problem != nil {
				t.Fatal(o.Problem)
			}
			if got, want := layers(o), madeAs(name); got != want {
				t.Errorf("layers %q, want %q", got, want)
			}
			if strings.Contains(name, "SHA1") && !strings.Contains(name, "bad") && !strings.Contains(name, "mismatch") && !overLF(name) {
				checkWeak(t, o)
			}
			want, text := "test message from Alice to Bob", shown(t, o)
			if strings.Contains(name, ".bad") || strings.Contains(name, "mismatch") {
				want = "FAKE message NOT from Alice"
			}
			if !strings.Contains(text, want) {
				t.Errorf("%q is shown", text)
			}
		})
	}
}

// overLF names the messages that were signed while their lines still ended in LF,
// and then sent with CRLF. OpenSSL refuses them too.
func overLF(name string) bool {
	return strings.HasPrefix(name, "alice.env.dsig.") && strings.HasSuffix(name, ".multipart")
}

// madeAs is how layers draws the message of that name.
func madeAs(name string) string {
	var all []string
	words := strings.Split(name, ".")
	for i, w := range words {
		switch {
		case w == "env":
			all = append(all, "encrypted")
		case w != "sig" && w != "dsig":
		case words[i+1] == "SHA1" || strings.Contains(name, "mismatch-econtent") || strings.HasSuffix(name, ".bad") || overLF(name):
			all = append(all, "signed(invalid)")
		default:
			all = append(all, "signed(valid)")
		}
	}
	slices.Reverse(all)
	return strings.Join(all, " ")
}

// checkWeak: SHA-1 is why these signatures don't count, and nothing else.
func checkWeak(t *testing.T, o *smime.Opened) {
	for _, l := range o.Layers {
		if l.Kind == smime.Signed && !errors.Is(l.Signed.Signers[0].Err, cms.ErrWeak) {
			t.Errorf("refused for %v", l.Signed.Signers[0].Err)
		}
	}
}

// TestRFC9216 writes between the persons of RFC 9216 with the keys given there.
func TestRFC9216(t *testing.T) {
	dir := vectors(t, "rfc9216")
	key := func(file string) crypto.Signer {
		block, _ := pem.Decode(readFile(t, filepath.Join(dir, file)))
		k, err := parsePKCS8(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	alice, bob := rfc9216Person(t, dir, "4", "alice", key), rfc9216Person(t, dir, "5", "bob", key)
	l := letter()
	l.From.Addr, l.To = "alice@smime.example", []message.Address{{Name: "Bob", Addr: "bob@smime.example"}}
	o := open(t, seal(t, l, alice, bob), bob.opens())
	if layers(o) != "encrypted signed(valid)" || shown(t, o) != l.Text || !o.Layers[1].Signed.Signers[0].Certificate.Equal(alice.sign) {
		t.Error(layers(o), o.Problem)
	}
	carlos := rfc9216Person(t, dir, "7", "carlos", key) // Ed25519
	o = open(t, seal(t, l, carlos, bob), bob.opens())
	if layers(o) != "encrypted signed(valid)" {
		t.Error("Ed25519:", layers(o), o.Problem)
	}
	var b bytes.Buffer
	if err := smime.Sign(&b, l, carlos.keys(), nil); err != nil {
		t.Fatal(err)
	}
	o = open(t, message.Bytes(b.Bytes()), nil)
	if hash := o.Layers[0].Signed.Signers[0].Hash; hash != "SHA-512" || o.Root.Params["micalg"] != "sha-512" {
		t.Error("RFC 8419 wants SHA-512:", hash, o.Root.Params["micalg"])
	}
}
