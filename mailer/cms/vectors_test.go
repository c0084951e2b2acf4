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
	"countersign/mailer/cms/algorithm"
	"countersign/mailer/server/servertest"
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
		servertest.Absent(t, "openssl is not installed: make setup installs it")
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

// TestEveryVector reads every file of other programs' tests that lies beside the project, each
// with the outcome that its name promises. A file that no line names fails: the first that
// fits is its own.
func TestEveryVector(t *testing.T) {
	keys := []cms.Key{nssKey(t, "thunderbird/Dave.p12"), nssKey(t, "thunderbird/Bob.p12")}
	frans := map[string][]cms.Key{}
	for _, folder := range []string{"nss-interop", "thunderbird-interop"} {
		frans[folder] = []cms.Key{nssKey(t, folder+"/Fran.p12"), nssKey(t, folder+"/Fran-ec.p12")}
	}
	elsewhere := func(room string) func(*testing.T, string) {
		return func(t *testing.T, path string) { isRunIn(t, room, path) }
	}
	rules := []struct {
		pattern string
		check   func(t *testing.T, path string)
	}{
		{"wycheproof/aes_wrap_test.json", elsewhere("algorithm")},
		{"wycheproof/rsa_*_test.json", elsewhere("algorithm")},
		{"wycheproof/ec[d]sa_*_test.json", elsewhere("algorithm")},
		{"wycheproof/ed25519_test.json", elsewhere("algorithm")},
		{"wycheproof/ecdh_*_test.json", elsewhere("recipient")},
		{"wycheproof/x25519_test.json", elsewhere("recipient")},
		{"wycheproof/aes_[cg]*_test.json", elsewhere("content")},
		{"wycheproof/chacha20_poly1305_test.json", elsewhere("content")},
		{"thunderbird/README.md", nil},      // no message
		{"thunderbird/expiration.txt", nil}, // of the certificates, which nobody here asks about
		{"thunderbird/TestCA.pem", func(t *testing.T, path string) { certificate(t, path) }},
		{"*/*.p12", func(t *testing.T, path string) { isKey(t, path) }},
		{"thunderbird/*.eml", func(t *testing.T, path string) { isThunderbirds(t, path, keys) }},
		{"thunderbird/*.env", isForNobody},
		{"thunderbird/alice.dsig.*", func(t *testing.T, path string) { isThunderbirds(t, path, keys) }},
		{"thunderbird/alice.sig.*.opaque", func(t *testing.T, path string) { isThunderbirds(t, path, keys) }},
		{"thunderbird/alice.mime.dsig.*", func(t *testing.T, path string) { isSigned(t, path, "thunderbird/alice.mime") }},
		{"thunderbird/alice.textplain.sig.*", func(t *testing.T, path string) { isSigned(t, path, "") }},
		{"thunderbird/alice.mime", nil},      // what was signed
		{"thunderbird/alice.textplain", nil}, // the same
		{"nss-interop/*.env", func(t *testing.T, path string) { isForFran(t, path, frans["nss-interop"]) }},
		{"thunderbird-interop/*.env", func(t *testing.T, path string) { isForFran(t, path, frans["thunderbird-interop"]) }},
		{"rfc9216/*-pkcs-12-object-for-*.pem", nil}, // PKCS #12 is vault/pkcs12's
		{"rfc9216/*-certificate.pem", func(t *testing.T, path string) { certificate(t, path) }},
		{"rfc9216/*-secret-key.pem", isCertified},
		{"rfc9216/*-private-key-material.pem", isCertified},
	}
	for _, folder := range []string{"wycheproof", "rfc9216", "thunderbird", "thunderbird-interop", "nss-interop"} {
		for _, path := range vectors(t, folder+"/*") {
			t.Run(path, func(t *testing.T) {
				for _, r := range rules {
					if fits, err := filepath.Match(r.pattern, path); err != nil {
						t.Fatal(err)
					} else if !fits {
						continue
					}
					if r.check != nil {
						r.check(t, path)
					}
					return
				}
				t.Error("no line names it")
			})
		}
	}
}

// isRunIn wants the file named in the tests of a room that runs it.
func isRunIn(t *testing.T, room, path string) {
	tests, err := os.ReadFile(filepath.Join(room, "wycheproof_test.go"))
	must(err)
	if name := strings.TrimSuffix(filepath.Base(path), "_test.json"); !bytes.Contains(tests, []byte(`"`+name+`"`)) {
		t.Errorf("%s does not name %s", room, name)
	}
}

// isThunderbirds opens a message of Thunderbird's and NSS's own tests to the bottom. Its
// name tells what was done, the outermost last.
func isThunderbirds(t *testing.T, path string, keys []cms.Key) {
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
}

