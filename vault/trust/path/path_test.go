package path

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"countersign/vault/trust/der"
)

var today = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

type party struct {
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

var serial int64

// issue makes a certificate; without an issuer it signs itself.
func issue(t testing.TB, by *party, name string, change func(*x509.Certificate)) *party {
	t.Helper()
	return issueKey(t, by, newKey(t), name, change)
}

func issueKey(t testing.TB, by *party, key crypto.Signer, name string, change func(*x509.Certificate)) *party {
	t.Helper()
	serial++
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true, IsCA: true,
		NotBefore: today.AddDate(-1, 0, 0), NotAfter: today.AddDate(1, 0, 0)}
	if change != nil {
		change(c)
	}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	raw, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(raw); err != nil {
		t.Fatal(err)
	}
	return &party{c, key}
}

func certs(all ...*party) (out []*x509.Certificate) {
	for _, p := range all {
		out = append(out, p.cert)
	}
	return out
}

// TestFind: every path, none twice, none for ever.
func TestFind(t *testing.T) {
	a, b := issue(t, nil, "A", nil), issue(t, nil, "B", nil)
	key := newKey(t)
	viaA, viaB := issueKey(t, a, key, "Issuing", nil), issueKey(t, b, key, "Issuing", nil)
	namesake := issue(t, a, "Issuing", nil)
	leaf := issue(t, viaA, "Ada", nil)
	for _, m := range []*Memory{nil, NewMemory()} {
		for range 2 { // the second time from memory
			got := Find(leaf.cert, certs(viaB, namesake, viaA, leaf), certs(a, b), m)
			if len(got) != 2 || len(got[0]) != 3 || got[0][2].Equal(got[1][2]) {
				t.Fatalf("%d paths", len(got))
			}
		}
	}
	if got := Find(leaf.cert, certs(viaA), certs(leaf), nil); len(got) != 1 || len(got[0]) != 1 {
		t.Errorf("an anchor of its own has %d paths", len(got))
	}

	// Two authorities that vouch for each other, and none for both.
	x := issue(t, nil, "X", nil)
	y := issue(t, x, "Y", nil)
	xByY := issueKey(t, y, x.key, "X", nil)
	below := issue(t, x, "Below", nil)
	if got := Find(below.cert, certs(x, y, xByY), certs(a), nil); len(got) != 0 {
		t.Errorf("a circle leads to %d anchors", len(got))
	}
	if got := Find(below.cert, certs(xByY), certs(y), nil); len(got) != 1 {
		t.Errorf("out of the circle: %d paths", len(got))
	}

	// A thicket: each of many authorities vouches for each.
	keys := []crypto.Signer{newKey(t), newKey(t), newKey(t), newKey(t), newKey(t), newKey(t), newKey(t), newKey(t)}
	var thicket []*x509.Certificate
	for i, k := range keys {
		for j, by := range keys {
			issuer := &party{&x509.Certificate{Subject: pkix.Name{CommonName: fmt.Sprint("T", j)}}, by}
			if i != j {
				thicket = append(thicket, issueKey(t, issuer, k, fmt.Sprint("T", i), nil).cert)
			}
		}
	}
	lost := issue(t, &party{thicket[0], keys[0]}, "Lost", nil)
	memory := NewMemory()
	if got := Find(lost.cert, thicket, certs(a), memory); len(got) != 0 || len(memory.sigs) > maxSignatures {
		t.Errorf("%d paths after %d signatures", len(got), len(memory.sigs))
	}
	// Seen before, no signature is in the way.
	for _, c := range thicket {
		for _, by := range thicket {
			memory.SignedBy(c, by)
		}
	}
	s := &search{pool: thicket, anchors: certs(a), memory: memory, budget: maxSignatures, steps: maxSteps}
	if s.climb(certs(lost)); s.steps != 0 || s.budget != maxSignatures {
		t.Errorf("%d steps and %d signatures are left", s.steps, s.budget)
	}
}

