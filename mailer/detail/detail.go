// Package detail says of a message what an auditor, or a program that watches mail,
// wants to know beyond the verdict: each signer and recipient with their certificates,
// and what was found, as codes that never change. It judges nothing by itself:
// mailer/smime described the message, vault/trust the certificates, and policy.Judge
// gave the verdict. The package is pure.
//
// # Codes of problems
//
// Layer.Code, Signer.Code and Report.Code say why something does not count, and stay
// the same from version to version; the sentences beside them may not.
//
//	no-key           no key of the user's opens it
//	key-unavailable  the key is there and cannot be used now; another try may succeed
//	password         it opens with a password or a key agreed on before, and not with a certificate
//	changed          the content is not what was signed, or was damaged after it was encrypted
//	forged           the signer's key did not make this signature
//	attributes       what was signed beside the content contradicts it
//	no-certificate   the signer's certificate is not enclosed, or of a kind that cannot be read
//	weak             made by a method or key that no longer proves anything
//	unsupported      made by a method that is not known here
//	no-content       there are certificates or a signature, but no message
//	form             multipart/signed without exactly a part and its signature
//	limit            it is built beyond all measure
//	damaged          it cannot be read
//
// # Codes of findings
//
// Report.Findings holds what a cautious reader would want to be told, in no order of
// weight. A message that is encrypted, signed by the confirmed key and has a protected
// header has none.
//
//	not-encrypted          no encryption
//	not-opened             encrypted, and not opened here
//	not-signed             nobody signed the content
//	no-signer              it is put up as signed, and nobody signed it
//	signature-invalid      it is signed, and no signature counts
//	signature-outside      the signature was put around the encryption
//	signature-weak         SHA-1, MD5 or a short key
//	certificate-known      the signer's certificate did not come along: the one known here was taken
//	encryption-weak        3DES, DES or RC2
//	encryption-malleable   it may have been changed after it was encrypted: neither the cipher
//	                       nor a valid signature inside would show it
//	certificates-only      it brings certificates and no message
//	from-unclear           From names nobody, or several people
//	from-mismatch          the signer is not the one that From names
//	organisation           the certificate names an organisation and no person
//	address-in-name        the address stands in the certificate's old place only
//	chain-untrusted, chain-expired, chain-revoked, chain-unknown
//	                       of the certificate of the signer that counts
//	revocation-unpublished its authority does not publish whether certificates were withdrawn
//	not-confirmed          the contact is not confirmed in person or by telephone
//	header-unprotected     lines of the header that are shown are not covered
//	date-differs           the time signed and the Date shown are more than a day apart
//	part-protected         something inside is protected by itself, which says nothing of the message
//	openpgp                it is protected by OpenPGP, which is not checked here
//	compressed             it is compressed
//	not-a-message          it does not begin with a header
//	not-a-letter           what is signed is a receipt, or other data for programs
package detail

import (
	"crypto/x509"
	"encoding/hex"
	"slices"
	"time"

	"countersign/mailer/cms"
	"countersign/mailer/policy"
	"countersign/mailer/smime"
	"countersign/vault/contacts"
	"countersign/vault/trust"
)

// Report is everything said of one message.
type Report struct {
	Layers       []Layer
	Findings     []string
	Code         string   // why there is no content to show, or why no signature counts
	Protected    []string // header fields that the layers cover
	Confidential []string // those of them that did not stand outside as well
	Unprotected  []string // shown, and not covered
}

// Layer is one cryptographic layer.
type Layer struct {
	policy.Layer
	Code          string
	Cipher        string // of an envelope: "AES-256-CBC"
	KeyCipher     string // how the key that opened it was given: "RSA-OAEP SHA-256"
	Authenticated bool   // the cipher itself shows a change
	Weak          bool
	Recipients    []Recipient
	Signers       []Signer
	Certificates  []Certificate // enclosed
}

// Recipient is one of those who can open an envelope.
type Recipient struct {
	Name   string // as the certificate says, if it is the user's own
	Issuer string // as the envelope names the certificate, with Serial; or else KeyID
	Serial string
	KeyID  string
	Method string // how they get the key
	Mine   bool
	Opened bool // this is the one that opened it
}

