package cms_test

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"countersign/mailer/cms"
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
	name := strings.ReplaceAll(r.sign.Hash.String(), "-", "") + "with"
	switch {
	case r.algorithm == "RSA":
		name += "RSA"
	case r.algorithm == "RSA-PSS":
		name += "RSAandMGF1"
	case r.algorithm == "Ed25519":
		name = "Ed25519"
	default:
		name += "ECDSA"
	}
	return b.run(t, content, "sign", r.who, name)
}

func (b *bouncy) verify(t *testing.T, _ row, der []byte) []byte { return b.run(t, der, "verify") }

func (b *bouncy) encrypt(t *testing.T, r row, content []byte) []byte {
	keys := map[string]string{"rsa": "v15", "p256": "ECDH_SHA256KDF", "p384": "ECDH_SHA384KDF", "p521": "ECDH_SHA512KDF"}[r.who]
	if r.encrypt.OAEP {
		keys = "oaep:SHA-256:SHA-256"
	}
	cipher := strings.Replace(strings.TrimPrefix(r.encrypt.Cipher.String(), "AES-"), "-", "_", 1)
	return b.run(t, content, "encrypt", r.who, "AES"+cipher, keys)
}

func (b *bouncy) decrypt(t *testing.T, r row, der []byte) []byte {
	return b.run(t, der, "decrypt", r.who)
}

// TestBouncyPeerForms has Bouncy Castle write in the forms that no other program here has.
func TestBouncyPeerForms(t *testing.T) {
	b, content := newBouncy(t), text(100_000)
	for _, c := range []struct {
		job             string
		cipher, keys    string // as read
		weak, authentic bool
	}{
		{"encrypt p256 AES256_CBC ECCDH_SHA256KDF AES128_WRAP", "AES-256-CBC", "ECDH SHA-256", false, false},
		{"encrypt p256 AES128_GCM ECDH_SHA224KDF AES192_WRAP material", "AES-128-GCM", "ECDH SHA-224", false, true},
		{"encrypt p384 AES192_CBC ECDH_SHA1KDF AES256_WRAP material", "AES-192-CBC", "ECDH SHA-1", false, false},
		{"encrypt p521 AES256_GCM ECCDH_SHA512KDF AES256_WRAP none attributed", "AES-256-GCM", "ECDH SHA-512", false, true},
		{"encrypt p256 AES256_CBC ECDH_SHA256KDF DES_EDE3_WRAP", "AES-256-CBC", "ECDH SHA-256", true, false},
		{"encrypt p256 DES_EDE3_CBC ECDH_SHA1KDF DES_EDE3_WRAP material", "3DES-CBC", "ECDH SHA-1", true, false},
		{"encrypt rsa DES_CBC v15", "DES-CBC", "RSA PKCS#1 v1.5", true, false},
		{"encrypt rsa AES128_CBC oaep:SHA-384:SHA-1", "AES-128-CBC", "RSA-OAEP SHA-384", false, false},
		{"encrypt rsa AES192_GCM oaep:SHA-1:SHA-512 none none attributed", "AES-192-GCM", "RSA-OAEP SHA-1", false, true},
	} {
		t.Run(c.job, func(t *testing.T) {
			job := strings.Split(c.job, " ")
			e := readEnveloped(t, b.run(t, content, job...), people()[job[1]])
			if e.Cipher != c.cipher || e.KeyCipher != c.keys || e.Weak != c.weak || e.Authenticated != c.authentic {
				t.Errorf("%+v", e)
			}
			if !bytes.Equal(readAll(t, e), content) {
				t.Error("other content")
			}
		})
	}
	for job, name := range map[string]string{
		"encrypt rsa AES256_CCM v15": "AES-CCM", "encrypt rsa RC2_CBC v15": "RC2", "encrypt rsa CAMELLIA128_CBC v15": "Camellia-128",
		"encrypt p256 AES256_CBC ECDH_SHA256KDF CAMELLIA256_WRAP": "Camellia-256 key wrap",
	} {
		who := people()[strings.Split(job, " ")[1]]
		_, err := cms.ReadEnveloped(source(b.run(t, content, strings.Split(job, " ")...)), cms.ReadOptions{Keys: []cms.Key{who.opener()}})
		if !errors.Is(err, cms.ErrUnsupported) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", job, err)
		}
	}
	m, err := cms.ReadCompressed(source(b.run(t, content, "compress")), 100_000)
	if err != nil || !bytes.Equal(readAll(t, m), content) {
		t.Errorf("compressed: %v", err)
	}
}

// TestBouncyPeerSigners has several sign at once, each by an algorithm of their own.
func TestBouncyPeerSigners(t *testing.T) {
	b, content := newBouncy(t), text(100_000)
	wants := []struct {
		who, by, algorithm, hash string
		err                      error
	}{
		{"rsa", "SHA256withRSA", "RSA", "SHA-256", nil},
		{"p256", "SHA512withECDSA", "ECDSA P-256", "SHA-512", nil},
		{"ed25519", "Ed25519", "Ed25519", "SHA-512", nil},
		{"ed25519", "Ed25519-direct", "Ed25519", "SHA-512", nil},
		{"rsa2", "SHA384withRSAandMGF1", "RSA-PSS", "SHA-384", nil},
		{"p384", "SHA224withECDSA-direct", "ECDSA P-384", "SHA-224", nil},
		{"rsa2", "SHA1withRSA", "RSA", "SHA-1", cms.ErrSHA1},
		{"rsa1024", "SHA256withRSA-direct", "RSA", "SHA-256", cms.ErrShortKey},
		{"rsa", "MD5withRSA", "RSA", "MD5", cms.ErrUnsupported},
		{"p256", "SHA3-256withECDSA", "ECDSA with SHA3-256", "SHA3-256", cms.ErrUnsupported},
	}
	job := []string{"sign"}
	for _, w := range wants {
		job = append(job, w.who, w.by)
	}
	s := readSigned(t, b.run(t, content, job...), nil)
	if len(s.Signers) != len(wants) || !bytes.Equal(readAll(t, s), content) {
		t.Fatalf("%d signers", len(s.Signers))
	}
	for _, w := range wants {
		if !slices.ContainsFunc(s.Signers, func(si cms.SignerInfo) bool {
			return si.Certificate != nil && si.Certificate.Equal(people()[w.who].cert) && si.Algorithm == w.algorithm && si.Hash == w.hash && isError(si.Err, w.err)
		}) {
			t.Errorf("%s by %s is not among %+v", w.by, w.who, s.Signers)
		}
	}
}
