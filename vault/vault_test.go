//lint:file-ignore SA1019 RSA PKCS #1 v1.5 is how S/MIME transports keys

package vault_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"countersign/platform/keychain"
	"countersign/vault"
	"countersign/vault/certification"
)

// memory is a keychain in memory that counts and can fail.
type memory struct {
	mu    sync.Mutex
	items map[string][]byte
	gets  int
	fail  error
}

func newMemory() *memory { return &memory{items: map[string][]byte{}} }

func (m *memory) Get(_ context.Context, name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gets++
	if m.fail != nil {
		return nil, m.fail
	}
	v, ok := m.items[name]
	if !ok {
		return nil, keychain.ErrNotFound
	}
	return bytes.Clone(v), nil
}

func (m *memory) Set(_ context.Context, name string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(value) > keychain.MaxItem {
		return keychain.ErrTooLarge
	}
	if m.fail != nil {
		return m.fail
	}
	m.items[name] = bytes.Clone(value)
	return nil
}

func (m *memory) Delete(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.items[name]; !ok {
		return keychain.ErrNotFound
	}
	delete(m.items, name)
	return nil
}

func (m *memory) List(context.Context) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for name := range m.items {
		names = append(names, name)
	}
	return names, nil
}

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// words stands for the list: 2,048 words told apart by four letters.
func words() []string {
	list := make([]string, 2048)
	for n := range list {
		list[n] = fmt.Sprintf("%c%c%c%cword", 'a'+n%16, 'a'+n/16%16, 'a'+n/256, 'z')
	}
	return list
}

func options() vault.Options {
	return vault.Options{Clock: func() time.Time { return noon }, Words: words(), Work: 10}
}

