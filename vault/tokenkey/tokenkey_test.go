package tokenkey_test

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"

	"countersign/mailer/cms"
	"countersign/vault/tokenkey"
)

// card is a token with one key. It counts how often it is asked.
type card struct {
	key     crypto.Signer
	trouble error // of every use
	asked   int
}

func (c *card) Open(ref string, public crypto.PublicKey) (tokenkey.Key, error) {
	if ref != "here" {
		return nil, tokenkey.Trouble(tokenkey.ErrAbsent, "", nil)
	}
	return c, nil
}

func (c *card) Signer(context.Context) crypto.Signer { return asked{c} }

func (c *card) Decrypter(context.Context) crypto.Decrypter {
	if _, ok := c.key.(crypto.Decrypter); !ok {
		return nil
	}
	return asked{c}
}

func (c *card) Exchanger(context.Context) ecdh.KeyExchanger {
	key, ok := c.key.(*ecdsa.PrivateKey)
	if !ok {
		return nil
	}
	point, err := key.ECDH()
	if err != nil {
		return nil
	}
	return agreeing{point, c}
}

type asked struct{ *card }

func (a asked) Public() crypto.PublicKey { return a.key.Public() }

func (a asked) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if a.card.asked++; a.trouble != nil {
		return nil, a.trouble
	}
	return a.key.Sign(random, digest, opts)
}

func (a asked) Decrypt(random io.Reader, message []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	if a.card.asked++; a.trouble != nil {
		return nil, a.trouble
	}
	return a.key.(crypto.Decrypter).Decrypt(random, message, opts)
}

type agreeing struct {
	*ecdh.PrivateKey
	c *card
}

func (a agreeing) ECDH(peer *ecdh.PublicKey) ([]byte, error) {
	if a.c.asked++; a.c.trouble != nil {
		return nil, a.c.trouble
	}
	return a.PrivateKey.ECDH(peer)
}

func newRSA(t *testing.T) *card {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return &card{key: key}
}

func newEC(t *testing.T) *card {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &card{key: key}
}

