package cms_test

import (
	"bytes"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"
)

// nss is a folder in which Thunderbird's library runs, with some people's keys.
type nss struct {
	t   *testing.T
	dir string
}

func newNSS(t *testing.T, who ...string) nss {
	for _, tool := range []string{"cmsutil", "certutil", "pk12util"} {
		if _, err := exec.LookPath(tool); err != nil {
			absent(t, tool+" is not installed: make setup installs it (libnss3-tools)")
		}
	}
	n := nss{t, t.TempDir()}
	n.run("certutil", "-N", "--empty-password")
	for _, name := range who {
		p, trust := people()[name], ",,"
		if p.cert.IsCA {
			trust = ",C,"
		}
		p12, err := pkcs12.Modern.Encode(p.key, p.cert, nil, "pw")
		must(err)
		n.write("p12", p12)
		n.run("pk12util", "-i", "p12", "-W", "pw")
		n.write("crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw}))
		n.run("certutil", "-A", "-a", "-i", "crt", "-n", name, "-t", trust)
	}
	return n
}

func (n nss) write(name string, b []byte) {
	n.t.Helper()
	if err := os.WriteFile(filepath.Join(n.dir, name), b, 0o600); err != nil {
		n.t.Fatal(err)
	}
}

func (n nss) run(tool string, args ...string) []byte {
	n.t.Helper()
	cmd := exec.Command(tool, append(args, "-d", "sql:.")...)
	cmd.Dir = n.dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		n.t.Fatalf("%s %v: %v\n%s%s", tool, args, err, out, stderr.Bytes())
	}
	return out
}

func (n nss) sign(t *testing.T, r row, content []byte) []byte {
	n.t = t
	n.write("content", content)
	hash := strings.ReplaceAll(r.sign.Hash.String(), "-", "")
	return n.run("cmsutil", "-S", "-N", r.who, "-H", hash, "-G", "-P", "-Y", r.who, "-i", "content")
}

func (n nss) verify(t *testing.T, _ row, der []byte) []byte {
	n.t = t
	n.write("in", der)
	return n.run("cmsutil", "-D", "-i", "in")
}

func (n nss) encrypt(t *testing.T, r row, content []byte) []byte {
	n.t = t
	n.write("content", content)
	return n.run("cmsutil", "-E", "-r", r.who+"@clinic.example", "-i", "content")
}

func (n nss) decrypt(t *testing.T, r row, der []byte) []byte { return n.verify(t, r, der) }

// TestNSSPeerApart has NSS sign apart from the content, and name a certificate for answers.
func TestNSSPeerApart(t *testing.T) {
	n := newNSS(t, "authority", "rsa", "p256")
	content := text(100_000)
	n.write("content", content)
	for _, who := range []string{"rsa", "p256"} {
		p := people()[who]
		s := readSigned(t, n.run("cmsutil", "-S", "-T", "-N", who, "-H", "SHA384", "-G", "-Y", who, "-i", "content"), source(content))
		if len(s.Signers) != 1 || s.Signers[0].Err != nil || s.Signers[0].Time.IsZero() || !p.cert.Equal(s.Signers[0].EncryptionCertificate) {
			t.Errorf("we verify %s apart: %+v", who, s.Signers)
		}
	}
}

// TestNSSPeerCertificates has NSS send certificates alone.
func TestNSSPeerCertificates(t *testing.T) {
	n := newNSS(t, "authority", "rsa")
	s := readSigned(t, n.run("cmsutil", "-O", "-r", "rsa@clinic.example"), nil)
	if len(s.Signers) != 0 || !slices.ContainsFunc(s.Certificates, people()["rsa"].cert.Equal) {
		t.Errorf("%+v", s)
	}
}
