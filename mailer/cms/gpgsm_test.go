package cms_test

import (
	"bytes"
	"crypto/sha1"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"countersign/mailer/cms"
	"software.sslmate.com/src/go-pkcs12"
)

// gpgsm is a GnuPG home with a person's key.
type gpgsm struct {
	t   *testing.T
	dir string
}

func newGpgsm(t *testing.T, p person) gpgsm {
	if _, err := exec.LookPath("gpgsm"); err != nil {
		absent(t, "gpgsm is not installed: make setup installs it")
	}
	dir, err := os.MkdirTemp("", "gpgsm") // sockets have short names
	must(err)
	g := gpgsm{t, dir}
	t.Cleanup(func() {
		cmd := exec.Command("gpgconf", "--kill", "all")
		cmd.Env = append(os.Environ(), "GNUPGHOME="+dir)
		cmd.Run()
		os.RemoveAll(dir)
	})
	authority := people()["authority"].cert
	fingerprint := strings.ReplaceAll(fmt.Sprintf("% X", sha1.Sum(authority.Raw)), " ", ":")
	g.write("trustlist.txt", []byte(fingerprint+" S relax\n"))
	g.write("gpgsm.conf", []byte("disable-crl-checks\ndisable-dirmngr\nno-secmem-warning\n"))
	g.write("gpg-agent.conf", []byte("allow-loopback-pinentry\n"))
	g.write("ca", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Raw}))
	g.run(nil, "--import", "ca")
	p12, err := pkcs12.LegacyDES.Encode(p.key, p.cert, nil, "pw")
	must(err)
	g.write("p12", p12)
	g.run([]byte("pw\n"), "--passphrase-fd", "0", "--import", "p12")
	return g
}

func (g gpgsm) write(name string, b []byte) {
	g.t.Helper()
	if err := os.WriteFile(filepath.Join(g.dir, name), b, 0o600); err != nil {
		g.t.Fatal(err)
	}
}

func (g gpgsm) run(stdin []byte, args ...string) []byte {
	g.t.Helper()
	cmd := exec.Command("gpgsm", append([]string{"--batch", "--yes", "--pinentry-mode", "loopback"}, args...)...)
	cmd.Dir, cmd.Env, cmd.Stdin = g.dir, append(os.Environ(), "GNUPGHOME="+g.dir), bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		g.t.Fatalf("gpgsm %v: %v\n%s", args, err, stderr.Bytes())
	}
	return out
}

func (g gpgsm) sign(t *testing.T, r row, content []byte) []byte {
	g.t = t
	g.write("in", content)
	return g.run([]byte("pw\n"), "--passphrase-fd", "0", "--digest-algo", strings.ReplaceAll(r.sign.Hash.String(), "-", ""), "--sign", "in")
}

func (g gpgsm) verify(t *testing.T, _ row, der []byte) []byte {
	g.t = t
	g.write("in", der)
	return g.run(nil, "-o", "-", "--verify", "in")
}

func (g gpgsm) encrypt(t *testing.T, r row, content []byte) []byte {
	g.t = t
	g.write("in", content)
	cipher := strings.TrimSuffix(strings.ReplaceAll(r.encrypt.Cipher.String(), "AES-", "AES"), "-CBC")
	return g.run(nil, "--cipher-algo", cipher, "-r", r.who+"@clinic.example", "--encrypt", "in")
}

func (g gpgsm) decrypt(t *testing.T, _ row, der []byte) []byte {
	g.t = t
	g.write("in", der)
	return g.run([]byte("pw\n"), "--passphrase-fd", "0", "--decrypt", "in")
}

// TestGpgsmPeerApart has GnuPG verify a signature apart from its content.
func TestGpgsmPeerApart(t *testing.T) {
	p, content := people()["rsa"], text(100_000)
	g := newGpgsm(t, p)
	g.write("content", content)
	g.write("in", detached(t, content, cms.SignOptions{}, p))
	g.run(nil, "--verify", "in", "content")
}
