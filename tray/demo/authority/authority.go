// Package authority is a whole certification authority on loopback, for the
// demonstration and for tests: a root, an issuing authority below it, a served
// revocation list for each, certificates for people and for a mail server. Its
// keys live in memory and go with the process. It must never be trusted outside.
package authority

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// Authority issues certificates. It is safe for use by several goroutines.
type Authority struct {
	Root, Issuing *x509.Certificate

	rootKey, key *ecdsa.PrivateKey
	address      string // of the revocation lists, host:port
	now          time.Time

	mu              sync.Mutex
	away            bool      // nothing is served
	responder       string    // named in place of the list; empty: the list is
	listed          time.Time // when the lists were made
	rootCRL, issCRL []byte
	revoked         []x509.RevocationListEntry
}

// Person is somebody to whom the authority gave a certificate.
type Person struct {
	Name, Address string
	Key           *rsa.PrivateKey // nil: not the authority's making
	Certificate   *x509.Certificate
	PKCS12        []byte // protected by Password
}

// Password protects the PKCS #12 files.
const Password = "demonstration"

// New founds an authority whose certificates are valid from an hour before now,
// and serves its revocation lists until ctx ends.
func New(ctx context.Context, now time.Time) (*Authority, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("serving revocation lists: %w", err)
	}
	a := &Authority{address: l.Addr().String(), now: now, listed: now}
	if err := a.found(); err != nil {
		l.Close()
		return nil, fmt.Errorf("founding the demo authority: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /root.crl", func(w http.ResponseWriter, _ *http.Request) { a.serve(w, &a.rootCRL) })
	mux.HandleFunc("GET /issuing.crl", func(w http.ResponseWriter, _ *http.Request) { a.serve(w, &a.issCRL) })
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go srv.Serve(l)
	context.AfterFunc(ctx, func() { srv.Close() })
	return a, nil
}

func (a *Authority) serve(w http.ResponseWriter, crl *[]byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.away {
		panic(http.ErrAbortHandler) // the line goes dead
	}
	w.Header().Set("Content-Type", "application/pkix-crl")
	w.Write(*crl)
}

// Revoke puts a certificate on the issuing authority's list, as of when, for the
// reason given (RFC 5280, section 5.3.1).
func (a *Authority) Revoke(c *x509.Certificate, when time.Time, reason int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.revoked = append(a.revoked, x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: when, ReasonCode: reason})
	return a.publish()
}

// Publish makes the lists anew, as of now: they are good for seven days.
func (a *Authority) Publish(now time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.listed = now
	return a.publish()
}

// Delegate hands the issuing authority's key, in PEM, to an OCSP responder at a URL,
// which people's certificates name from then on in place of the list. It is to be
// called before any is issued.
func (a *Authority) Delegate(url string) ([]byte, error) {
	a.responder = url
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
}

// Unplug cuts the lists off from everybody, or brings them back.
func (a *Authority) Unplug(away bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.away = away
}

func (a *Authority) found() error {
	var err error
	a.Root, a.rootKey, err = a.authorityCertificate("Demonstration Root Authority", nil, nil)
	if err != nil {
		return err
	}
	a.Issuing, a.key, err = a.authorityCertificate("Demonstration Health Authority", a.Root, a.rootKey)
	if err != nil {
		return err
	}
	return a.publish()
}

// publish signs both lists. The caller has the lock, or is alone.
func (a *Authority) publish() (err error) {
	if a.rootCRL, err = a.revocations(a.Root, a.rootKey, nil); err != nil {
		return fmt.Errorf("signing the root's list: %w", err)
	}
	if a.issCRL, err = a.revocations(a.Issuing, a.key, a.revoked); err != nil {
		return fmt.Errorf("signing the list: %w", err)
	}
	return nil
}

func (a *Authority) authorityCertificate(name string, parent *x509.Certificate, parentKey crypto.Signer) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name, Organization: []string{"Countersign demonstration"}},
		NotBefore: a.now.Add(-time.Hour), NotAfter: a.now.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if parent == nil {
		parent, parentKey = t, key
	} else {
		t.CRLDistributionPoints = []string{"http://" + a.address + "/root.crl"}
	}
	cert, err := issue(t, parent, key.Public(), parentKey)
	return cert, key, err
}

func (a *Authority) revocations(issuer *x509.Certificate, key crypto.Signer, revoked []x509.RevocationListEntry) ([]byte, error) {
	return x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(int64(1+len(a.revoked)) + a.listed.Unix()), ThisUpdate: a.listed.Add(-time.Hour), NextUpdate: a.listed.AddDate(0, 0, 7),
		RevokedCertificateEntries: revoked,
	}, issuer, key)
}

// Admit issues one certificate for signing and encryption. The authority asks
// only for control of the mailbox, as real ones do: whoever has that for a
// moment gets a certificate that every mail program trusts.
func (a *Authority) Admit(name, address string) (*Person, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	p, err := a.Certify(name, address, key, x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment)
	if err != nil {
		return nil, err
	}
	p.Key = key
	return p, nil
}

// Certify issues a certificate for a key of any kind, for the uses given. The Person
// holds no Key.
func (a *Authority) Certify(name, address string, key crypto.Signer, uses x509.KeyUsage) (*Person, error) {
	p, err := a.CertifyUntil(name, address, key.Public(), uses, a.now.AddDate(1, 0, 0))
	if err != nil {
		return nil, err
	}
	p.PKCS12, err = pkcs12.Modern.Encode(key, p.Certificate, []*x509.Certificate{a.Issuing}, Password)
	return p, err
}

// CertifyUntil issues a certificate for a key that somebody else holds, until the time
// given. The Person holds no Key and no file. A bare domain for an address is an
// organisation.
func (a *Authority) CertifyUntil(name, address string, key crypto.PublicKey, uses x509.KeyUsage, until time.Time) (*Person, error) {
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name}, EmailAddresses: []string{address},
		NotBefore: a.now.Add(-time.Hour), NotAfter: until, BasicConstraintsValid: true,
		KeyUsage:              uses,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
		CRLDistributionPoints: []string{"http://" + a.address + "/issuing.crl"},
	}
	if !strings.Contains(address, "@") { // an organisation's, for everybody at its domain
		t.EmailAddresses, t.DNSNames = nil, []string{address}
	}
	if a.responder != "" {
		t.CRLDistributionPoints, t.OCSPServer = nil, []string{a.responder}
	}
	cert, err := issue(t, a.Issuing, key, a.key)
	if err != nil {
		return nil, err
	}
	return &Person{Name: name, Address: address, Certificate: cert}, nil
}

// PEM is the person's certificate as they would send it.
func (p *Person) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate.Raw})
}

// KeyPEM is the person's private key, which real people never hand out: it is for
// tests that ask other programs for their opinion.
func (p *Person) KeyPEM() []byte {
	der, err := x509.MarshalPKCS8PrivateKey(p.Key)
	if err != nil {
		return nil // an RSA key always has this form
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// Server issues the mail server's TLS certificate, for localhost only.
func (a *Authority) Server() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	cert, err := issue(&x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: a.now.Add(-time.Hour), NotAfter: a.now.AddDate(0, 1, 0), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.Issuing, key.Public(), a.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{cert.Raw, a.Issuing.Raw}, PrivateKey: key, Leaf: cert}, nil
}

// RootPEM is the root as the user would be handed it.
func (a *Authority) RootPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Root.Raw})
}

func issue(t, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, pub, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// serial is 127 random bits (RFC 5280, section 4.1.2.2).
func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b)
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b)
}
