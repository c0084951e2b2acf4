package policy

import (
	"errors"
	"slices"
	"strings"

	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/smime"
)

// Layer is one cryptographic layer of a message, outermost first.
type Layer struct {
	Kind       string
	Form       string
	Algorithms []string
	People     []string // signers, or the recipient that we are, as certificates name them
	Problem    string
}

// Layers describes the layers of a message in words.
func Layers(o *smime.Opened) []Layer {
	var list []Layer
	for _, layer := range o.Layers {
		v := Layer{Kind: string(layer.Kind), Form: CleanLine(layer.Form), Problem: obstacle(layer)}
		if e := layer.Enveloped; e != nil {
			v.Algorithms = present(e.Cipher, e.KeyCipher)
			if e.Matched != nil {
				v.People = append(v.People, Named(e.Matched))
			}
		}
		if s := layer.Signed; s != nil {
			for _, signer := range s.Signers {
				v.Algorithms = append(v.Algorithms, present(signer.Algorithm, signer.Hash)...)
				v.People = append(v.People, Named(signer.Certificate))
				if v.Problem == "" {
					v.Problem = Problem(signer.Err)
				}
			}
		}
		list = append(list, v)
	}
	return list
}

func present(words ...string) (list []string) {
	for _, w := range words {
		if strings.TrimSpace(w) != "" {
			list = append(list, w)
		}
	}
	return list
}

// Obstacle says in words why a message cannot be opened.
func Obstacle(o *smime.Opened) string {
	for _, l := range o.Layers {
		if l.Kind == smime.Encrypted && l.Err != nil {
			return obstacle(l)
		}
	}
	return Problem(o.Problem)
}

func obstacle(l smime.Layer) string {
	if ByPassword(l) {
		return "It opens with a password, or with a key agreed on before, and not with a certificate. This program cannot do that."
	}
	return Problem(l.Err)
}

// ByPassword says that an envelope which does not open names no certificate at all
// (RFC 5652, sections 6.2.3, 6.2.4 and 8).
func ByPassword(l smime.Layer) bool {
	if l.Enveloped == nil || !errors.Is(l.Err, smime.ErrNoKey) {
		return l.Form == string(cms.KindEncrypted) && errors.Is(l.Err, smime.ErrNoKey)
	}
	other := func(r cms.Recipient) bool { return r.Algorithm != "a password" && r.Algorithm != "a shared key" }
	return len(l.Enveloped.Recipients) > 0 && !slices.ContainsFunc(l.Enveloped.Recipients, other)
}

// Problem says in words why a layer could not be read.
func Problem(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, smime.ErrKey):
		return "Your key cannot be used at this moment: the keychain is locked or away. Try again."
	case errors.Is(err, cms.ErrNoKey), errors.Is(err, smime.ErrNoKey):
		return "None of your keys opens it. It was encrypted to another key: perhaps an older one of yours, or another person's."
	case errors.Is(err, cms.ErrSHA1):
		return "It is signed with SHA-1, a method that is no longer safe."
	case errors.Is(err, cms.ErrShortKey):
		return "It is signed with a key that is too short to be safe: under 2,048 bits."
	case errors.Is(err, cms.ErrObsolete):
		return "It was made by a method that is no longer safe and that this program does not read."
	case errors.Is(err, cms.ErrWeak):
		return "It was made by a method that is no longer safe."
	case errors.Is(err, smime.ErrForm):
		return "What is signed does not stand by itself: there is something beside it, or something is missing. So the signature does not count."
	case errors.Is(err, cms.ErrNoCertificate):
		return "The certificate of whoever signed it is not enclosed, or is of a kind that cannot be read here."
	case errors.Is(err, cms.ErrAttributes):
		return "The signature contradicts itself, or was made for something else."
	case errors.Is(err, cms.ErrSignature):
		return "The signature was not made with the key of the person it names, or was damaged."
	case errors.Is(err, cms.ErrDigest):
		return "The content is not what was signed: it was changed on the way, or damaged."
	case errors.Is(err, cms.ErrNoContent), errors.Is(err, smime.ErrNoContent):
		return "There is no message in it, only a signature or certificates."
	case errors.Is(err, cms.ErrIntegrity):
		return "It was changed on the way, or damaged."
	case errors.Is(err, cms.ErrUnsupported), errors.Is(err, smime.ErrUnsupported):
		return "It is protected in a way that this program does not read."
	case errors.Is(err, cms.ErrLimit), errors.Is(err, message.ErrLimit), errors.Is(err, smime.ErrLimit):
		return "It is built in a way that no honest program uses, so it is not opened."
	}
	return "Its protection is damaged and cannot be read."
}