// Signer is one signature.
type Signer struct {
	Certificate    *Certificate
	Issuer         string // as the message names the certificate, with Serial; or else KeyID
	Serial         string
	KeyID          string
	Valid          bool // it holds, and by a method that proves something
	Counts         bool // it is inside of all encryption, or there is none
	Code           string
	Problem        string
	Method         string // "RSA", "ECDSA P-256"
	Digest         string
	Time           time.Time // as the signer says
	Attributes     []string  // what was signed beside the content: "signing-time", "receipt-request" ...
	Chain          string    // trusted | untrusted | expired | revoked | unknown; empty: not looked up
	Reason         string
	Path           []string // names from the certificate to the authority trusted
	RevokedAt      time.Time
	Revocation     string    // what is known of withdrawal, the weakest on the path: good | unpublished | unknown | revoked; empty: not looked up
	RevocationAsOf time.Time // when the oldest evidence of that was made
	Known          bool      // the certificate did not come with the message
	Names          string    // how the certificate names From: address | domain | legacy | none
}

// Of reports on a message: facts and verdict are those that it was judged with, mine
// the certificates of the user's own keys.
func Of(o *smime.Opened, f policy.Facts, v policy.Verdict, mine []*x509.Certificate) Report {
	r := Report{Protected: o.Protected, Confidential: o.Confidential, Unprotected: v.Uncovered}
	counting, _, _ := policy.Signatures(o)
	speaks, outside := policy.Signer(o, f)
	var speaking *Signer
	words := policy.Layers(o)
	for i, l := range o.Layers {
		d := Layer{Layer: words[i], Code: code(l.Err)}
		if e := l.Enveloped; e != nil {
			d.Cipher, d.KeyCipher, d.Authenticated, d.Weak = e.Cipher, e.KeyCipher, e.Authenticated, e.Weak
			d.Recipients = recipients(e, mine)
		}
		if policy.ByPassword(l) {
			d.Code = "password"
		}
		if s := l.Signed; s != nil {
			d.Certificates = certificates(s.Certificates)
			for n := range s.Signers {
				info := &s.Signers[n]
				at := slices.IndexFunc(counting, func(c policy.Signature) bool { return c.Info == info })
				described := signer(info, at >= 0 && !outside, verdictOf(f, at))
				if d.Signers = append(d.Signers, described); info == speaks {
					speaking = &described
				}
			}
		}
		if d.Code == "" {
			for _, s := range d.Signers {
				if d.Code = s.Code; s.Valid {
					d.Code = ""
					break
				}
			}
		}
		if r.Code == "" {
			r.Code = d.Code
		}
		r.Layers = append(r.Layers, d)
	}
	if r.Code == "" {
		r.Code = code(o.Problem)
	}
	r.Findings = findings(o, v, r, speaking, outside)
	return r
}

func verdictOf(f policy.Facts, at int) trust.Verdict {
	if at < 0 || at >= len(f.Signers) {
		return trust.Verdict{}
	}
	return f.Signers[at]
}

func signer(info *cms.SignerInfo, counts bool, v trust.Verdict) Signer {
	s := Signer{
		Valid: info.Err == nil && info.Certificate != nil, Counts: counts, Code: code(info.Err), Problem: policy.Problem(info.Err),
		Issuer: distinguished(info.Identifier.Issuer), Serial: number(info.Identifier.Serial), KeyID: digits(hex.EncodeToString(info.Identifier.KeyID)),
		Known: info.Known, Method: info.Algorithm, Digest: info.Hash, Time: info.Time, Attributes: attributes(info.Attributes),
		Chain: string(v.Status), Reason: v.Reason, RevokedAt: v.RevokedAt, Names: string(v.Bound),
	}
	if info.Certificate != nil {
		c := certificate(info.Certificate)
		s.Certificate = &c
	}
	for _, c := range v.Path {
		s.Path = append(s.Path, distinguished(c.RawSubject))
	}
	s.Revocation, s.RevocationAsOf = revocation(v.Checked)
	return s
}

