package cms_test

import (
	"bytes"
	"crypto"
	"os"
	"strings"
	"testing"

	"countersign/mailer/cms"
)

// absent skips a test whose peer is not installed, or fails it where peers must be.
func absent(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("COUNTERSIGN_PEERS") == "required" {
		t.Fatalf("COUNTERSIGN_PEERS=required, but %s", reason)
	}
	t.Skip(reason)
}

// peer is another program that signs, verifies, encrypts and decrypts.
type peer interface {
	sign(t *testing.T, r row, content []byte) []byte
	verify(t *testing.T, r row, der []byte) []byte // the content
	encrypt(t *testing.T, r row, content []byte) []byte
	decrypt(t *testing.T, r row, der []byte) []byte
}

// row is one way to protect, and which peers have it: "r" reads what we write, "w"
// writes what we read.
type row struct {
	algorithm string // as SignerInfo.Algorithm or Enveloped.KeyCipher say
	who       string
	sign      cms.SignOptions
	encrypt   cms.EncryptOptions

	openssl, gpgsm, nss, bouncy string
}

// What a peer lacks, it lacks in the versions of Debian 12. GnuPG imports no key of
// an elliptic curve, so it only verifies with those; NSS chooses AES-128 by itself;
// Bouncy Castle writes, but does not read, keys agreed upon for GCM, and puts
// ChaCha20-Poly1305 into EnvelopedData, where it does not belong; nobody has X25519 in CMS.
var signatures = []row{
	{"RSA", "rsa", cms.SignOptions{Hash: crypto.SHA256}, cms.EncryptOptions{}, "rw", "rw", "rw", "rw"},
	{"RSA", "rsa", cms.SignOptions{Hash: crypto.SHA384}, cms.EncryptOptions{}, "rw", "rw", "rw", "rw"},
	{"RSA", "rsa", cms.SignOptions{Hash: crypto.SHA512}, cms.EncryptOptions{}, "rw", "rw", "rw", "rw"},
	{"RSA-PSS", "rsa", cms.SignOptions{Hash: crypto.SHA256, PSS: true}, cms.EncryptOptions{}, "rw", "r", "r", "rw"},
	{"RSA-PSS", "rsa", cms.SignOptions{Hash: crypto.SHA384, PSS: true}, cms.EncryptOptions{}, "rw", "r", "r", "rw"},
	{"RSA-PSS", "rsa", cms.SignOptions{Hash: crypto.SHA512, PSS: true}, cms.EncryptOptions{}, "rw", "r", "r", "rw"},
	{"ECDSA P-256", "p256", cms.SignOptions{Hash: crypto.SHA256}, cms.EncryptOptions{}, "rw", "r", "rw", "rw"},
	{"ECDSA P-256", "p256", cms.SignOptions{Hash: crypto.SHA512}, cms.EncryptOptions{}, "rw", "r", "rw", "rw"},
	{"ECDSA P-384", "p384", cms.SignOptions{Hash: crypto.SHA384}, cms.EncryptOptions{}, "rw", "r", "rw", "rw"},
	{"ECDSA P-521", "p521", cms.SignOptions{Hash: crypto.SHA512}, cms.EncryptOptions{}, "rw", "", "rw", "rw"},
	{"Ed25519", "ed25519", cms.SignOptions{Hash: crypto.SHA512}, cms.EncryptOptions{}, "", "", "", "rw"},
}

