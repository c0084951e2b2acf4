package trust

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"testing"
	"time"

	xocsp "golang.org/x/crypto/ocsp"
)

const deltaURL = "http://crl.harbour.example/delta.crl"

// placed is the value of cRLDistributionPoints or freshestCRL for one URL.
func placed(url string) []byte {
	n := byte(len(url))
	return append([]byte{0x30, n + 8, 0x30, n + 6, 0xa0, n + 4, 0xa0, n + 2, 0x86, n}, url...)
}

// TestDeltas: a delta list says what is newer than the full one, and is asked for
// where there is one.
func TestDeltas(t *testing.T) {
	top := root(t, "Root")
	leaf := top.issue(template(listed, func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 46}, Value: placed(deltaURL)}}
	}))
	numbered := func(number, base int64, this, next time.Time, entries ...x509.RevocationListEntry) *CRL {
		l := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: this, NextUpdate: next, RevokedCertificateEntries: entries}
		if base > 0 {
			n, _ := asn1.Marshal(base)
			l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: n}}
		}
		raw, err := x509.CreateRevocationList(rand.Reader, l, top.cert, top.key)
		if err != nil {
			t.Fatal(err)
		}
		crl, err := ParseCRL(raw)
		if err != nil {
			t.Fatal(err)
		}
		return crl
	}
	ago := func(h int) time.Time { return today.Add(-time.Duration(h) * time.Hour) }
	full := func(e ...x509.RevocationListEntry) *CRL { return numbered(5, 0, ago(48), ago(-100), e...) }
	delta := func(e ...x509.RevocationListEntry) *CRL { return numbered(6, 5, ago(1), ago(-23), e...) }
	for _, c := range []struct {
		name  string
		lists []*CRL
		want  Status
		asks  bool // for a delta
	}{
		{"full alone", []*CRL{full()}, Trusted, true},
		{"both clean", []*CRL{full(), delta()}, Trusted, false},
		{"in either order", []*CRL{delta(withdrawn(leaf, ago(2), 1)), full()}, Revoked, false},
		{"withdrawn since", []*CRL{full(), delta(withdrawn(leaf, ago(2), 1))}, Revoked, false},
		{"on hold, lifted since", []*CRL{full(withdrawn(leaf, ago(50), 6)), delta(withdrawn(leaf, ago(2), 8))}, Trusted, false},
		{"withdrawn before", []*CRL{full(withdrawn(leaf, ago(50), 1)), delta()}, Revoked, false},
		{"delta alone", []*CRL{delta()}, Unknown, false},
		{"delta for a later list", []*CRL{full(), numbered(9, 7, ago(1), ago(-23), withdrawn(leaf, ago(2), 1))}, Trusted, true},
		{"the full one ran out, the delta did not", []*CRL{numbered(5, 0, ago(48), ago(2)), delta()}, Trusted, false},
		{"the delta ran out, the full one did not", []*CRL{full(), numbered(6, 5, ago(30), ago(6))}, Trusted, true},
		{"both ran out", []*CRL{numbered(5, 0, ago(48), ago(12)), numbered(6, 5, ago(30), ago(6))}, Unknown, true},
	} {
		v := Check(Question{Certificate: leaf, Usage: Encrypt, Anchors: anchors(top.cert), At: today, Evidence: Evidence{CRLs: c.lists}})
		asks := slices.Contains(v.Needs, Need{URL: deltaURL, Kind: NeedCRL, Anchored: true})
		if v.Status != c.want || asks != c.asks && v.Status != Revoked {
			t.Errorf("%s: %s (%s), asks for a delta: %v", c.name, v.Status, v.Reason, asks)
		}
	}
}