// TestValidate is each rule by itself; PKITS has them in earnest (vault/trust).
func TestValidate(t *testing.T) {
	ca := func(change func(*x509.Certificate)) [3]func(*x509.Certificate) {
		return [3]func(*x509.Certificate){1: change}
	}
	for name, c := range map[string]struct {
		change [3]func(*x509.Certificate) // of leaf, authority, anchor
		want   Problem
		index  int
	}{
		"whole":               {},
		"not an authority":    {ca(func(c *x509.Certificate) { c.IsCA = false }), NotCA, 1},
		"may not sign":        {ca(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }), NotCA, 1},
		"anchor may not sign": {[3]func(*x509.Certificate){2: func(c *x509.Certificate) { c.IsCA = false }}, NotCA, 2},
		"too long":            {[3]func(*x509.Certificate){2: func(c *x509.Certificate) { c.MaxPathLenZero = true }}, Length, 1},
		"for servers":         {ca(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), Use, 1},
		"run out":             {ca(func(c *x509.Certificate) { c.NotAfter = today.AddDate(0, 0, -1) }), RunOut, 1},
		"not yet":             {[3]func(*x509.Certificate){func(c *x509.Certificate) { c.NotBefore = today.AddDate(0, 0, 1) }}, NotYetValid, 0},
		"anchor run out":      {[3]func(*x509.Certificate){2: func(c *x509.Certificate) { c.NotAfter = today.AddDate(0, 0, -1) }}, RunOut, 2},
		"critical, not understood": {ca(func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
		}), Critical, 1},
		"run out and not allowed": {ca(func(c *x509.Certificate) { c.NotAfter, c.IsCA = today.AddDate(0, 0, -1), false }), NotCA, 1},
	} {
		t.Run(name, func(t *testing.T) {
			anchor := issue(t, nil, "Anchor", c.change[2])
			mid := issue(t, anchor, "Issuing", c.change[1])
			leaf := issue(t, mid, "Ada", c.change[0])
			err := Validate(certs(leaf, mid, anchor), Options{At: today, Use: x509.ExtKeyUsageEmailProtection})
			if c.want == 0 && err != nil || c.want != 0 && (err == nil || *err != Error{c.want, c.index} || err.Error() == "") {
				t.Fatalf("got %v, want %v of %d", err, c.want, c.index)
			}
		})
	}
	a, b := issue(t, nil, "A", nil), issue(t, nil, "B", nil)
	if err := Validate(certs(a, b), Options{At: today}); err == nil || err.Problem != Chaining {
		t.Errorf("two that have nothing to do with each other: %v", err)
	}
	if Validate(nil, Options{At: today}) == nil || Validate(certs(a), Options{}) == nil {
		t.Error("no path, or no time, is valid")
	}
}

func utf8Mailbox(address string) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(der.Context(0).Constructed(), func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidSmtpUTF8)
			b.AddASN1(der.Context(0).Constructed(), func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(address)) })
			})
		})
	})
	return b.BytesOrPanic()
}

// TestLongDomain: what a domain's A-label costs is the square of its length, so that one
// longer than any is not converted.
func TestLongDomain(t *testing.T) {
	for domain, want := range map[string]bool{
		"münchen.example": true, strings.Repeat("ü", 20) + ".example": true, strings.Repeat("一丁七万", 500) + ".example": false,
	} {
		value := cryptobyte.String(utf8Mailbox("\u00e4da@" + domain))
		var inner cryptobyte.String
		if !value.ReadASN1(&inner, cbasn1.SEQUENCE) {
			t.Fatal("the name cannot be read")
		}
		names, _ := der.ReadGeneralNames(inner)
		if len(names) != 1 {
			t.Fatal(names)
		}
		if _, ok := UTF8Mailbox(names[0]); ok != want {
			t.Errorf("%.30s of %d bytes: %v", domain, len(domain), ok)
		}
	}
}

