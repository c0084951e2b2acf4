package cms_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"countersign/mailer/cms"
)

// opensslPeer is a folder with everybody's keys and certificates in which openssl runs.
type opensslPeer struct {
	t   *testing.T
	dir string
}

func newOpenSSL(t *testing.T) opensslPeer {
	if _, err := exec.LookPath("openssl"); err != nil {
		absent(t, "openssl is not installed: make setup installs it")
	}
	o := opensslPeer{t, t.TempDir()}
	for name, p := range people() {
		if name == "x25519" {
			continue // no program of this generation knows it in CMS
		}
		key, err := x509.MarshalPKCS8PrivateKey(p.key)
		must(err)
		o.write(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
		o.write(name+".crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw}))
	}
	return o
}

func (o opensslPeer) write(name string, b []byte) {
	o.t.Helper()
	if err := os.WriteFile(filepath.Join(o.dir, name), b, 0o600); err != nil {
		o.t.Fatal(err)
	}
}

// run returns what openssl cms writes to the file out.
func (o opensslPeer) run(args ...string) []byte {
	o.t.Helper()
	cmd := exec.Command("openssl", append([]string{"cms", "-binary", "-out", "out"}, args...)...)
	cmd.Dir = o.dir
	if msg, err := cmd.CombinedOutput(); err != nil {
		o.t.Fatalf("openssl cms %v: %v\n%s", args, err, msg)
	}
	b, err := os.ReadFile(filepath.Join(o.dir, "out"))
	if err != nil {
		o.t.Fatal(err)
	}
	return b
}

// certify makes a key of a kind that the standard library does not make.
func (o opensslPeer) certify(who, kind string, more ...string) {
	o.t.Helper()
	args := []string{"req", "-x509", "-nodes", "-keyout", who + ".key", "-out", who + ".crt", "-subj", "/CN=" + who,
		"-newkey", kind, "-pkeyopt", "rsa_keygen_bits:2048"}
	cmd := exec.Command("openssl", append(args, more...)...)
	cmd.Dir = o.dir
	if msg, err := cmd.CombinedOutput(); err != nil {
		o.t.Fatalf("openssl %v: %v\n%s", args, err, msg)
	}
}

func (o opensslPeer) sign(t *testing.T, r row, content []byte) []byte {
	o.t = t
	o.write("in", content)
	args := []string{"-sign", "-in", "in", "-nodetach", "-outform", "DER", "-signer", r.who + ".crt", "-inkey", r.who + ".key"}
	args = append(args, "-md", strings.ReplaceAll(strings.ToLower(r.sign.Hash.String()), "-", ""))
	if r.sign.PSS {
		args = append(args, "-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:digest")
	}
	return o.run(args...)
}

func (o opensslPeer) verify(t *testing.T, _ row, der []byte) []byte {
	o.t = t
	o.write("in", der)
	return o.run("-verify", "-inform", "DER", "-in", "in", "-noverify")
}

func (o opensslPeer) encrypt(t *testing.T, r row, content []byte) []byte {
	o.t = t
	o.write("in", content)
	args := []string{"-encrypt", "-in", "in", "-outform", "DER", "-" + r.encrypt.Cipher.String(), "-recip", r.who + ".crt"}
	switch {
	case r.encrypt.OAEP:
		args = append(args, "-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256")
	case r.who != "rsa":
		args = append(args, "-keyopt", "ecdh_kdf_md:"+map[string]string{"p256": "sha256", "p384": "sha384", "p521": "sha512"}[r.who])
	}
	return o.run(args...)
}

func (o opensslPeer) decrypt(t *testing.T, r row, der []byte) []byte {
	o.t = t
	o.write("in", der)
	return o.run("-decrypt", "-inform", "DER", "-in", "in", "-recip", r.who+".crt", "-inkey", r.who+".key")
}

func TestOpenSSLReadsOurSignatures(t *testing.T) {
	o := newOpenSSL(t)
	content := text(100_000)
	o.write("content", content)
	for _, c := range []struct {
		who  string
		hash crypto.Hash
		pss  bool
	}{
		{"rsa", 0, false}, {"rsa", crypto.SHA512, false}, {"rsa", 0, true}, {"rsa", crypto.SHA384, true},
		{"p256", 0, false}, {"p384", crypto.SHA384, false}, {"p521", crypto.SHA512, false},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			o.t = t
			p, options := people()[c.who], cms.SignOptions{Hash: c.hash, PSS: c.pss, EncryptionCertificate: people()["rsa2"].cert}
			for form, der := range map[string][]byte{
				"DER": opaque(t, content, int64(len(content)), options, p, people()["rsa2"]),
				"BER": opaque(t, content, -1, options, p, people()["rsa2"]),
			} {
				o.write("in", der)
				if got := o.run("-verify", "-inform", "DER", "-in", "in", "-noverify"); !bytes.Equal(got, content) {
					t.Errorf("%s: other content", form)
				}
			}
			o.write("in", detached(t, content, options, p))
			o.run("-verify", "-inform", "DER", "-in", "in", "-content", "content", "-noverify")
		})
	}
}

