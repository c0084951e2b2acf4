package mailer_test

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"countersign/mailer"
	"countersign/pkcs11"
	"countersign/pkcs11/module"
	"countersign/pkcs11/pkcs11test"
	"countersign/vault"
)

func TestMain(m *testing.M) {
	pkcs11test.Helper(module.Main)
	os.Exit(m.Run())
}

// library is the keys of a real token, as tray/agent/tokens hands them out.
type library struct{ *pkcs11.Library }

func (l library) Open(ref string, public crypto.PublicKey) (vault.TokenKey, error) {
	u, err := pkcs11.ParseURI(ref)
	if err != nil {
		return nil, err
	}
	key, err := l.Use(u, public)
	return libraryKey{key}, err
}

// libraryKey says what went wrong as vault does.
type libraryKey struct{ *pkcs11.Key }

func (k libraryKey) Signer(ctx context.Context) crypto.Signer { return told{k.Key.Signer(ctx), nil} }

func (k libraryKey) Decrypter(ctx context.Context) crypto.Decrypter {
	d := k.Key.Decrypter(ctx)
	return told{k.Key.Signer(ctx), d}
}

func (k libraryKey) Exchanger(context.Context) ecdh.KeyExchanger { return nil }

type told struct {
	crypto.Signer
	decrypter crypto.Decrypter
}

func (k told) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	signature, err := k.Signer.Sign(random, digest, opts)
	return signature, trouble(err)
}

func (k told) Decrypt(random io.Reader, message []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	plain, err := k.decrypter.Decrypt(random, message, opts)
	return plain, trouble(err)
}

func trouble(err error) error {
	var e *pkcs11.Error
	if !errors.As(err, &e) {
		return err
	}
	kinds := map[pkcs11.Failure]*vault.Problem{pkcs11.Unasked: vault.ErrLocked, pkcs11.Removed: vault.ErrAbsent, pkcs11.Cancelled: vault.ErrCancelled, pkcs11.WrongPIN: vault.ErrPIN}
	kind := kinds[e.Failure]
	if kind == nil {
		kind = vault.ErrToken
	}
	return vault.TokenTrouble(kind, e.Says, err)
}

// typist enters the PIN, or dismisses the prompt.
type typist struct {
	prompts  atomic.Int32
	declines atomic.Bool
}

func (u *typist) PIN(context.Context, pkcs11.Prompt) ([]byte, error) {
	u.prompts.Add(1)
	if u.declines.Load() {
		return nil, errors.New("dismissed")
	}
	return []byte(pkcs11test.PIN), nil
}

func (u *typist) Pad(context.Context, pkcs11.Prompt) func() { return func() {} }

// TestPeerSoftHSM: the main path with both keys on a real token: it is locked, mail comes
// and waits, one PIN opens all, and a letter goes out.
func TestPeerSoftHSM(t *testing.T) {
	token := pkcs11test.SoftHSM(t)
	path, env := token.Command()
	lib := pkcs11.Open(pkcs11.Config{Helper: path, Env: env, Library: token.Library, Timeout: time.Minute, KeepPIN: time.Minute})
	t.Cleanup(func() { lib.Close() })
	user := &typist{}
	asked := pkcs11.WithUser(t.Context(), user, "a test")

	w := newWorld(t)
	rsa := token.Key("rsa")
	who, err := w.ca.CertifyUntil("Dr Ada Osei", "ada@harbour.example", rsa.Private.Public(), x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment, w.now.AddDate(1, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := lib.Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(tokens, func(one pkcs11.Token) bool { return one.Name.Label == token.Label })
	if at < 0 {
		t.Fatalf("%+v", tokens)
	}
	ref := pkcs11.URI{Token: tokens[at].Name, ID: rsa.ID}.String()
	ada := w.settle(who, library{lib}, func(p *person) error {
		key := vault.TokenCertificate{Ref: ref, Certificate: who.Certificate}
		p.certificates = who.PEM()
		_, err := p.Vault.Use(asked, vault.TokenKeys{Signing: key, Encryption: key, Chain: []*x509.Certificate{w.ca.Issuing}, OnlyCopy: true}, nil)
		return err
	})
	bea := w.join("Dr Bea Brandt", "bea@north.example")
	ada.verifies(bea) // while it is unlocked
	bea.verifies(ada)
	lib.Lock()
	user.prompts.Store(0)

	const letters = 12
	for n := range letters {
		bea.send(ada, fmt.Sprint("letter ", n))
	}
	if n, err := ada.Waiting(t.Context()); n != letters || err != nil || user.prompts.Load() != 0 {
		t.Fatalf("%d wait, %v, %d prompts", n, err, user.prompts.Load())
	}
	if _, err := ada.write(mailer.Draft{To: []string{bea.address}, Subject: "Hello", Text: "text"}); !errors.Is(err, vault.ErrLocked) {
		t.Errorf("signed by nobody: %v", err)
	}
	user.declines.Store(true)
	if o, err := ada.OpenWaiting(asked); err != nil || o.Opened != 0 || o.Waiting != letters || len(o.Why) != 1 || o.Why[0].Code != "pin-cancelled" || user.prompts.Load() != 1 {
		t.Errorf("dismissed: %+v, %v after %d prompts", o, err, user.prompts.Load())
	}
	user.declines.Store(false)
	user.prompts.Store(0)
	if o, err := ada.OpenWaiting(asked); err != nil || o.Opened != letters || o.Waiting != 0 || user.prompts.Load() != 1 {
		t.Errorf("%+v, %v after %d prompts", o, err, user.prompts.Load())
	}
	if msg := ada.last(); msg.Subject != fmt.Sprint("letter ", letters-1) || msg.Verdict.Level != "good" {
		t.Errorf("%+v", msg)
	}
	if _, err := ada.writeIn(asked, mailer.Draft{To: []string{bea.address}, Subject: "Hello again", Text: "text"}); err != nil || user.prompts.Load() != 1 {
		t.Errorf("%v after %d prompts", err, user.prompts.Load())
	}
	w.post()
	if msg := bea.last(); msg.Subject != "Hello again" || msg.Verdict.Level != "good" {
		t.Errorf("%+v", msg)
	}
}