// revocation is the weakest of what was found on a path, and when the oldest evidence
// was made.
func revocation(found []trust.Finding) (weakest string, asOf time.Time) {
	words := map[trust.Status]string{trust.Trusted: "good", trust.Unpublished: "unpublished", trust.Unknown: "unknown", trust.Revoked: "revoked"}
	order := []string{"", "good", "unpublished", "unknown", "revoked"}
	for _, f := range found {
		if word := words[f.Status]; slices.Index(order, word) > slices.Index(order, weakest) {
			weakest = word
		}
		if !f.ThisUpdate.IsZero() && (asOf.IsZero() || f.ThisUpdate.Before(asOf)) {
			asOf = f.ThisUpdate
		}
	}
	return weakest, asOf
}

// findings are the codes that apply; the signer is the one that the verdict speaks of.
func findings(o *smime.Opened, v policy.Verdict, r Report, signer *Signer, outside bool) []string {
	signed, encrypted := has(r, smime.Signed), has(r, smime.Encrypted)
	closed := encrypted && o.Payload == nil
	weak, certificatesOnly, noSigner := false, false, false
	for i := range r.Layers {
		l := &r.Layers[i]
		certificatesOnly = certificatesOnly || l.Form == "certs-only"
		noSigner = noSigner || l.Kind == string(smime.Signed) && l.Code == "" && len(l.Signers) == 0
		for n := range l.Signers {
			weak = weak || l.Signers[n].Code == "weak"
		}
	}
	differs := false
	if shown, err := o.Header.Date(); err == nil && signer != nil && !signer.Time.IsZero() {
		differs = shown.Sub(signer.Time).Abs() > 24*time.Hour
	}
	valid := v.Signature == "valid"
	list := []string{}
	for _, f := range []struct {
		code string
		is   bool
	}{
		{"not-encrypted", !encrypted},
		{"not-opened", closed},
		{"not-signed", !signed && !closed},
		{"no-signer", noSigner && !certificatesOnly},
		{"signature-invalid", v.Signature == "invalid" && !noSigner && !certificatesOnly},
		{"signature-outside", outside && valid},
		{"signature-weak", weak},
		{"certificate-known", signer != nil && signer.Known},
		{"encryption-weak", slices.ContainsFunc(r.Layers, func(l Layer) bool { return l.Weak })},
		{"encryption-malleable", (!valid || outside) && slices.ContainsFunc(r.Layers, func(l Layer) bool { return l.Cipher != "" && !l.Authenticated })},
		{"certificates-only", certificatesOnly},
		{"from-unclear", policy.From(o) == ""},
		{"from-mismatch", valid && v.From == "mismatch"},
		{"organisation", valid && signer != nil && signer.Names == string(trust.BoundDomain)},
		{"address-in-name", valid && signer != nil && signer.Names == string(trust.BoundLegacy)},
		{"chain-" + v.Chain, valid && v.Chain != string(trust.Trusted)},
		{"revocation-unpublished", valid && signer != nil && signer.Revocation == "unpublished"},
		{"not-confirmed", valid && v.Contact != string(contacts.Verified)},
		{"header-unprotected", len(r.Unprotected) > 0},
		{"date-differs", differs},
		{"part-protected", slices.ContainsFunc(o.Errant, func(k smime.Kind) bool { return k != smime.OpenPGP })},
		{"openpgp", slices.Contains(o.Errant, smime.OpenPGP)},
		{"compressed", has(r, smime.Compressed)},
		{"not-a-message", len(o.Outer.Fields) == 0},
		{"not-a-letter", slices.ContainsFunc(o.Layers, policy.NotLetter)},
	} {
		if f.is {
			list = append(list, f.code)
		}
	}
	return list
}

func has(r Report, k smime.Kind) bool {
	return slices.ContainsFunc(r.Layers, func(l Layer) bool { return l.Kind == string(k) })
}
