// Package issued reads the certificates of the user's own, as authorities hand them
// out: with their keys in a PKCS #12 file, or alone, for a key that was asked for with
// a [Request]. It says what each may be used for and what is wrong with it, in words,
// and stores nothing.
package issued

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign/vault/keyring"
	"countersign/vault/pkcs12"
)

// Own is a certificate of the user's own, and what it can be used for.
type Own struct {
	Key         pkcs12.Key // nil if it is in the keychain already, or on a token
	Token       string     // the reference of the key, if it is on a token
	OnlyCopy    bool       // the user accepted that its decryption key is there alone
	Certificate *x509.Certificate
	Sign, Open  bool // what the certificate allows and we can do
}

// Judge finds out what the certificate can be used for, or why it cannot be used at all (RFC 8550, sections 3 and 4.4).
func (o *Own) Judge() error {
	agrees, signs := false, true // it opens mail by agreeing on a key; it can sign
	switch key := keyring.Public(o.Certificate).(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < 2048 {
			return ErrWeakKey
		}
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() && key.Curve != elliptic.P384() && key.Curve != elliptic.P521() {
			return ErrKeyKind
		}
		agrees = true
	case *ecdh.PublicKey: // X25519; the others are *ecdsa.PublicKey
		agrees, signs = true, false
	case ed25519.PublicKey:
	default:
		return ErrKeyKind
	}
	if len(Addresses(o.Certificate)) == 0 {
		return ErrNoAddress
	}
	usage := o.Certificate.KeyUsage
	mail := len(o.Certificate.ExtKeyUsage)+len(o.Certificate.UnknownExtKeyUsage) == 0 ||
		slices.Contains(o.Certificate.ExtKeyUsage, x509.ExtKeyUsageEmailProtection) ||
		slices.Contains(o.Certificate.ExtKeyUsage, x509.ExtKeyUsageAny)
	if o.Certificate.IsCA || !mail {
		return ErrNotForMail
	}
	o.Sign = signs && (usage == 0 || usage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) != 0)
	switch {
	case o.Certificate.PublicKeyAlgorithm == x509.RSA:
		o.Open = usage == 0 || usage&x509.KeyUsageKeyEncipherment != 0
	case agrees:
		o.Open = usage == 0 || usage&x509.KeyUsageKeyAgreement != 0
	}
	if !o.Sign && !o.Open {
		return ErrNotForMail
	}
	return nil
}

// narrow leaves of the uses those that are wanted.
func (o *Own) narrow(sign, open bool) { o.Sign, o.Open = o.Sign && sign, o.Open && open }

// Renews keeps a key to what it was used for before its certificate was renewed, or is an
// error where the new certificate allows none of that.
func (o *Own) Renews(signed, opened bool) error {
	o.narrow(signed, opened)
	if !o.Sign && !o.Open {
		return ErrOtherUse
	}
	return nil
}

// InForce refuses a certificate outside its dates.
func InForce(c *x509.Certificate, now time.Time) error {
	const day = "2 January 2006"
	switch {
	case !now.Before(c.NotAfter):
		return &Problem{"run-out", "This certificate ran out on " + c.NotAfter.Format(day) + ".", "Ask your authority for a new one."}
	case now.Before(c.NotBefore):
		return &Problem{"not-yet", "This certificate is valid only from " + c.NotBefore.Format(day) + ".",
			"Install it then. If today is not " + now.Format(day) + ", set this computer's clock."}
	}
	return nil
}

var oidEmailAddress = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}

// Addresses lists the e-mail addresses of a certificate, canonical: those of its
// subjectAltName, or else of its subject (RFC 8550, section 3).
func Addresses(cert *x509.Certificate) []string {
	listed := cert.EmailAddresses
	if len(listed) == 0 {
		listed = subjectAddresses(cert.Subject)
	}
	var all []string
	for _, a := range listed {
		a = strings.ToLower(strings.TrimSpace(a))
		ascii := !strings.ContainsFunc(a, func(r rune) bool { return r <= ' ' || r > '~' })
		if at := strings.LastIndexByte(a, '@'); ascii && at > 0 && at < len(a)-1 && !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all
}

func subjectAddresses(subject pkix.Name) []string {
	var all []string
	for _, name := range subject.Names {
		if text, ok := name.Value.(string); ok && name.Type.Equal(oidEmailAddress) {
			all = append(all, text)
		}
	}
	return all
}

// KeyKind names the kind of a certificate's key as authorities do: "RSA 3072", "P-256".
func KeyKind(c *x509.Certificate) string {
	switch key := keyring.Public(c).(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", key.N.BitLen())
	case *ecdsa.PublicKey:
		return key.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	case *ecdh.PublicKey:
		return "X25519"
	}
	return ""
}