func (c *card) certificate(t *testing.T) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "Ada"}, EmailAddresses: []string{"ada@x.example"},
		NotBefore: time.Unix(1, 0), NotAfter: time.Unix(1<<33, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, c.key.Public(), c.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// key is the card's key as it is lent for opening one message.
func (c *card) lent(ctx context.Context, o *tokenkey.Occasion, cert *x509.Certificate) cms.Key {
	lent := o.Lend(ctx, c, "here", cert.PublicKey)
	return cms.Key{Certificate: cert, Decrypter: lent.Decrypter(), Exchanger: lent.Exchanger()}
}

func TestLentKeysWork(t *testing.T) {
	for name, c := range map[string]*card{"RSA": newRSA(t), "P-256": newEC(t)} {
		cert := c.certificate(t)
		var o tokenkey.Occasion
		key := c.lent(t.Context(), &o, cert)
		if c.asked != 0 {
			t.Errorf("%s: lending asked the card", name)
		}
		if err := tokenkey.Try(key, rand.Reader); err != nil || c.asked != 1 {
			t.Errorf("%s: %v after %d uses", name, err, c.asked)
		}
		digest := sha256.Sum256([]byte("text"))
		s := o.Lend(t.Context(), c, "here", cert.PublicKey).Signer()
		if _, err := s.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil || c.asked != 2 {
			t.Errorf("%s: %v after %d uses", name, err, c.asked)
		}
	}
}

// A card may hold somebody else's key beside the certificate.
func TestAnotherKey(t *testing.T) {
	for name, c := range map[string]*card{"RSA": newRSA(t), "P-256": newEC(t)} {
		cert := c.certificate(t)
		if name == "RSA" {
			c.key = newRSA(t).key
		} else {
			c.key = newEC(t).key
		}
		if err := tokenkey.Try(c.lent(t.Context(), new(tokenkey.Occasion), cert), rand.Reader); !errors.Is(err, tokenkey.ErrToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// After a PIN entry that came to nothing nobody is asked again on this occasion.
func TestOnePrompt(t *testing.T) {
	for _, c := range []struct {
		trouble error
		asked   int
	}{
		{tokenkey.Trouble(tokenkey.ErrCancelled, "", nil), 1},
		{tokenkey.Trouble(tokenkey.ErrPIN, "Wrong.", errors.New("CKR_PIN_INCORRECT")), 1},
		{tokenkey.Trouble(tokenkey.ErrPINBlocked, "", nil), 1},
		{tokenkey.Trouble(tokenkey.ErrAbsent, "", nil), 2}, // another card may be in the reader
		{tokenkey.Trouble(tokenkey.ErrLocked, "", nil), 2},
		{errors.New("whatever"), 2},
	} {
		k := newEC(t)
		k.trouble = c.trouble
		var o tokenkey.Occasion
		for n := range 4 {
			lent := k.lent(t.Context(), &o, k.certificate(t)).Exchanger
			_, err := lent.ECDH(lent.PublicKey())
			if greedy := c.asked == 2 && n >= 2; greedy != errors.Is(err, cms.ErrLimit) || greedy != (tokenkey.Why(err) == nil) {
				t.Errorf("%v: %v", c.trouble, err)
			}
		}
		if k.asked != c.asked {
			t.Errorf("%v: asked %d times", c.trouble, k.asked)
		}
	}
}

func TestNotAsked(t *testing.T) {
	c := newRSA(t)
	cert := c.certificate(t)
	digest := sha256.Sum256(nil)
	for name, want := range map[string]struct {
		ctx    context.Context
		tokens tokenkey.Tokens
		ref    string
		is     error
	}{
		"untouched": {tokenkey.Untouched(t.Context()), c, "here", tokenkey.ErrLocked},
		"no tokens": {t.Context(), nil, "here", tokenkey.ErrAbsent},
		"elsewhere": {t.Context(), c, "there", tokenkey.ErrAbsent},
	} {
		var o tokenkey.Occasion
		_, err := o.Lend(want.ctx, want.tokens, want.ref, cert.PublicKey).Signer().Sign(rand.Reader, digest[:], crypto.SHA256)
		if !errors.Is(err, want.is) || c.asked != 0 {
			t.Errorf("%s: %v, asked %d times", name, err, c.asked)
		}
	}
}

// The padding of a hostile message is no trouble of the card's.
func TestWrongPadding(t *testing.T) {
	c := newRSA(t)
	var o tokenkey.Occasion
	_, err := c.lent(t.Context(), &o, c.certificate(t)).Decrypter.Decrypt(rand.Reader, make([]byte, 256), &rsa.OAEPOptions{Hash: crypto.SHA256})
	if !errors.Is(err, rsa.ErrDecryption) || tokenkey.Why(err) != nil {
		t.Error(err)
	}
}

func TestTrouble(t *testing.T) {
	cause := errors.New("CKR_GENERAL_ERROR")
	err := tokenkey.Trouble(tokenkey.ErrAbsent, "The card “Ada” is not in the reader. Insert it and try again.", cause)
	p := tokenkey.Why(err)
	if !errors.Is(err, tokenkey.ErrAbsent) || errors.Is(err, tokenkey.ErrLocked) || !errors.Is(err, cause) || p == nil || !strings.Contains(p.Says, "“Ada”") || p.Next != "" {
		t.Errorf("%v, %+v", err, p)
	}
	if p := tokenkey.Why(tokenkey.Trouble(tokenkey.ErrLocked, "", nil)); p == nil || p.Says != tokenkey.ErrLocked.Says || p.Next == "" {
		t.Errorf("%+v", p)
	}
	if tokenkey.Why(cause) != nil || tokenkey.Why(tokenkey.ErrUse) != nil {
		t.Error("something else counts as a token's trouble")
	}
}

func TestOwn(t *testing.T) {
	both, other := newRSA(t).certificate(t), newEC(t).certificate(t)
	signs := *both
	signs.KeyUsage = x509.KeyUsageDigitalSignature
	at := func(ref string, c *x509.Certificate) tokenkey.Certificate {
		return tokenkey.Certificate{Ref: ref, Certificate: c}
	}
	for name, c := range map[string]struct {
		keys tokenkey.Keys
		want string
		err  error
	}{
		"one for both":  {tokenkey.Keys{Signing: at("a", both), Encryption: at("a", both)}, "a:true,true ", nil},
		"two":           {tokenkey.Keys{Signing: at("a", both), Encryption: at("b", other)}, "a:true,false b:false,true ", nil},
		"signing only":  {tokenkey.Keys{Signing: at("a", both)}, "a:true,false ", nil},
		"opening only":  {tokenkey.Keys{Encryption: at("b", both)}, "b:false,true ", nil},
		"nothing":       {tokenkey.Keys{}, "", tokenkey.ErrNoKeys},
		"not to open":   {tokenkey.Keys{Encryption: at("a", &signs)}, "", tokenkey.ErrUse},
		"nor with both": {tokenkey.Keys{Signing: at("a", &signs), Encryption: at("a", &signs)}, "", tokenkey.ErrUse},
	} {
		found, err := c.keys.Own()
		got := ""
		for _, o := range found {
			got += o.Token + ":" + map[bool]string{true: "true", false: "false"}[o.Sign] + "," + map[bool]string{true: "true", false: "false"}[o.Open] + " "
		}
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestPlace(t *testing.T) {
	for ref, want := range map[string]string{
		"": "",
		"pkcs11:token=Ada%27s%20card;serial=12?pin-source=x": "card “Ada's card”",
		"pkcs11:serial=00ff;id=%01":                          "card number 00ff",
		"pkcs11:token=a%0a%1b[1mb;serial=1":                  "card “a[1mb”",
		"pkcs11:token=%zz":                                   "card",
		"cng:0011":                                           "card, through Windows",
	} {
		if got := tokenkey.Place(ref); got != want {
			t.Errorf("%s: %q", ref, got)
		}
	}
}