// TestNames is RFC 5280, section 4.2.1.10, and RFC 9598, section 6.
func TestNames(t *testing.T) {
	mail := func(a ...string) func(*x509.Certificate) { return func(c *x509.Certificate) { c.EmailAddresses = a } }
	unicode := func(a string) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: oidAltName, Value: utf8Mailbox(a)}}
		}
	}
	legacy := func(c *x509.Certificate) {
		c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: oidEmailAddress, Value: "ada@harbour.example"}}
	}
	permitMail := func(a ...string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.PermittedEmailAddresses = a }
	}
	excludeMail := func(a ...string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.ExcludedEmailAddresses = a }
	}
	uri := func(s string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { u, _ := url.Parse(s); c.URIs = []*url.URL{u} }
	}
	for name, c := range map[string]struct {
		authority, leaf func(*x509.Certificate)
		want            bool
	}{
		"host":                         {permitMail("harbour.example"), mail("ada@HARBOUR.example"), true},
		"another host":                 {permitMail("harbour.example"), mail("ada@ward.harbour.example"), false},
		"below":                        {permitMail(".harbour.example"), mail("ada@ward.harbour.example"), true},
		"below is not itself":          {permitMail(".harbour.example"), mail("ada@harbour.example"), false},
		"mailbox":                      {permitMail("ada@harbour.example"), mail("ADA@harbour.example"), true},
		"another mailbox":              {permitMail("ada@harbour.example"), mail("eve@harbour.example"), false},
		"one of two outside":           {permitMail("harbour.example"), mail("ada@harbour.example", "ada@evil.example"), false},
		"excluded":                     {excludeMail("harbour.example"), mail("ada@harbour.example"), false},
		"not the excluded":             {excludeMail("harbour.example"), mail("ada@other.example"), true},
		"no name of the kind":          {permitMail("harbour.example"), func(c *x509.Certificate) { c.DNSNames = []string{"evil.example"} }, true},
		"the old place":                {permitMail("other.example"), legacy, false},
		"the old place, permitted":     {permitMail("harbour.example"), legacy, true},
		"unicode":                      {permitMail("xn--bcher-kva.example"), unicode("\u00e4da@b\u00fccher.example"), true},
		"unicode elsewhere":            {permitMail("harbour.example"), unicode("\u00e4da@b\u00fccher.example"), false},
		"unicode, excluded":            {excludeMail("xn--bcher-kva.example"), unicode("\u00e4da@b\u00fccher.example"), false},
		"unicode under one mailbox":    {permitMail("ada@harbour.example"), unicode("\u00e4da@harbour.example"), false},
		"unicode without a domain":     {permitMail("harbour.example"), unicode("\u00e4da"), true},
		"dns":                          {func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"harbour.example"} }, func(c *x509.Certificate) { c.DNSNames = []string{"ward.harbour.example"} }, true},
		"dns elsewhere":                {func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"harbour.example"} }, func(c *x509.Certificate) { c.DNSNames = []string{"evilharbour.example"} }, false},
		"uri":                          {func(c *x509.Certificate) { c.PermittedURIDomains = []string{".harbour.example"} }, uri("https://a.harbour.example/x"), true},
		"uri without a host":           {func(c *x509.Certificate) { c.PermittedURIDomains = []string{".harbour.example"} }, uri("urn:x"), false},
		"uri of an address, exclusion": {func(c *x509.Certificate) { c.ExcludedURIDomains = []string{"harbour.example"} }, uri("https://127.0.0.1/x"), false},
		"ip": {func(c *x509.Certificate) {
			c.PermittedIPRanges = []*net.IPNet{{IP: net.IP{10, 0, 0, 0}, Mask: net.IPMask{255, 0, 0, 0}}}
		}, func(c *x509.Certificate) { c.IPAddresses = []net.IP{{10, 1, 2, 3}} }, true},
		"ip elsewhere": {func(c *x509.Certificate) {
			c.PermittedIPRanges = []*net.IPNet{{IP: net.IP{10, 0, 0, 0}, Mask: net.IPMask{255, 0, 0, 0}}}
		}, func(c *x509.Certificate) { c.IPAddresses = []net.IP{{11, 1, 2, 3}} }, false},
		"directory name":           {directory("Harbour", false), func(c *x509.Certificate) { c.Subject = pkix.Name{Organization: []string{"HARBOUR"}, CommonName: "Ada"} }, true},
		"directory name elsewhere": {directory("Harbour", false), func(c *x509.Certificate) { c.Subject = pkix.Name{Organization: []string{"Other"}} }, false},
		"directory name, excluded": {directory("Harbour", true), func(c *x509.Certificate) { c.Subject = pkix.Name{Organization: []string{"harbour"}, CommonName: "Ada"} }, false},
		"a kind that nobody understands": {other(8), func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: oidAltName, Value: []byte{0x30, 4, 0x88, 2, 0x2a, 3}}}
		}, false},
		"such a kind, and no such name": {other(8), mail("ada@harbour.example"), true},
	} {
		t.Run(name, func(t *testing.T) {
			anchor := issue(t, nil, "Anchor", nil)
			mid := issue(t, anchor, "Issuing", c.authority)
			leaf := issue(t, mid, "Ada", c.leaf)
			err := Validate(certs(leaf, mid, anchor), Options{At: today, Use: x509.ExtKeyUsageAny})
			if (err == nil) != c.want || err != nil && *err != (Error{Names, 0}) {
				t.Fatalf("%v", err)
			}
		})
	}
}

