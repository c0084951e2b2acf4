package trust

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

func anchors(certs ...*x509.Certificate) (out []Anchor) {
	for _, c := range certs {
		out = append(out, Anchor{Certificate: c})
	}
	return out
}

// TestPath is who vouches for whom.
func TestPath(t *testing.T) {
	top := root(t, "Harbour Root")
	mid := top.below(authority("Harbour Issuing"))
	other := root(t, "Other Root")
	ca := func(change func(*x509.Certificate)) func() (*x509.Certificate, []*x509.Certificate) {
		return func() (*x509.Certificate, []*x509.Certificate) {
			m := top.below(authority("Odd Issuing", change))
			return m.issue(template()), []*x509.Certificate{m.cert}
		}
	}
	leaf := func(change func(*x509.Certificate)) func() (*x509.Certificate, []*x509.Certificate) {
		return func() (*x509.Certificate, []*x509.Certificate) {
			return mid.issue(template(change)), []*x509.Certificate{mid.cert}
		}
	}
	weak, err := weakKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		make   func() (*x509.Certificate, []*x509.Certificate)
		want   Status
		reason string
	}{
		{"whole path", leaf(func(*x509.Certificate) {}), Trusted, ""},
		{"authority not enclosed", func() (*x509.Certificate, []*x509.Certificate) { return mid.issue(template()), nil },
			Untrusted, "made by Harbour Issuing, which you have not chosen"},
		{"another root", func() (*x509.Certificate, []*x509.Certificate) {
			return other.issue(template()), []*x509.Certificate{other.cert}
		}, Untrusted, "made by Other Root"},
		{"its own maker", func() (*x509.Certificate, []*x509.Certificate) {
			k := newKey(t)
			c := template()
			return sign(t, c, c, k.Public(), k), nil
		}, Untrusted, "its owner made it"},
		{"no extended usage", leaf(func(c *x509.Certificate) { c.ExtKeyUsage = nil }), Trusted, ""},
		{"any extended usage", leaf(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }), Trusted, ""},
		{"for servers", leaf(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
			Untrusted, "not made for e-mail"},
		{"authority for servers only", ca(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
			Untrusted, "may not vouch for e-mail"},
		{"authority that is none", ca(func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature }),
			Untrusted, "made by somebody who may not make certificates"},
		{"authority for other names", ca(func(c *x509.Certificate) {
			c.PermittedEmailAddresses, c.PermittedDNSDomainsCritical = []string{"other.example"}, true
		}), Untrusted, "may not vouch for this address"},
		{"authority that has run out", ca(func(c *x509.Certificate) { c.NotAfter = today.Add(-time.Hour) }),
			Expired, "authority that vouches"},
		{"run out", leaf(func(c *x509.Certificate) { c.NotAfter = today.Add(-time.Hour) }), Expired, "ran out on 10 March 2026"},
		{"not yet", leaf(func(c *x509.Certificate) { c.NotBefore = today.Add(48 * time.Hour) }), Expired, "not valid before 12 March 2026"},
		{"weak key", func() (*x509.Certificate, []*x509.Certificate) {
			return mid.issueKey(template(), weak.Public()), []*x509.Certificate{mid.cert}
		}, Untrusted, "not safe to use"},
		{"authority with a weak key", func() (*x509.Certificate, []*x509.Certificate) {
			m := maker{t, top.issueKey(authority("Weak Issuing"), weak.Public()), weak}
			return m.issue(template()), []*x509.Certificate{m.cert}
		}, Untrusted, "made by Weak Issuing"},
		{"critical extension that nobody knows", leaf(func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
		}), Untrusted, "conditions that this program does not know"},
		{"no certificate", func() (*x509.Certificate, []*x509.Certificate) { return nil, nil }, Untrusted, "There is no certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cert, enclosed := c.make()
			v := Check(Question{Silent: true, Certificate: cert, Address: "ada@harbour.example", Usage: Sign, Enclosed: enclosed,
				Anchors: anchors(top.cert), At: today})
			if v.Status != c.want || !strings.Contains(v.Reason, c.reason) {
				t.Fatalf("got %s, %q; want %s, %q", v.Status, v.Reason, c.want, c.reason)
			}
			if v.Status == Trusted && (v.Reason != "" || !v.Good() || !v.Path[len(v.Path)-1].Equal(top.cert)) {
				t.Fatalf("trusted, but %+v", v)
			}
			if v.Status != Trusted && (v.Reason == "" || v.Good()) {
				t.Fatalf("%s without a reason", v.Status)
			}
		})
	}
}

