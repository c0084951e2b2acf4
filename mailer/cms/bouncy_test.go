package cms_test

import (
	"bufio"
	"crypto/x509"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// bouncy is Bouncy Castle, with everybody's keys: one Java process for all its jobs.
type bouncy struct {
	dir   string
	jobs  io.Writer
	lines *bufio.Scanner
}

func newBouncy(t *testing.T) *bouncy {
	const jars = "/usr/share/java/"
	path := strings.Join([]string{jars + "bcmail.jar", jars + "bcpkix.jar", jars + "bcprov.jar", jars + "bcutil.jar"}, ":")
	if _, err := os.Stat(jars + "bcmail.jar"); err != nil {
		absent(t, "Bouncy Castle is not installed: make setup installs it (libbcmail-java)")
	}
	if _, err := exec.LookPath("javac"); err != nil {
		absent(t, "no Java compiler is installed: make setup installs it (openjdk-17-jdk-headless)")
	}
	program, err := filepath.Abs(filepath.Join("testdata", "Peer.java"))
	must(err)
	b := &bouncy{dir: t.TempDir()}
	for name, p := range people() {
		if name == "x25519" {
			continue
		}
		key, err := x509.MarshalPKCS8PrivateKey(p.key)
		must(err)
		b.write(name+".key", key)
		b.write(name+".crt", p.cert.Raw)
	}
	cmd := exec.Command("java", "-XX:TieredStopAtLevel=1", "-cp", path, program)
	var complaints strings.Builder
	cmd.Dir, cmd.Stderr = b.dir, &complaints
	in, err := cmd.StdinPipe()
	must(err)
	out, err := cmd.StdoutPipe()
	must(err)
	must(cmd.Start())
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the Java process: %v\n%s", err, complaints.String())
		}
	})
	b.jobs, b.lines = in, bufio.NewScanner(out)
	return b
}

func (b *bouncy) write(name string, content []byte) {
	must(os.WriteFile(filepath.Join(b.dir, name), content, 0o600))
}

// run has a job done on in, and returns what came out.
func (b *bouncy) run(t *testing.T, in []byte, job ...string) []byte {
	t.Helper()
	b.write("in", in)
	if _, err := io.WriteString(b.jobs, strings.Join(job, " ")+"\n"); err != nil {
		t.Fatal(err)
	}
	if !b.lines.Scan() || b.lines.Text() != "done" {
		t.Fatalf("Bouncy Castle, %v: %s", job, b.lines.Text())
	}
	out, err := os.ReadFile(filepath.Join(b.dir, "out"))
	must(err)
	return out
}

func (b *bouncy) sign(t *testing.T, r row, content []byte) []byte {
	name := map[string]string{"RSA": "SHA256withRSA", "RSA-PSS": "SHA256withRSAandMGF1", "Ed25519": "Ed25519"}[r.algorithm]
	if strings.HasPrefix(r.algorithm, "ECDSA") {
		name = strings.ReplaceAll(r.sign.Hash.String(), "-", "") + "withECDSA"
	}
	return b.run(t, content, "sign", r.who, name)
}

func (b *bouncy) verify(t *testing.T, _ row, der []byte) []byte { return b.run(t, der, "verify") }

func (b *bouncy) encrypt(t *testing.T, r row, content []byte) []byte {
	keys := map[string]string{"rsa": "v15", "p256": "ECDH_SHA256KDF", "p384": "ECDH_SHA384KDF", "p521": "ECDH_SHA512KDF"}[r.who]
	if r.encrypt.OAEP {
		keys = "oaep"
	}
	cipher := strings.Replace(strings.TrimPrefix(r.encrypt.Cipher.String(), "AES-"), "-", "_", 1)
	return b.run(t, content, "encrypt", r.who, "AES"+cipher, keys)
}

func (b *bouncy) decrypt(t *testing.T, r row, der []byte) []byte {
	return b.run(t, der, "decrypt", r.who)
}
