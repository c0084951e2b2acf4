package algorithm_test

import (
	"encoding/hex"
	"testing"

	"countersign/mailer/cms/algorithm"
)

// TestReadsOAEP: only the parameters that are written here count as announced.
func TestReadsOAEP(t *testing.T) {
	const oaep = "06092a864886f70d010107"
	for name, c := range map[string]struct {
		der  string
		want bool
	}{
		"RFC 3560, default":   {"300d" + oaep + "3000", false}, // SHA-1
		"SHA-256 throughout":  {"303c" + oaep + "302fa00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402010500", true},
		"SHA-256, MGF1 SHA-1": {"301e" + oaep + "3011a00f300d06096086480165030402010500", false},
		"without parameters":  {"300b" + oaep, false},
		"PKCS #1 v1.5":        {"300d06092a864886f70d0101010500", false},
	} {
		der, err := hex.DecodeString(c.der)
		if err != nil {
			t.Fatal(name, err)
		}
		a, err := algorithm.Parse(der, name)
		if err != nil || a.ReadsOAEP() != c.want {
			t.Error(name, err, a.ReadsOAEP())
		}
	}
	if !algorithm.OAEPCapability().ReadsOAEP() {
		t.Error("what is written here is not what is read here")
	}
}