func TestWeReadOpenSSLSignatures(t *testing.T) {
	o := newOpenSSL(t)
	o.certify("pss", "rsa-pss")
	o.certify("pssbound", "rsa-pss", "-pkeyopt", "rsa_pss_keygen_md:sha384", "-pkeyopt", "rsa_pss_keygen_mgf1_md:sha384", "-pkeyopt", "rsa_pss_keygen_saltlen:40")
	content := text(100_000)
	o.write("content", content)
	type options []string
	for _, c := range []struct {
		who, algorithm string
		options        options
		want           error
	}{
		{"rsa", "RSA", nil, nil},
		{"rsa", "RSA", options{"-noattr"}, nil},
		{"rsa", "RSA", options{"-keyid"}, nil},
		{"rsa", "RSA", options{"-md", "sha384", "-nosmimecap"}, nil},
		{"rsa", "RSA", options{"-md", "sha512", "-cades"}, nil},
		{"rsa", "RSA", options{"-md", "sha224"}, nil},
		{"rsa", "RSA", options{"-md", "sha1"}, cms.ErrSHA1},
		{"rsa", "RSA", options{"-md", "sha1", "-noattr"}, cms.ErrSHA1},
		{"rsa", "RSA", options{"-md", "md5"}, cms.ErrUnsupported},
		{"rsa", "RSA", options{"-md", "sha3-256"}, cms.ErrUnsupported},
		{"rsa", "RSA", options{"-md", "ripemd160"}, cms.ErrUnsupported},
		{"rsa", "RSA", options{"-nocerts"}, cms.ErrNoCertificate},
		{"rsa", "RSA", options{"-receipt_request_all", "-receipt_request_to", "ada@clinic.example"}, nil},
		{"rsa", "RSA", options{"-econtent_type", "1.2.840.113549.1.9.16.1.4"}, nil},
		{"rsa", "RSA", options{"-econtent_type", "1.2.840.113549.1.9.16.1.4", "-noattr"}, cms.ErrAttributes},
		{"rsa1024", "RSA", nil, cms.ErrShortKey},
		{"rsa1024", "RSA", options{"-md", "sha1"}, cms.ErrShortKey},
		{"rsa", "RSA-PSS", options{"-keyopt", "rsa_padding_mode:pss"}, nil},
		{"rsa", "RSA-PSS", options{"-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:32", "-md", "sha384"}, nil},
		{"rsa", "RSA-PSS", options{"-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_mgf1_md:sha1"}, nil},
		{"rsa", "RSA-PSS", options{"-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_mgf1_md:sha512", "-keyopt", "rsa_pss_saltlen:0", "-noattr"}, nil},
		{"rsa", "RSA-PSS", options{"-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:0"}, nil},
		{"rsa", "RSA-PSS", options{"-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:max", "-keyid"}, nil},
		{"rsa", "RSA-PSS", options{"-keyopt", "rsa_padding_mode:pss", "-md", "sha1"}, cms.ErrSHA1},
		{"pss", "RSA", nil, cms.ErrUnsupported}, // it says RSA and does not mean it
		{"pss", "RSA-PSS", options{"-keyopt", "rsa_padding_mode:pss"}, nil},
		{"pss", "RSA-PSS", options{"-md", "sha512", "-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:20"}, nil},
		{"pssbound", "RSA-PSS", options{"-md", "sha384", "-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:48"}, nil},
		{"p256", "ECDSA P-256", nil, nil},
		{"p256", "ECDSA P-256", options{"-md", "sha1"}, cms.ErrSHA1},
		{"p256", "ECDSA P-256", options{"-noattr", "-keyid", "-md", "sha512"}, nil},
		{"p384", "ECDSA P-384", options{"-md", "sha384"}, nil},
		{"p521", "ECDSA P-521", options{"-md", "sha512"}, nil},
	} {
		for _, form := range []options{{"-nodetach"}, {"-nodetach", "-stream"}, {}} {
			if (c.algorithm == "RSA-PSS" || slices.Contains(c.options, "-econtent_type")) && len(form) == 2 {
				continue // openssl fails: "illegal zero content"
			}
			t.Run(fmt.Sprint(c.who, c.options, form), func(t *testing.T) {
				o.t = t
				args := append(options{"-sign", "-in", "content", "-outform", "DER", "-signer", c.who + ".crt", "-inkey", c.who + ".key"}, form...)
				der := o.run(append(args, c.options...)...)
				var apart cms.Source
				if len(form) == 0 {
					apart = source(content)
				}
				s := readSigned(t, der, apart)
				if len(s.Signers) != 1 || !isError(s.Signers[0].Err, c.want) || s.Signers[0].Algorithm != c.algorithm {
					t.Errorf("signers %+v, want %s and %v", s.Signers, c.algorithm, c.want)
				}
				if c.who == "rsa" && (len(s.Signers) != 1 || s.Signers[0].Identifier.Serial == nil && len(s.Signers[0].Identifier.KeyID) == 0) {
					t.Error("it does not say whose it is")
				}
				if !bytes.Equal(readAll(t, s), content) {
					t.Error("other content")
				}
			})
		}
	}
}

