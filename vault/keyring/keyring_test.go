//lint:file-ignore SA1019 RSA PKCS #1 v1.5 is how S/MIME transports keys

package keyring_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/platform/keychain"
	"countersign/vault/keyring"
	"countersign/vault/sealed"
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
	v, ok := m.items[name]
	if m.fail == nil && !ok {
		return nil, keychain.ErrNotFound
	}
	return bytes.Clone(v), m.fail
}

func (m *memory) Set(_ context.Context, name string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(value) > keychain.MaxItem {
		return keychain.ErrTooLarge
	}
	if m.fail == nil {
		m.items[name] = bytes.Clone(value)
	}
	return m.fail
}

func (m *memory) Delete(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.items, name)
	return m.fail
}

func (m *memory) List(context.Context) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for name := range m.items {
		names = append(names, name)
	}
	return names, m.fail
}

func keys(t *testing.T, kc keychain.Store, hold time.Duration) *keyring.Keys {
	t.Helper()
	db, err := sealed.Open(filepath.Join(t.TempDir(), "test.db"), sealed.Key{1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	k, err := keyring.OpenKeys(t.Context(), kc, db, rand.Reader, hold)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func certificate(t *testing.T, key crypto.Signer) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c
}

// stored makes a P-256 key and puts it into the keychain.
func stored(t *testing.T, k *keyring.Keys) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := certificate(t, key)
	put(t, k, cert, key)
	return cert
}

func put(t *testing.T, k *keyring.Keys, cert *x509.Certificate, key crypto.PrivateKey) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err == nil {
		err = k.Put(t.Context(), keyring.ID(cert), der)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func sign(t *testing.T, k *keyring.Keys, cert *x509.Certificate) error {
	t.Helper()
	digest := sha256.Sum256([]byte("a letter"))
	sig, err := k.Signer(t.Context(), cert).Sign(rand.Reader, digest[:], crypto.SHA256)
	if err == nil && !ecdsa.VerifyASN1(cert.PublicKey.(*ecdsa.PublicKey), digest[:], sig) {
		t.Error("the signature does not hold")
	}
	return err
}

// TestHeldBriefly counts how often the keychain is asked.
func TestHeldBriefly(t *testing.T) {
	kc := newMemory()
	k := keys(t, kc, time.Hour)
	cert := stored(t, k)
	signer := k.Signer(t.Context(), cert)
	if !signer.Public().(*ecdsa.PublicKey).Equal(cert.PublicKey) || kc.gets != 0 {
		t.Errorf("lending asked the keychain %d times", kc.gets)
	}
	for range 3 {
		if err := sign(t, k, cert); err != nil {
			t.Fatal(err)
		}
	}
	if kc.gets != 1 {
		t.Errorf("three uses asked the keychain %d times, want once", kc.gets)
	}
	k.Forget()
	kc.fail = keychain.ErrLocked
	if err := sign(t, k, cert); !errors.Is(err, keychain.ErrLocked) {
		t.Errorf("forgotten, and the keychain locked: got %v", err)
	}
	kc.fail = nil
	if err := sign(t, k, cert); err != nil {
		t.Error(err)
	}

	none := keys(t, kc, time.Nanosecond)
	before := kc.gets
	for range 2 {
		if err := sign(t, none, cert); err != nil {
			t.Fatal(err)
		}
	}
	if kc.gets == before {
		t.Error("the keychain was never asked")
	}
}

func TestManyAtOnce(t *testing.T) {
	k := keys(t, newMemory(), time.Microsecond)
	cert := stored(t, k)
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() {
			if err := sign(t, k, cert); err != nil {
				t.Error(err)
			}
			if n%3 == 0 {
				k.Forget()
			}
		})
	}
	all.Wait()
}

