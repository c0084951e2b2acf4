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
		t.Skip("gpgsm is not installed: make setup installs it")
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

func TestGpgsmPeer(t *testing.T) {
	p, content := people()["rsa"], text(100_000)
	g := newGpgsm(t, p)
	g.write("content", content)
	pw := func(args ...string) []byte {
		return g.run([]byte("pw\n"), append([]string{"--passphrase-fd", "0"}, args...)...)
	}
	for _, size := range []int64{int64(len(content)), -1} {
		g.write("in", opaque(t, content, size, cms.SignOptions{}, p))
		g.run(nil, "--verify", "in")
		g.write("in", enveloped(t, content, cms.EncryptOptions{Size: size}, p))
		if got := pw("--decrypt", "in"); !bytes.Equal(got, content) {
			t.Errorf("they decrypt, size %d: other content", size)
		}
	}
	g.write("in", detached(t, content, cms.SignOptions{}, p))
	g.run(nil, "--verify", "in", "content")

	s := readSigned(t, pw("--sign", "content"), nil)
	if len(s.Signers) != 1 || s.Signers[0].Err != nil || !bytes.Equal(readAll(t, s), content) {
		t.Errorf("we verify: %+v", s.Signers)
	}
	e := readEnveloped(t, g.run(nil, "-r", "rsa@clinic.example", "--encrypt", "content"), p)
	if got := readAll(t, e); !bytes.Equal(got, content) {
		t.Errorf("we decrypt %s: other content", e.Cipher)
	}
}
