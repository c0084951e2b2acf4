package discover

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"countersign/platform/resolver"
)

// TestSMIMEADigest: a proved record that does not carry the certificate itself finds nothing, but
// what a directory has must fit it (RFC 8162; RFC 6698, section 2.1).
func TestSMIMEADigest(t *testing.T) {
	type record = func(c, authority *x509.Certificate) string
	hash := func(usage, selector, matching int, data []byte) string {
		switch matching {
		case 1:
			sum := sha256.Sum256(data)
			data = sum[:]
		case 2:
			sum := sha512.Sum512(data)
			data = sum[:]
		}
		return fmt.Sprintf("%d %d %d %s", usage, selector, matching, hex.EncodeToString(data))
	}
	const named = "A signed record of their domain names another certificate."
	var all []situation
	tests := []struct {
		name   string
		record record
		good   bool
	}{
		{"sha256", func(c, _ *x509.Certificate) string { return hash(3, 0, 1, c.Raw) }, true},
		{"sha512", func(c, _ *x509.Certificate) string { return hash(1, 0, 2, c.Raw) }, true},
		{"key", func(c, _ *x509.Certificate) string { return hash(3, 1, 1, c.RawSubjectPublicKeyInfo) }, true},
		{"wholekey", func(c, _ *x509.Certificate) string { return hash(3, 1, 0, c.RawSubjectPublicKeyInfo) }, true},
		{"above", func(_, up *x509.Certificate) string { return hash(2, 0, 1, up.Raw) }, true},
		{"abovekey", func(_, up *x509.Certificate) string { return hash(0, 1, 2, up.RawSubjectPublicKeyInfo) }, true},
		{"another", func(_, up *x509.Certificate) string { return hash(3, 0, 1, up.Raw) }, false},
		{"notabove", func(c, _ *x509.Certificate) string { return hash(2, 0, 1, c.Raw) }, false},
		{"short", func(c, _ *x509.Certificate) string { return hash(3, 0, 1, c.Raw)[:40] }, false},
		{"usage", func(c, _ *x509.Certificate) string { return hash(9, 0, 1, c.Raw) }, true}, // not known, so it says nothing
		{"matching", func(c, _ *x509.Certificate) string { return hash(3, 0, 7, c.Raw) }, true},
	}
	for _, test := range tests {
		all = append(all, situation{name: test.name, papers: []paper{{name: "val", where: "ldap0"}}})
	}
	s := newStage(t, all)
	for i, test := range tests {
		c, err := x509.ParseCertificate([]byte(s.entries[0][i].Attributes["userCertificate;binary"][0]))
		if err != nil {
			t.Fatal(err)
		}
		name, err := resolver.SMIMEAName("ada", all[i].domain())
		if err != nil {
			t.Fatal(err)
		}
		s.records = append(s.records, name+" SMIMEA "+test.record(c, s.ca))
	}
	s.embedded(t)
	for i, test := range tests {
		f := s.finder()
		f.Directories = []string{"ldap://127.0.0.1:" + s.ports[0]}
		for range 2 { // the second time from what is kept
			s.asking = all[i].address()
			findings := f.Find(t.Context(), s.asking)
			last := findings[len(findings)-1]
			if len(findings) != 6 || !strings.HasPrefix(findings[4].Says, "There is one ") || (len(Found(findings)) == 1) != test.good || !test.good && last.Certificates[0].Why != named {
				t.Errorf("%s: %+v", test.name, findings[4:])
			}
		}
	}
}

// TestSMIMEAWhole: a proved record with a certificate that does not do speaks against others,
// also while what was found a short time ago is remembered.
func TestSMIMEAWhole(t *testing.T) {
	c := situation{name: "whole", papers: []paper{{name: "forged", where: "smimea", bad: "self-made"}, {name: "val", where: "ldap0"}}}
	s := newStage(t, []situation{c})
	s.embedded(t)
	f := s.finder()
	f.Directories = []string{"ldap://127.0.0.1:" + s.ports[0]}
	for range 2 {
		s.asking = c.address()
		if findings := f.Find(t.Context(), s.asking); len(findings) != 6 || Found(findings) != nil {
			t.Errorf("%+v", findings[len(findings)-1])
		}
	}
}
