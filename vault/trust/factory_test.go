package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"sync"
	"testing"
	"time"
)

// today is the time by which the tests live.
var today = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// maker makes certificates and lists, as one authority with its key.
type maker struct {
	t    testing.TB
	cert *x509.Certificate
	key  crypto.Signer
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// weakKey is made once: it is slow.
var weakKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 1024) })

var serial int64

// template is a certificate for mail at ada@harbour.example; change it at will.
func template(change ...func(*x509.Certificate)) *x509.Certificate {
	serial++
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "Ada Osei"},
		NotBefore: today.AddDate(-1, 0, 0), NotAfter: today.AddDate(1, 0, 0),
		KeyUsage:       x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:    []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
		EmailAddresses: []string{"ada@harbour.example"},
	}
	for _, f := range change {
		f(c)
	}
	return c
}

// authority is a template for one that may issue.
func authority(name string, change ...func(*x509.Certificate)) *x509.Certificate {
	return template(append([]func(*x509.Certificate){func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: name}
		c.IsCA, c.BasicConstraintsValid = true, true
		c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
		c.ExtKeyUsage, c.EmailAddresses = nil, nil
		c.NotBefore, c.NotAfter = today.AddDate(-5, 0, 0), today.AddDate(5, 0, 0)
	}}, change...)...)
}

// root makes an authority that signs itself.
func root(t testing.TB, name string, change ...func(*x509.Certificate)) maker {
	t.Helper()
	m := maker{t: t, key: newKey(t)}
	c := authority(name, change...)
	m.cert = sign(t, c, c, m.key.Public(), m.key)
	return m
}

// issue makes a certificate for a fresh key.
func (m maker) issue(c *x509.Certificate) *x509.Certificate {
	m.t.Helper()
	return m.issueKey(c, newKey(m.t).Public())
}

func (m maker) issueKey(c *x509.Certificate, pub crypto.PublicKey) *x509.Certificate {
	m.t.Helper()
	return sign(m.t, c, m.cert, pub, m.key)
}

// below makes an authority under this one.
func (m maker) below(c *x509.Certificate) maker {
	m.t.Helper()
	key := newKey(m.t)
	return maker{m.t, m.issueKey(c, key.Public()), key}
}

func sign(t testing.TB, c, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, parent, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// withdrawn is an entry for a list.
func withdrawn(c *x509.Certificate, at time.Time, reason int, more ...pkix.Extension) x509.RevocationListEntry {
	return x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: at, ReasonCode: reason, ExtraExtensions: more}
}

func invalidSince(at time.Time) pkix.Extension {
	der, _ := asn1.MarshalWithParams(at, "generalized")
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 24}, Value: der}
}

// list makes a list of today's, good for a week.
func (m maker) list(entries ...x509.RevocationListEntry) *CRL {
	m.t.Helper()
	return m.listOf(&x509.RevocationList{RevokedCertificateEntries: entries})
}

func (m maker) listOf(l *x509.RevocationList) *CRL {
	m.t.Helper()
	l.Number = big.NewInt(1)
	if l.ThisUpdate.IsZero() {
		l.ThisUpdate = today.AddDate(0, 0, -1)
	}
	if l.NextUpdate.IsZero() {
		l.NextUpdate = today.AddDate(0, 0, 6)
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, m.cert, m.key)
	if err != nil {
		m.t.Fatal(err)
	}
	crl, err := ParseCRL(der)
	if err != nil {
		m.t.Fatal(err)
	}
	return crl
}

const listURL = "http://crl.harbour.example/a.crl"

// listed names the place of the list.
func listed(c *x509.Certificate) { c.CRLDistributionPoints = []string{listURL} }
