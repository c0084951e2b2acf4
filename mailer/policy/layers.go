package policy

import (
	"strings"

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
		v := Layer{Kind: string(layer.Kind), Form: layer.Form, Problem: Problem(layer.Err)}
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
