package trust

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"strings"

	"golang.org/x/net/idna"

	"countersign/vault/trust/der"
	"countersign/vault/trust/path"
)

// Sizes of RSA modulus accepted, in bits. RFC 8550, section 4.3, sets the lower
// bound; the upper keeps a stranger's certificate from costing seconds.
const (
	minRSA = 2048
	maxRSA = 8192
)

// Allows tells whether a certificate's own extensions and key allow a use
// (RFC 8550, sections 4.4.2 and 4.4.4). An absent extension allows all.
func Allows(c *x509.Certificate, u Usage) bool {
	return c != nil && u.keyUsage(c) && forMail(c)
}

func (u Usage) keyUsage(c *x509.Certificate) bool {
	has := func(bits x509.KeyUsage) bool { return c.KeyUsage == 0 || c.KeyUsage&bits != 0 }
	switch publicKey(c).(type) {
	case *rsa.PublicKey:
		return u == Sign && has(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) ||
			u == Encrypt && has(x509.KeyUsageKeyEncipherment)
	case *ecdsa.PublicKey:
		return u == Sign && has(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) ||
			u == Encrypt && has(x509.KeyUsageKeyAgreement)
	case ed25519.PublicKey:
		return u == Sign && has(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment)
	case *ecdh.PublicKey:
		return u == Encrypt && has(x509.KeyUsageKeyAgreement)
	}
	return false
}

// publicKey also knows X25519, which crypto/x509 reads but leaves out of a
// certificate.
func publicKey(c *x509.Certificate) any {
	if c.PublicKey != nil {
		return c.PublicKey
	}
	key, err := x509.ParsePKIXPublicKey(c.RawSubjectPublicKeyInfo)
	if err != nil {
		return nil
	}
	return key
}

// forMail says that the extended key usage, if there is any, includes e-mail.
func forMail(c *x509.Certificate) bool {
	return len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 ||
		slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageEmailProtection) ||
		slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// strong says that a key is of an acceptable kind and size.
func strong(c *x509.Certificate) bool {
	switch k := publicKey(c).(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= minRSA && k.N.BitLen() <= maxRSA
	case *ecdsa.PublicKey:
		return k.Curve.Params().BitSize >= 256
	case ed25519.PublicKey, *ecdh.PublicKey:
		return true
	}
	return false
}

// outdated says that a certificate is signed in a way that no longer counts.
func outdated(c *x509.Certificate) bool {
	switch c.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return true
	}
	return false
}

var oidEmailAddress = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}

// Names lists the addresses and domains that a certificate names: those of
// subjectAltName or, only where that names none, the subject's emailAddress.
func Names(c *x509.Certificate) []string {
	if names := slices.Concat(c.EmailAddresses, path.UTF8Mailboxes(c), c.DNSNames); len(names) > 0 {
		return names
	}
	return legacyNames(c)
}

func legacyNames(c *x509.Certificate) []string {
	var names []string
	for _, a := range c.Subject.Names {
		if s, ok := a.Value.(string); ok && a.Type.Equal(oidEmailAddress) {
			names = append(names, s)
		}
	}
	return names
}

// Binds tells how a certificate names an address, or a bare domain (RFC 8550,
// section 3). A domain that stands for an organisation has to be the address's
// own, to the letter: no wildcard, no parent.
func Binds(c *x509.Certificate, address string) Bound {
	address = der.Fold(address)
	at := strings.LastIndexByte(address, '@')
	domain := address[at+1:]
	if ascii, err := idna.Lookup.ToASCII(domain); err == nil {
		domain = ascii
	}
	address = address[:at+1] + domain
	is := func(want string) func(string) bool {
		return func(name string) bool { return want != "" && der.Fold(name) == want }
	}
	mailboxes := slices.Concat(c.EmailAddresses, path.UTF8Mailboxes(c))
	switch {
	case at > 0 && slices.ContainsFunc(mailboxes, is(address)):
		return BoundAddress
	case at != 0 && slices.ContainsFunc(c.DNSNames, is(domain)):
		return BoundDomain
	case len(mailboxes)+len(c.DNSNames) == 0 && at > 0 && slices.ContainsFunc(legacyNames(c), is(address)):
		return BoundLegacy
	}
	return BoundNone
}
