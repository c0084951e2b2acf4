package tokens

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/smime"
	"countersign/pkcs11"
	"countersign/pkcs11/pkcs11test"
	"countersign/platform/keychain"
	"countersign/vault"
	"countersign/vault/pkcs10"
)

// pocket is a keychain in memory.
type pocket struct {
	mu    sync.Mutex
	items map[string][]byte
}

func (p *pocket) Get(_ context.Context, name string) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if v, ok := p.items[name]; ok {
		return bytes.Clone(v), nil
	}
	return nil, keychain.ErrNotFound
}

func (p *pocket) Set(_ context.Context, name string, value []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.items[name] = bytes.Clone(value)
	return nil
}

func (p *pocket) Delete(_ context.Context, name string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.items, name)
	return nil
}

func (p *pocket) List(context.Context) (names []string, _ error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name := range p.items {
		names = append(names, name)
	}
	return names, nil
}

// workshop is a desk with a vault, and an authority that issues what is asked for.
type workshop struct {
	*desk
	Maker
	authority *x509.Certificate
	key       *ecdsa.PrivateKey
	card      pkcs11.Name
}

func opened(t *testing.T, token *pkcs11test.Token) *workshop {
	t.Helper()
	w := &workshop{desk: sit(t, token)}
	minutes := 10
	w.policy.PINMinutes = &minutes
	words := make([]string, 2048)
	for n := range words {
		words[n] = fmt.Sprintf("%c%c%c%cword", 'a'+n%16, 'a'+n/16%16, 'a'+n/256, 'z')
	}
	v, err := vault.Open(t.Context(), t.TempDir(), &pocket{items: map[string][]byte{}}, vault.Options{Words: words, Work: 10, Tokens: w.desk.Tokens})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	w.Maker = Maker{Tokens: w.desk.Tokens, Vault: v}
	if w.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	w.authority = w.certify(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Test authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, w.key.Public())
	for _, c := range w.cards(t.Context()) {
		w.card = c.Name
	}
	return w
}

func (w *workshop) certify(t *testing.T, c *x509.Certificate, public crypto.PublicKey) *x509.Certificate {
	t.Helper()
	parent := w.authority
	if parent == nil {
		parent = c
	}
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, c, parent, public, w.key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c
}

// issue answers the requests of r as an authority does.
func (w *workshop) issue(t *testing.T, r vault.Request) (file []byte) {
	t.Helper()
	for _, k := range r.Keys {
		csr, err := x509.ParseCertificateRequest(k.Request)
		if err == nil {
			err = csr.CheckSignature()
		}
		if err != nil {
			t.Fatal(err)
		}
		c := &x509.Certificate{Subject: csr.Subject, EmailAddresses: csr.EmailAddresses, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}}
		if k.Use == pkcs10.Encrypt {
			c.KeyUsage = x509.KeyUsageKeyEncipherment
			if _, ok := csr.PublicKey.(*ecdsa.PublicKey); ok {
				c.KeyUsage = x509.KeyUsageKeyAgreement
			}
		}
		file = append(file, w.certify(t, c, csr.PublicKey).Raw...)
	}
	return file
}

// onCard counts the keys on the card that bear the address.
func (w *workshop) onCard(t *testing.T) (keys, certificates int) {
	t.Helper()
	for _, c := range w.cards(t.Context()) {
		for _, k := range c.keys {
			if k.Label == "ada@clinic.example" {
				keys++
				if k.Certificate != nil {
					certificates++
				}
			}
		}
	}
	return keys, certificates
}

