//go:build unix

package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"countersign/mailer"
	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/outbox"
	persons "countersign/mailer/people"
	"countersign/mailer/smime"
	"countersign/mailer/transport"
	"countersign/pkcs11"
	"countersign/platform/keychain"
	"countersign/tray/demo/authority"
	"countersign/vault"
	"countersign/vault/book"
	"countersign/vault/journal"
	"countersign/vault/settings"
	"countersign/vault/trust"
)

const (
	mineAddress = "ada@example.org"
	bareAddress = "bea@example.org"
)

// keyTokens gives out the one key on the token.
type keyTokens struct{ *pkcs11.Key }

func (k keyTokens) Open(string, crypto.PublicKey) (vault.TokenKey, error) { return k, nil }

// profile is a whole mailer over a database of its own, whose key is on the token.
type profile struct {
	*mailer.Mailer
	uid   uint32
	lists []*trust.CRL
	known *trust.Memory
}

// openProfile makes one in a folder, for the key of a certificate.
func openProfile(ctx context.Context, dir string, key *pkcs11.Key, own *x509.Certificate, ca *authority.Authority) (*profile, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	kc, err := keychain.OpenFile(filepath.Join(dir, "keychain"), []byte("bench"), 10)
	if err != nil {
		return nil, err
	}
	v, err := vault.Open(ctx, dir, kc, vault.Options{Tokens: keyTokens{key}})
	if err != nil {
		return nil, err
	}
	p := &profile{known: trust.NewMemory()}
	bk, err := book.Open(ctx, v.DB(), v.RecordKey(), time.Now)
	if err != nil {
		return nil, err
	}
	jr, err := journal.Open(ctx, v.DB(), v.Place("journal"), time.Now)
	if err != nil {
		return nil, err
	}
	box := &outbox.Box{DB: v.DB(), Clock: time.Now}
	p.Mailer = &mailer.Mailer{DB: v.DB(), Outbox: box, Drafts: &mailer.Drafts{DB: v.DB(), Clock: time.Now}, People: &persons.People{
		Vault: v, Book: bk, Journal: jr, Check: p.check, Clock: time.Now,
		Settings: func(context.Context) (settings.Preferences, settings.Policy, error) {
			return settings.Default(), settings.Policy{}, nil
		},
		HasAccount: func(context.Context, string) bool { return true },
	}}
	box.Again = p.Again
	if err := errors.Join(p.Open(), box.Open(ctx)); err != nil {
		return nil, err
	}
	if err := bk.AddAnchor(ctx, book.Anchor{Certificate: ca.Root}); err != nil {
		return nil, err
	}
	on := vault.TokenCertificate{Ref: "pkcs11:id=bench", Certificate: own}
	_, err = v.Use(ctx, vault.TokenKeys{Signing: on, Encryption: on, Chain: []*x509.Certificate{ca.Issuing}, OnlyCopy: true}, nil)
	return p, err
}

// check judges with lists that are fetched once, as the agent's cache does.
func (p *profile) check(_ context.Context, q trust.Question, _ bool) trust.Verdict {
	q.Memory = p.known
	for range 2 {
		q.Evidence.CRLs = p.lists
		v := trust.Check(q)
		if len(v.Needs) == 0 {
			return v
		}
		for _, need := range v.Needs {
			r, err := http.Get(need.URL)
			if err != nil {
				continue
			}
			der, err := io.ReadAll(r.Body)
			r.Body.Close()
			if list, bad := trust.ParseCRL(der); err == nil && bad == nil {
				p.lists = append(slices.Clip(p.lists), list)
			}
		}
	}
	q.Evidence.CRLs = p.lists
	return trust.Check(q)
}

// fill has a hundred letters fetched while the token may not be asked.
func (p *profile) fill(ctx context.Context, to *x509.Certificate, from smime.Keys) error {
	for range inbox {
		var b bytes.Buffer
		p.uid++
		err := smime.Seal(&b, smime.Letter{
			From: message.Address{Addr: bareAddress}, To: []message.Address{{Addr: mineAddress}}, Subject: "bench", Date: time.Now().UTC(),
			MessageID: fmt.Sprintf("<%d@example.org>", p.uid), Text: letterText(),
		}, from, []*x509.Certificate{to}, nil)
		if err != nil {
			return err
		}
		if _, err := p.Deliver(vault.TokensUntouched(ctx), mineAddress, transport.Position{Validity: 1, UID: p.uid}, &b); err != nil {
			return err
		}
	}
	return nil
}

// opening measures the opening of a hundred letters that wait, by the whole mailer: opened,
// checked, the signer's certificate judged, followed and filed, beside the token's operations.
func (t *twice) opening(dir string, mine, theirs *rsa.PrivateKey, key *pkcs11.Key, bare func() error) (ours, peer time.Duration, err error) {
	ca, err := authority.New(t.ctx, time.Now())
	if err != nil {
		return 0, 0, err
	}
	uses := x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	me, err := ca.CertifyUntil("Ada", mineAddress, mine.Public(), uses, time.Now().AddDate(1, 0, 0))
	if err != nil {
		return 0, 0, err
	}
	other, err := ca.CertifyUntil("Bea", bareAddress, theirs.Public(), uses, time.Now().AddDate(1, 0, 0))
	if err != nil {
		return 0, 0, err
	}
	p, err := openProfile(t.ctx, dir, key, me.Certificate, ca)
	if err != nil {
		return 0, 0, err
	}
	defer p.Vault.Close()
	from := smime.Keys{Signer: cms.Signer{Key: theirs, Certificate: other.Certificate}, Encryption: other.Certificate, Chain: []*x509.Certificate{ca.Issuing}}
	var all [2][]time.Duration
	for range 5 {
		if err := p.fill(t.ctx, me.Certificate, from); err != nil {
			return 0, 0, err
		}
		begin := time.Now()
		o, err := p.OpenWaiting(t.ctx)
		if err != nil || o.Opened != inbox {
			return 0, 0, errors.Join(err, fmt.Errorf("%d opened", o.Opened))
		}
		all[0] = append(all[0], time.Since(begin))
		begin = time.Now()
		if err := bare(); err != nil {
			return 0, 0, err
		}
		all[1] = append(all[1], time.Since(begin))
	}
	for i := range all {
		slices.Sort(all[i])
	}
	return all[0][2], all[1][2], nil
}
