package detail

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/policy"
	"countersign/mailer/smime"
	"countersign/vault/trust"
)

// Certificate is one certificate, in words.
type Certificate struct {
	Name      string   // in one line
	Subject   string   // RFC 4514
	Issuer    string   // RFC 4514
	Addresses []string // those that it names; a bare domain stands for an organisation
	Serial    string   // hexadecimal
	SHA256    string   // of the certificate, hexadecimal
	Key       string   // "RSA 2048", "EC P-256"
	From      time.Time
	Until     time.Time
}

func certificate(c *x509.Certificate) Certificate {
	sum := sha256.Sum256(c.Raw)
	d := Certificate{
		Name: policy.Named(c), Subject: distinguished(c.RawSubject), Issuer: distinguished(c.RawIssuer), Serial: number(c.SerialNumber),
		SHA256: hex.EncodeToString(sum[:]), Key: key(c), From: c.NotBefore, Until: c.NotAfter, Addresses: []string{},
	}
	names := trust.Names(c)
	for _, name := range names[:min(len(names), maxAddresses)] {
		if len(name) > maxAddress {
			name = strings.ToValidUTF8(name[:maxAddress], "") + "..."
		}
		d.Addresses = append(d.Addresses, policy.CleanLine(name))
	}
	return d
}

func certificates(list []*x509.Certificate) (described []Certificate) {
	for _, c := range list {
		described = append(described, certificate(c))
	}
	return described
}

// Bounds of what is said, above which nothing honest lies.
const (
	maxName      = 4 << 10 // octets of a distinguished name: writing one takes their square
	maxDigits    = 128     // of a number or key identifier
	maxAddresses = 50      // of one certificate, which may be that of each of 32 signers
	maxAddress   = 320     // octets
)

// distinguished is a name as its owner chose it, in one line, from its DER; empty
// where it cannot be read or is too long.
func distinguished(der []byte) string {
	var name pkix.RDNSequence
	if len(der) > maxName {
		return ""
	}
	if rest, err := asn1.Unmarshal(der, &name); err != nil || len(rest) > 0 {
		return ""
	}
	return policy.CleanLine(name.String())
}

func number(n *big.Int) string {
	if n == nil {
		return ""
	}
	return digits(n.Text(16))
}

func digits(s string) string {
	if len(s) > maxDigits {
		return s[:maxDigits] + "..."
	}
	return s
}

func key(c *x509.Certificate) string {
	public := c.PublicKey
	if public == nil { // X25519, which crypto/x509 reads only by itself
		public, _ = x509.ParsePKIXPublicKey(c.RawSubjectPublicKeyInfo)
	}
	switch k := public.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "EC " + k.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	case *ecdh.PublicKey:
		return fmt.Sprint(k.Curve())
	}
	return "unknown"
}

func recipients(e *cms.Enveloped, mine []*x509.Certificate) (list []Recipient) {
	for _, r := range e.Recipients {
		d := Recipient{Serial: number(r.Serial), KeyID: digits(hex.EncodeToString(r.KeyID)), Method: r.Algorithm, Issuer: distinguished(r.Issuer)}
		if i := slices.IndexFunc(mine, r.Matches); i >= 0 {
			d.Name, d.Mine = policy.Named(mine[i]), true
			d.Opened = e.Matched != nil && e.Matched.Equal(mine[i])
		}
		list = append(list, d)
	}
	return list
}

// attributes names what was signed beside the content: the words of the standards, and
// numbers for the rest.
func attributes(types []asn1.ObjectIdentifier) (names []string) {
	known := map[string]string{
		"1.2.840.113549.1.9.3":       "content-type",
		"1.2.840.113549.1.9.4":       "message-digest",
		"1.2.840.113549.1.9.5":       "signing-time",
		"1.2.840.113549.1.9.15":      "smime-capabilities",
		"1.2.840.113549.1.9.52":      "algorithm-protection",
		"1.2.840.113549.1.9.16.2.1":  "receipt-request",
		"1.2.840.113549.1.9.16.2.2":  "security-label",
		"1.2.840.113549.1.9.16.2.3":  "mailing-list-history",
		"1.2.840.113549.1.9.16.2.4":  "content-hints",
		"1.2.840.113549.1.9.16.2.5":  "message-signature-digest",
		"1.2.840.113549.1.9.16.2.7":  "content-identifier",
		"1.2.840.113549.1.9.16.2.10": "content-reference",
		"1.2.840.113549.1.9.16.2.11": "encryption-key-preference",
		"1.2.840.113549.1.9.16.2.12": "signing-certificate",
		"1.2.840.113549.1.9.16.2.15": "signature-policy",
		"1.2.840.113549.1.9.16.2.47": "signing-certificate-v2",
		"1.3.6.1.4.1.311.16.4":       "microsoft-encryption-key-preference",
		"1.2.840.113549.1.9.16.2.17": "signer-location",
	}
	for _, t := range types {
		name, ok := known[t.String()]
		if !ok {
			name = t.String()
		}
		names = append(names, name)
	}
	return names
}

// code is the code of a problem; the package comment lists them.
func code(err error) string {
	if err == nil {
		return ""
	}
	for _, known := range []struct {
		code string
		errs []error
	}{
		{"key-unavailable", []error{smime.ErrKey}},
		{"no-key", []error{cms.ErrNoKey, smime.ErrNoKey}},
		{"weak", []error{cms.ErrWeak, cms.ErrObsolete}},
		{"no-certificate", []error{cms.ErrNoCertificate}},
		{"changed", []error{cms.ErrDigest, cms.ErrIntegrity}},
		{"forged", []error{cms.ErrSignature}},
		{"attributes", []error{cms.ErrAttributes}},
		{"no-content", []error{cms.ErrNoContent, smime.ErrNoContent}},
		{"form", []error{smime.ErrForm}},
		{"unsupported", []error{cms.ErrUnsupported, smime.ErrUnsupported}},
		{"limit", []error{cms.ErrLimit, message.ErrLimit, smime.ErrLimit}},
	} {
		if slices.ContainsFunc(known.errs, func(is error) bool { return errors.Is(err, is) }) {
			return known.code
		}
	}
	return "damaged"
}