// TestPeerMaker: a key made on the card is certified; the decryption key is made in software,
// backed up, and then put on the card; and mail is signed and opened by the two.
func TestPeerMaker(t *testing.T) {
	for _, kind := range []pkcs10.Kind{pkcs10.RSA2048, pkcs10.P256} {
		t.Run(string(kind), func(t *testing.T) {
			w := opened(t, pkcs11test.SoftHSM(t))
			order := vault.RequestOrder{Address: "ada@clinic.example", Name: "Ada", Kind: kind}
			r, err := w.Request(t.Context(), w.card, order)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Request(t.Context(), w.card, order); !errors.Is(err, vault.ErrRequested) {
				t.Errorf("a second one: %v", err)
			}
			if n, _ := w.onCard(t); n != 1 {
				t.Errorf("%d keys on the card", n)
			}
			done, err := w.Vault.Install(w.Asked(t.Context(), "Install your certificate"), w.issue(t, r), nil)
			if err != nil || len(done.Identities) != 1 {
				t.Fatal(done, err)
			}
			id := done.Identities[0].ID
			if says := w.Store(t.Context(), done.Identities); len(says) > 0 {
				t.Error(says)
			}
			if _, _, err := w.Move(t.Context(), id, w.card); !errors.Is(err, vault.ErrNotBackedUp) {
				t.Errorf("before it was backed up: %v", err)
			}
			f, err := w.Vault.MakeRecovery(t.Context(), false)
			if err == nil {
				err = w.Vault.ConfirmRecovery(t.Context(), []string{f.Words[f.Ask[0]-1], f.Words[f.Ask[1]-1]})
			}
			if err != nil {
				t.Fatal(err)
			}
			i, says, err := w.Move(t.Context(), id, w.card)
			if err != nil || len(says) > 0 || i.SigningToken == "" || i.EncryptionToken == "" || i.OnlyCopy {
				t.Fatal(i, says, err)
			}
			if keys, certs := w.onCard(t); keys != 2 || certs != 2 {
				t.Errorf("%d keys and %d certificates on the card", keys, certs)
			}
			w.correspond(t, i)
			if w.human.prompts() != 1 {
				t.Errorf("%d PINs asked for", w.human.prompts())
			}
		})
	}
}

// correspond signs a letter to oneself and opens it.
func (w *workshop) correspond(t *testing.T, i vault.Identity) {
	t.Helper()
	ctx := w.Asked(t.Context(), "Send your letter")
	signer, err := w.Vault.Signer(ctx, i.ID)
	if err != nil {
		t.Fatal(err)
	}
	var sealed bytes.Buffer
	ada := message.Address{Addr: i.Address}
	e := smime.Envelope{Cipher: cms.AES256GCM, To: []*x509.Certificate{i.Encryption}}
	err = e.Seal(&sealed, smime.Letter{
		From: ada, To: []message.Address{ada}, Subject: "A letter", Date: time.Now().UTC(), MessageID: "<1@clinic.example>", Text: "By two keys on a card.\n",
	}, smime.Keys{Signer: cms.Signer{Key: signer, Certificate: i.Signing}, Encryption: i.Encryption})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := w.Vault.DecryptionKeys(ctx)
	if err != nil {
		t.Fatal(err)
	}
	read, err := smime.Open(message.Bytes(sealed.Bytes()), keys, smime.Options{})
	if err != nil || read.Problem != nil {
		t.Fatal(err, read)
	}
	if n := len(read.Layers); n != 2 || read.Layers[1].Signed == nil || read.Layers[1].Signed.Signers[0].Err != nil {
		t.Errorf("%d layers, or the signature does not hold", n)
	}
}

// TestPeerMakerFails: what comes to nothing leaves nothing on the card, and a request that
// is taken back takes its key along.
func TestPeerMakerFails(t *testing.T) {
	token := pkcs11test.SoftHSM(t).Misbehaving(t)
	w := opened(t, token)
	order := vault.RequestOrder{Address: "ada@clinic.example", Kind: pkcs10.P256}
	clean := func(what string) {
		t.Helper()
		if n, _ := w.onCard(t); n != 0 {
			t.Errorf("%s: %d keys are left on the card", what, n)
		}
	}
	token.Do(t, "full")
	if _, err := w.Request(t.Context(), w.card, order); err == nil || !strings.Contains(vault.WhyToken(err).Says, "no room left") {
		t.Errorf("full: %v", err)
	}
	token.Do(t, "general") // the key is made, and then does not sign its request
	if _, err := w.Request(t.Context(), w.card, order); err == nil {
		t.Error("a key that does not sign was taken")
	}
	token.Do(t, "")
	clean("a key that does not sign")
	r, err := w.Request(t.Context(), w.card, order)
	if err != nil {
		t.Fatal(err)
	}
	if _, says, err := w.Discard(t.Context(), r.ID); err != nil || len(says) > 0 {
		t.Fatal(says, err)
	}
	clean("taken back")
	if r, err = w.Request(t.Context(), w.card, order); err != nil {
		t.Fatal(err)
	}
	token.Do(t, "nobody")
	w.LockAll()
	if _, says, err := w.Discard(t.Context(), r.ID); err != nil || len(says) != 1 || !strings.Contains(says[0], "stays on the card") {
		t.Errorf("taken back without the card: %q, %v", says, err)
	}
	if all, err := w.Vault.Requests(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("%d requests, %v", len(all), err)
	}
}