func TestOpenSSLReadsOurEnvelopes(t *testing.T) {
	o := newOpenSSL(t)
	content := text(100_000)
	all := []person{people()["rsa"], people()["p256"], people()["p384"], people()["p521"]}
	turn := 0
	for i, cipher := range ciphers {
		if cipher == cms.ChaCha20Poly1305 {
			continue // openssl 3 has it, but not in CMS
		}
		for _, size := range []int64{int64(len(content)), -1} {
			options := cms.EncryptOptions{Size: size, Cipher: cipher, OAEP: i%2 == 0}
			o.write("in", enveloped(t, content, options, all...))
			turn++
			who := all[turn%len(all)].cert.Subject.CommonName // each has a turn with DER and BER, CBC and GCM
			got := o.run("-decrypt", "-inform", "DER", "-in", "in", "-recip", who+".crt", "-inkey", who+".key")
			if !bytes.Equal(got, content) {
				t.Errorf("%v, size %d, %s: other content", cipher, size, who)
			}
		}
	}
}

func TestWeReadOpenSSLEnvelopes(t *testing.T) {
	o := newOpenSSL(t)
	content := text(100_000)
	o.write("content", content)
	type options []string
	for _, c := range []struct {
		cipher  string
		options options
		name    string
	}{
		{"AES-256-CBC", options{"rsa.crt", "rsa2.crt"}, "RSA PKCS#1 v1.5"},
		{"AES-256-CBC", options{"-stream", "rsa.crt", "rsa2.crt"}, "RSA PKCS#1 v1.5"},
		{"AES-256-CBC", options{"-keyid", "-stream", "rsa.crt", "rsa2.crt"}, "RSA PKCS#1 v1.5"},
		{"AES-192-CBC", options{"rsa.crt", "rsa2.crt"}, "RSA PKCS#1 v1.5"},
		{"AES-128-CBC", options{"-stream", "rsa.crt", "rsa2.crt"}, "RSA PKCS#1 v1.5"},
		{"AES-256-GCM", options{"rsa.crt", "rsa2.crt"}, "RSA PKCS#1 v1.5"},
		{"AES-192-GCM", options{"rsa.crt", "rsa2.crt"}, "RSA PKCS#1 v1.5"},
		{"AES-128-GCM", options{"-stream", "rsa.crt", "rsa2.crt"}, "RSA PKCS#1 v1.5"},
		{"AES-256-CBC", options{"-recip", "rsa2.crt", "-keyopt", "rsa_padding_mode:oaep"}, "RSA-OAEP SHA-1"},
		{"AES-256-GCM", options{"-recip", "rsa2.crt", "-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha384", "-keyopt", "rsa_mgf1_md:sha256", "-keyopt", "rsa_oaep_label:636d73"}, "RSA-OAEP SHA-384"},
		{"AES-256-CBC", options{"p256.crt"}, "ECDH SHA-1"},
		{"AES-128-GCM", options{"-recip", "p256.crt", "-keyopt", "ecdh_kdf_md:sha256"}, "ECDH SHA-256"},
		{"AES-256-GCM", options{"-keyid", "-recip", "p384.crt", "-keyopt", "ecdh_kdf_md:sha384"}, "ECDH SHA-384"},
		{"AES-256-CBC", options{"-recip", "p521.crt", "-keyopt", "ecdh_kdf_md:sha512", "-keyopt", "ecdh_cofactor_mode:1"}, "ECDH SHA-512"},
		{"AES-256-CBC", options{"-recip", "rsa2.crt", "-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha224", "-keyopt", "rsa_mgf1_md:sha512"}, "RSA-OAEP SHA-224"},
		{"AES-256-CBC", options{"-recip", "p256.crt", "-keyopt", "ecdh_kdf_md:sha224", "-aes128-wrap"}, "ECDH SHA-224"},
		{"AES-128-CBC", options{"-recip", "p384.crt", "-keyopt", "ecdh_kdf_md:sha512", "-aes192-wrap"}, "ECDH SHA-512"},
		{"AES-128-CBC", options{"-recip", "p256.crt", "-keyopt", "ecdh_cofactor_mode:1", "-aes256-wrap"}, "ECDH SHA-1"},
		{"AES-192-GCM", options{"-recip", "p256.crt", "-recip", "p384.crt", "-recip", "rsa.crt"}, "ECDH SHA-1"},
		{"AES-256-CBC", options{"-pwri_password", "pw", "rsa2.crt"}, "RSA PKCS#1 v1.5"},
		{"AES-256-CBC", options{"-secretkey", "000102030405060708090a0b0c0d0e0f", "-secretkeyid", "c0ffee", "rsa2.crt"}, "RSA PKCS#1 v1.5"},
		{"3DES-CBC", options{"-des3", "rsa2.crt"}, "RSA PKCS#1 v1.5"},
		{"3DES-CBC", options{"-des3", "p256.crt"}, "ECDH SHA-1"},
		{"3DES-CBC", options{"-des3", "-recip", "p256.crt", "-keyopt", "ecdh_kdf_md:sha256", "-des3-wrap"}, "ECDH SHA-256"},
		{"DES-CBC", options{"-provider", "legacy", "-provider", "default", "-des", "rsa2.crt"}, "RSA PKCS#1 v1.5"},
	} {
		t.Run(fmt.Sprint(c.cipher, c.options), func(t *testing.T) {
			o.t = t
			args := options{"-encrypt", "-in", "content", "-outform", "DER"}
			old := strings.HasSuffix(c.cipher, "DES-CBC")
			if !old {
				args = append(args, "-"+c.cipher)
			}
			keys := []cms.Key{people()["rsa2"].opener(), people()["p256"].opener(), people()["p384"].opener(), people()["p521"].opener()}
			e, err := cms.ReadEnveloped(source(o.run(append(args, c.options...)...)), cms.ReadOptions{Keys: keys})
			if err != nil {
				t.Fatal(err)
			}
			if e.Cipher != c.cipher || e.KeyCipher != c.name || e.Weak != old {
				t.Errorf("%+v", e)
			}
			if !bytes.Equal(readAll(t, e), content) {
				t.Error("other content")
			}
		})
	}
}

