package tokens

import (
	"context"
	"crypto/x509"
	"slices"

	"countersign/platform/certstore"
	"countersign/tray/control"
	"countersign/vault/tokenkey"
)

// system adds the certificates of the system's store to a list, as a token of their own, but
// those that a card of the list shows itself.
func (t *Tokens) system(ctx context.Context, list []control.Token, used func(*x509.Certificate) string) []control.Token {
	all, err := t.store.List(ctx)
	if err != nil {
		t.o.Log.Warn("listing the certificates of Windows", "error", err)
	}
	return withStore(list, all, used)
}

func withStore(list []control.Token, all []certstore.Certificate, used func(*x509.Certificate) string) []control.Token {
	number, shown := 0, map[string]bool{}
	for _, one := range list {
		for _, k := range one.Keys {
			number = max(number, k.Number)
			shown[k.Fingerprint] = true
		}
	}
	v := control.Token{ID: "windows", Label: "Windows", Software: "Windows", State: "ready", Lock: "none", Keys: []control.TokenKey{}}
	for _, c := range all {
		k := control.TokenKey{Number: number + 1, URI: c.Ref(), Label: clean(c.Name), Key: kind(c.PublicKey), Addresses: []string{}}
		describeCertificate(&k, c.Certificate, used)
		if !shown[k.Fingerprint] {
			number++
			v.Keys = append(v.Keys, k)
		}
	}
	if len(v.Keys) == 0 {
		return list
	}
	return append(list, v)
}

// stored finds a certificate of the system's store by its reference, and the authorities
// above it.
func (t *Tokens) stored(ctx context.Context, ref string) (tokenkey.Certificate, []*x509.Certificate, error) {
	all, err := t.store.List(ctx)
	if err != nil {
		return tokenkey.Certificate{}, nil, trouble(err)
	}
	i := slices.IndexFunc(all, func(c certstore.Certificate) bool { return c.Ref() == ref })
	if i < 0 {
		return tokenkey.Certificate{}, nil, &control.Error{Code: control.CodeNotFound, Says: "Windows does not have that certificate.", Next: "Insert the card, and look at the list: countersign token list"}
	}
	chain, err := t.store.Authorities(ctx, all[i].Certificate)
	return tokenkey.Certificate{Ref: ref, Certificate: all[i].Certificate}, chain, trouble(err)
}