// TestAnyPathWill: one bad cross-certificate spoils nothing (RFC 8550, section 4).
func TestAnyPathWill(t *testing.T) {
	a, b := root(t, "Root A"), root(t, "Root B")
	key := newKey(t)
	old := a.issueKey(authority("Issuing", func(c *x509.Certificate) { c.NotAfter = today.Add(-time.Hour) }), key.Public())
	pulled := a.issueKey(authority("Issuing", listed), key.Public())
	good := b.issueKey(authority("Issuing"), key.Public())
	leaf := maker{t, good, key}.issue(template())
	q := Question{Silent: true, Certificate: leaf, Usage: Encrypt, Address: "ada@harbour.example", At: today,
		Evidence: Evidence{CRLs: []*CRL{a.list(withdrawn(pulled, today.AddDate(0, 0, -2), 4))}},
		Anchors:  anchors(a.cert, b.cert), Enclosed: []*x509.Certificate{old, pulled, good}}
	if v := Check(q); v.Status != Trusted {
		t.Fatalf("with a good path beside two bad ones: %s, %s", v.Status, v.Reason)
	}
	q.Enclosed = []*x509.Certificate{old, pulled}
	if v := Check(q); v.Status != Revoked || !strings.Contains(v.Reason, "Issuing, an authority above") {
		t.Fatalf("with a withdrawn authority: %s, %s", v.Status, v.Reason)
	}
}

// TestUsage is RFC 8550, sections 4.4.2 and 4.4.4.
func TestUsage(t *testing.T) {
	top := root(t, "Root")
	weak, err := weakKey()
	if err != nil {
		t.Fatal(err)
	}
	type pub = interface{}
	ec := newKey(t).Public()
	for _, c := range []struct {
		name          string
		key           pub
		usage         x509.KeyUsage
		sign, encrypt bool
	}{
		{"none stated", ec, 0, true, true},
		{"signature", ec, x509.KeyUsageDigitalSignature, true, false},
		{"non-repudiation alone", ec, x509.KeyUsageContentCommitment, true, false},
		{"agreement", ec, x509.KeyUsageKeyAgreement, false, true},
		{"encipherment with an elliptic key", ec, x509.KeyUsageKeyEncipherment, false, false},
		{"encipherment", weak.Public(), x509.KeyUsageKeyEncipherment, false, true},
		{"agreement with RSA", weak.Public(), x509.KeyUsageKeyAgreement, false, false},
		{"certificates only", ec, x509.KeyUsageCertSign, false, false},
	} {
		cert := top.issueKey(template(func(x *x509.Certificate) { x.KeyUsage = c.usage }), c.key)
		if Allows(cert, Sign) != c.sign || Allows(cert, Encrypt) != c.encrypt {
			t.Errorf("%s: signing %v, encryption %v", c.name, Allows(cert, Sign), Allows(cert, Encrypt))
		}
		if _, isRSA := c.key.(*rsa.PublicKey); isRSA {
			continue // too weak for a verdict on usage
		}
		q := Question{Silent: true, Certificate: cert, Usage: Encrypt, Anchors: anchors(top.cert), At: today}
		if v := Check(q); (v.Status == Trusted) != c.encrypt || !c.encrypt && !strings.Contains(v.Reason, "not made for encryption") {
			t.Errorf("%s: %s, %s", c.name, v.Status, v.Reason)
		}
	}
}

