//go:build unix

package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"time"

	"countersign/vault/trust"
)

// opensslVerify is the peer of both cases of trust: one certificate against a list
// of 250,000 entries, both signatures checked.
const opensslVerify = `openssl verify -crl_check -CAfile ca.pem -CRLfile list.pem leaf.pem`

// cachedChecks is how often a contact is judged in trust/cached-check; the peer
// does it once.
const cachedChecks = 1000

// trustBouts are the cases of issue 4; their fixture is [trustFixture].
var trustBouts = []bout{
	{name: "trust/crl-250k", work: "crl", peer: opensslVerify},
	{name: "trust/cached-check", work: "cached", peer: opensslVerify},
}

// trustWorks are what [trustWork] does.
var trustWorks = []string{"crl", "cached", "crl-fixture"}

// runTrust runs the cases of trust that are wanted; none named is all.
func runTrust(self, tmp string, names []string) (known bool, err error) {
	dir := filepath.Join(tmp, "trust")
	for _, b := range trustBouts {
		if len(names) > 0 && !slices.Contains(names, b.name) {
			continue
		}
		if !known {
			// In a process of its own: a child begins with its parent's peak of memory.
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return true, err
			}
			if _, err := b.measure(dir, self, "-dir", dir, "-child", "crl-fixture"); err != nil {
				return true, fmt.Errorf("preparing %s: %w", b.name, err)
			}
		}
		known = true
		if err := b.runTrust(self, dir); err != nil {
			return true, fmt.Errorf("%s: %w", b.name, err)
		}
	}
	return known, nil
}

func (b bout) runTrust(self, dir string) error {
	var ours, peer []figure
	for range 7 {
		f, err := b.measure(dir, self, "-dir", dir, "-child", b.work)
		if err != nil {
			return err
		}
		ours = append(ours, f)
		if f, err = b.measure(dir, "sh", "-ec", b.peer); err == nil {
			peer = append(peer, f)
		}
	}
	o := median(ours)
	if len(peer) < len(ours) {
		fmt.Printf("bench %s ratio=none ours=%.3f peer=none rss_ours=%d rss_peer=none\n", b.name, o.cpu.Seconds(), o.rss>>10)
		return nil
	}
	p := median(peer)
	ratio := o.cpu.Seconds() / p.cpu.Seconds()
	line := fmt.Sprintf("bench %s ratio=%.3f ours=%.3f peer=%.3f rss_ours=%d rss_peer=%d",
		b.name, ratio, o.cpu.Seconds(), p.cpu.Seconds(), o.rss>>10, p.rss>>10)
	if b.work == "cached" {
		each := o.cpu / cachedChecks
		line = fmt.Sprintf("bench %s ratio=%.5f ours=%.6f peer=%.3f rss_ours=%d rss_peer=%d",
			b.name, each.Seconds()/p.cpu.Seconds(), each.Seconds(), p.cpu.Seconds(), o.rss>>10, p.rss>>10)
	}
	fmt.Println(line)
	return nil
}

// trustWork is one piece of work on certificates, done in a process of its own:
// "crl" reads the list and judges one certificate, "cached" judges a certificate
// again and again that was judged before, "crl-fixture" makes what they need.
func trustWork(what, dir string) error {
	if what == "crl-fixture" {
		return trustFixture(dir)
	}
	read := func(name string) (*x509.Certificate, error) {
		der, err := block(dir, name)
		if err != nil {
			return nil, err
		}
		return x509.ParseCertificate(der)
	}
	leaf, err := read("leaf.pem")
	if err != nil {
		return err
	}
	anchor, err := read("ca.pem")
	if err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(dir, "list.der"))
	if err != nil {
		return err
	}
	defer f.Close()
	list, err := trust.ReadCRL(f)
	if err != nil {
		return err
	}
	times := 1
	if what == "cached" {
		times += cachedChecks
	}
	memory := trust.NewMemory()
	for range times {
		v := trust.Check(trust.Question{Certificate: leaf, Address: "bench@example.org", Usage: trust.Encrypt, At: time.Now(),
			Anchors: []trust.Anchor{{Certificate: anchor}}, Evidence: trust.Evidence{CRLs: []*trust.CRL{list}}, Memory: memory})
		if !v.Good() || len(v.Checked) != 1 || v.Checked[0].By != trust.NeedCRL {
			return fmt.Errorf("judged %s: %s", v.Status, v.Reason)
		}
	}
	return nil
}

// trustFixture makes an authority, a certificate and a list of 250,000 others.
func trustFixture(dir string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	now := time.Now()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if ca, err = certify(filepath.Join(dir, "ca.pem"), ca, ca, key); err != nil {
		return err
	}
	_, err = certify(filepath.Join(dir, "leaf.pem"), &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "bench"}, EmailAddresses: []string{"bench@example.org"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, KeyUsage: x509.KeyUsageKeyEncipherment,
	}, ca, key)
	if err != nil {
		return err
	}
	entries := make([]x509.RevocationListEntry, 250_000)
	serial := make([]byte, 16)
	for i := range entries {
		if _, err := rand.Read(serial); err != nil {
			return err
		}
		serial[0] = 0x40 | serial[0]&0x3f
		entries[i] = x509.RevocationListEntry{SerialNumber: new(big.Int).SetBytes(serial), RevocationTime: now.Add(-time.Duration(i) * time.Minute)}
	}
	list, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: now.Add(-time.Minute),
		NextUpdate: now.Add(24 * time.Hour), RevokedCertificateEntries: entries}, ca, key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "list.der"), list, 0o600),
		os.WriteFile(filepath.Join(dir, "list.pem"), pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: list}), 0o600),
	)
}

// certify makes a certificate for the one key that both have, and writes it.
func certify(path string, c, parent *x509.Certificate, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), key)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
