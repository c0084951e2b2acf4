package policy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"countersign/vault/contacts"
	"countersign/vault/trust"
)

var (
	now   = time.Date(2026, 11, 20, 16, 8, 0, 0, time.UTC)
	call  = time.Date(2026, 3, 3, 9, 12, 0, 0, time.UTC)
	valid = trust.Verdict{Status: trust.Trusted, Bound: trust.BoundAddress}
)

const (
	ada = "ada.osei@harbour.example"
	bea = "bea.brandt@northclinic.example"
)

// certificate makes one for an address (rfc822Name) or a domain (dNSName).
func certificate(t *testing.T, name string, addresses, domains []string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, EmailAddresses: addresses, DNSNames: domains,
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0),
	}, &x509.Certificate{}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func keys(t *testing.T, name, address string) contacts.KeySet {
	t.Helper()
	c := certificate(t, name, []string{address}, nil)
	return contacts.KeySet{Sign: c, Encrypt: c}
}

// verified is a contact in force.
func verified(t *testing.T, address, name string) contacts.Contact {
	t.Helper()
	return contacts.Contact{
		Address: address, Name: name, State: contacts.Verified,
		Pin: &contacts.Pin{Keys: keys(t, name, address), Call: contacts.Call{At: call, Source: contacts.SourceDirectory, Number: "+44 20 7946 0123"}},
	}
}

func recipient(t *testing.T, address, name string) Recipient {
	t.Helper()
	return Recipient{Contact: verified(t, address, name), Sign: valid, Encrypt: valid}
}

// sender may send.
func sender(t *testing.T) Sender {
	t.Helper()
	return Sender{Address: ada, Keys: keys(t, "Ada Osei", ada), Sign: valid, Encrypt: valid, Recovery: true, Account: true, Limit: 25 << 20}
}
