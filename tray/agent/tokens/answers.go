package tokens

import (
	"context"
	"crypto/x509"
	"slices"
	"strings"

	"countersign/pkcs11"
	"countersign/tray/control"
	"countersign/vault"
)

// Answers answers control.Tokens. Its fields are set by whoever makes it.
type Answers struct {
	Tokens *Tokens
	// Own lists the user's identities.
	Own func(context.Context) ([]vault.Identity, error)
	// Take takes keys on a token into use, and asks for PINs.
	Take func(context.Context, vault.TokenKeys) (control.Installed, error)
	// Maker makes and moves keys.
	Maker Maker
	// Describe describes one of the user's identities.
	Describe func(ctx context.Context, one vault.Identity, all []vault.Identity) control.Identity
	// Waiting counts the messages that wait for a token; OpenWaiting opens them.
	Waiting     func(context.Context) (int, error)
	OpenWaiting func(context.Context) (opened, left int, err error)
	Words       func(error) error // turns a room's error into what a person reads
}

// List tells what is in the readers, without any PIN.
func (a *Answers) List(ctx context.Context, _ control.None) (control.TokenList, error) {
	own, err := a.Own(ctx)
	if err != nil {
		return control.TokenList{}, a.Words(err)
	}
	used := func(c *x509.Certificate) string { return inUse(own, c) }
	list := control.TokenList{Tokens: a.Tokens.system(ctx, describe(a.Tokens.cards(ctx), used, a.Tokens.until()), used)}
	list.Problems, list.PINMinutes = append(a.Tokens.Problems(), a.Tokens.leftOut()...), a.Tokens.minutes()
	list.Waiting, err = a.Waiting(ctx)
	return list, a.Words(err)
}

// inUse says what a certificate on a token is in use for.
func inUse(own []vault.Identity, c *x509.Certificate) string {
	var signs, opens bool
	for _, i := range own {
		signs = signs || !i.Retired && i.SigningToken != "" && i.Signing.Equal(c)
		opens = opens || i.EncryptionToken != "" && i.Encryption.Equal(c)
	}
	return uses(signs, opens)
}

// Use takes certificates on a token into use.
func (a *Answers) Use(ctx context.Context, q control.TokenUse) (control.Installed, error) {
	list := a.Tokens.cards(ctx)
	keys := vault.TokenKeys{OnlyCopy: q.OnlyCopy}
	for _, one := range []struct {
		uri string
		to  *vault.TokenCertificate
	}{{q.Signing, &keys.Signing}, {q.Encryption, &keys.Encryption}} {
		if one.uri == "" {
			continue
		}
		if isStored(one.uri) {
			c, chain, err := a.Tokens.stored(ctx, one.uri)
			if err != nil {
				return control.Installed{}, a.Words(err)
			}
			*one.to, keys.Chain = c, append(keys.Chain, chain...)
			continue
		}
		on, k, err := choose(list, one.uri)
		if err != nil {
			return control.Installed{}, err
		}
		chain, err := on.software.Authorities(ctx, on.Name)
		if err != nil {
			return control.Installed{}, a.Words(trouble(err))
		}
		keys.Chain = append(keys.Chain, chain...)
		*one.to = vault.TokenCertificate{Ref: k.URI().String(), Certificate: k.Certificate}
	}
	if keys.Signing.Certificate == nil && keys.Encryption.Certificate == nil {
		return control.Installed{}, &control.Error{Code: control.CodeInvalid, Says: "No certificate was chosen.", Next: "Choose one of those on the card."}
	}
	return a.Take(ctx, keys)
}

// choose finds the one key that a URI means, and its card.
func choose(list []card, text string) (on card, chosen *pkcs11.Key, err error) {
	u, err := pkcs11.ParseURI(text)
	if err != nil {
		return on, nil, &control.Error{Code: control.CodeInvalid, Says: "That names no certificate on a card.", Next: "Choose one of the list: countersign token list"}
	}
	for _, c := range list {
		for _, k := range c.keys {
			if !means(u, k.URI()) {
				continue
			}
			if chosen != nil {
				return on, nil, &control.Error{Code: control.CodeInvalid, Says: "That fits several certificates.", Next: "Choose one of the list: countersign token list"}
			}
			on, chosen = c, k
		}
	}
	switch {
	case chosen == nil:
		return on, nil, &control.Error{Code: control.CodeNotFound, Says: "That certificate is on no card in a reader.", Next: "Insert the card, and look at the list: countersign token list"}
	case chosen.Certificate == nil:
		return on, nil, &control.Error{Code: "no-certificate", Says: "The card holds no certificate for this key.", Next: "Ask the authority to put it on the card."}
	}
	return on, chosen, nil
}

