package algorithm_test

import (
	"encoding/asn1"
	"testing"

	"countersign/mailer/cms/algorithm"
)

// A signature whose certificate cannot be read is named all the same, and not by
// numbers (RFC 5754, section 3).
func TestSignaturesHaveNames(t *testing.T) {
	for _, c := range []struct {
		oid  asn1.ObjectIdentifier
		want string
	}{
		{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}, "ECDSA"},
		{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}, "ECDSA"},
		{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, "RSA"},
		{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}, "RSA-PSS"},
		{asn1.ObjectIdentifier{1, 3, 101, 112}, "Ed25519"},
	} {
		if got := (algorithm.Identifier{OID: c.oid}).Name(); got != c.want {
			t.Errorf("%v is called %q, want %q", c.oid, got, c.want)
		}
	}
}