func TestWrongItem(t *testing.T) {
	kc := newMemory()
	k := keys(t, kc, time.Hour)
	mine, other := stored(t, k), stored(t, k)
	if !k.Has(mine) || k.Has(nil) {
		t.Error("it does not know what it has")
	}
	item := "key-" + keyring.ID(mine)
	for name, c := range map[string]struct {
		value []byte
		want  error
	}{
		"another's key":             {kc.items["key-"+keyring.ID(other)], keyring.ErrDamaged},
		"no key":                    {[]byte("hello"), keyring.ErrKind},
		"a wrapping key of nothing": {make([]byte, 32), keyring.ErrMissing},
	} {
		kc.items[item] = c.value
		if err := sign(t, k, mine); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	delete(kc.items, item)
	if err := sign(t, k, mine); !errors.Is(err, keyring.ErrMissing) {
		t.Errorf("gone: got %v, want ErrMissing", err)
	}
	if _, err := k.Decrypter(t.Context(), other).Decrypt(nil, nil, nil); !errors.Is(err, keyring.ErrKind) {
		t.Errorf("decrypting with ECDSA: got %v, want ErrKind", err)
	}
}

func TestDecrypter(t *testing.T) {
	k := keys(t, newMemory(), time.Hour)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	cert := certificate(t, key)
	put(t, k, cert, key)
	box, err := rsa.EncryptPKCS1v15(rand.Reader, &key.PublicKey, []byte("a content key of 32 octets exact"))
	if err != nil {
		t.Fatal(err)
	}
	d := k.Decrypter(t.Context(), cert)
	got, err := d.Decrypt(rand.Reader, box, &rsa.PKCS1v15DecryptOptions{SessionKeyLen: 32})
	if err != nil || string(got) != "a content key of 32 octets exact" {
		t.Errorf("got %q, %v", got, err)
	}
	box[10] ^= 1 // a wrong one gives 32 other octets, and no error
	if got, err := d.Decrypt(rand.Reader, box, &rsa.PKCS1v15DecryptOptions{SessionKeyLen: 32}); err != nil || len(got) != 32 {
		t.Errorf("altered: %d octets, %v", len(got), err)
	}
}

func TestExchanger(t *testing.T) {
	kc := newMemory()
	k := keys(t, kc, time.Hour)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := certificate(t, key)
	put(t, k, cert, key)
	peer, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	e := k.Exchanger(t.Context(), cert)
	if kc.gets != 0 {
		t.Error("the key was fetched before it was used")
	}
	want, err := peer.ECDH(e.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	got, err := e.ECDH(peer.PublicKey())
	if err != nil || !bytes.Equal(got, want) || e.Curve() != ecdh.P256() {
		t.Errorf("got %x, %v, want %x", got, err, want)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	if e := k.Exchanger(t.Context(), certificate(t, other)); e != nil {
		t.Error("an RSA key agrees on keys")
	}
}

func TestRecordKey(t *testing.T) {
	kc := newMemory()
	if _, err := keyring.OpenRecordKey(t.Context(), kc, nil); !errors.Is(err, keyring.ErrMissing) {
		t.Errorf("got %v, want ErrMissing", err)
	}
	k, err := keyring.OpenRecordKey(t.Context(), kc, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	item := kc.items["record-key"]
	printed := fmt.Sprintf("%v %+v %#v %s", k, k, k, k)
	if data, err := json.Marshal(k); err != nil || strings.Count(printed+string(data), "[secret]") != 5 {
		t.Errorf("it prints as %s %s (%v)", printed, data, err)
	}
	if bytes.Equal(k.Derive("one"), k.Derive("two")) || len(k.Derive("one")) != 32 {
		t.Error("what is derived for two purposes is the same")
	}
	kc.fail = keychain.ErrLocked
	if err := k.Advance(t.Context(), [32]byte{5}, 1); !errors.Is(err, keychain.ErrLocked) {
		t.Errorf("got %v, want ErrLocked", err)
	}
	if head, n := k.Head(); n != 0 || head != [32]byte{} {
		t.Error("it remembers what the keychain did not take")
	}
	kc.fail = nil
	if err := k.Advance(t.Context(), [32]byte{5}, 9); err != nil {
		t.Fatal(err)
	}
	if err := k.Restart(t.Context(), [32]byte{6}); err != nil {
		t.Fatal(err)
	}
	again, err := keyring.OpenRecordKey(t.Context(), kc, nil)
	if err != nil {
		t.Fatal(err)
	}
	if head, n := again.Head(); head != [32]byte{6} || n != 1 || !again.Public().Equal(k.Public()) {
		t.Errorf("it came back with %x, %d", head[:1], n)
	}
	for name, bad := range map[string][]byte{"short": item[:50], "empty": {}, "another version": append([]byte{9}, item[1:]...)} {
		kc.items["record-key"] = bad
		if _, err := keyring.OpenRecordKey(t.Context(), kc, rand.Reader); !errors.Is(err, keyring.ErrDamaged) {
			t.Errorf("%s: got %v, want ErrDamaged", name, err)
		}
	}
}

func TestDatabaseKey(t *testing.T) {
	kc := newMemory()
	if _, err := keyring.DatabaseKey(t.Context(), kc, nil); !errors.Is(err, keyring.ErrMissing) {
		t.Errorf("got %v, want ErrMissing", err)
	}
	one, err := keyring.DatabaseKey(t.Context(), kc, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if two, err := keyring.DatabaseKey(t.Context(), kc, rand.Reader); err != nil || two != one || one == (sealed.Key{}) {
		t.Errorf("it did not last (%v)", err)
	}
	kc.items["database-key"] = []byte("short")
	if _, err := keyring.DatabaseKey(t.Context(), kc, rand.Reader); !errors.Is(err, keyring.ErrDamaged) {
		t.Errorf("got %v, want ErrDamaged", err)
	}
}