// isSigned reads a signature that encloses its content, or stands beside another file.
func isSigned(t *testing.T, path, beside string) {
	var content cms.Source
	if beside != "" {
		content = source(vector(t, beside))
	}
	s := readSigned(t, vector(t, path), content)
	want := strings.TrimPrefix(filepath.Ext(path), ".") + " valid"
	if strings.HasSuffix(path, "SHA1") {
		want = "SHA1 weak"
	}
	if got := outcome(s); got != want || s.Detached != (beside != "") {
		t.Errorf("%s, want %s", got, want)
	}
}

// isForNobody reads an envelope that was made for a certificate of an older authority,
// whose keys are not among the files.
func isForNobody(t *testing.T, path string) {
	keys := []cms.Key{nssKey(t, "thunderbird/Dave.p12"), nssKey(t, "thunderbird/Bob.p12"), nssKey(t, "thunderbird/Fran.p12")}
	e, err := cms.ReadEnveloped(source(vector(t, path)), cms.ReadOptions{Keys: keys})
	if !errors.Is(err, cms.ErrNoKey) || e == nil || len(e.Recipients) != 1 || e.Recipients[0].Serial == nil || e.Recipients[0].Serial.Int64() != 40 {
		t.Errorf("%+v, %v", e, err)
	}
}

// isForFran opens what OpenSSL made for NSS's tests, by the means that its name tells.
func isForFran(t *testing.T, path string, keys []cms.Key) {
	der := vector(t, path)
	if _, body, mime := bytes.Cut(der, []byte("\n\n")); mime && der[0] == 'M' {
		der = unbase64(t, body)
	}
	e, err := cms.ReadEnveloped(source(der), cms.ReadOptions{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	want, name := "RSA-OAEP SHA-1", filepath.Base(path)
	for _, bits := range []string{"224", "256", "384", "512"} {
		if strings.Contains(name, "sha"+bits+"hash") {
			want = "RSA-OAEP SHA-" + bits
		}
		if strings.Contains(name, "-ec_") && strings.Contains(name, "sha"+bits) {
			want = "ECDH SHA-" + bits
		}
	}
	if strings.HasSuffix(name, "-sha1.env") {
		want = "ECDH SHA-1"
	}
	if got := readAll(t, e); string(got) != "This is a test message to Fran.\n" || e.KeyCipher != want || e.Weak != (e.Cipher == "3DES-CBC") {
		t.Errorf("%s, %s: %q; want %s", e.Cipher, e.KeyCipher, got, want)
	}
}

// isKey wants the key in a PKCS #12 file to be that of its certificate. Those of RFC 9216 are
// vault/pkcs12's.
func isKey(t *testing.T, path string) {
	if strings.HasPrefix(path, "rfc9216/") {
		return
	}
	k := nssKey(t, path)
	content := text(100)
	e := readEnvelopedBy(t, enveloped(t, content, cms.EncryptOptions{Size: 100}, person{cert: k.Certificate}), k)
	if !bytes.Equal(readAll(t, e), content) {
		t.Error("other content")
	}
}

func readEnvelopedBy(t *testing.T, der []byte, k cms.Key) *cms.Enveloped {
	t.Helper()
	e, err := cms.ReadEnveloped(source(der), cms.ReadOptions{Keys: []cms.Key{k}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func certificate(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(vector(t, path))
	if block == nil || block.Type != "CERTIFICATE" {
		t.Fatalf("%s is no certificate", path)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	must(err)
	return c
}

// isCertified finds the certificate of a private key of RFC 9216, and uses both for what they
// are: to sign or to encrypt.
func isCertified(t *testing.T, path string) {
	block, _ := pem.Decode(vector(t, path))
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	must(err)
	if agreeing, ok := parsed.(*ecdh.PrivateKey); ok {
		parsed = exchanger{agreeing}
	}
	key, content := parsed.(crypto.Signer), text(100)
	found := 0
	for _, file := range vectors(t, "rfc9216/*-certificate.pem") {
		c := certificate(t, file)
		if !key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(algorithm.PublicKey(c)) {
			continue
		}
		found++
		p := person{key, c}
		if c.KeyUsage&(x509.KeyUsageKeyEncipherment|x509.KeyUsageKeyAgreement) != 0 {
			if e := readEnveloped(t, enveloped(t, content, cms.EncryptOptions{Cipher: cms.AES256GCM, Size: 100}, p), p); !bytes.Equal(readAll(t, e), content) {
				t.Errorf("%s: other content", file)
			}
			continue
		}
		if s := readSigned(t, detached(t, content, cms.SignOptions{}, p), source(content)); s.Signers[0].Err != nil {
			t.Errorf("%s: %v", file, s.Signers[0].Err)
		}
	}
	if found == 0 {
		t.Error("nobody certified it")
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
