package certstore_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"math/big"
	"os"
	"slices"
	"testing"
	"time"

	"countersign/pkcs11"
	"countersign/pkcs11/module"
	"countersign/pkcs11/pkcs11test"
	"countersign/platform/certstore"
)

func TestMain(m *testing.M) {
	pkcs11test.Helper(module.Main)
	os.Exit(m.Run())
}

// TestBehindHelper: a certificate of the user is listed, found, and its key signs and decrypts,
// all through a helper process, and through a new one after it was locked.
func TestBehindHelper(t *testing.T) {
	private := certstore.RSAKey(t)
	certificate := certstore.Install(t, private)
	path, env := new(pkcs11test.Token).Command()
	l := pkcs11.Open(pkcs11.Config{Helper: path, Env: env, Library: pkcs11.CertificateStore, Timeout: time.Minute})
	defer l.Close()
	if all, err := l.Tokens(t.Context()); err != nil || len(all) != 1 || all[0].Name != pkcs11.StoreName {
		t.Fatalf("%+v, %v", all, err)
	}
	all, more, err := l.Keys(t.Context(), pkcs11.StoreName)
	if err != nil || more {
		t.Fatal(err, more)
	}
	at := slices.IndexFunc(all, func(k *pkcs11.Key) bool { return k.Certificate.Equal(certificate) })
	digest := sha256.Sum256(certificate.Raw)
	if at < 0 || !all[at].Seen || !bytes.Equal(all[at].ID, digest[:]) {
		t.Fatalf("it is not listed, or not so: %d of %d", at, len(all))
	}
	if chain, err := l.Authorities(t.Context(), pkcs11.StoreName); len(chain) != 0 || err != nil {
		t.Errorf("%d authorities above its own, %v", len(chain), err)
	}
	k, err := l.Use(all[at].URI(), certificate.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	letter := sha256.Sum256([]byte("letter"))
	sign := func(k *pkcs11.Key) error {
		signature, err := k.Signer(t.Context()).Sign(nil, letter[:], crypto.SHA256)
		if err == nil {
			err = rsa.VerifyPKCS1v15(&private.PublicKey, crypto.SHA256, letter[:], signature)
		}
		return err
	}
	if err := sign(k); err != nil {
		t.Error(err)
	}
	l.Lock()
	if err := sign(k); err != nil {
		t.Errorf("after it was locked: %v", err)
	}
	secret := []byte("a content key of 32 bytes .....!")
	//lint:ignore SA1019 other programs still send it
	v15, err1 := rsa.EncryptPKCS1v15(rand.Reader, &private.PublicKey, secret)
	sha1 := &rsa.OAEPOptions{Hash: crypto.SHA1}
	forSHA1, err2 := rsa.EncryptOAEPWithOptions(rand.Reader, &private.PublicKey, secret, sha1)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	d := k.Decrypter(t.Context())
	//lint:ignore SA1019 other programs still send it
	session := &rsa.PKCS1v15DecryptOptions{SessionKeyLen: len(secret)}
	for _, test := range []struct {
		name    string
		message []byte
		opts    crypto.DecrypterOpts
	}{{"PKCS #1", v15, nil}, {"session key", v15, session}, {"OAEP", forSHA1, sha1}} {
		if plain, err := d.Decrypt(nil, test.message, test.opts); err != nil || !bytes.Equal(plain, secret) {
			t.Errorf("%s: %q, %v", test.name, plain, err)
		}
	}
	never := append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, private.Size()-2)...) // not what any padding for encryption looks like
	wrong := new(big.Int).Exp(new(big.Int).SetBytes(never), big.NewInt(int64(private.E)), private.N).FillBytes(make([]byte, private.Size()))
	if plain, err := d.Decrypt(nil, wrong, session); err != nil || len(plain) != len(secret) || bytes.Equal(plain, secret) {
		t.Errorf("a wrong padding: %q, %v", plain, err)
	}
	if plain, err := d.Decrypt(nil, wrong, nil); !errors.Is(err, rsa.ErrDecryption) {
		t.Errorf("a wrong padding, told: %q, %v", plain, err)
	}
	absent, err := l.Use(pkcs11.URI{Token: pkcs11.StoreName, ID: letter[:]}, certificate.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	var e *pkcs11.Error
	if err := sign(absent); !errors.As(err, &e) || e.Failure != pkcs11.NoKey {
		t.Errorf("a certificate that is not there: %v", err)
	}
}