// What OpenSSL writes and nobody should, or nobody here can, is refused for a reason that
// names it.
func TestWeRefuseOpenSSLEnvelopes(t *testing.T) {
	o := newOpenSSL(t)
	o.write("content", text(1000))
	for _, c := range []struct {
		options []string
		want    error
		named   string
	}{
		{[]string{"-rc2", "rsa.crt"}, cms.ErrUnsupported, "RC2"},
		{[]string{"-rc2-40", "rsa.crt"}, cms.ErrUnsupported, "RC2"},
		{[]string{"-camellia256", "rsa.crt"}, cms.ErrUnsupported, "Camellia-256"},
		{[]string{"-seed", "rsa.crt"}, cms.ErrUnsupported, "SEED"},
		{[]string{"-cast5-cbc", "rsa.crt"}, cms.ErrUnsupported, "CAST5"},
		{[]string{"-aes256", "-pwri_password", "pw"}, cms.ErrNoKey, "a password"},
		{[]string{"-aes256", "-secretkey", "000102030405060708090a0b0c0d0e0f", "-secretkeyid", "c0ffee"}, cms.ErrNoKey, "a shared key"},
		{[]string{"-aes256", "rsa2.crt"}, cms.ErrNoKey, ""},
	} {
		t.Run(c.options[0]+c.named, func(t *testing.T) {
			o.t = t
			der := o.run(append([]string{"-encrypt", "-provider", "legacy", "-provider", "default", "-in", "content", "-outform", "DER"}, c.options...)...)
			e, err := cms.ReadEnveloped(source(der), cms.ReadOptions{Keys: []cms.Key{people()["rsa"].opener()}})
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.named) || e == nil || e.ContentKey != nil {
				t.Errorf("%v", err)
			}
		})
	}
}