// means tells whether what a URI says is true of a key (RFC 7512, section 2.4).
func means(u, of pkcs11.URI) bool {
	fits := func(wanted, is string) bool { return wanted == "" || wanted == is }
	return fits(u.Token.Manufacturer, of.Token.Manufacturer) && fits(u.Token.Model, of.Token.Model) && fits(u.Token.Serial, of.Token.Serial) &&
		fits(u.Token.Label, of.Token.Label) && fits(string(u.ID), string(of.ID)) && fits(u.Object, of.Object)
}

// Request has a token make a key for signing, and one for encryption beside it in software.
func (a *Answers) Request(ctx context.Context, token string, o vault.RequestOrder) (vault.Request, error) {
	_, on, err := a.meant(ctx, token)
	if err != nil {
		return vault.Request{}, err
	}
	return a.Maker.Request(ctx, on.Name, o)
}

// Move puts the decryption key of an identity on a token.
func (a *Answers) Move(ctx context.Context, q control.TokenMove) (control.Installed, error) {
	_, on, err := a.meant(ctx, q.Token)
	if err != nil {
		return control.Installed{}, err
	}
	i, says, err := a.Maker.Move(ctx, q.Identity, on.Name)
	if err != nil {
		return control.Installed{}, a.Words(err)
	}
	own, err := a.Own(ctx)
	if err != nil {
		return control.Installed{}, a.Words(err)
	}
	return control.Installed{
		Identities: []control.Identity{a.Describe(ctx, i, own)},
		Says:       append([]string{"The key for opening mail is on the card now, and in your recovery file. It is no longer on this computer."}, says...),
	}, nil
}

// Unlock asks for the PIN of a token and opens all mail that waits for it.
func (a *Answers) Unlock(ctx context.Context, q control.TokenQuery) (control.Unlocked, error) {
	s, token, err := a.meant(ctx, q.ID)
	if err != nil {
		return control.Unlocked{}, err
	}
	ctx = a.Tokens.Asked(ctx, "Open the mail that waits for this card")
	done := a.Tokens.use(ctx, s)
	err = s.Unlock(ctx, token.Name)
	done()
	if err != nil {
		return control.Unlocked{}, a.Words(trouble(err))
	}
	a.Tokens.tell(ctx, "token-unlocked", identifier(token.Name), "The card "+quoted(token.Name)+" is unlocked.")
	u := control.Unlocked{Label: label(token.Name)}
	u.Opened, u.Left, err = a.OpenWaiting(ctx)
	return u, a.Words(err)
}

// meant finds a token by its identifier; without one, that of the user's keys, or else
// the only one that is there.
func (a *Answers) meant(ctx context.Context, id string) (*software, pkcs11.Token, error) {
	own, err := a.Own(ctx)
	if err != nil {
		return nil, pkcs11.Token{}, a.Words(err)
	}
	var all, ours []card
	for _, c := range a.Tokens.cards(ctx) {
		if id == "" || identifier(c.Name) == id {
			all = append(all, c)
		}
		if slices.ContainsFunc(own, func(i vault.Identity) bool { return holds(i, c.Name) }) {
			ours = append(ours, c)
		}
	}
	if id == "" && len(ours) > 0 {
		all = ours
	}
	switch {
	case len(all) == 0:
		none := &control.Error{Code: control.CodeNotFound, Says: "No such card is in a reader.", Next: "Insert the card and try again."}
		if problems := a.Tokens.Problems(); len(problems) > 0 { // it may be in a reader all the same
			none.Says, none.Next = "No such card answers.", strings.Join(problems, " ")
		}
		return nil, pkcs11.Token{}, none
	case len(all) > 1:
		return nil, pkcs11.Token{}, &control.Error{Code: control.CodeInvalid, Says: "Several cards are in the readers.", Next: "Name the one you mean, by its label or serial number: countersign token list"}
	}
	return all[0].software, all[0].Token, nil
}

// holds tells whether a key of an identity is on a token.
func holds(i vault.Identity, name pkcs11.Name) bool {
	for _, ref := range []string{i.SigningToken, i.EncryptionToken} {
		if u, err := pkcs11.ParseURI(ref); err == nil && u.Token == name {
			return true
		}
	}
	return false
}

// Lock forgets every PIN and locks every token.
func (a *Answers) Lock(context.Context, control.None) (control.None, error) {
	a.Tokens.LockAll()
	return control.None{}, nil
}

// minutes is how long a token stays unlocked after its last use.
func (t *Tokens) minutes() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return int(t.keep.Minutes())
}
