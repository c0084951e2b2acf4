package vault_test

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/x509"
	"database/sql"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/platform/keychain"
	"countersign/vault"
	"countersign/vault/certification"
	"countersign/vault/pkcs10"
	"countersign/vault/sealed"
)

const (
	signRef = "pkcs11:token=Ada%27s%20card;serial=12;id=%01"
	openRef = "pkcs11:token=Ada%27s%20card;serial=12;id=%02"
)

// card holds keys by their references. It counts how often one is used.
type card struct {
	keys    map[string]crypto.Signer
	trouble error  // of every use
	prompt  func() // at every use
	opened  int
	used    int
}

func (c *card) Open(ref string, public crypto.PublicKey) (vault.TokenKey, error) {
	c.opened++
	key, ok := c.keys[ref]
	if !ok {
		return nil, vault.TokenTrouble(vault.ErrAbsent, "", nil)
	}
	return cardKey{c, key}, nil
}

func (c *card) use() error {
	c.used++
	if c.prompt != nil {
		c.prompt()
	}
	return c.trouble
}

type cardKey struct {
	c   *card
	key crypto.Signer
}

func (k cardKey) Public() crypto.PublicKey             { return k.key.Public() }
func (k cardKey) Signer(context.Context) crypto.Signer { return k }
func (k cardKey) Decrypter(context.Context) crypto.Decrypter {
	if _, ok := k.key.(crypto.Decrypter); !ok {
		return nil
	}
	return k
}

func (k cardKey) Exchanger(context.Context) ecdh.KeyExchanger {
	private, ok := k.key.(*ecdsa.PrivateKey)
	if !ok {
		return nil
	}
	return cardExchanger{must(private.ECDH()), k.c}
}

func (k cardKey) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := k.c.use(); err != nil {
		return nil, err
	}
	return k.key.Sign(random, digest, opts)
}

func (k cardKey) Decrypt(random io.Reader, message []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	if err := k.c.use(); err != nil {
		return nil, err
	}
	return k.key.(crypto.Decrypter).Decrypt(random, message, opts)
}

type cardExchanger struct {
	*ecdh.PrivateKey
	c *card
}

func (e cardExchanger) ECDH(peer *ecdh.PublicKey) ([]byte, error) {
	if err := e.c.use(); err != nil {
		return nil, err
	}
	return e.PrivateKey.ECDH(peer)
}

