package tokens

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"countersign/pkcs11"
	"countersign/vault"
)

// Maker puts the vault's keys and certificates on tokens. What it does is the answer to
// somebody's order, so it asks for PINs; ctx ends when it is done.
type Maker struct {
	Tokens *Tokens
	Vault  *vault.Vault
}

// clearing is how long is spent on taking a key back that came to nothing.
const clearing = time.Minute

// Request has a token make a key for signing, and asks for its certificate. The
// decryption key of the same request is made in software, so that it comes into the recovery file
// before [Maker.Move] puts it on a token (K1). If the request cannot be made, the new key is
// taken off the token again.
func (m Maker) Request(ctx context.Context, token pkcs11.Name, o vault.RequestOrder) (vault.Request, error) {
	waiting, err := m.Vault.Requests(ctx)
	if err == nil && slices.ContainsFunc(waiting, func(r vault.Request) bool { return r.Address == o.Address }) {
		err = vault.ErrRequested // before a key is made for nothing
	}
	if err != nil {
		return vault.Request{}, fmt.Errorf("asking for a certificate: %w", err)
	}
	ctx = m.Tokens.Asked(ctx, "Make a new key on this card")
	s, done, err := m.at(ctx, token)
	if err != nil {
		return vault.Request{}, err
	}
	defer done()
	key, err := s.Generate(ctx, token, pkcs11.Order{Kind: string(o.Kind), Label: o.Address, Sign: true})
	if err != nil {
		return vault.Request{}, trouble(err)
	}
	o.Separate, o.Signing, o.Encryption = true, vault.TokenPublic{Ref: key.URI().String(), Public: key.Public()}, vault.TokenPublic{}
	r, err := m.Vault.MakeRequest(ctx, o)
	if err != nil {
		m.takeBack(ctx, key)
	}
	return r, err
}

// at finds a token, and counts it as at work until done is called.
func (m Maker) at(ctx context.Context, token pkcs11.Name) (s *software, done func(), err error) {
	if s, err = m.Tokens.holder(ctx, token); err != nil {
		return nil, nil, trouble(err)
	}
	used, patient := m.Tokens.use(ctx, s), m.Tokens.impatient(ctx, token)
	return s, func() { patient(); used() }, nil
}

// takeBack destroys a key that came to nothing. Where nobody waits any more, nobody is
// asked for a PIN.
func (m Maker) takeBack(ctx context.Context, key *pkcs11.Key) {
	if ctx.Err() != nil {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(context.Background(), clearing)
		defer stop()
	}
	if err := key.Discard(ctx); err != nil {
		m.Tokens.o.Log.Warn("taking a key off a card", "card", key.Token().Label, "error", err)
	}
}

// Discard takes a request back, with its keys on tokens. Where a token cannot be reached its
// key stays there, of no use to anybody, and says tells so.
func (m Maker) Discard(ctx context.Context, id string) (r vault.Request, says []string, err error) {
	if r, err = m.Vault.DiscardRequest(ctx, id); err != nil {
		return r, nil, err
	}
	own, err := m.Vault.Identities(ctx)
	if err != nil {
		return r, nil, err
	}
	asked := m.Tokens.Asked(ctx, "Take the key of this request off the card")
	for _, k := range r.Keys {
		used := slices.ContainsFunc(own, func(i vault.Identity) bool { return k.Token == i.SigningToken || k.Token == i.EncryptionToken })
		if k.Token == "" || used {
			continue
		}
		err := m.on(asked, k.Token, func(s *software, u pkcs11.URI) error {
			public, err := x509.ParsePKIXPublicKey(k.Public)
			if err != nil {
				return err
			}
			key, err := s.Unfinished(u, public)
			if err != nil {
				return err
			}
			return key.Discard(asked)
		})
		if err != nil {
			m.Tokens.o.Log.Warn("taking a key off a card", "error", err)
			says = append(says, "The key stays on the card, where nobody has a use for it. "+sentence(err))
		}
	}
	return r, says, nil
}

// on does something with a token that a reference names.
func (m Maker) on(ctx context.Context, ref string, do func(*software, pkcs11.URI) error) error {
	u, err := pkcs11.ParseURI(ref)
	if err != nil {
		return err
	}
	s, done, err := m.at(ctx, u.Token)
	if err != nil {
		return err
	}
	defer done()
	return do(s, u)
}

// Store puts the certificates of identities beside their keys, for other programs that
// use the token. Mail does not need that, so what cannot be done is only told.
func (m Maker) Store(ctx context.Context, all []vault.Identity) (says []string) {
	ctx = m.Tokens.Asked(ctx, "Put your certificate on this card")
	for _, i := range all {
		for _, one := range []struct {
			cert *x509.Certificate
			ref  string
		}{{i.Signing, i.SigningToken}, {i.Encryption, i.EncryptionToken}} {
			if one.cert == nil || one.ref == "" {
				continue
			}
			err := m.on(ctx, one.ref, func(s *software, u pkcs11.URI) error {
				key, err := s.Use(u, one.cert.PublicKey)
				if err != nil {
					return err
				}
				return key.Store(ctx, one.cert)
			})
			if err == nil {
				continue
			}
			m.Tokens.o.Log.Warn("putting a certificate on a card", "error", err)
			if line := "The certificate is in use, but was not put on the card. " + sentence(err); !slices.Contains(says, line) {
				says = append(says, line)
			}
		}
	}
	return says
}

// Move puts the decryption key of an identity on a token, once it is in the recovery file, and
// takes it out of the keychain (K1); then its certificate.
func (m Maker) Move(ctx context.Context, id string, token pkcs11.Name) (vault.Identity, []string, error) {
	own, err := m.Vault.Identities(ctx)
	if err != nil {
		return vault.Identity{}, nil, err
	}
	order := pkcs11.Order{Open: true}
	for _, i := range own {
		if i.ID == id {
			order.Label, order.Sign = i.Address, i.Signing != nil && i.Signing == i.Encryption
		}
	}
	asked := m.Tokens.Asked(ctx, "Put your decryption key on this card")
	var key *pkcs11.Key
	i, err := m.Vault.MoveToToken(asked, id, func(private crypto.PrivateKey) (string, error) {
		signer, ok := private.(crypto.Signer)
		if !ok {
			return "", vault.ErrKeyKind
		}
		s, done, err := m.at(asked, token)
		if err != nil {
			return "", err
		}
		defer done()
		key, err = s.Import(asked, token, signer, order)
		if errors.Is(err, pkcs11.ErrOrder) {
			return "", vault.ErrKeyKind
		}
		if err != nil {
			return "", trouble(err)
		}
		return key.URI().String(), nil
	})
	if err != nil {
		if key != nil {
			m.takeBack(asked, key)
		}
		return i, nil, err
	}
	return i, m.Store(ctx, []vault.Identity{i}), nil
}