var envelopes = []row{
	{"RSA PKCS#1 v1.5", "rsa", cms.SignOptions{}, cms.EncryptOptions{Cipher: cms.AES128CBC}, "rw", "rw", "rw", "rw"},
	{"RSA PKCS#1 v1.5", "rsa", cms.SignOptions{}, cms.EncryptOptions{Cipher: cms.AES192CBC}, "rw", "rw", "r", "rw"},
	{"RSA PKCS#1 v1.5", "rsa", cms.SignOptions{}, cms.EncryptOptions{Cipher: cms.AES256CBC}, "rw", "rw", "r", "rw"},
	{"RSA-OAEP SHA-256", "rsa", cms.SignOptions{}, cms.EncryptOptions{Cipher: cms.AES256CBC, OAEP: true}, "rw", "", "", "rw"},
	{"ECDH SHA-256", "p256", cms.SignOptions{}, cms.EncryptOptions{Cipher: cms.AES256CBC}, "rw", "", "", "rw"},
	{"ECDH SHA-384", "p384", cms.SignOptions{}, cms.EncryptOptions{Cipher: cms.AES256CBC}, "rw", "", "", "rw"},
	{"ECDH SHA-512", "p521", cms.SignOptions{}, cms.EncryptOptions{Cipher: cms.AES256CBC}, "rw", "", "", "rw"},
	{"RSA PKCS#1 v1.5", "rsa", cms.SignOptions{}, cms.EncryptOptions{Cipher: cms.AES128GCM}, "rw", "", "", "rw"},
	{"RSA PKCS#1 v1.5", "rsa", cms.SignOptions{}, cms.EncryptOptions{Cipher: cms.AES192GCM}, "rw", "", "", "rw"},
	{"RSA PKCS#1 v1.5", "rsa", cms.SignOptions{}, cms.EncryptOptions{Cipher: cms.AES256GCM}, "rw", "", "", "rw"},
	{"RSA-OAEP SHA-256", "rsa", cms.SignOptions{}, cms.EncryptOptions{Cipher: cms.AES256GCM, OAEP: true}, "rw", "", "", "rw"},
	{"ECDH SHA-256", "p256", cms.SignOptions{}, cms.EncryptOptions{Cipher: cms.AES256GCM}, "rw", "", "", "w"},
	{"ECDH SHA-256", "p256", cms.SignOptions{}, cms.EncryptOptions{Cipher: cms.AES128CBC}, "rw", "", "", "rw"},
	{"ECDH SHA-384", "p384", cms.SignOptions{}, cms.EncryptOptions{Cipher: cms.AES192GCM}, "rw", "", "", "w"},
	{"ECDH SHA-512", "p521", cms.SignOptions{}, cms.EncryptOptions{Cipher: cms.AES128GCM}, "rw", "", "", "w"},
	{"RSA PKCS#1 v1.5", "rsa", cms.SignOptions{}, cms.EncryptOptions{Cipher: cms.ChaCha20Poly1305}, "", "", "", "r"},
}

// TestPeerMatrix has every peer read what we write and write what we read, in each
// way that it knows.
func TestPeerMatrix(t *testing.T) {
	for _, p := range []struct {
		name  string
		start func(t *testing.T) peer
		has   func(r row) string
	}{
		{"OpenSSL", func(t *testing.T) peer { return newOpenSSL(t) }, func(r row) string { return r.openssl }},
		{"GnuPG", func(t *testing.T) peer { return newGpgsm(t, people()["rsa"]) }, func(r row) string { return r.gpgsm }},
		{"NSS", func(t *testing.T) peer { return newNSS(t, "authority", "rsa", "p256", "p384", "p521") }, func(r row) string { return r.nss }},
		{"Bouncy Castle", func(t *testing.T) peer { return newBouncy(t) }, func(r row) string { return r.bouncy }},
	} {
		t.Run(p.name, func(t *testing.T) {
			running := p.start(t)
			for _, r := range signatures {
				t.Run(r.algorithm+" "+r.sign.Hash.String(), func(t *testing.T) { exchangeSignatures(t, running, r, p.has(r)) })
			}
			for _, r := range envelopes {
				t.Run(r.encrypt.Cipher.String()+" "+r.algorithm, func(t *testing.T) { exchangeEnvelopes(t, running, r, p.has(r)) })
			}
		})
	}
}

func exchangeSignatures(t *testing.T, p peer, r row, has string) {
	content, who := text(100_000), people()[r.who]
	if strings.Contains(has, "r") {
		for _, size := range []int64{int64(len(content)), -1} {
			if got := p.verify(t, r, opaque(t, content, size, r.sign, who)); !bytes.Equal(got, content) {
				t.Errorf("they verify, size %d: other content", size)
			}
		}
	}
	if strings.Contains(has, "w") {
		s := readSigned(t, p.sign(t, r, content), nil)
		if len(s.Signers) != 1 || s.Signers[0].Err != nil || s.Signers[0].Algorithm != r.algorithm {
			t.Errorf("we verify: %+v", s.Signers)
		}
		if !bytes.Equal(readAll(t, s), content) {
			t.Error("we verify: other content")
		}
	}
}

func exchangeEnvelopes(t *testing.T, p peer, r row, has string) {
	content, who := text(100_000), people()[r.who]
	if strings.Contains(has, "r") {
		for _, size := range []int64{int64(len(content)), -1} {
			r.encrypt.Size = size
			if got := p.decrypt(t, r, enveloped(t, content, r.encrypt, who)); !bytes.Equal(got, content) {
				t.Errorf("they decrypt, size %d: other content", size)
			}
		}
	}
	if strings.Contains(has, "w") {
		e := readEnveloped(t, p.encrypt(t, r, content), who)
		if e.Cipher != r.encrypt.Cipher.String() || e.KeyCipher != r.algorithm {
			t.Errorf("we decrypt: %s, %s", e.Cipher, e.KeyCipher)
		}
		if !bytes.Equal(readAll(t, e), content) {
			t.Error("we decrypt: other content")
		}
	}
}
