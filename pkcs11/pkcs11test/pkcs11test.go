// Package pkcs11test sets up tokens for tests: SoftHSM, NSS, the soft token of opencryptoki,
// tpm2-pkcs11 on a TPM in software, OpenSC with a PIV card of our own ([PIV], package piv), a
// library that misbehaves on demand in front of SoftHSM ([Token.Misbehaving]), and a fake that
// needs nothing installed ([Fake], package fake). Their keys are known to the test, so that it
// can compare what the token does with what Go does.
//
// Services that a token needs run in namespaces of their own, which takes root: the machine's
// own are neither met nor changed, and all end with the test, however it ends. What is not
// there skips the test and says why, or fails it where COUNTERSIGN_PEERS=required.
//
// A library reads its settings from the environment of its process, which is why tests
// run the helper as a process: [Helper], called first in TestMain, turns the test binary
// into countersign-pkcs11 when it is started again by [Token.Command].
package pkcs11test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/mailer/server/servertest"
	"countersign/pkcs11/pkcs11test/fake"
)

// variable says what the test binary is to be, other than a test.
const variable = "COUNTERSIGN_TEST_TOKEN_HELPER"

// What it may be.
const (
	helper = "helper" // countersign-pkcs11
	relay  = "relay"  // between a card and its reader
	faked  = "fake"   // what package fake is
)

// Helper runs main in place of the tests if this process was started by [Token.Command].
func Helper(main func() int) {
	what := os.Getenv(variable)
	if what == "" {
		return
	}
	enter()
	os.Args = os.Args[:1]
	switch what {
	case relay:
		os.Exit(carry())
	case faked:
		os.Exit(fake.Main())
	}
	os.Exit(main())
}

// Command is this test binary, and the environment in which it is the helper for t.
func (t *Token) Command() (path string, env []string) {
	if t.fake {
		return command(faked, t.Env...)
	}
	if t.place != nil {
		return command(helper, append(t.Env, inside+"="+t.place.pid)...)
	}
	return command(helper, t.Env...)
}

func command(what string, env ...string) (string, []string) {
	path, err := os.Executable()
	if err != nil {
		panic(err) // Linux always knows
	}
	race := "GORACE=atexit_sleep_ms=0" // else each process built with -race sleeps a second before it ends
	return path, append(append(os.Environ(), variable+"="+what, "GOTRACEBACK=none", race), env...)
}

// PIN is the PIN of each token.
const PIN = "12%34 56"

// Token is a token ready for use.
type Token struct {
	Library  string // its path
	Reserved string // its initialisation string
	Env      []string
	Label    string
	Offered  []string // the names of Keys that it holds
	keys     map[string]Key
	folder   string
	place    *place // where its services run; nil: none do
	fake     bool   // it is of package fake
}

// Key is a key on a token, and the same in software.
type Key struct {
	ID      []byte // nil where the library chooses one: NSS
	Label   string
	Private crypto.Signer
	Cert    *x509.Certificate
}

// Key returns a key by its name: rsa, p256, p384, p521 or ed25519. The last two are on
// SoftHSM only.
func (t *Token) Key(name string) Key { return t.keys[name] }

// Fake is a token that needs nothing installed and can do all that others can; what it
// does wrong, [Token.Do] says. See package fake.
func Fake(tb testing.TB) *Token {
	tb.Helper()
	dir := tb.TempDir()
	k := &Token{
		Library: "none", Env: []string{fake.Folder + "=" + dir, fake.PIN + "=" + PIN}, Label: fake.Name().Label,
		folder: dir, keys: map[string]Key{}, fake: true,
	}
	fakes.copy(tb, k, func() {
		for i, name := range []string{"rsa", "p256", "p384", "p521", "ed25519"} {
			k.add(tb, name, byte(i+1))
		}
	})
	return k
}

// SoftHSM sets up a SoftHSM token. Its keys have no public-key objects. The key alone
// is a second RSA key, with neither certificate nor public-key object. Those of one process
// are copies of one: their keys and their serial number are the same.
func SoftHSM(t testing.TB) *Token {
	t.Helper()
	const library = "/usr/lib/softhsm/libsofthsm2.so"
	need(t, library, "softhsm2-util", "pkcs11-tool")
	dir := t.TempDir()
	conf := filepath.Join(t.TempDir(), "softhsm2.conf")
	write(t, conf, "directories.tokendir = "+dir+"\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = true\n")
	k := &Token{Library: library, Env: []string{"SOFTHSM2_CONF=" + conf}, Label: "Praxis Dr. Öz", folder: dir, keys: map[string]Key{}}
	softHSM.copy(t, k, func() {
		k.run(t, "softhsm2-util", "--init-token", "--free", "--label", k.Label, "--so-pin", "87654321", "--pin", PIN)
		for i, name := range []string{"rsa", "p256", "p384", "p521", "ed25519", "alone"} {
			k.bring(t, name, byte(i+1))
		}
	})
	return k
}

// bring puts a key and its certificate on a SoftHSM token.
func (t *Token) bring(tb testing.TB, name string, number byte) {
	tb.Helper()
	t.add(tb, name, number)
	base, id := filepath.Join(t.folder, name), hex.EncodeToString([]byte{number})
	if strings.HasPrefix(name, "p") { // softhsm2-util allows them no key agreement
		t.tool(tb, "--write-object", base+".key", "--type", "privkey", "--id", id, "--label", name, "--usage-derive", "--usage-sign")
	} else {
		t.run(tb, "softhsm2-util", "--import", base+".pem", "--token", t.Label, "--label", name, "--id", id, "--pin", PIN, "--no-public-key")
	}
	if name != "alone" {
		t.tool(tb, "--write-object", base+".der", "--type", "cert", "--id", id, "--label", name)
	}
}