func constrained(general []byte, exclude bool) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		var b cryptobyte.Builder
		tag := der.Context(0).Constructed()
		if exclude {
			tag = der.Context(1).Constructed()
		}
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(tag, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(general) })
			})
		})
		c.ExtraExtensions = []pkix.Extension{{Id: oidConstraints, Critical: true, Value: b.BytesOrPanic()}}
	}
}

func directory(organisation string, exclude bool) func(*x509.Certificate) {
	raw, _ := asn1.Marshal(pkix.Name{Organization: []string{organisation}}.ToRDNSequence())
	var b cryptobyte.Builder
	b.AddASN1(der.Context(4).Constructed(), func(b *cryptobyte.Builder) { b.AddBytes(raw) })
	return constrained(b.BytesOrPanic(), exclude)
}

func other(tag uint8) func(*x509.Certificate) {
	return constrained([]byte{0x80 | tag, 1, 1}, false)
}

// TestManyNames: names times constraints are bounded.
func TestManyNames(t *testing.T) {
	n := constraints{permitted: [][]subtree{nil}}
	c := &x509.Certificate{RawSubject: []byte{0x30, 0}}
	for i := range 2000 {
		n.permitted[0] = append(n.permitted[0], subtree{tag: der.RFC822Name, text: fmt.Sprint("h", i)})
		c.Subject.Names = append(c.Subject.Names, pkix.AttributeTypeAndValue{Type: oidEmailAddress, Value: "a@h1999"})
	}
	if n.allow(c) || n.compared > maxComparisons+2000 {
		t.Fatalf("allowed after %d comparisons", n.compared)
	}
}

// FuzzNames reads constraints and names that anybody may have made.
func FuzzNames(f *testing.F) {
	c := &x509.Certificate{}
	directory("Harbour", true)(c)
	f.Add(c.ExtraExtensions[0].Value, utf8Mailbox("\u00e4da@b\u00fccher.example"))
	f.Add([]byte("\x30\x13\xa0\x11\x30\x0f\x81\x0dother.example"), []byte("\x30\x0d\x81\x0bada@a.examp"))
	f.Fuzz(func(t *testing.T, tree, names []byte) {
		var n constraints
		authority := &x509.Certificate{Extensions: []pkix.Extension{{Id: oidConstraints, Value: tree}}}
		leaf := &x509.Certificate{RawSubject: []byte{0x30, 0}, Extensions: []pkix.Extension{{Id: oidAltName, Value: names}}}
		if n.add(authority) && len(n.permitted)+len(n.excluded) == 0 {
			t.Fatal("constraints that say nothing")
		}
		n.allow(leaf)
		UTF8Mailboxes(leaf)
	})
}
