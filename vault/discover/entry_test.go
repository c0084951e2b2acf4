package discover

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"

	"countersign/vault/discover/directory/directorytest"
	"countersign/vault/trust"
)

// TestDirectories: an authority whose certificates and lists lie in a directory.
func TestDirectories(t *testing.T) {
	w := newWorld(t)
	const authority, other = "cn=Issuing,o=Harbour", "cn=Crossed,o=Harbour"
	entry := map[string][]string{"objectClass": {"cRLDistributionPoint"}, "cACertificate;binary": {"not a certificate", string(w.ca.Raw)}, "certificateRevocationList;binary": {string(w.list(w.ca, w.caKey))}}
	s := &directorytest.Server{Entries: []directorytest.Entry{
		{DN: authority, Attributes: entry},
		{DN: other, Attributes: map[string][]string{"crossCertificatePair;binary": {pairOf(w.ca.Raw)}}},
	}}
	base := "ldap://" + s.Start(t) + "/"
	leaf := func(aia, list string) *x509.Certificate {
		return w.make(&x509.Certificate{Subject: pkix.Name{CommonName: "Ada"}, EmailAddresses: []string{"ada@harbour.example"},
			IssuingCertificateURL: []string{base + aia}, CRLDistributionPoints: []string{base + list}}, w.ca, newKey(t), w.caKey)
	}
	list := authority + "?certificateRevocationList;binary?base?objectClass=cRLDistributionPoint"
	w.leaf = leaf(authority+"?cACertificate;binary", list)
	if v := w.c.Check(t.Context(), trust.Question{Certificate: w.leaf, Address: "ada@harbour.example", Usage: trust.Encrypt,
		Anchors: []trust.Anchor{{Certificate: w.root}}, At: w.clock}, Rules{Chosen: true}); v.Status != trust.Untrusted || len(s.Asked()) != 0 {
		t.Errorf("at a loopback address: %s, %q", v.Status, s.Asked())
	}
	w.again()
	w.want(w.ask(Rules{}), trust.Untrusted, nil) // a stranger's: rule I1
	if len(s.Asked()) != 0 {
		t.Errorf("asked about a stranger: %q", s.Asked())
	}
	w.want(w.ask(Rules{Chosen: true}), trust.Trusted, nil)
	w.want(w.ask(Rules{Chosen: true}), trust.Trusted, nil)
	if len(s.Asked()) != 2 {
		t.Errorf("asked more than once: %q", s.Asked())
	}

	w.open(t.TempDir() + "/db")
	w.leaf = leaf(other+"?crossCertificatePair;binary", list)
	entry["certificateRevocationList;binary"] = []string{string(w.list(w.ca, w.caKey, w.leaf))}
	w.want(w.ask(Rules{Chosen: true}), trust.Revoked, nil)
	for _, b := range s.Binds() {
		if b != "/" {
			t.Errorf("signed in as %q", b)
		}
	}
}

// pairOf is a CertificatePair with a certificate issued to this authority only.
func pairOf(der []byte) string {
	long := func(tag byte, in []byte) []byte {
		return append([]byte{tag, 0x82, byte(len(in) >> 8), byte(len(in))}, in...)
	}
	return string(long(0x30, long(0xa0, der)))
}
