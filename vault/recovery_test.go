package vault_test

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"countersign/mailer/server/servertest"
	"countersign/vault"
	"countersign/vault/sealed"
)

func must2[A, B any](a A, b B, err error) (A, B) {
	if err != nil {
		panic(err)
	}
	return a, b
}

func parsePEM(t *testing.T, text []byte) crypto.Signer {
	t.Helper()
	block, _ := pem.Decode(text)
	return must(x509.ParsePKCS8PrivateKey(block.Bytes)).(crypto.Signer)
}

func state(t *testing.T, v *vault.Vault) vault.RecoveryState {
	t.Helper()
	r, err := v.Recovery(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r.State
}

// makeRecovery makes and confirms a recovery file.
func makeRecovery(t *testing.T, v *vault.Vault, signing bool) vault.RecoveryFile {
	t.Helper()
	f, err := v.MakeRecovery(t.Context(), signing)
	if err != nil {
		t.Fatal(err)
	}
	err = v.ConfirmRecovery(t.Context(), []string{f.Words[f.Ask[0]-1], f.Words[f.Ask[1]-1]})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestRecoveryStates(t *testing.T) {
	dir, kc := t.TempDir(), newMemory()
	v := open(t, dir, kc)
	importFile(t, v, p12(t, rsaKey(), certificate(t, rsaKey().Public())))
	if s := state(t, v); s != vault.RecoveryMissing {
		t.Errorf("at first: %s", s)
	}
	if err := v.ConfirmRecovery(t.Context(), []string{"a", "b"}); !errors.Is(err, vault.ErrNothingMade) {
		t.Errorf("got %v, want ErrNothingMade", err)
	}
	f, err := v.MakeRecovery(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := v.Recovery(t.Context()); err != nil || r.State != vault.RecoveryUnconfirmed || fmt.Sprint(r.Ask) != fmt.Sprint(f.Ask) || !r.Made.Equal(noon) {
		t.Errorf("when made: %+v, %v", r, err)
	}
	one, two := f.Words[f.Ask[0]-1], f.Words[f.Ask[1]-1]
	if f.Ask[0] < 1 || f.Ask[0] >= f.Ask[1] || f.Ask[1] > 8 || len(f.Words) != 8 {
		t.Fatalf("asks for %v of %d", f.Ask, len(f.Words))
	}
	for _, wrong := range [][]string{nil, {one}, {two, one}, {one, "zzzz"}, {"", ""}, {one, two, two}} {
		if err := v.ConfirmRecovery(t.Context(), wrong); one != two && !errors.Is(err, vault.ErrRecoveryWords) {
			t.Errorf("%d words: got %v, want ErrRecoveryWords", len(wrong), err)
		}
	}
	if s := state(t, v); s != vault.RecoveryUnconfirmed {
		t.Errorf("after wrong words: %s", s)
	}
	// Case and the fifth letter on do not count.
	if err := v.ConfirmRecovery(t.Context(), []string{" " + strings.ToUpper(one[:4]), two[:4] + "x"}); err != nil {
		t.Fatal(err)
	}
	if s := state(t, v); s != vault.RecoveryReady {
		t.Errorf("after the words: %s", s)
	}
	importFile(t, v, p12(t, ecKey(), certificate(t, ecKey().Public(), usage(x509.KeyUsageDigitalSignature))))
	if s := state(t, v); s != vault.RecoveryReady {
		t.Errorf("after a key that only signs: %s", s)
	}
	importFile(t, v, p12(t, otherRSA(), certificate(t, otherRSA().Public())))
	if s := state(t, v); s != vault.RecoveryOutdated {
		t.Errorf("after a new decryption key: %s", s)
	}
	if _, err := v.MakeRecovery(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	v.Close()

	// What waits for its words waits in memory only.
	v = open(t, dir, kc)
	if r, err := v.Recovery(t.Context()); err != nil || r.State != vault.RecoveryUnconfirmed || r.Ask != nil {
		t.Errorf("after a restart: %+v, %v", r, err)
	}
	if err := v.ConfirmRecovery(t.Context(), []string{"a", "b"}); !errors.Is(err, vault.ErrNothingMade) {
		t.Errorf("got %v, want ErrNothingMade", err)
	}
	makeRecovery(t, v, false)
	if s := state(t, v); s != vault.RecoveryReady {
		t.Errorf("after a new one: %s", s)
	}
}

// profile is a vault with an identity of two keys and a place, with its recovery
// file and a copy of its database that is older than the last two records.
type profile struct {
	dir, backup string
	kc          *memory
	file        vault.RecoveryFile
	id          vault.Identity
}

func newProfile(t *testing.T, signing bool) (p profile) {
	t.Helper()
	p.dir, p.kc, p.backup = t.TempDir(), newMemory(), filepath.Join(t.TempDir(), "copy.db")
	v := open(t, p.dir, p.kc)
	importFile(t, v, p12(t, ecKey(), certificate(t, ecKey().Public(), usage(x509.KeyUsageDigitalSignature))))
	p.id = importFile(t, v, p12(t, rsaKey(), certificate(t, rsaKey().Public(), usage(x509.KeyUsageKeyEncipherment))))
	ok := v.Place("journal").Store(t.Context(), []byte("head"))
	if err := errors.Join(ok, v.RecordKey().Advance(t.Context(), [32]byte{1}, 1)); err != nil {
		t.Fatal(err)
	}
	p.file = makeRecovery(t, v, signing)
	if err := v.DB().Backup(t.Context(), p.backup); err != nil {
		t.Fatal(err)
	}
	if err := v.RecordKey().Advance(t.Context(), [32]byte{3}, 3); err != nil {
		t.Fatal(err)
	}
	v.Close()
	return p
}

func (p profile) open(t *testing.T) *vault.Recovered {
	t.Helper()
	r, err := vault.OpenRecovery(p.file.Bytes, p.file.Words, words())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRestore(t *testing.T) {
	for _, c := range []struct {
		name                  string
		signing, sameMachine  bool
		keychainGone, backup  bool
		signs                 bool
		counter, epoch, wants uint64
	}{
		{name: "new machine", keychainGone: true, backup: true, counter: 1},
		{name: "new machine, signing keys asked for", signing: true, keychainGone: true, backup: true, signs: true, counter: 1},
		{name: "new machine, no copy of the database", keychainGone: true, counter: 1},
		{name: "keychain deleted", sameMachine: true, keychainGone: true, counter: 1},
		{name: "old copy restored", sameMachine: true, backup: true, signs: true, counter: 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newProfile(t, c.signing)
			dir, kc, backup := p.dir, p.kc, ""
			if !c.sameMachine {
				dir = filepath.Join(t.TempDir(), "new")
			}
			if c.keychainGone {
				kc = newMemory()
			}
			if c.backup {
				backup = p.backup
			}
			for range 2 { // again is no harm
				if err := p.open(t).Restore(t.Context(), dir, kc, backup); err != nil {
					t.Fatal(err)
				}
			}
			v := open(t, dir, kc)
			all := identities(t, v)
			if len(all) != 1 || all[0].ID != p.id.ID {
				t.Fatalf("got %+v", all)
			}
			if !opens(t, v, p.id.Encryption) {
				t.Error("old mail does not open")
			}
			err := signs(t, v, all[0])
			if c.signs && err != nil || !c.signs && !errors.Is(err, vault.ErrNoKey) {
				t.Errorf("signing: %v", err)
			}
			if all[0].Retired == c.signs {
				t.Errorf("signs %v and is retired %v", c.signs, all[0].Retired)
			}
			if _, n := v.RecordKey().Head(); n != c.counter {
				t.Errorf("the counter is %d, want %d", n, c.counter)
			}
			if e := v.RecordKey().Epoch(); e != 2 {
				t.Errorf("epoch %d after two restores", e)
			}
			if s := state(t, v); s != vault.RecoveryReady {
				t.Errorf("recovery is %s", s)
			}
			if data, err := v.Place("journal").Load(t.Context()); err != nil || string(data) != "head" {
				t.Errorf("the place holds %q, %v", data, err)
			}
			if !c.signs {
				// Importing the certificate again puts it back into use.
				i := importFile(t, v, p12(t, ecKey(), p.id.Signing))
				if err := signs(t, v, i); err != nil || i.Retired {
					t.Errorf("imported again: %v, retired %v", err, i.Retired)
				}
			}
		})
	}
}

func TestRestoreRefuses(t *testing.T) {
	p := newProfile(t, false)
	for name, c := range map[string]struct {
		file  []byte
		words []string
		want  error
	}{
		"another word":   {p.file.Bytes, append(append([]string{}, p.file.Words[:7]...), another(p.file.Words[7])), vault.ErrRecoveryWords},
		"seven words":    {p.file.Bytes, p.file.Words[:7], vault.ErrRecoveryWords},
		"no such word":   {p.file.Bytes, append(append([]string{}, p.file.Words[:7]...), "zzzzz"), vault.ErrRecoveryWords},
		"another file":   {[]byte("hello"), p.file.Words, vault.ErrRecoveryFile},
		"half of a file": {p.file.Bytes[:len(p.file.Bytes)/2], p.file.Words, vault.ErrRecoveryFile},
	} {
		if _, err := vault.OpenRecovery(c.file, c.words, words()); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	// However the words are typed, they are the words.
	if _, err := vault.OpenRecovery(p.file.Bytes, []string{strings.ToUpper(strings.Join(p.file.Words, " - "))}, words()); err != nil {
		t.Errorf("the words in one line, in capitals: %v", err)
	}

	other := newProfile(t, false)
	for name, restore := range map[string]func() error{
		"into another profile":              func() error { return p.open(t).Restore(t.Context(), other.dir, other.kc, "") },
		"into another's folder":             func() error { return p.open(t).Restore(t.Context(), other.dir, newMemory(), "") },
		"into another profile, with a copy": func() error { return p.open(t).Restore(t.Context(), other.dir, other.kc, p.backup) },
	} {
		if err := restore(); !errors.Is(err, vault.ErrOtherProfile) {
			t.Errorf("%s: got %v, want ErrOtherProfile", name, err)
		}
	}
	if err := p.open(t).Restore(t.Context(), t.TempDir(), newMemory(), other.backup); !errors.Is(err, sealed.ErrKey) {
		t.Errorf("with another's copy: got %v, want sealed.ErrKey", err)
	}
	if v := open(t, other.dir, other.kc); len(identities(t, v)) != 1 {
		t.Error("the other profile was changed")
	}
}

func another(word string) string {
	if w := words()[0]; w != word {
		return w
	}
	return words()[1]
}

// TestRecoveryFile looks at what is in the file and in its print.
func TestRecoveryFile(t *testing.T) {
	p := newProfile(t, false)
	printed := fmt.Sprintf("%v %+v %#v %s", p.file, p.file, &p.file, p.open(t)) + string(must(json.Marshal(p.file)))
	for _, w := range append(p.file.Words, "AGE") {
		if strings.Contains(printed, w) {
			t.Errorf("it prints as %s", printed)
		}
	}
	if !strings.HasPrefix(string(p.file.Bytes), "-----BEGIN AGE ENCRYPTED FILE-----\n") {
		t.Error("it is not an age file as text")
	}
	if p.file.Name != "countersign-recovery-2026-03-02.age" {
		t.Errorf("it is called %s", p.file.Name)
	}
}

// TestLargeKey uses a key that fills more than a keychain item.
func TestLargeKey(t *testing.T) {
	key := parsePEM(t, must(os.ReadFile("testdata/rsa8192.pem")))
	dir, kc := t.TempDir(), newMemory()
	v := open(t, dir, kc)
	i := importFile(t, v, p12(t, key, certificate(t, key.Public())))
	if all := identities(t, v); all[0].KeyPlace != "sealed under the keychain" {
		t.Errorf("it is said to lie in the %s", all[0].KeyPlace)
	}
	f := makeRecovery(t, v, false)
	v.Close()
	v = open(t, dir, kc)
	if err := signs(t, v, i); err != nil {
		t.Error(err)
	}
	if !opens(t, v, i.Encryption) {
		t.Error("it does not decrypt")
	}
	dir, kc = t.TempDir(), newMemory()
	if err := must(vault.OpenRecovery(f.Bytes, f.Words, words())).Restore(t.Context(), dir, kc, ""); err != nil {
		t.Fatal(err)
	}
	if v := open(t, dir, kc); !opens(t, v, i.Encryption) {
		t.Error("restored, it does not decrypt")
	}
}

// TestOpenSSL imports what OpenSSL exports.
func TestOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		servertest.Absent(t, "openssl is not installed: make setup installs it")
	}
	dir := t.TempDir()
	cert := certificate(t, rsaKey().Public())
	der := must(x509.MarshalPKCS8PrivateKey(rsaKey()))
	both := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	if err := os.WriteFile(filepath.Join(dir, "in.pem"), both, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"default": nil,
		"legacy":  {"-legacy"},
		"named":   {"-name", "Ada's certificate", "-CSP", "Microsoft Enhanced Cryptographic Provider", "-LMK"},
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(dir, name+".p12")
			args := append([]string{"pkcs12", "-export", "-in", filepath.Join(dir, "in.pem"), "-out", out, "-passout", "pass:secret"}, args...)
			if text, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
				if strings.Contains(string(text), "legacy") {
					servertest.Absent(t, "this openssl has no legacy provider: make setup installs it")
				}
				t.Fatalf("%v: %s", err, text)
			}
			v := newVault(t)
			if i := importFile(t, v, must(os.ReadFile(out))); signs(t, v, i) != nil {
				t.Error("it does not sign")
			}
		})
	}
}

