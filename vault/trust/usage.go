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

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/net/idna"

	"countersign/mailer/cms/algorithm"
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
	signs := u == Sign && has(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment)
	switch algorithm.PublicKey(c).(type) {
	case *rsa.PublicKey:
		only := keyKind(c)
		return signs && !only.Equal(oidOAEP) || u == Encrypt && has(x509.KeyUsageKeyEncipherment) && !only.Equal(oidPSS)
	case *ecdsa.PublicKey:
		return signs || u == Encrypt && has(x509.KeyUsageKeyAgreement)
	case ed25519.PublicKey:
		return signs
	case *ecdh.PublicKey:
		return u == Encrypt && has(x509.KeyUsageKeyAgreement)
	}
	return false
}

var (
	oidOAEP = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 7}
	oidPSS  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
)

// keyKind is the algorithm that a certificate names for its key: an RSA key may be
// certified for one padding alone (RFC 4055, section 1.2).
func keyKind(c *x509.Certificate) (id asn1.ObjectIdentifier) {
	in := cryptobyte.String(c.RawSubjectPublicKeyInfo)
	var info, kind cryptobyte.String
	if in.ReadASN1(&info, cbasn1.SEQUENCE) && info.ReadASN1(&kind, cbasn1.SEQUENCE) {
		kind.ReadASN1ObjectIdentifier(&id)
	}
	return id
}

// forMail says that the extended key usage, if there is any, includes e-mail.
func forMail(c *x509.Certificate) bool {
	return len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 ||
		slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageEmailProtection) ||
		slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// strong says that a key is of an acceptable kind and size.
func strong(c *x509.Certificate) bool {
	switch k := algorithm.PublicKey(c).(type) {
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
// section 3). One beyond ASCII is compared octet for octet before the @, neither in
// other cases nor normalised (RFC 9598, section 5). A domain that stands for an organisation has to be the address's
// own, to the letter: no wildcard, no parent.
func Binds(c *x509.Certificate, address string) Bound {
	at := strings.LastIndexByte(address, '@')
	exact, domain := address[:at+1], der.Fold(address[at+1:])
	if ascii, err := idna.Lookup.ToASCII(domain); err == nil {
		domain = ascii
	}
	exact += domain
	address = der.Fold(exact)
	is := func(want string) func(string) bool {
		return func(name string) bool { return want != "" && der.Fold(name) == want }
	}
	unicode := path.UTF8Mailboxes(c)
	switch {
	case at > 0 && (slices.ContainsFunc(c.EmailAddresses, is(address)) || slices.Contains(unicode, exact)):
		return BoundAddress
	case at != 0 && slices.ContainsFunc(c.DNSNames, is(domain)):
		return BoundDomain
	case len(c.EmailAddresses)+len(unicode)+len(c.DNSNames) == 0 && at > 0 && slices.ContainsFunc(legacyNames(c), is(address)):
		return BoundLegacy
	}
	return BoundNone
}