// TestOnePadding: an RSA key that is certified for PSS alone signs and does no
// more, one for OAEP alone takes mail and no more (RFC 4055, section 1.2).
func TestOnePadding(t *testing.T) {
	top := root(t, "Root")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	plain := top.issueKey(template(), key.Public())
	for last, want := range map[byte][2]bool{1: {true, true}, 10: {true, false}, 7: {false, true}, 99: {false, false}} {
		tbs := slices.Clone(plain.RawTBSCertificate)
		rsaKey := []byte("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01")
		tbs[bytes.Index(tbs, rsaKey)+len(rsaKey)-1] = last
		sum := sha256.Sum256(tbs)
		signature, err := top.key.Sign(rand.Reader, sum[:], crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := asn1.Marshal(struct {
			TBS asn1.RawValue
			A   pkix.AlgorithmIdentifier
			S   asn1.BitString
		}{asn1.RawValue{FullBytes: tbs}, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}},
			asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}})
		if err != nil {
			t.Fatal(err)
		}
		cert := parse(t, raw)
		for i, u := range []Usage{Sign, Encrypt} {
			v := Check(Question{Silent: true, Certificate: cert, Address: "ada@harbour.example", Usage: u, Anchors: anchors(top.cert), At: today})
			if v.Good() != want[i] || Allows(cert, u) != want[i] {
				t.Errorf("RSA key of kind %d to %s: %s, %s", last, u, v.Status, v.Reason)
			}
		}
	}
}

// TestBinds is whose certificate it is.
func TestBinds(t *testing.T) {
	top := root(t, "Root")
	legacy := func(c *x509.Certificate) {
		c.EmailAddresses = nil
		c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: oidEmailAddress, Value: "Ada@Harbour.example"}}
	}
	for _, c := range []struct {
		name, address string
		change        func(*x509.Certificate)
		want          Bound
	}{
		{"the address", "ada@harbour.example", func(*x509.Certificate) {}, BoundAddress},
		{"in other letters", "ada@harbour.example", func(c *x509.Certificate) { c.EmailAddresses = []string{"ADA@Harbour.EXAMPLE"} }, BoundAddress},
		{"asked in other letters", "ADA@harbour.example", func(*x509.Certificate) {}, BoundAddress},
		{"one of several", "ada@harbour.example", func(c *x509.Certificate) { c.EmailAddresses = []string{"x@y.example", "ada@harbour.example"} }, BoundAddress},
		{"an international domain", "ada@b\u00fccher.example", func(c *x509.Certificate) { c.EmailAddresses = []string{"ada@xn--bcher-kva.example"} }, BoundAddress},
		{"another address", "eve@harbour.example", func(*x509.Certificate) {}, BoundNone},
		{"a longer address", "ada@harbour.example.evil", func(*x509.Certificate) {}, BoundNone},
		{"a common name", "ada@harbour.example", func(c *x509.Certificate) {
			c.EmailAddresses, c.Subject.CommonName = nil, "ada@harbour.example"
		}, BoundNone},
		{"the organisation", "ada@harbour.example", func(c *x509.Certificate) {
			c.EmailAddresses, c.DNSNames = nil, []string{"Harbour.example"}
		}, BoundDomain},
		{"the organisation itself", "harbour.example", func(c *x509.Certificate) {
			c.EmailAddresses, c.DNSNames = nil, []string{"harbour.example"}
		}, BoundDomain},
		{"a wildcard", "ada@ward.harbour.example", func(c *x509.Certificate) {
			c.EmailAddresses, c.DNSNames = nil, []string{"*.harbour.example"}
		}, BoundNone},
		{"a parent", "ada@ward.harbour.example", func(c *x509.Certificate) {
			c.EmailAddresses, c.DNSNames = nil, []string{"harbour.example"}
		}, BoundNone},
		{"an internet address", "ada@harbour.example", func(c *x509.Certificate) {
			c.EmailAddresses, c.IPAddresses = nil, []net.IP{{127, 0, 0, 1}}
		}, BoundNone},
		{"the old place", "ada@harbour.example", legacy, BoundLegacy},
		{"the old place beside another name", "ada@harbour.example", func(c *x509.Certificate) {
			legacy(c)
			c.EmailAddresses = []string{"eve@harbour.example"}
		}, BoundNone},
		{"the old place with a Kelvin sign", "k@harbour.example", func(c *x509.Certificate) {
			legacy(c)
			c.Subject.ExtraNames[0].Value = "\u212a@harbour.example"
		}, BoundNone},
		{"nobody asked", "", func(*x509.Certificate) {}, BoundNone},
		{"no local part", "@harbour.example", func(c *x509.Certificate) { c.DNSNames = []string{"harbour.example"} }, BoundNone},
	} {
		cert := top.issue(template(c.change))
		if got := Binds(cert, c.address); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestLegacyNameUnderConstraint: name constraints hold for the old place too.
func TestLegacyNameUnderConstraint(t *testing.T) {
	top := root(t, "Root")
	mid := top.below(authority("Other Town", func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{"other.example"} }))
	leaf := mid.issue(template(func(c *x509.Certificate) {
		c.EmailAddresses = nil
		c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: oidEmailAddress, Value: "ada@harbour.example"}}
	}))
	v := Check(Question{Certificate: leaf, Address: "ada@harbour.example", Usage: Sign, Anchors: anchors(top.cert),
		Enclosed: []*x509.Certificate{mid.cert}, At: today})
	if v.Good() {
		t.Fatalf("an authority for another town vouched for this one: %+v", v)
	}
}