// TestVectors imports the files of RFC 9216 and of Thunderbird.
func TestVectors(t *testing.T) {
	root := "../../shared/vectors"
	if _, err := os.Stat(root); err != nil {
		t.Skip("the vectors are not beside the project: see README")
	}
	for name, c := range map[string]struct {
		passphrase, address string
		want                error
	}{
		"rfc9216/4.5.p12":       {"alice", "alice@smime.example", nil},   // both keys in one file
		"rfc9216/7.5.p12":       {"carlos", "carlos@smime.example", nil}, // Ed25519 and X25519,
		"thunderbird/Alice.p12": {"nss", "alice@example.com", nil},
	} {
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Errorf("reading a vector: %v", err)
			continue
		}
		v := newVault(t)
		got, err := v.ImportPKCS12(t.Context(), data, c.passphrase)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if c.want != nil {
			continue
		}
		if len(got) != 1 || got[0].Address != c.address || got[0].Signing == nil || got[0].Encryption == nil {
			t.Errorf("%s: got %+v", name, got)
		} else if !got[0].Retired && signs(t, v, got[0]) != nil || !opens(t, v, got[0].Encryption) {
			t.Errorf("%s: it does not sign and decrypt", name)
		}
	}
}

// copyProfile copies the database of a closed profile.
func copyProfile(from, to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(from, "countersign.db"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(to, "countersign.db"), data, 0o600)
}