// NSS sets up the database token of NSS: a library that needs an initialisation string,
// whose tokens all have one serial number, and which has no Ed25519.
func NSS(t testing.TB) *Token {
	t.Helper()
	const library = "/usr/lib/x86_64-linux-gnu/libsoftokn3.so"
	need(t, library, "certutil", "pk12util", "openssl")
	dir := t.TempDir()
	pin := filepath.Join(t.TempDir(), "pin")
	write(t, pin, PIN)
	k := &Token{
		Library: library, Label: "NSS Certificate DB", folder: dir, keys: map[string]Key{},
		Reserved: "configdir='sql:" + dir + "' certPrefix='' keyPrefix='' secmod='secmod.db' flags=readOnly",
	}
	nss.copy(t, k, func() {
		k.run(t, "certutil", "-N", "-d", "sql:"+dir, "-f", pin)
		for i, name := range []string{"rsa", "p256", "p384"} {
			k.add(t, name, byte(i+1))
			pem, p12 := filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".p12")
			k.run(t, "openssl", "pkcs12", "-export", "-inkey", pem, "-in", filepath.Join(dir, name+".crt"), "-name", name, "-out", p12, "-passout", "pass:x")
			k.run(t, "pk12util", "-i", p12, "-d", "sql:"+dir, "-k", pin, "-W", "x")
			key := k.keys[name]
			key.ID = nil
			k.keys[name] = key
		}
	})
	return k
}

// Remove takes the token out of its reader, Insert puts it back: SoftHSM's is a folder.
// A library that is running sees it when it is started anew.
func (t *Token) Remove(tb testing.TB) { t.move(tb, "*-*-*-*", "out of ") }

// Insert undoes Remove.
func (t *Token) Insert(tb testing.TB) { t.move(tb, "out of *", "") }

func (t *Token) move(tb testing.TB, pattern, prefix string) {
	tb.Helper()
	found, err := filepath.Glob(filepath.Join(t.folder, pattern))
	if err != nil || len(found) != 1 {
		tb.Fatalf("%d tokens: %v", len(found), err)
	}
	name := strings.TrimPrefix(filepath.Base(found[0]), "out of ")
	if err := os.Rename(found[0], filepath.Join(t.folder, prefix+name)); err != nil {
		tb.Fatal(err)
	}
}

func need(t testing.TB, library string, programs ...string) {
	t.Helper()
	if _, err := os.Stat(library); library != "" && err != nil {
		servertest.Absent(t, library+" is not there: make setup installs it")
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			servertest.Absent(t, p+" is not installed: make setup installs it")
		}
	}
}

// add makes a key and its certificate, and writes both in the forms that tools want.
func (t *Token) add(tb testing.TB, name string, id byte) {
	tb.Helper()
	private := generate(tb, name)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		tb.Fatal(err)
	}
	base := filepath.Join(t.folder, name)
	write(tb, base+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
	write(tb, base+".key", string(pkcs8))
	t.certify(tb, name, []byte{id}, private.Public())
	key := t.keys[name]
	key.Private = private
	t.keys[name] = key
}

// certify makes a certificate for a key, and writes it in the forms that tools want.
func (t *Token) certify(tb testing.TB, name string, id []byte, public crypto.PublicKey) {
	tb.Helper()
	cert := certificate(tb, &x509.Certificate{SerialNumber: big.NewInt(int64(id[0])), Subject: pkix.Name{CommonName: name}}, public)
	base := filepath.Join(t.folder, name)
	write(tb, base+".crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})))
	write(tb, base+".der", string(cert.Raw))
	t.keys[name] = Key{ID: id, Label: name, Cert: cert}
	if name != "alone" {
		t.Offered = append(t.Offered, name)
	}
}

// certificate makes one for a key, under an authority that nobody knows.
func certificate(tb testing.TB, template *x509.Certificate, public crypto.PublicKey) *x509.Certificate {
	tb.Helper()
	template.NotBefore, template.NotAfter = time.Unix(0, 0), time.Unix(1<<33, 0)
	authority := &x509.Certificate{Subject: pkix.Name{CommonName: "An authority"}}
	der, err := x509.CreateCertificate(rand.Reader, template, authority, public, generate(tb, "p256"))
	if err != nil {
		tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return cert
}

func generate(tb testing.TB, name string) crypto.Signer {
	tb.Helper()
	var key crypto.Signer
	var err error
	switch name {
	case "p256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "p384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "p521":
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func (t *Token) tool(tb testing.TB, args ...string) {
	tb.Helper()
	t.run(tb, "pkcs11-tool", append([]string{"--module", t.Library, "--login", "--pin", PIN}, args...)...)
}

func (t *Token) run(tb testing.TB, program string, args ...string) {
	tb.Helper()
	if out, err := t.command(program, args...).CombinedOutput(); err != nil {
		tb.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
}

// command is a program where the token is.
func (t *Token) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	if t.place != nil {
		cmd = t.place.command(program, args...)
	}
	cmd.Env = append(os.Environ(), t.Env...)
	return cmd
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