// TestConfirmed is SECURITY.md, V6: confirmed by telephone, so no anchor.
func TestConfirmed(t *testing.T) {
	stranger := root(t, "Stranger")
	q := Question{Address: "ada@harbour.example", Usage: Encrypt, At: today, Confirmed: true, Enclosed: []*x509.Certificate{stranger.cert}}

	q.Certificate = stranger.issue(template())
	if v := Check(q); v.Status != Trusted || len(v.Notes) == 0 {
		t.Errorf("without an anchor: %s, %s", v.Status, v.Reason)
	}
	q.Certificate = stranger.issue(template(func(c *x509.Certificate) { c.NotAfter = today.Add(-time.Hour) }))
	if v := Check(q); v.Status != Expired {
		t.Errorf("run out: %s", v.Status)
	}
	q.Certificate = stranger.issue(template(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }))
	if v := Check(q); v.Status != Untrusted {
		t.Errorf("not made for encryption: %s", v.Status)
	}
	q.Certificate = stranger.issue(template(func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
	}))
	if v := Check(q); v.Status != Untrusted {
		t.Errorf("on conditions that nobody knows: %s", v.Status)
	}
	q.Certificate = stranger.issue(template(listed))
	v := Check(q)
	if v.Status != Unknown || len(v.Needs) != 1 || v.Needs[0].Anchored {
		t.Errorf("names a list that is not at hand: %s, %v", v.Status, v.Needs)
	}
	q.Evidence.CRLs = []*CRL{stranger.list()}
	if v := Check(q); v.Status != Trusted {
		t.Errorf("with a clean list: %s, %s", v.Status, v.Reason)
	}
	q.Evidence.CRLs = []*CRL{stranger.list(withdrawn(q.Certificate, today.AddDate(0, 0, -1), 1))}
	if v := Check(q); v.Status != Revoked {
		t.Errorf("withdrawn: %s", v.Status)
	}
	q.Evidence.CRLs = []*CRL{root(t, "Stranger").list()}
	if v := Check(q); v.Status != Unknown {
		t.Errorf("with a list that somebody of the same name signed: %s", v.Status)
	}
}

