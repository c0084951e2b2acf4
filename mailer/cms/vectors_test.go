package cms_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"mime"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"countersign/mailer/cms"
	"software.sslmate.com/src/go-pkcs12"
)

// vector reads a third-party file; the tests that need one are skipped where it is absent.
func vector(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "vectors", path))
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("no ../shared/vectors/" + path + " beside the project")
	}
	must(err)
	return b
}

func vectors(t *testing.T, pattern string) []string {
	t.Helper()
	root := filepath.Join("..", "..", "..", "shared", "vectors")
	paths, err := filepath.Glob(filepath.Join(root, pattern))
	must(err)
	if len(paths) == 0 {
		t.Skip("no ../shared/vectors/" + pattern + " beside the project")
	}
	for i := range paths {
		paths[i], _ = filepath.Rel(root, paths[i])
	}
	return paths
}

// nssKey reads a PKCS#12 file made by NSS. go-pkcs12 takes no BER, which NSS writes,
// so that openssl has to read those.
func nssKey(t *testing.T, path string) cms.Key {
	t.Helper()
	file := vector(t, path)
	key, cert, _, err := pkcs12.DecodeChain(file, "nss")
	if err == nil {
		return person{key.(crypto.Signer), cert}.opener()
	}
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed: make setup installs it")
	}
	cmd := exec.Command("openssl", "pkcs12", "-passin", "pass:nss", "-nodes", "-legacy", "-clcerts")
	cmd.Stdin = bytes.NewReader(file)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var p person
	for block, rest := pem.Decode(out); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			p.cert, err = x509.ParseCertificate(block.Bytes)
		} else {
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		}
		must(err)
	}
	p.key = key.(crypto.Signer)
	return p.opener()
}

// TestThunderbird opens the messages of Thunderbird's and NSS's own tests, each to the
// bottom. Their names tell what was done, the outermost last.
func TestThunderbird(t *testing.T) {
	keys := []cms.Key{nssKey(t, "thunderbird/Dave.p12"), nssKey(t, "thunderbird/Bob.p12")}
	for _, path := range vectors(t, "thunderbird/*.eml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			var want []string
			name := strings.Split(strings.TrimSuffix(filepath.Base(path), ".eml"), ".")
			for i, token := range name {
				switch token {
				case "env":
					want = append([]string{"AES"}, want...)
				case "sig", "dsig":
					outcome := name[i+1] + " valid"
					// Those signed after encryption gained an empty line since: OpenSSL refuses them, too.
					if last := name[len(name)-1]; last == "bad" || last == "mismatch-econtent" || token == "dsig" && name[1] == "env" {
						outcome = name[i+1] + " other content"
					} else if name[i+1] == "SHA1" {
						outcome = "SHA1 weak"
					}
					want = append([]string{outcome}, want...)
				}
			}
			if got := layers(t, vector(t, path), keys); strings.Join(got, ", ") != strings.Join(want, ", ") {
				t.Errorf("found %q, want %q", got, want)
			}
		})
	}
}

// TestNSSInterop opens what OpenSSL made for NSS's tests.
func TestNSSInterop(t *testing.T) {
	for _, folder := range []string{"nss-interop", "thunderbird-interop"} {
		keys := []cms.Key{nssKey(t, folder+"/Fran.p12"), nssKey(t, folder+"/Fran-ec.p12")}
		for _, path := range vectors(t, folder+"/*.env") {
			t.Run(path, func(t *testing.T) {
				der := vector(t, path)
				if _, body, mime := bytes.Cut(der, []byte("\n\n")); mime && der[0] == 'M' {
					der = unbase64(t, body)
				}
				e, err := cms.ReadEnveloped(source(der), cms.ReadOptions{Keys: keys})
				if err != nil {
					t.Fatal(err)
				}
				if got := readAll(t, e); string(got) != "This is a test message to Fran.\n" || e.Weak != (e.Cipher == "3DES-CBC") {
					t.Errorf("%s, %s: %q", e.Cipher, e.KeyCipher, got)
				}
			})
		}
	}
}

// TestX25519Certificate encrypts to Dana of RFC 9216, whose encryption key is on Curve25519.
func TestX25519Certificate(t *testing.T) {
	block, _ := pem.Decode(vector(t, "rfc9216/8.3-dana-s-encryption-end-entity-certificate.pem"))
	cert, err := x509.ParseCertificate(block.Bytes)
	must(err)
	block, _ = pem.Decode(vector(t, "rfc9216/8.4-dana-s-decryption-private-key-material.pem"))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	must(err)
	dana := person{exchanger{key.(*ecdh.PrivateKey)}, cert}
	e := readEnveloped(t, enveloped(t, text(100), cms.EncryptOptions{Cipher: cms.AES128GCM, Size: 100}, dana), dana)
	if got := readAll(t, e); !bytes.Equal(got, text(100)) || e.KeyCipher != "ECDH SHA-256" {
		t.Errorf("%q, %+v", got, e)
	}
}

// layers opens a message to the bottom and says what it found.
func layers(t *testing.T, entity []byte, keys []cms.Key) []string {
	entity = bytes.ReplaceAll(entity, []byte("\r\n"), []byte("\n")) // some have no carriage returns
	entity = bytes.ReplaceAll(entity, []byte("\n"), []byte("\r\n"))
	m, err := mail.ReadMessage(bytes.NewReader(entity))
	if err != nil {
		t.Fatal(err)
	}
	typ, params, _ := mime.ParseMediaType(m.Header.Get("Content-Type"))
	switch typ {
	case "multipart/signed":
		parts := bytes.Split(entity, []byte("\r\n--"+params["boundary"]))
		part, signature := parts[1][2:], parts[2]
		_, body, _ := bytes.Cut(signature, []byte("\r\n\r\n"))
		s := readSigned(t, unbase64(t, body), source(part))
		return append([]string{outcome(s)}, layers(t, part, keys)...)
	case "application/pkcs7-mime":
		body, err := io.ReadAll(m.Body)
		must(err)
		der := source(unbase64(t, body))
		if kind, err := cms.ReadKind(der); err != nil {
			t.Fatal(err)
		} else if kind == cms.KindSigned {
			s := readSigned(t, der, nil)
			return append([]string{outcome(s)}, layers(t, readAll(t, s), keys)...)
		}
		e, err := cms.ReadEnveloped(der, cms.ReadOptions{Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		return append([]string{e.Cipher[:3]}, layers(t, readAll(t, e), keys)...)
	}
	return nil
}

func outcome(s *cms.Signed) string {
	if len(s.Signers) != 1 {
		return "not one signer"
	}
	si := s.Signers[0]
	word := "valid"
	switch {
	case errors.Is(si.Err, cms.ErrWeak):
		word = "weak"
	case errors.Is(si.Err, cms.ErrDigest):
		word = "other content"
	case si.Err != nil:
		word = si.Err.Error()
	}
	return strings.ReplaceAll(si.Hash, "-", "") + " " + word
}

func unbase64(t *testing.T, b []byte) []byte {
	t.Helper()
	der, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, bytes.NewReader(b)))
	if err != nil {
		t.Fatal(err)
	}
	return der
}
