package trust

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// TestAnchors: what an anchor is for, and for whom.
func TestAnchors(t *testing.T) {
	top := root(t, "Root")
	leaf := top.issue(template())
	for _, c := range []struct {
		name    string
		anchor  Anchor
		usage   Usage
		address string
		want    Status
	}{
		{"for both, sending", Anchor{}, Encrypt, "ada@harbour.example", Trusted},
		{"for both, receiving", Anchor{}, Sign, "ada@harbour.example", Trusted},
		{"for sending, sending", Anchor{For: ForSending}, Encrypt, "ada@harbour.example", Trusted},
		{"for sending, receiving", Anchor{For: ForSending}, Sign, "ada@harbour.example", Untrusted},
		{"for receiving, sending", Anchor{For: ForReceiving}, Encrypt, "ada@harbour.example", Untrusted},
		{"for receiving, receiving", Anchor{For: ForReceiving}, Sign, "ada@harbour.example", Trusted},
		{"for the domain", Anchor{Domains: []string{"other.example", "Harbour.example"}}, Sign, "ada@harbour.example", Trusted},
		{"for another domain", Anchor{Domains: []string{"other.example"}}, Sign, "ada@harbour.example", Untrusted},
		{"for the domain above", Anchor{Domains: []string{"example"}}, Sign, "ada@harbour.example", Untrusted},
		{"for all below", Anchor{Domains: []string{".example"}}, Sign, "ada@harbour.example", Trusted},
		{"for a domain, and no address asked", Anchor{Domains: []string{"harbour.example"}}, Sign, "", Untrusted},
	} {
		c.anchor.Certificate = top.cert
		v := Check(Question{Silent: true, Certificate: leaf, Address: c.address, Usage: c.usage, Anchors: []Anchor{c.anchor}, At: today})
		if v.Status != c.want || v.Status != Trusted && v.Reason == "" {
			t.Errorf("%s: %s, %s", c.name, v.Status, v.Reason)
		}
		q := Question{Silent: true, Standing: true, Certificate: leaf, Address: c.address, Usage: c.usage, Anchors: []Anchor{c.anchor}, At: today}
		if v := Check(q); (v.Status == Trusted) != (c.want == Trusted || len(c.anchor.Domains) == 0) {
			t.Errorf("%s: in force at all: %s", c.name, v.Status)
		}
	}
}

// TestEndEntityAnchor: one certificate may be trusted by itself, and vouches for
// no other.
func TestEndEntityAnchor(t *testing.T) {
	top := root(t, "Root")
	key := newKey(t)
	ada := top.issueKey(template(), key.Public())
	q := Question{Certificate: ada, Address: "ada@harbour.example", Usage: Sign, Anchors: anchors(ada), At: today}
	if v := Check(q); !v.Good() || len(v.Path) != 1 {
		t.Errorf("itself: %s, %s", v.Status, v.Reason)
	}
	q.At = ada.NotAfter.AddDate(0, 0, 1)
	if v := Check(q); v.Status != Expired {
		t.Errorf("run out: %s", v.Status)
	}
	q.At = today
	q.Certificate = maker{t, ada, key}.issue(template())
	if v := Check(q); v.Status != Untrusted {
		t.Errorf("made by it: %s", v.Status)
	}
}

// TestConfirmedAnchor: who is an anchor and confirmed by telephone as well is trusted no less
// for the one than for the other, until the issuer says that the certificate is withdrawn.
func TestConfirmedAnchor(t *testing.T) {
	top := root(t, "Root")
	ada := top.issue(template(func(c *x509.Certificate) { c.CRLDistributionPoints = []string{"http://ca.example/crl"} }))
	q := Question{Certificate: ada, Address: "ada@harbour.example", Usage: Encrypt, Anchors: anchors(ada), At: today, Confirmed: true}
	if v := Check(q); !v.Good() || len(v.Notes) != 1 {
		t.Errorf("its issuer is not at hand: %s, %s, %q", v.Status, v.Reason, v.Notes)
	}
	q.Evidence.Certificates = []*x509.Certificate{top.cert}
	if v := Check(q); !v.Good() || len(v.Needs) != 1 || v.Needs[0].Kind != NeedCRL {
		t.Errorf("no list is at hand: %s, %s, %v", v.Status, v.Reason, v.Needs)
	}
	q.Evidence.CRLs = []*CRL{top.list()}
	if v := Check(q); !v.Good() || len(v.Notes) > 0 {
		t.Errorf("not withdrawn: %s, %s, %q", v.Status, v.Reason, v.Notes)
	}
	q.Evidence.CRLs = []*CRL{top.list(x509.RevocationListEntry{SerialNumber: ada.SerialNumber, RevocationTime: today.Add(-time.Hour)})}
	if v := Check(q); v.Status != Revoked {
		t.Errorf("withdrawn: %s", v.Status)
	}
	q.Evidence.CRLs, q.Anchors[0].For = nil, ForReceiving
	if v := Check(q); v.Status != Unknown {
		t.Errorf("an anchor for something else: %s", v.Status)
	}
}

