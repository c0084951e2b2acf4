package tokenkey

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"countersign/mailer/cms"
	"countersign/vault/issued"
)

// Certificate is a certificate whose key is on a token.
type Certificate struct {
	Ref         string // pkcs11:... (RFC 7512), or cng: and the SHA-256 of the certificate
	Certificate *x509.Certificate
}

// Keys is what is to be used of a token. Either half may be missing; both may be one.
type Keys struct {
	Signing, Encryption Certificate
	Chain               []*x509.Certificate // of authorities
	// OnlyCopy says that the user accepted that the decryption key is on the token alone:
	// "if this card dies, this mail is lost" (K1).
	OnlyCopy bool
}

// What is wrong with a choice of keys.
var (
	ErrNoKeys = &Problem{Code: "no-keys", Says: "No key was chosen.", Next: "Choose one for signing, one for opening mail, or both."}

	ErrUse = &Problem{Code: "wrong-use", Says: "This certificate may not be used for that.",
		Next: "Choose the certificate for signing and the one for encryption, as the card's list tells them apart."}
)

// Own judges the certificates by what each was chosen for.
func (k Keys) Own() (found []issued.Own, err error) {
	s, e := k.Signing, k.Encryption
	one := s.Certificate != nil && e.Certificate != nil && s.Ref == e.Ref && s.Certificate.Equal(e.Certificate)
	for _, half := range []struct {
		Certificate
		sign, open bool
	}{{s, true, one}, {e, false, true}} {
		if half.Certificate.Certificate == nil || one && !half.sign {
			continue
		}
		o := issued.Own{Certificate: half.Certificate.Certificate, Token: half.Ref, OnlyCopy: half.open && k.OnlyCopy}
		if err := o.Judge(); err != nil {
			return nil, err
		}
		if half.sign && !o.Sign || half.open && !o.Open {
			return nil, ErrUse
		}
		o.Sign, o.Open = half.sign, half.open
		found = append(found, o)
	}
	if len(found) == 0 {
		return nil, ErrNoKeys
	}
	return found, nil
}

type inMemory []byte

func (b inMemory) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }

// Try has a decryption key open a test: a token may hold a certificate without its key.
func Try(key cms.Key, random io.Reader) error {
	const text = "countersign test of a decryption key"
	var sealed bytes.Buffer
	w, err := cms.NewEnveloped(&sealed, []*x509.Certificate{key.Certificate}, cms.EncryptOptions{Cipher: cms.AES256GCM, Size: int64(len(text)), Rand: random})
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return fmt.Errorf("preparing to test the decryption key: %w", err)
	}
	_, err = cms.ReadEnveloped(inMemory(sealed.Bytes()), cms.ReadOptions{Keys: []cms.Key{key}, Rand: random}) // with its tag
	if err != nil && Why(err) == nil {
		err = Trouble(ErrToken, "The card does not hold the key of this certificate, or may not use it for opening mail.", err)
	}
	if err != nil {
		return fmt.Errorf("testing the decryption key: %w", err)
	}
	return nil
}

// Place is what a reference is called before a person: the card by its name.
func Place(ref string) string {
	rest, named := strings.CutPrefix(ref, "pkcs11:")
	switch {
	case ref == "":
		return ""
	case !named:
		return "card, through Windows"
	}
	found := map[string]string{}
	path, _, _ := strings.Cut(rest, "?")
	for attribute := range strings.SplitSeq(path, ";") {
		name, value, _ := strings.Cut(attribute, "=")
		if text, err := url.PathUnescape(value); err == nil {
			found[name] = strings.Map(printable, text)
		}
	}
	switch {
	case found["token"] != "":
		return "card “" + found["token"] + "”"
	case found["serial"] != "":
		return "card number " + found["serial"]
	}
	return "card"
}

// printable drops what could change the look of a line.
func printable(r rune) rune {
	if !strconv.IsPrint(r) {
		return -1
	}
	return r
}
