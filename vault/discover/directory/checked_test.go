package directory

import (
	"bytes"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
)

// FuzzAnswer: whatever a directory sends, what is let through to the library is one
// whole message within bounds, and the library neither panics nor asks for more.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte{0x30, 12, 2, 1, 1, 0x61, 7, 10, 1, 0, 4, 0, 4, 0})
	f.Add([]byte{0x30, 0x84, 0, 0, 0, 5, 2, 1, 3, 0x64, 0})
	f.Add([]byte{0x30, 0x80, 0, 0})
	f.Add([]byte{0x30, 16, 2, 1, 3, 0x64, 11, 4, 0, 0x30, 7, 0x30, 5, 2, 1, 1, 0x31, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 1 << 16
		message, err := readMessage(bytes.NewReader(data), limit)
		if err != nil {
			return
		}
		if len(message) > limit || !bytes.HasPrefix(data, message) {
			t.Fatalf("%d octets of %d", len(message), len(data))
		}
		elements := 0
		if !shapely(message, 0, &elements) || elements > maxElements {
			t.Fatal("let through out of bounds")
		}
		if p, err := ber.DecodePacketErr(message); err == nil && len(p.Bytes()) > len(message) {
			t.Fatalf("the library makes %d octets of %d", len(p.Bytes()), len(message))
		}
	})
}

// FuzzURL: a URL that is followed names an entry of a host and attributes that
// hold certificates or lists.
func FuzzURL(f *testing.F) {
	f.Add("ldap://ca.example/cn=CA%201,o=x?cACertificate;binary,crossCertificatePair;binary")
	f.Add("ldaps://ca.example:6636/cn=CRL1?certificateRevocationList;binary?base?objectClass=cRLDistributionPoint")
	f.Add("ldap:///cn=x?cACertificate???!bindname=x")
	f.Fuzz(func(t *testing.T, raw string) {
		a, err := parseURL(raw)
		if err == nil && (a.server.Name == "" || a.query.base == "" || len(a.attributes) == 0 || len(a.query.attributes) != 2*len(a.attributes)) {
			t.Fatalf("%+v", a)
		}
	})
}

// FuzzPair: the certificates of a pair lie within it.
func FuzzPair(f *testing.F) {
	f.Add([]byte("\x30\x0c\xa0\x04\x04\x02ab\xa1\x04\x04\x02cd"))
	f.Add([]byte("\x30\x06\xa1\x04\x04\x02cd"))
	f.Add([]byte("\x30\x00"))
	f.Fuzz(func(t *testing.T, der []byte) {
		for _, c := range pair(der) {
			if len(c) == 0 || !bytes.Contains(der, c) {
				t.Fatalf("%x of %x", c, der)
			}
		}
	})
}
