package issued

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"time"

	"countersign/vault/keyring"
	"countersign/vault/pkcs10"
)

// Request is one key, or a key for signing and one for encryption, made here and
// waiting for what an authority issues for it.
type Request struct {
	ID      string         `json:"id"` // opaque
	Address string         `json:"address"`
	Name    string         `json:"name,omitempty"`
	Kind    pkcs10.Kind    `json:"kind"`
	Made    time.Time      `json:"made"`
	Keys    []RequestedKey `json:"keys"`
}

// RequestedKey is one key of a request.
type RequestedKey struct {
	Use         pkcs10.Use `json:"use"`
	Request     []byte     `json:"request"`               // PKCS #10 in DER
	Public      []byte     `json:"public"`                // SubjectPublicKeyInfo in DER
	Certificate []byte     `json:"certificate,omitempty"` // that came, while the other is still missing
	Token       string     `json:"token,omitempty"`       // its reference, if it is on a token
	OnlyCopy    bool       `json:"only_copy,omitempty"`   // the user accepted that it is there alone
}

// ID names the key in the keychain.
func (k RequestedKey) ID() string { return keyring.Name(k.Public) }

// Opens says that mail will be encrypted to the key.
func (k RequestedKey) Opens() bool { return k.Use != pkcs10.Sign }

// OnToken is where the key with that ID is on a token, if it is one of a request's and on
// one, and whether it is there alone.
func OnToken(all []Request, id string) (ref string, only bool) {
	for _, r := range all {
		for _, k := range r.Keys {
			if k.Token != "" && k.ID() == id {
				return k.Token, k.OnlyCopy
			}
		}
	}
	return "", false
}

// PEM is what is handed to the authority: one block a key.
func (r Request) PEM() []byte {
	var b bytes.Buffer
	for _, k := range r.Keys {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE REQUEST", Bytes: k.Request}) // to memory
	}
	return b.Bytes()
}

// Take puts the certificates found to the keys of a request that they are for.
func (r Request) Take(found []Own) (_ Request, fits bool, err error) {
	r.Keys = slices.Clone(r.Keys)
	for n, k := range r.Keys {
		for _, o := range found {
			if keyring.ID(o.Certificate) != k.ID() {
				continue
			}
			switch {
			case !slices.Contains(Addresses(o.Certificate), r.Address):
				return r, false, &Problem{"other-address", "This certificate is for " + Addresses(o.Certificate)[0] + ", but the request was for " + r.Address + ".",
					"Ask your authority for a certificate in the address that you asked for."}
			case k.Use != pkcs10.Encrypt && !o.Sign:
				return r, false, &Problem{"wrong-use", "This certificate may not be used for signing, which its key was made for.",
					"Ask your authority for an e-mail certificate that allows digital signatures."}
			case k.Use != pkcs10.Sign && !o.Open:
				return r, false, &Problem{"wrong-use", "This certificate may not be used for encryption, which its key was made for.",
					"Ask your authority for an e-mail certificate that allows encryption, or ask anew with separate keys."}
			}
			r.Keys[n].Certificate, fits = o.Certificate.Raw, true
		}
	}
	return r, fits, nil
}

// Certified adds to what was found the certificates that came before. It is complete
// when each key of the request has one. Each key serves what it was asked for, though its
// certificate may allow more: a signing key on a card is in no recovery file (K1).
func (r Request) Certified(found []Own) (all []Own, complete bool, err error) {
	found = slices.Clone(found)
	for _, k := range r.Keys {
		if k.Certificate == nil {
			return nil, false, nil
		}
		came := false
		for n := range found {
			if o := &found[n]; keyring.ID(o.Certificate) == k.ID() {
				o.narrow(k.Use != pkcs10.Encrypt, k.Use != pkcs10.Sign)
				came = came || bytes.Equal(o.Certificate.Raw, k.Certificate)
			}
		}
		if came {
			continue
		}
		o := Own{Token: k.Token, OnlyCopy: k.OnlyCopy}
		if o.Certificate, err = x509.ParseCertificate(k.Certificate); err != nil {
			return nil, false, fmt.Errorf("reading a certificate of yours: %w", err)
		}
		if err := o.Judge(); err != nil {
			return nil, false, err
		}
		o.narrow(k.Use != pkcs10.Encrypt, k.Use != pkcs10.Sign)
		found = append(found, o)
	}
	return found, true, nil
}