func openWith(t *testing.T, dir string, kc keychain.Store, tokens vault.Tokens, at time.Time) *vault.Vault {
	t.Helper()
	o := options()
	o.Tokens, o.Clock = tokens, func() time.Time { return at }
	v, err := vault.Open(t.Context(), dir, kc, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

// carded is a profile whose keys are both on a card.
type carded struct {
	*vault.Vault
	*card
	id               vault.Identity
	signing, opening *x509.Certificate
	dir              string
	kc               *memory
}

func (c *carded) again(t *testing.T, at time.Time) {
	t.Helper()
	c.Close()
	c.Vault = openWith(t, c.dir, c.kc, c.card, at)
}

func newCarded(t *testing.T) *carded {
	t.Helper()
	c := &carded{card: &card{keys: map[string]crypto.Signer{signRef: ecKey(), openRef: rsaKey()}}, dir: t.TempDir(), kc: newMemory(),
		signing: certificate(t, ecKey().Public(), usage(x509.KeyUsageDigitalSignature)),
		opening: certificate(t, rsaKey().Public(), usage(x509.KeyUsageKeyEncipherment))}
	c.Vault = openWith(t, c.dir, c.kc, c.card, noon)
	done, err := c.Use(t.Context(), c.tokenKeys(true), nil)
	if err != nil || len(done.Identities) != 1 {
		t.Fatal(done, err)
	}
	c.id = done.Identities[0]
	return c
}

func (c *carded) tokenKeys(accepted bool) vault.TokenKeys {
	return vault.TokenKeys{Signing: vault.TokenCertificate{Ref: signRef, Certificate: c.signing},
		Encryption: vault.TokenCertificate{Ref: openRef, Certificate: c.opening}, OnlyCopy: accepted}
}

func TestUse(t *testing.T) {
	c := newCarded(t)
	if c.used != 2 {
		t.Errorf("taking the keys into use asked the card %d times, not for one signature and one test", c.used)
	}
	all, err := c.Certifications(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatal(len(all), err)
	}
	if said, err := certification.Parse(all[0]); err != nil || !said.Certificate.Equal(c.signing) || !said.Record.Equal(c.RecordKey().Public()) {
		t.Errorf("%+v, %v", said, err)
	}
	c.again(t, noon)
	c.opened, c.used = 0, 0
	list := identities(t, c.Vault)
	if len(list) != 1 || list[0].Retired || list[0].SigningToken != signRef || list[0].EncryptionToken != openRef || !list[0].OnlyCopy {
		t.Fatalf("%+v", list)
	}
	if list[0].KeyPlace != "card “Ada's card”" {
		t.Errorf("the keys are in %q", list[0].KeyPlace)
	}
	if _, err := c.DecryptionKeys(t.Context()); err != nil || c.opened+c.used != 0 {
		t.Errorf("listing asked for the card %d times (%v)", c.opened+c.used, err)
	}
	if err := signs(t, c.Vault, list[0]); err != nil || !opens(t, c.Vault, c.opening) || c.used != 2 {
		t.Errorf("%v after %d uses", err, c.used)
	}
	again, err := c.Use(t.Context(), c.tokenKeys(true), nil)
	if err != nil || again.Identities[0].ID != c.id.ID || len(identities(t, c.Vault)) != 1 {
		t.Errorf("used again: %+v, %v", again, err)
	}
}

// TestPromptStopsNobody: while a card's prompt is open, letters of other identities go out.
func TestPromptStopsNobody(t *testing.T) {
	c := newCarded(t)
	other := importFile(t, c.Vault, p12(t, otherRSA(), certificate(t, otherRSA().Public(), func(x *x509.Certificate) { x.EmailAddresses = []string{"other@clinic.example"} })))
	c.prompt = func() {
		done := make(chan error, 1)
		go func() {
			_, err := c.Recovery(t.Context())
			done <- errors.Join(err, signs(t, c.Vault, other))
		}()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(20 * time.Second):
			t.Error("others wait for the prompt")
		}
	}
	if _, err := c.Use(t.Context(), c.tokenKeys(true), nil); err != nil {
		t.Fatal(err)
	}
}

// TestUseRefuses: nothing is changed by what is refused, nor asked of the card.
func TestUseRefuses(t *testing.T) {
	other := errors.New("not this one")
	for name, c := range map[string]struct {
		change  func(*vault.TokenKeys)
		check   func(vault.Identity) error
		trouble error
		err     error
		used    int
	}{
		"the only copy":      {func(k *vault.TokenKeys) { k.OnlyCopy = false }, nil, nil, vault.ErrOnlyCopy, 0},
		"for something else": {func(k *vault.TokenKeys) { k.Signing, k.Encryption = k.Encryption, k.Signing }, nil, nil, vault.ErrTokenUse, 0},
		"by the caller":      {nil, func(vault.Identity) error { return other }, nil, other, 0},
		"card out":           {nil, nil, vault.TokenTrouble(vault.ErrAbsent, "", nil), vault.ErrAbsent, 1},
		"PIN dismissed":      {nil, nil, vault.TokenTrouble(vault.ErrCancelled, "", nil), vault.ErrCancelled, 1},
		"nowhere":            {func(k *vault.TokenKeys) { k.Encryption.Ref += "9" }, nil, nil, vault.ErrAbsent, 0},
	} {
		p := &carded{card: &card{keys: map[string]crypto.Signer{signRef: ecKey(), openRef: rsaKey()}, trouble: c.trouble},
			signing: certificate(t, ecKey().Public(), usage(x509.KeyUsageDigitalSignature)),
			opening: certificate(t, rsaKey().Public(), usage(x509.KeyUsageKeyEncipherment))}
		p.Vault = openWith(t, t.TempDir(), newMemory(), p.card, noon)
		k := p.tokenKeys(true)
		if c.change != nil {
			c.change(&k)
		}
		if _, err := p.Use(t.Context(), k, c.check); !errors.Is(err, c.err) || p.used != c.used {
			t.Errorf("%s: %v after %d uses", name, err, p.used)
		}
		if all := identities(t, p.Vault); len(all) != 0 {
			t.Errorf("%s: %+v", name, all)
		}
		if all, err := p.Certifications(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("%s: %d certifications, %v", name, len(all), err)
		}
	}
}

// TestCardAway: without the card, or anything to read it with, the keys are still the
// user's: what they would open waits, and is not somebody else's.
func TestCardAway(t *testing.T) {
	c := newCarded(t)
	c.trouble = vault.TokenTrouble(vault.ErrAbsent, "The card “Ada's card” is not in the reader.", nil)
	away := func(when string) {
		t.Helper()
		i := identities(t, c.Vault)[0]
		if i.Retired {
			t.Errorf("%s: the identity is retired", when)
		}
		if err := signs(t, c.Vault, i); !errors.Is(err, vault.ErrAbsent) {
			t.Errorf("%s: %v", when, err)
		}
		if _, err := decrypted(t, c.Vault, encrypted(t, c.opening, "words")); !errors.Is(err, vault.ErrAbsent) {
			t.Errorf("%s: %v", when, err)
		}
	}
	away("card out")
	c.Close()
	c.Vault = open(t, c.dir, c.kc)
	away("no tokens at all")
}

// TestRecoveryWithCard: a key on a card that has no copy is not the recovery file's
// business; one that an earlier file holds keeps that file needed.
func TestRecoveryWithCard(t *testing.T) {
	c := newCarded(t)
	if got := state(t, c.Vault); got != vault.RecoveryMissing { // the database key and the records
		t.Errorf("%s", got)
	}
	made := makeRecovery(t, c.Vault, true)
	if got := state(t, c.Vault); got != vault.RecoveryReady {
		t.Errorf("%s", got)
	}
	file, err := vault.OpenRecovery(made.Bytes, made.Words, words())
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "copy")
	if err := c.DB().Backup(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	for name, backup := range map[string]string{"a new machine": "", "and a copy": copied} {
		dir, kc := t.TempDir(), newMemory()
		if err := file.Restore(t.Context(), dir, kc, backup); err != nil {
			t.Fatal(name, err)
		}
		v := openWith(t, dir, kc, c.card, noon)
		i := identities(t, v)[0]
		if i.Retired || i.SigningToken != signRef || !i.OnlyCopy || signs(t, v, i) != nil || !opens(t, v, c.opening) {
			t.Errorf("%s: %+v", name, i)
		}
		if got := state(t, v); got != vault.RecoveryReady {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestMoveToToken(t *testing.T) {
	dir, kc, c := t.TempDir(), newMemory(), &card{keys: map[string]crypto.Signer{}}
	v := openWith(t, dir, kc, c, noon)
	cert := certificate(t, rsaKey().Public())
	old := importFile(t, v, p12(t, rsaKey(), cert))
	put := func(key crypto.PrivateKey) (string, error) {
		c.keys[openRef] = key.(crypto.Signer)
		return openRef, nil
	}
	if _, err := v.MoveToToken(t.Context(), old.ID, put); !errors.Is(err, vault.ErrNotBackedUp) || len(c.keys) != 0 {
		t.Errorf("before it was backed up: %v", err)
	}
	made := makeRecovery(t, v, false)
	if _, err := v.MoveToToken(t.Context(), old.ID, func(crypto.PrivateKey) (string, error) { return openRef, nil }); !errors.Is(err, vault.ErrAbsent) {
		t.Errorf("put nowhere: %v", err)
	}
	if i := identities(t, v)[0]; i.EncryptionToken != "" || !opens(t, v, cert) {
		t.Errorf("what could not be moved: %+v", i)
	}
	i, err := v.MoveToToken(t.Context(), old.ID, put)
	if err != nil || i.ID != old.ID || i.EncryptionToken != openRef || i.SigningToken != openRef || i.OnlyCopy {
		t.Fatalf("%+v, %v", i, err)
	}
	if slices.ContainsFunc(must(kc.List(t.Context())), func(name string) bool { return strings.HasPrefix(name, "key-") }) {
		t.Error("the keychain still holds the key")
	}
	c.used = 0
	if !opens(t, v, cert) || c.used != 1 || signs(t, v, i) != nil || c.used != 2 {
		t.Errorf("%d uses", c.used)
	}
	if got := state(t, v); got != vault.RecoveryReady {
		t.Errorf("after the move: %s", got)
	}
	makeRecovery(t, v, false)
	again := makeRecovery(t, v, false)
	r, err := v.Recovery(t.Context())
	if err != nil || r.State != vault.RecoveryReady || len(r.Keep) != 1 || !r.Keep[0].Equal(noon) {
		t.Errorf("with a new file: %+v, %v", r, err)
	}
	// The first file alone brings the key back, here into a keychain that has lost all.
	fresh, nothing := t.TempDir(), newMemory()
	if err := must(vault.OpenRecovery(made.Bytes, made.Words, words())).Restore(t.Context(), fresh, nothing, ""); err != nil {
		t.Fatal(err)
	}
	if v := openWith(t, fresh, nothing, nil, noon); !opens(t, v, cert) {
		t.Error("the first file does not open mail without the card")
	}
	fresh, nothing = t.TempDir(), newMemory()
	if err := must(vault.OpenRecovery(again.Bytes, again.Words, words())).Restore(t.Context(), fresh, nothing, ""); err != nil {
		t.Fatal(err)
	}
	if r, err := openWith(t, fresh, nothing, c, noon).Recovery(t.Context()); err != nil || len(r.Keep) != 1 {
		t.Errorf("restored from the last file: %+v, %v", r, err)
	}
}

// TestRenewedForCard: the authority's new certificate for the same key on the card.
func TestRenewedForCard(t *testing.T) {
	c := newCarded(t)
	next := certificate(t, rsaKey().Public(), usage(x509.KeyUsageKeyEncipherment), func(x *x509.Certificate) { x.NotAfter = noon.AddDate(3, 0, 0) })
	c.used = 0
	done, err := c.Install(t.Context(), pemOf(next), nil)
	if err != nil || len(done.Identities) != 1 {
		t.Fatal(done, err)
	}
	i := done.Identities[0]
	if i.EncryptionToken != openRef || i.SigningToken != signRef || !i.Encryption.Equal(next) || !i.Signing.Equal(c.signing) || !i.OnlyCopy {
		t.Errorf("%+v", i)
	}
	if c.used != 0 {
		t.Errorf("a renewal asked the card %d times", c.used)
	}
	for name, cert := range map[string]*x509.Certificate{"old": c.opening, "new": next} {
		if !opens(t, c.Vault, cert) {
			t.Errorf("the %s certificate does not open mail", name)
		}
	}
}

// TestRequestOnToken: a signing key made on the card and a decryption key made here, or one
// key for both on the card.
func TestRequestOnToken(t *testing.T) {
	for name, o := range map[string]struct {
		order vault.RequestOrder
		sign  string
		open  string
		only  bool
	}{
		"signing on the card": {vault.RequestOrder{Separate: true, Signing: vault.TokenPublic{Ref: signRef, Public: ecKey().Public()}}, signRef, "", false},
		"both on the card": {vault.RequestOrder{Separate: true, Signing: vault.TokenPublic{Ref: signRef, Public: ecKey().Public()},
			Encryption: vault.TokenPublic{Ref: openRef, Public: rsaKey().Public()}, OnlyCopy: true}, signRef, openRef, true},
		"one key": {vault.RequestOrder{Signing: vault.TokenPublic{Ref: openRef, Public: rsaKey().Public()}, OnlyCopy: true}, openRef, openRef, true},
	} {
		dir, kc, ca := t.TempDir(), newMemory(), newIssuer(t)
		c := &card{keys: map[string]crypto.Signer{signRef: ecKey(), openRef: rsaKey()}}
		v := openWith(t, dir, kc, c, noon)
		o.order.Address, o.order.Name, o.order.Kind = ada, "Ada Byron", pkcs10.P256
		if o.only {
			refused := o.order
			refused.OnlyCopy = false
			if _, err := v.MakeRequest(t.Context(), refused); !errors.Is(err, vault.ErrOnlyCopy) {
				t.Errorf("%s: %v", name, err)
			}
			c.used = 0
		}
		r, err := v.MakeRequest(t.Context(), o.order)
		if err != nil {
			t.Fatal(name, err)
		}
		made := makeRecovery(t, v, false)
		if got := state(t, v); got != vault.RecoveryReady || len(made.Bytes) == 0 {
			t.Errorf("%s: %s", name, got)
		}
		v.Close()
		v = openWith(t, dir, kc, c, noon)
		var certs []*x509.Certificate
		for _, k := range r.Keys {
			certs = append(certs, ca.issue(t, k.Request))
		}
		done, err := v.Install(t.Context(), pemOf(certs...), nil)
		if err != nil || len(done.Identities) != 1 {
			t.Fatal(name, done, err)
		}
		i := done.Identities[0]
		if i.SigningToken != o.sign || i.EncryptionToken != o.open || i.OnlyCopy != o.only || i.Retired {
			t.Errorf("%s: %+v", name, i)
		}
		if err := signs(t, v, i); err != nil || !opens(t, v, i.Encryption) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSigningCardOpensNothing: an authority that certifies every key for all uses does not
// have mail encrypted to a key that was made on the card for signing (K1); nor when it
// renews the certificate, whether the two came together or one by one.
func TestSigningCardOpensNothing(t *testing.T) {
	all := usage(x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement)
	for name, together := range map[string]bool{"together": true, "one by one": false} {
		ca, c := newIssuer(t), &card{keys: map[string]crypto.Signer{signRef: ecKey()}}
		v := openWith(t, t.TempDir(), newMemory(), c, noon)
		r, err := v.MakeRequest(t.Context(), vault.RequestOrder{Address: ada, Kind: pkcs10.P256, Separate: true, Signing: vault.TokenPublic{Ref: signRef, Public: ecKey().Public()}})
		if err != nil {
			t.Fatal(err)
		}
		bare := func(x *x509.Certificate) { x.ExtraExtensions = nil }
		longer := func(x *x509.Certificate) { x.NotAfter = noon.AddDate(2, 0, 0) }
		signing, opening := ca.issue(t, r.Keys[0].Request, bare, all, longer), ca.issue(t, r.Keys[1].Request, bare, all)
		files := [][]byte{pemOf(signing), pemOf(opening)}
		if together {
			files = [][]byte{pemOf(signing, opening)}
		}
		var done vault.Installed
		for _, f := range files {
			if done, err = v.Install(t.Context(), f, nil); err != nil {
				t.Fatal(name, err)
			}
		}
		check := func(what string, signing, opening *x509.Certificate) {
			t.Helper()
			if len(done.Identities) != 1 {
				t.Fatalf("%s, %s: %+v", name, what, done)
			}
			i := done.Identities[0]
			if !i.Signing.Equal(signing) || i.SigningToken != signRef || !i.Encryption.Equal(opening) || i.EncryptionToken != "" || i.OnlyCopy {
				t.Errorf("%s, %s: %+v", name, what, i)
			}
		}
		check("installed", signing, opening)
		renewed := ca.issue(t, r.Keys[0].Request, bare, all, func(x *x509.Certificate) { x.NotAfter = noon.AddDate(3, 0, 0) })
		if done, err = v.Install(t.Context(), pemOf(renewed), nil); err != nil {
			t.Fatal(name, err)
		}
		check("renewed", renewed, opening)
		wrong := ca.issue(t, r.Keys[0].Request, bare, usage(x509.KeyUsageKeyAgreement))
		if _, err := v.Install(t.Context(), pemOf(wrong), nil); code(err) != "wrong-use" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCopyInKeychain: a key that is on the card and in the keychain opens mail without the
// card, and this is said; but to take the card into use it has to be the right one.
func TestCopyInKeychain(t *testing.T) {
	c := &card{keys: map[string]crypto.Signer{openRef: otherRSA()}}
	v := openWith(t, t.TempDir(), newMemory(), c, noon)
	cert := certificate(t, rsaKey().Public())
	importFile(t, v, p12(t, rsaKey(), cert))
	makeRecovery(t, v, false)
	key := vault.TokenCertificate{Ref: openRef, Certificate: cert}
	if _, err := v.Use(t.Context(), vault.TokenKeys{Encryption: key}, nil); !errors.Is(err, vault.ErrToken) || c.used == 0 {
		t.Errorf("another card: %v after %d uses", err, c.used)
	}
	c.keys[openRef] = rsaKey()
	if _, err := v.Use(t.Context(), vault.TokenKeys{Encryption: key}, nil); err != nil {
		t.Fatal(err)
	}
	c.used = 0
	i := identities(t, v)[0]
	if !opens(t, v, cert) || c.used != 0 || i.EncryptionToken != openRef {
		t.Errorf("%d uses, %+v", c.used, i)
	}
	if want := "card “Ada's card” (for opening mail), keychain (for signing); a copy in the keychain opens mail without the card"; i.KeyPlace != want {
		t.Errorf("%q", i.KeyPlace)
	}
}

// TestLoseCard: what is lost signs nothing more, and cannot come back; it still decrypts.
func TestLoseCard(t *testing.T) {
	c := newCarded(t)
	if _, err := c.Lose(t.Context(), c.id.ID); err != nil {
		t.Fatal(err)
	}
	if err := signs(t, c.Vault, c.id); !errors.Is(err, vault.ErrGivenUp) {
		t.Error(err)
	}
	if !opens(t, c.Vault, c.opening) {
		t.Error("it no longer decrypts")
	}
	if _, err := c.Use(t.Context(), c.tokenKeys(true), nil); !errors.Is(err, vault.ErrGivenUp) {
		t.Error(err)
	}
}

// TestBeforeOnCard: a key on a card vouches for the one after it.
func TestBeforeOnCard(t *testing.T) {
	c := newCarded(t)
	c.again(t, noon.Add(time.Hour))
	next := importFile(t, c.Vault, p12(t, otherRSA(), certificate(t, otherRSA().Public())))
	before, err := c.Before(t.Context(), next)
	if err != nil || before.ID != c.id.ID {
		t.Errorf("%+v, %v", before, err)
	}
}

// TestEarlierRows: rows that were written before there were tokens are read as they are.
func TestEarlierRows(t *testing.T) {
	dir, kc := t.TempDir(), newMemory()
	v := open(t, dir, kc)
	importFile(t, v, p12(t, rsaKey(), certificate(t, rsaKey().Public())))
	row := identityData(t, v.DB())
	if strings.Contains(row, "token") || strings.Contains(row, "only_copy") {
		t.Errorf("a row without a token has changed: %s", row)
	}
}

func identityData(t *testing.T, db *sealed.DB) (data string) {
	t.Helper()
	err := db.View(t.Context(), func(tx *sql.Tx) error { return tx.QueryRow(`SELECT data FROM vault_identity`).Scan(&data) })
	if err != nil {
		t.Fatal(err)
	}
	return data
}