// Several sign one after another.
func TestWeReadManySigners(t *testing.T) {
	o := newOpenSSL(t)
	content := text(5000)
	o.write("content", content)
	sign := func(in, who string, more ...string) {
		op := []string{"-resign", "-inform", "DER", "-in", in}
		if in == "content" {
			op = []string{"-sign", "-in", in, "-nodetach"}
		}
		o.write("next", o.run(append(append(op, "-outform", "DER", "-signer", who+".crt", "-inkey", who+".key"), more...)...))
	}
	sign("content", "rsa")
	sign("next", "p256")
	sign("next", "p384", "-keyid", "-nosmimecap")
	sign("next", "rsa2", "-cades")
	sign("next", "rsa1024")
	der, err := os.ReadFile(filepath.Join(o.dir, "next"))
	must(err)
	s := readSigned(t, der, nil)
	want := map[string]error{"rsa": nil, "p256": nil, "p384": nil, "rsa2": nil, "rsa1024": cms.ErrShortKey}
	for _, si := range s.Signers {
		who := si.Certificate.Subject.CommonName
		expected, known := want[who]
		if delete(want, who); !known || !isError(si.Err, expected) {
			t.Errorf("%s: %v", who, si.Err)
		}
	}
	if len(want) > 0 || !bytes.Equal(readAll(t, s), content) {
		t.Errorf("nothing of %v", want)
	}
}
