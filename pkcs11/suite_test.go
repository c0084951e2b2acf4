package pkcs11

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"countersign/pkcs11/module"
	"countersign/pkcs11/pkcs11test"
	"countersign/pkcs11/wire"
)

func TestMain(m *testing.M) {
	pkcs11test.Helper(module.Main)
	os.Exit(m.Run())
}

// open opens the token's library with the test binary as the helper.
func open(t testing.TB, k *pkcs11test.Token, keep time.Duration) *Library {
	t.Helper()
	path, env := k.Command()
	l := Open(Config{Helper: path, Env: env, Library: k.Library, Reserved: k.Reserved, KeepPIN: keep, Timeout: time.Minute, PadTimeout: time.Minute})
	t.Cleanup(func() { l.Close() })
	return l
}

// person answers prompts and remembers them.
type person struct {
	mu      sync.Mutex
	prompts []Prompt
	pads    int
	answers []string // one after the other; then the right PIN
	refuses bool
}

func (p *person) PIN(_ context.Context, q Prompt) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.prompts = append(p.prompts, q)
	if p.refuses {
		return nil, errors.New("dismissed")
	}
	if len(p.answers) > 0 {
		answer := p.answers[0]
		p.answers = p.answers[1:]
		return []byte(answer), nil
	}
	return []byte(pkcs11test.PIN), nil
}

func (p *person) Pad(context.Context, Prompt) func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pads++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.pads--
	}
}

func (p *person) asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.prompts)
}

func with(t testing.TB, p *person) context.Context {
	return WithUser(t.Context(), p, "Signing the letter to Dr. Weiß")
}

// arrival waits until a token of this label is in a reader.
func arrival(t testing.TB, l *Library, label string) Token {
	t.Helper()
	return until(t, l, label, true)[0]
}

// until waits until there is a token of this label, or none, and returns those there are.
func until(t testing.TB, l *Library, label string, there bool) []Token {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		all, err := l.Tokens(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all = slices.DeleteFunc(all, func(token Token) bool { return token.Label != label })
		if len(all) > 0 == there {
			return all
		}
	}
	t.Fatalf("the token %q: want %v", label, there)
	return nil
}

// keys lists the token's keys by label, once it is there.
func keys(t testing.TB, l *Library, k *pkcs11test.Token) map[string]*Key {
	t.Helper()
	all := map[string]*Key{}
	found, more, err := l.Keys(t.Context(), arrival(t, l, k.Label).Name)
	if err != nil || more {
		t.Fatal(err, more)
	}
	for _, key := range found {
		all[key.Label] = key
	}
	return all
}

// onTop is SoftHSM behind a library that does one thing otherwise.
func onTop(wrong string) maker {
	return func(t testing.TB) *pkcs11test.Token {
		k := misbehaving(t)
		k.Do(t, wrong)
		return k
	}
}

// faking is the fake that does one thing otherwise.
func faking(wrong string) maker {
	return func(t testing.TB) *pkcs11test.Token {
		k := pkcs11test.Fake(t)
		k.Do(t, wrong)
		return k
	}
}

// TestSuite is every operation on the fake; also with only the operation of an RSA key, or
// only the token's own paddings.
func TestSuite(t *testing.T) {
	for name, wrong := range map[string]string{
		"fake": "", "raw only": "rawonly", "padded only": "paddedonly", "noisy": "print", "always asks": "always",
	} {
		t.Run(name, func(t *testing.T) { suite(t, faking(wrong)(t), wrong) })
	}
}

// TestPeerSuite is the same on every library that there is.
func TestPeerSuite(t *testing.T) {
	for name, set := range map[string]maker{
		"SoftHSM": pkcs11test.SoftHSM, "NSS": pkcs11test.NSS, "opencryptoki": pkcs11test.OpenCryptoki, "TPM": pkcs11test.TPM,
	} {
		t.Run(name, func(t *testing.T) { suite(t, set(t), "") })
	}
	for name, wrong := range map[string]string{
		"raw only": "rawonly", "padded only": "paddedonly", "noisy": "print", "always asks": "always",
	} {
		t.Run(name, func(t *testing.T) { suite(t, onTop(wrong)(t), wrong) })
	}
	for _, kind := range []string{"rsa", "ec"} {
		t.Run("OpenSC "+kind, func(t *testing.T) {
			k, _, card := pkcs11test.PIV(t, kind)
			suite(t, k, "piv")
			if c := card.Counts(); c.Wrong != 0 || c.Barred != 0 {
				t.Errorf("the card counted %+v", c)
			}
		})
	}
}

// suite is every operation with every key of a token.
func suite(t *testing.T, k *pkcs11test.Token, wrong string) {
	t.Helper()
	t.Parallel()
	l := open(t, k, 0)
	user := &person{}
	all, offers := keys(t, l, k), arrival(t, l, k.Label).Offers
	if user.asked() != 0 || len(all) < len(k.Offered) {
		t.Fatalf("%d keys seen with %d PINs", len(all), user.asked())
	}
	for _, label := range k.Offered {
		key, want := all[label], k.Key(label)
		if !key.Certificate.Equal(want.Cert) {
			t.Fatalf("%s: another certificate", label)
		}
		key, err := l.Use(key.URI(), key.Public()) // as after a restart
		if err != nil {
			t.Fatal(err)
		}
		usage := want.Cert.KeyUsage
		if usage == 0 || usage&x509.KeyUsageDigitalSignature != 0 {
			signs(t, key.Signer(with(t, user)), label)
		}
		if d := key.Decrypter(with(t, user)); d != nil && (usage == 0 || usage&x509.KeyUsageKeyEncipherment != 0) {
			decrypts(t, d, wrong != "paddedonly")
		}
		if x := key.Exchanger(with(t, user)); x != nil && (usage == 0 || usage&x509.KeyUsageKeyAgreement != 0) {
			agrees(t, x, want, offers.Has(wire.ECDH))
		}
	}
	if wrong != "always" && wrong != "piv" && user.asked() != 1 {
		t.Errorf("%d PINs asked for", user.asked())
	}
}