// TestReasons: lists for some reasons count together, once they cover all.
func TestReasons(t *testing.T) {
	top := root(t, "Root")
	leaf := top.issue(template(listed))
	part := func(flags byte, at time.Time, e ...x509.RevocationListEntry) *CRL {
		// onlySomeReasons, nine bits of which eight are used
		value := []byte{0x30, 0x05, 0x83, 0x03, 0x07, flags, 0}
		if flags&1 == 1 {
			value[6] = 0x80
		}
		return top.listOf(&x509.RevocationList{ThisUpdate: at, NextUpdate: at.AddDate(0, 0, 7), RevokedCertificateEntries: e,
			ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: value}}})
	}
	yesterday := today.AddDate(0, 0, -1)
	const compromise, rest = 0x60, 0x1f
	for _, c := range []struct {
		name  string
		lists []*CRL
		want  Status
	}{
		{"half", []*CRL{part(compromise, yesterday)}, Unknown},
		{"the other half", []*CRL{part(rest, yesterday)}, Unknown},
		{"both", []*CRL{part(compromise, yesterday), part(rest, yesterday)}, Trusted},
		{"withdrawn on one", []*CRL{part(compromise, yesterday), part(rest, yesterday, withdrawn(leaf, yesterday, 4))}, Revoked},
		{"withdrawn on the only one", []*CRL{part(compromise, yesterday, withdrawn(leaf, yesterday, 1))}, Revoked},
		{"half is stale", []*CRL{part(compromise, today.AddDate(0, 0, -20)), part(rest, yesterday)}, Unknown},
	} {
		v := Check(Question{Certificate: leaf, Usage: Encrypt, Anchors: anchors(top.cert), At: today, Evidence: Evidence{CRLs: c.lists}})
		if v.Status != c.want {
			t.Errorf("%s: %s, want %s (%s)", c.name, v.Status, c.want, v.Reason)
		}
	}
}

// TestSpoiltEvidence: a list or an answer with any one byte changed settles
// nothing, unless what is changed is not part of what it says.
func TestSpoiltEvidence(t *testing.T) {
	top := root(t, "Root")
	leaf := top.issue(template(listed, asked))
	list, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: today, NextUpdate: today.AddDate(0, 0, 1)}, top.cert, top.key)
	if err != nil {
		t.Fatal(err)
	}
	answer := top.rawAnswer(xocsp.Response{Status: xocsp.Good, SerialNumber: leaf.SerialNumber})
	ask := func(e Evidence) Status {
		return Check(Question{Certificate: leaf, Usage: Encrypt, Anchors: anchors(top.cert), At: today, Evidence: e}).Status
	}
	for name, c := range map[string]struct {
		raw  []byte
		read func([]byte) (Evidence, error)
	}{
		"list":   {list, func(b []byte) (Evidence, error) { l, err := ParseCRL(b); return Evidence{CRLs: []*CRL{l}}, err }},
		"answer": {answer, func(b []byte) (Evidence, error) { o, err := ParseOCSP(b); return Evidence{OCSP: []*OCSP{o}}, err }},
	} {
		if e, err := c.read(c.raw); err != nil || ask(e) != Trusted {
			t.Fatalf("%s: %v", name, err)
		}
		for i := range c.raw {
			bad := slices.Clone(c.raw)
			bad[i] ^= 0x55
			if e, err := c.read(bad); err == nil && ask(e) != Unknown {
				t.Errorf("%s, byte %d changed: %s", name, i, ask(e))
			}
			if _, err := c.read(c.raw[:i]); err == nil {
				t.Errorf("%s cut to %d bytes is read", name, i)
			}
		}
	}
}

func FuzzReadEnclosed(f *testing.F) {
	f.Add([]byte("\xa1\x10\x06\x08\x2b\x06\x01\x05\x05\x07\x10\x02\x30\x04\x0a\x01\x00\x05"))
	f.Add([]byte("\x30\x00\x30\x00"))
	top := root(f, "Root")
	leaf := top.issue(template(listed))
	f.Fuzz(func(t *testing.T, choices []byte) {
		e, _ := ReadEnclosed(choices)
		if len(e.CRLs)+len(e.OCSP) > maxEnclosed {
			t.Fatal("more than may be")
		}
		v := Check(Question{Certificate: leaf, Usage: Encrypt, Anchors: anchors(top.cert), At: today, Evidence: e})
		if v.Status != Unknown || v.Reason == "" {
			t.Fatalf("%s on the word of a stranger", v.Status)
		}
	})
}