// TestNeeds is what trust asks for, and on whose word (rule I1).
func TestNeeds(t *testing.T) {
	top := root(t, "Root")
	mid := top.below(authority("Issuing"))
	leaf := mid.issue(template(func(c *x509.Certificate) {
		c.IssuingCertificateURL = []string{"http://a.example/ca.cer", "ldap:///x?cACertificate", "http://a.example/" + strings.Repeat("x", 2000)}
		c.CRLDistributionPoints = []string{"ldaps://a.example/y?certificateRevocationList;binary", "ftp://a.example/z", listURL}
		c.OCSPServer = []string{"ldap://a.example/q"}
	}))
	q := Question{Silent: true, Certificate: leaf, Usage: Sign, Anchors: anchors(top.cert), At: today}
	v := Check(q)
	if len(v.Needs) != 1 || v.Needs[0] != (Need{URL: "http://a.example/ca.cer", Kind: NeedIssuer}) {
		t.Fatalf("without the authority: %v", v.Needs)
	}
	q.Evidence.Certificates = []*x509.Certificate{mid.cert}
	v = Check(q)
	if v.Status != Unknown || len(v.Needs) != 2 || v.Needs[0] != (Need{URL: listURL, Kind: NeedCRL, Anchored: true}) ||
		v.Needs[1] != (Need{URL: "ldaps://a.example/y?certificateRevocationList;binary", Kind: NeedCRL, Anchored: true}) {
		t.Fatalf("without the list: %s, %v", v.Status, v.Needs)
	}
	q.Evidence.CRLs = []*CRL{mid.list()}
	if v = Check(q); v.Status != Trusted || len(v.Needs) != 0 || !v.FreshUntil.Equal(today.AddDate(0, 0, 6)) {
		t.Fatalf("with both: %s, %v, until %v", v.Status, v.Needs, v.FreshUntil)
	}
}

// TestNamesAreKeptShort: a stranger's authority may call itself anything.
func TestNamesAreKeptShort(t *testing.T) {
	got := name(pkix.Name{CommonName: "You may trust\nthis\u202e " + strings.Repeat("a", 100)})
	if strings.ContainsAny(got, "\n\u202e") || len(got) > 70 {
		t.Fatalf("%q", got)
	}
}

// TestOwnIssuerDecides: where the issuer says "withdrawn" on one path, another
// certificate of the same issuer, which may not sign lists, does not hide it.
func TestOwnIssuerDecides(t *testing.T) {
	a, b := root(t, "Root A"), root(t, "Root B")
	key := newKey(t)
	may := maker{t, a.issueKey(authority("Issuing"), key.Public()), key}
	mayNot := b.issueKey(authority("Issuing", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign }), key.Public())
	leaf := may.issue(template(listed))
	for _, order := range [][]*x509.Certificate{{may.cert, mayNot}, {mayNot, may.cert}} {
		v := Check(Question{Certificate: leaf, Usage: Encrypt, At: today, Anchors: anchors(a.cert, b.cert), Enclosed: order,
			Evidence: Evidence{CRLs: []*CRL{may.list(withdrawn(leaf, today.AddDate(0, 0, -1), 1))}}})
		if v.Status != Revoked {
			t.Errorf("%s, %s", v.Status, v.Reason)
		}
	}
}

// TestNoTime: without a time nothing is judged by the machine's own.
func TestNoTime(t *testing.T) {
	top := root(t, "Root", func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Unix(0, 0), today.AddDate(1000, 0, 0) })
	leaf := top.issue(template(func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Unix(0, 0), today.AddDate(1000, 0, 0) }))
	q := Question{Certificate: leaf, Usage: Sign, Anchors: anchors(top.cert)}
	if v := Check(q); v.Status != Untrusted || v.Reason == "" {
		t.Errorf("%s, %q", v.Status, v.Reason)
	}
}