// TestUnicodeAddress is RFC 9598 (RFC 8398): an address beyond ASCII.
func TestUnicodeAddress(t *testing.T) {
	top := root(t, "Root")
	named := func(address string) *x509.Certificate {
		var b cryptobyte.Builder
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 9})
				b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(address)) })
				})
			})
		})
		return top.issue(template(func(c *x509.Certificate) {
			c.EmailAddresses = nil
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: b.BytesOrPanic()}}
		}))
	}
	for _, c := range []struct {
		in, address string
		want        Bound
	}{
		{"\u00e4da@harbour.example", "\u00e4da@harbour.example", BoundAddress},
		{"\u00e4DA@harbour.example", "\u00e4DA@harbour.example", BoundAddress},
		{"\u00e4da@Harbour.example", "\u00e4da@harbour.EXAMPLE", BoundAddress}, // of RFC 8398, section 5
		{"\u00e4DA@harbour.example", "\u00e4da@harbour.example", BoundNone},
		{"\u00e4da@harbour.example", "\u00e4DA@harbour.example", BoundNone},
		{"a\u0308da@harbour.example", "\u00e4da@harbour.example", BoundNone}, // not normalised
		{"\u00e4da@harbour.example", "a\u0308da@harbour.example", BoundNone},
		{"\ufb01n@harbour.example", "fin@harbour.example", BoundNone},
		{"ada@harbour.example", "ada@harbour.example", BoundNone}, // has to be an rfc822Name
		{"ada@b\u00fccher.example", "ada@xn--bcher-kva.example", BoundNone},
		{"\ufeff\u00e4da@harbour.example", "\u00e4da@harbour.example", BoundNone},
		{"\ufeff\u00e4da@harbour.example", "\ufeff\u00e4da@harbour.example", BoundNone},
		{"\u00e4da@\uff48arbour.example", "\u00e4da@harbour.example", BoundNone}, // nothing is mapped
		{"\u00e4da@xn--BCHER-kva.example", "\u00e4da@xn--bcher-kva.example", BoundAddress},
		{"\u00e4d\xff@harbour.example", "\u00e4d\xff@harbour.example", BoundNone},
		{"\u00c4da@harbour.example", "\u00e4da@harbour.example", BoundNone}, // beyond ASCII, to the letter
		{"\u00e4da@b\u00fccher.example", "\u00e4da@xn--bcher-kva.example", BoundAddress},
		{"\u00e4da@xn--bcher-kva.example", "\u00e4da@b\u00fccher.example", BoundAddress},
		{"\u00e4da", "\u00e4da@harbour.example", BoundNone},
		{"@harbour.example", "harbour.example", BoundNone},
	} {
		cert := named(c.in)
		if got := Binds(cert, c.address); got != c.want {
			t.Errorf("%s for %s: %s", c.in, c.address, got)
		}
		v := Check(Question{Silent: true, Certificate: cert, Address: c.address, Usage: Sign, Anchors: anchors(top.cert), At: today})
		if v.Good() != (c.want == BoundAddress) {
			t.Errorf("%s for %s: %s, %s, %s", c.in, c.address, v.Status, v.Bound, v.Reason)
		}
		if c.want == BoundAddress && len(Names(cert)) != 1 {
			t.Errorf("names %v", Names(cert))
		}
	}
}

// TestMemory: what is remembered changes no verdict.
func TestMemory(t *testing.T) {
	top := root(t, "Root")
	mid := top.below(authority("Issuing"))
	leaf := mid.issue(template(listed))
	q := Question{Silent: true, Certificate: leaf, Usage: Sign, Anchors: anchors(top.cert), At: today, Enclosed: []*x509.Certificate{mid.cert},
		Memory: NewMemory()}
	for range 2 {
		q.Evidence.CRLs = []*CRL{mid.list()}
		if v := Check(q); v.Status != Trusted || len(v.Checked) != 2 || v.Checked[0].By != NeedCRL || v.Checked[1].Status != Unpublished {
			t.Fatalf("%s, %s, %+v", v.Status, v.Reason, v.Checked)
		}
		q.Evidence.CRLs = []*CRL{mid.list(withdrawn(leaf, today.AddDate(0, 0, -1), 1))}
		if v := Check(q); v.Status != Revoked {
			t.Fatalf("%s, %s", v.Status, v.Reason)
		}
		forged := *leaf
		forged.Raw, forged.Signature = append([]byte{}, leaf.Raw...), append([]byte{}, leaf.Signature...)
		forged.Raw[len(forged.Raw)-1] ^= 1
		forged.Signature[len(forged.Signature)-1] ^= 1
		if v := Check(Question{Certificate: &forged, Usage: Sign, Anchors: q.Anchors, At: today, Enclosed: q.Enclosed, Memory: q.Memory}); v.Status != Untrusted {
			t.Fatalf("forged: %s", v.Status)
		}
	}
}