func open(t *testing.T, dir string, kc keychain.Store) *vault.Vault {
	t.Helper()
	v, err := vault.Open(t.Context(), dir, kc, options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

func newVault(t *testing.T) *vault.Vault { return open(t, t.TempDir(), newMemory()) }

// Keys are made once: RSA takes its time.
var (
	rsaKey   = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	otherRSA = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	thirdRSA = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	ecKey    = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// change alters a certificate that is about to be made.
type change func(*x509.Certificate)

func usage(u x509.KeyUsage) change { return func(c *x509.Certificate) { c.KeyUsage = u } }

var serial int64

func certificate(t *testing.T, public crypto.PublicKey, changes ...change) *x509.Certificate {
	t.Helper()
	serial++
	c := &x509.Certificate{
		SerialNumber:   big.NewInt(serial),
		Subject:        pkix.Name{CommonName: "Ada Byron"},
		NotBefore:      noon.Add(-time.Hour),
		NotAfter:       noon.Add(365 * 24 * time.Hour),
		KeyUsage:       x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:    []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
		EmailAddresses: []string{"Ada@Clinic.example"},
	}
	for _, change := range changes {
		change(c)
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Clinic CA"}}
	der, err := x509.CreateCertificate(rand.Reader, c, ca, public, must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)))
	if err != nil {
		t.Fatal(err)
	}
	return must(x509.ParseCertificate(der))
}

func p12(t *testing.T, key crypto.PrivateKey, cert *x509.Certificate, chain ...*x509.Certificate) []byte {
	t.Helper()
	data, err := pkcs12.Modern2023.Encode(key, cert, chain, "secret")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func importFile(t *testing.T, v *vault.Vault, data []byte) vault.Identity {
	t.Helper()
	got, err := v.ImportPKCS12(t.Context(), data, "secret")
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 {
		t.Fatalf("%d identities, want one", len(got))
	}
	return got[0]
}

func identities(t *testing.T, v *vault.Vault) []vault.Identity {
	t.Helper()
	all, err := v.Identities(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// signs has an identity sign and checks the signature.
func signs(t *testing.T, v *vault.Vault, i vault.Identity) error {
	t.Helper()
	s, err := v.Signer(t.Context(), i.ID)
	if err != nil {
		return err
	}
	if public, ok := s.Public().(ed25519.PublicKey); ok {
		sig, err := s.Sign(rand.Reader, []byte("a letter"), crypto.Hash(0))
		if err == nil && !ed25519.Verify(public, []byte("a letter"), sig) {
			err = errors.New("the signature does not hold")
		}
		return err
	}
	digest := sha256.Sum256([]byte("a letter"))
	sig, err := s.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return err
	}
	switch public := s.Public().(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], sig)
	case *ecdsa.PublicKey:
		if !ecdsa.VerifyASN1(public, digest[:], sig) {
			return errors.New("the signature does not hold")
		}
		return nil
	}
	return errors.New("another kind of key")
}

// opens says whether the vault decrypts what is encrypted to a certificate.
func opens(t *testing.T, v *vault.Vault, cert *x509.Certificate) bool {
	t.Helper()
	text, err := decrypted(t, v, encrypted(t, cert, "words"))
	return err == nil && text == "words"
}

func TestOpenAgain(t *testing.T) {
	dir, kc := filepath.Join(t.TempDir(), "profile"), newMemory()
	v := open(t, dir, kc)
	i := importFile(t, v, p12(t, rsaKey(), certificate(t, rsaKey().Public())))
	public, code := v.RecordKey().Public(), v.CodeKey()
	if err := v.RecordKey().Advance(t.Context(), [32]byte{7}, 3); err != nil {
		t.Fatal(err)
	}
	if err := v.RecordKey().Advance(t.Context(), [32]byte{8}, 2); err == nil {
		t.Error("the counter went back")
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	v = open(t, dir, kc)
	if head, n := v.RecordKey().Head(); head != [32]byte{7} || n != 3 {
		t.Errorf("the head is %x, %d", head[:2], n)
	}
	if !v.RecordKey().Public().Equal(public) || !bytes.Equal(v.CodeKey(), code) || len(code) != 32 {
		t.Error("the record key or the code key changed")
	}
	if all := identities(t, v); len(all) != 1 || all[0].ID != i.ID || signs(t, v, all[0]) != nil {
		t.Errorf("the identity did not last: %v", all)
	}
	if info, err := os.Stat(dir); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
		t.Errorf("the folder is %v (%v)", info.Mode(), err)
	}
}

func TestKeysLost(t *testing.T) {
	for _, item := range []string{"database-key", "record-key"} {
		dir, kc := t.TempDir(), newMemory()
		open(t, dir, kc).Close()
		if err := kc.Delete(t.Context(), item); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the first try must not make it worse
			if _, err := vault.Open(t.Context(), dir, kc, options()); !errors.Is(err, vault.ErrLost) {
				t.Errorf("without %s: got %v, want ErrLost", item, err)
			}
		}
	}
}

// TestStartCutShort stops the keychain between the first steps of a new profile.
func TestStartCutShort(t *testing.T) {
	dir, kc := t.TempDir(), newMemory()
	open(t, t.TempDir(), kc).Close() // leaves both items, and no database in dir
	if err := kc.Delete(t.Context(), "database-key"); err != nil {
		t.Fatal(err)
	}
	open(t, dir, kc)
}

func TestImport(t *testing.T) {
	ca := certificate(t, ecKey().Public(), func(c *x509.Certificate) { c.EmailAddresses, c.IsCA = nil, true; c.BasicConstraintsValid = true })
	for name, encoder := range map[string]*pkcs12.Encoder{
		"modern": pkcs12.Modern2023, "newest": pkcs12.Modern2026, "triple DES": pkcs12.LegacyDES, "RC2": pkcs12.LegacyRC2,
	} {
		t.Run(name, func(t *testing.T) {
			v := newVault(t)
			cert := certificate(t, rsaKey().Public())
			data := must(encoder.Encode(rsaKey(), cert, []*x509.Certificate{ca}, "secret"))
			i := importFile(t, v, data)
			if i.Address != "ada@clinic.example" || i.Name != "Ada Byron" || i.Retired {
				t.Errorf("got %s, %s, retired %v", i.Address, i.Name, i.Retired)
			}
			if !cert.Equal(i.Signing) || i.Encryption != i.Signing || len(i.Chain) != 1 || !ca.Equal(i.Chain[0]) {
				t.Error("the certificates are not in their places")
			}
			if err := signs(t, v, i); err != nil {
				t.Error(err)
			}
			if !opens(t, v, cert) {
				t.Error("it does not decrypt")
			}
			again := importFile(t, v, data)
			if all := identities(t, v); again.ID != i.ID || len(all) != 1 || all[0].KeyPlace != "keychain" {
				t.Errorf("imported twice makes %d", len(all))
			}
		})
	}
}

func TestImportRefuses(t *testing.T) {
	weak, err := os.ReadFile("testdata/rsa1024.pem")
	if err != nil {
		t.Fatal(err)
	}
	weakKey := parsePEM(t, weak).(*rsa.PrivateKey)
	good := certificate(t, rsaKey().Public())
	for name, c := range map[string]struct {
		data     []byte
		password string
		want     error
	}{
		"wrong passphrase":        {p12(t, rsaKey(), good), "guess", vault.ErrPassphrase},
		"not a file of that kind": {[]byte("hello"), "secret", vault.ErrNotPKCS12},
		"cut short":               {p12(t, rsaKey(), good)[:500], "secret", vault.ErrNotPKCS12},
		"too large":               {make([]byte, 1<<20+1), "secret", vault.ErrNotPKCS12},
		"no key":                  {must(pkcs12.Modern2023.EncodeTrustStore([]*x509.Certificate{good}, "secret")), "secret", vault.ErrNoPrivateKey},
		"weak RSA":                {p12(t, weakKey, certificate(t, weakKey.Public())), "secret", vault.ErrWeakKey},
		"another's certificate":   {p12(t, rsaKey(), certificate(t, otherRSA().Public())), "secret", vault.ErrKeyMismatch},
		"no address":              {p12(t, rsaKey(), certificate(t, rsaKey().Public(), func(c *x509.Certificate) { c.EmailAddresses = nil })), "secret", vault.ErrNoAddress},
		"for web servers": {p12(t, rsaKey(), certificate(t, rsaKey().Public(), func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		})), "secret", vault.ErrNotForMail},
		"an authority's": {p12(t, rsaKey(), certificate(t, rsaKey().Public(), func(c *x509.Certificate) {
			c.IsCA, c.BasicConstraintsValid = true, true
		})), "secret", vault.ErrNotForMail},
		"for neither use": {p12(t, rsaKey(), certificate(t, rsaKey().Public(), usage(x509.KeyUsageDataEncipherment))), "secret", vault.ErrNotForMail},
	} {
		t.Run(name, func(t *testing.T) {
			kc := newMemory()
			v := open(t, t.TempDir(), kc)
			before := len(kc.items)
			_, err := v.ImportPKCS12(t.Context(), c.data, c.password)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			var p *vault.Problem
			if !errors.As(err, &p) || !strings.HasSuffix(p.Says, ".") || p.Code == "" {
				t.Errorf("%v says nothing to a person", err)
			}
			if len(kc.items) != before || len(identities(t, v)) != 0 {
				t.Error("something was changed")
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	legacy := func(c *x509.Certificate) {
		c.EmailAddresses = nil
		c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: []int{1, 2, 840, 113549, 1, 9, 1}, Value: "Old@Clinic.example"}}
	}
	several := func(c *x509.Certificate) {
		c.EmailAddresses = []string{"a@x.example", "b@x.example", "A@x.example"}
	}
	for _, c := range []struct {
		change change
		want   []string
	}{{legacy, []string{"old@clinic.example"}}, {several, []string{"a@x.example", "b@x.example"}}} {
		v := newVault(t)
		got, err := v.ImportPKCS12(t.Context(), p12(t, rsaKey(), certificate(t, rsaKey().Public(), c.change)), "secret")
		if err != nil {
			t.Fatal(err)
		}
		var addresses []string
		for _, i := range got {
			addresses = append(addresses, i.Address)
		}
		if !slices.Equal(addresses, c.want) {
			t.Errorf("got %v, want %v", addresses, c.want)
		}
	}
}

// TestApartOrTogether brings signing and encryption certificates in every way.
func TestApartOrTogether(t *testing.T) {
	signing := certificate(t, ecKey().Public(), usage(x509.KeyUsageDigitalSignature))
	encryption := certificate(t, rsaKey().Public(), usage(x509.KeyUsageKeyEncipherment))
	files := [][]byte{p12(t, ecKey(), signing), p12(t, rsaKey(), encryption)}
	for _, order := range [][]int{{0, 1}, {1, 0}} {
		v := newVault(t)
		first := importFile(t, v, files[order[0]])
		second := importFile(t, v, files[order[1]])
		if first.ID != second.ID || len(identities(t, v)) != 1 {
			t.Error("two files make two identities")
		}
		if !signing.Equal(second.Signing) || !encryption.Equal(second.Encryption) {
			t.Error("the certificates are not in their places")
		}
		if err := signs(t, v, second); err != nil {
			t.Error(err)
		}
		if !opens(t, v, encryption) {
			t.Error("it does not decrypt")
		}
	}
}

func TestReplacing(t *testing.T) {
	v := newVault(t)
	old := importFile(t, v, p12(t, rsaKey(), certificate(t, rsaKey().Public())))
	next := importFile(t, v, p12(t, otherRSA(), certificate(t, otherRSA().Public())))
	if err := v.TakeOver(t.Context(), next.ID); err != nil {
		t.Fatal(err)
	}
	all := identities(t, v)
	if len(all) != 2 || all[0].ID != next.ID || all[0].Retired || all[1].ID != old.ID || !all[1].Retired {
		t.Fatalf("got %+v", all)
	}
	if !opens(t, v, old.Encryption) || !opens(t, v, next.Encryption) {
		t.Error("mail to one of the two keys does not open")
	}
	again := importFile(t, v, p12(t, rsaKey(), old.Signing))
	if !again.Retired || again.ID != old.ID {
		t.Error("importing the old one again puts it back into use beside the new")
	}

	// The same key in a renewed certificate: mail names either.
	renewed := importFile(t, v, p12(t, otherRSA(), certificate(t, otherRSA().Public(), func(c *x509.Certificate) {
		c.NotAfter = noon.Add(1000 * 24 * time.Hour)
	})))
	if !opens(t, v, next.Encryption) || !opens(t, v, renewed.Encryption) {
		t.Error("mail that names one of the two certificates does not open")
	}

	// One that has run out is only for reading.
	expired := importFile(t, v, p12(t, thirdRSA(), certificate(t, thirdRSA().Public(), func(c *x509.Certificate) { c.NotAfter = noon })))
	if !expired.Retired || !opens(t, v, expired.Encryption) {
		t.Errorf("expired: retired %v, decrypts %v", expired.Retired, opens(t, v, expired.Encryption))
	}
	if all := identities(t, v); all[0].ID != renewed.ID || all[0].Retired {
		t.Error("an expired certificate replaced the one in use")
	}
}

func TestEditedIdentity(t *testing.T) {
	v := newVault(t)
	importFile(t, v, p12(t, rsaKey(), certificate(t, rsaKey().Public())))
	foreign := certificate(t, otherRSA().Public())
	err := v.DB().Update(t.Context(), func(tx *sql.Tx) error {
		var data []byte
		if err := tx.QueryRow(`SELECT data FROM vault_identity`).Scan(&data); err != nil {
			return err
		}
		var row map[string]any
		if err := json.Unmarshal(data, &row); err != nil {
			return err
		}
		row["encryption"] = foreign.Raw
		data, err := json.Marshal(row)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`UPDATE vault_identity SET data = ?`, data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Identities(t.Context()); !errors.Is(err, vault.ErrEdited) {
		t.Errorf("got %v, want ErrEdited", err)
	}
	if _, err := v.DecryptionKeys(t.Context()); !errors.Is(err, vault.ErrEdited) {
		t.Errorf("got %v, want ErrEdited", err)
	}
}

func TestCertification(t *testing.T) {
	v := newVault(t)
	for range 2 { // once for each key
		importFile(t, v, p12(t, rsaKey(), certificate(t, rsaKey().Public())))
	}
	importFile(t, v, p12(t, ecKey(), certificate(t, ecKey().Public(), usage(x509.KeyUsageDigitalSignature))))
	importFile(t, v, p12(t, otherRSA(), certificate(t, otherRSA().Public(), usage(x509.KeyUsageKeyEncipherment))))
	all, err := v.Certifications(t.Context())
	if err != nil || len(all) != 2 {
		t.Fatalf("%d certifications, want one for each of the two signing keys (%v)", len(all), err)
	}
	for _, der := range all {
		c, err := certification.Parse(der)
		if err != nil || !c.Record.Equal(v.RecordKey().Public()) || !c.Time.Equal(noon) {
			t.Errorf("got %+v, %v", c, err)
		}
		for n := 0; n < len(der); n += 97 {
			bad := bytes.Clone(der)
			bad[n] ^= 0x10
			if c, err := certification.Parse(bad); err == nil && !c.Record.Equal(v.RecordKey().Public()) {
				t.Errorf("octet %d altered: it certifies another key", n)
			}
		}
	}
}

func TestCredentials(t *testing.T) {
	kc := newMemory()
	v := open(t, t.TempDir(), kc)
	const name = "smtp:ada@clinic.example"
	if _, err := v.Credential(t.Context(), name); !errors.Is(err, vault.ErrNoCredential) {
		t.Errorf("got %v, want ErrNoCredential", err)
	}
	if err := v.SetCredential(t.Context(), name, "hunter2"); err != nil {
		t.Fatal(err)
	}
	if s, err := v.Credential(t.Context(), name); err != nil || string(s) != "hunter2" {
		t.Errorf("got another secret, %v", err)
	} else if printed := fmt.Sprintf("%v %+v %#v %s %q %x", s, s, s, s, s, s) + string(must(json.Marshal(s))); strings.Contains(printed, "hunter") {
		t.Errorf("it prints as %s", printed)
	}
	for item := range kc.items {
		if strings.Contains(item, "ada") {
			t.Errorf("the item %s tells an address", item)
		}
	}
	for range 2 {
		if err := v.DeleteCredential(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
}
