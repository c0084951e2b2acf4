package cms_test

import (
	"bytes"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"countersign/mailer/cms"
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
			t.Skip(tool + " is not installed: make setup installs it (libnss3-tools)")
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

func TestNSSPeer(t *testing.T) {
	n := newNSS(t, "authority", "rsa", "p256")
	content := text(100_000)
	n.write("content", content)
	for _, who := range []string{"rsa", "p256"} {
		p := people()[who]
		for _, size := range []int64{int64(len(content)), -1} {
			n.write("in", opaque(t, content, size, cms.SignOptions{EncryptionCertificate: p.cert}, p))
			if got := n.run("cmsutil", "-D", "-i", "in"); !bytes.Equal(got, content) {
				t.Errorf("they verify %s, size %d: other content", who, size)
			}
			if who != "rsa" {
				continue // key agreement came to NSS later than to Debian
			}
			n.write("in", enveloped(t, content, cms.EncryptOptions{Size: size}, p))
			if got := n.run("cmsutil", "-D", "-i", "in"); !bytes.Equal(got, content) {
				t.Errorf("they decrypt for %s, size %d: other content", who, size)
			}
		}
		s := readSigned(t, n.run("cmsutil", "-S", "-N", who, "-H", "SHA256", "-G", "-P", "-Y", who, "-i", "content"), nil)
		if len(s.Signers) != 1 || s.Signers[0].Err != nil || s.Signers[0].Time.IsZero() || !p.cert.Equal(s.Signers[0].EncryptionCertificate) {
			t.Errorf("we verify %s: %+v", who, s.Signers)
		}
		s = readSigned(t, n.run("cmsutil", "-S", "-T", "-N", who, "-H", "SHA384", "-i", "content"), source(content))
		if len(s.Signers) != 1 || s.Signers[0].Err != nil {
			t.Errorf("we verify %s apart: %+v", who, s.Signers)
		}
	}
	e := readEnveloped(t, n.run("cmsutil", "-E", "-r", "rsa@clinic.example", "-i", "content"), people()["rsa"])
	if got := readAll(t, e); !bytes.Equal(got, content) {
		t.Errorf("we decrypt %s: other content", e.Cipher)
	}
}
