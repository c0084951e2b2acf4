package policy

import (
	"crypto/x509"
	"slices"

	"countersign/mailer/cms"
	"countersign/mailer/smime"
	"countersign/vault/contacts"
	"countersign/vault/trust"
)

// Choice is how an envelope is made: the best that everybody who is to open it reads
// (RFC 8551, section 2.7). The zero Choice is what every program reads: AES-256-CBC,
// keys by RSA PKCS #1 v1.5 or ECDH. It is never a question to anybody.
type Choice struct {
	GCM    bool `json:"gcm,omitempty"`    // AES-256-GCM
	OAEP   bool `json:"oaep,omitempty"`   // RSA-OAEP with SHA-256 to RSA keys
	Derive bool `json:"derive,omitempty"` // a derived content key (RFC 9709)
	Direct bool `json:"direct,omitempty"` // wrapped for the Direct profile
}

// Cipher is the content cipher.
func (c Choice) Cipher() cms.Cipher {
	if c.GCM {
		return cms.AES256GCM
	}
	return cms.AES256CBC
}

// choose takes what all of the recipients read, as they announced in validly signed
// mail or as their profile says. The user reads all of it.
func choose(people []Recipient) Choice {
	all := Choice{GCM: true, OAEP: true, Derive: true, Direct: true}
	rsa := false
	for _, r := range people {
		reads, direct := r.Contact.Reads(), r.Contact.Profile == contacts.Direct
		all.GCM, all.Derive, all.Direct = all.GCM && reads.GCM, all.Derive && reads.Derive, all.Direct && direct
		if r.transports() {
			// Direct's receivers have to read OAEP: Applicability Statement 1.3.
			rsa, all.OAEP = true, all.OAEP && (reads.OAEP || direct)
		}
	}
	if len(people) == 0 {
		return Choice{}
	}
	all.OAEP = all.OAEP && rsa
	return all
}

// reads tells whether somebody can, by what is known now, read what was made so.
// Everybody reads a wrapped letter.
func (r Recipient) reads(made Choice) bool {
	now := choose([]Recipient{r})
	return (now.GCM || !made.GCM) && (now.Derive || !made.Derive) && (now.OAEP || !made.OAEP || !r.transports())
}

// Wrapped says that a message is a whole one inside of its protection, as the Direct
// profile and the older S/MIME have it (RFC 8551, section 3.1).
func Wrapped(o *smime.Opened) bool {
	return o.Payload != nil && len(o.Protected) > 0 && o.Payload.Params["hp"] == ""
}

// transports says that a content key reaches them by RSA.
func (r Recipient) transports() bool {
	pin := r.Contact.Pin
	return pin != nil && pin.Keys.Encrypt != nil && pin.Keys.Encrypt.PublicKeyAlgorithm == x509.RSA
}

// Announced returns what the signer of a message announces to read (RFC 8551, section
// 2.7.1). It counts only if the signature is valid for the content and by the address
// in From: by the contact's pinned key, or by one for which an authority vouches.
// One without such a list takes back what was said: its writer may have moved to another
// program with the same key.
func Announced(o *smime.Opened, f Facts) (said contacts.Reads, ok bool) {
	j := &judgement{o: o, f: f, from: From(o)}
	j.chooseSigner()
	if j.signer == nil || j.outside || j.From != "match" {
		return said, false
	}
	trusted := j.trust.Status == trust.Trusted || j.pinned(j.signer) && j.trust.Status == trust.Unknown
	return contacts.Reads{
		Said: j.signer.Time, OAEP: j.signer.OAEP, Derive: j.signer.Derives,
		GCM: slices.Contains(j.signer.Capabilities, cms.AES256GCM),
	}, trusted
}