func signs(t *testing.T, s crypto.Signer, label string) {
	t.Helper()
	digest256, digest512 := sha256.Sum256([]byte("letter")), sha512.Sum512([]byte("letter"))
	check := func(what string, ok func(sig []byte) bool, digest []byte, o crypto.SignerOpts) {
		t.Helper()
		sig, err := s.Sign(rand.Reader, digest, o)
		if err != nil || !ok(sig) {
			t.Errorf("%s, %s: %v", label, what, err)
		}
	}
	switch public := s.Public().(type) {
	case *rsa.PublicKey:
		check("PKCS1", func(sig []byte) bool { return rsa.VerifyPKCS1v15(public, crypto.SHA256, digest256[:], sig) == nil }, digest256[:], crypto.SHA256)
		check("PKCS1 SHA-512", func(sig []byte) bool { return rsa.VerifyPKCS1v15(public, crypto.SHA512, digest512[:], sig) == nil }, digest512[:], crypto.SHA512)
		for _, salt := range []int{rsa.PSSSaltLengthEqualsHash, rsa.PSSSaltLengthAuto, 20} {
			o := &rsa.PSSOptions{SaltLength: salt, Hash: crypto.SHA256}
			check("PSS", func(sig []byte) bool { return rsa.VerifyPSS(public, crypto.SHA256, digest256[:], sig, o) == nil }, digest256[:], o)
		}
	case *ecdsa.PublicKey:
		check("ECDSA", func(sig []byte) bool { return ecdsa.VerifyASN1(public, digest256[:], sig) }, digest256[:], crypto.SHA256)
		check("ECDSA SHA-512", func(sig []byte) bool { return ecdsa.VerifyASN1(public, digest512[:], sig) }, digest512[:], crypto.SHA512)
	case ed25519.PublicKey:
		check("Ed25519", func(sig []byte) bool { return ed25519.Verify(public, []byte("letter"), sig) }, []byte("letter"), crypto.Hash(0))
	}
	if _, err := s.Sign(rand.Reader, []byte("short"), crypto.SHA256); err == nil {
		t.Errorf("%s: a digest of 5 bytes was signed", label)
	}
}

func decrypts(t *testing.T, d crypto.Decrypter, anyOAEP bool) {
	t.Helper()
	public := d.Public().(*rsa.PublicKey)
	secret := bytes.Repeat([]byte{7}, 32)
	//lint:ignore SA1019 RFC 8551, section 2.3: other programs still send it
	block, err := rsa.EncryptPKCS1v15(rand.Reader, public, secret)
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]crypto.DecrypterOpts{
		//lint:ignore SA1019 as above
		"plain": nil, "session": &rsa.PKCS1v15DecryptOptions{SessionKeyLen: 32}, "no length": &rsa.PKCS1v15DecryptOptions{},
	} {
		if got, err := d.Decrypt(rand.Reader, block, o); err != nil || !bytes.Equal(got, secret) {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
	block[20] ^= 1
	//lint:ignore SA1019 as above
	if got, err := d.Decrypt(rand.Reader, block, &rsa.PKCS1v15DecryptOptions{SessionKeyLen: 32}); err != nil || len(got) != 32 || bytes.Equal(got, secret) {
		t.Errorf("wrong padding: %x, %v", got, err)
	}
	if _, err := d.Decrypt(rand.Reader, block, nil); !errors.Is(err, rsa.ErrDecryption) {
		t.Errorf("wrong padding without a length: %v", err)
	}
	for _, o := range []*rsa.OAEPOptions{
		{Hash: crypto.SHA1}, {Hash: crypto.SHA256}, {Hash: crypto.SHA512, MGFHash: crypto.SHA1}, {Hash: crypto.SHA256, Label: []byte("label")},
	} {
		if o.Hash != crypto.SHA1 && !anyOAEP {
			continue
		}
		block, err := rsa.EncryptOAEPWithOptions(rand.Reader, public, secret, o)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := d.Decrypt(nil, block, o); err != nil || !bytes.Equal(got, secret) {
			t.Errorf("OAEP %+v: %x, %v", o, got, err)
		}
		block[20] ^= 1
		if got, err := d.Decrypt(nil, block, o); err == nil {
			t.Errorf("OAEP %+v: tampered, yet %x", o, got)
		}
	}
	if _, err := d.Decrypt(nil, bytes.Repeat([]byte{0xff}, public.Size()), nil); !errors.Is(err, rsa.ErrDecryption) {
		t.Errorf("a number above the modulus: %v", err)
	}
}

func agrees(t *testing.T, x ecdh.KeyExchanger, key pkcs11test.Key, offered bool) {
	t.Helper()
	theirs, err := x.Curve().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	mine, err := key.Cert.PublicKey.(*ecdsa.PublicKey).ECDH()
	if err != nil {
		t.Fatal(err)
	}
	want, err := theirs.ECDH(mine)
	if err != nil {
		t.Fatal(err)
	}
	got, err := x.ECDH(theirs.PublicKey())
	if !offered && is(err, NoMechanism) {
		return
	}
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("ECDH: %x, want %x, %v", got, want, err)
	}
}
