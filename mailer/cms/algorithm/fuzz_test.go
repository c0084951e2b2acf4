package algorithm_test

import (
	"crypto/ecdh"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"testing"

	"countersign/mailer/cms/algorithm"
	"countersign/mailer/cms/ber"
)

// FuzzParse asks an algorithm identifier for everything that it may be: what is read has a
// name, and what is not has a reason. Nothing verifies a signature of zeros.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"300d06092a864886f70d0101010500", "300b06092a864886f70d010107", "300d06092a864886f70d010107" + "3000",
		"303c06092a864886f70d010107302fa00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402010500",
		"304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120",
		"301306062b8104010b01300906072a8648ce3d0201", "301506062b8104010b01300b060960864801650304012d",
		"3018060b2a864886f70d0109100313300906072a8648ce3d0201", "300506032b6570",
	} {
		f.Add(unhex(seed))
	}
	pub := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 2047, 1), E: 65537}
	f.Fuzz(func(t *testing.T, der []byte) {
		a, err := algorithm.Parse(der, "algorithm")
		if err != nil {
			return
		}
		if a.Name() == "" {
			t.Error("no name")
		}
		if name, transport, err := a.Transport(); name == "" || (transport == nil) == (err == nil) {
			t.Errorf("transport %q, %v", name, err)
		}
		if g, err := a.Agreement(); err == nil {
			secret := make([]byte, 32)
			wrapped, err := g.Wrap(secret, nil, make([]byte, 32))
			if key, err2 := g.Unwrap(secret, nil, wrapped); err == nil && err2 == nil && len(key) != 32 || err != nil {
				t.Errorf("%s: %v, %v", g.Name, err, err2)
			}
		}
		if h := a.Hash(); h != 0 && !h.Available() {
			t.Errorf("%v", h)
		}
		for _, digest := range []asn1.ObjectIdentifier{{1, 3, 14, 3, 2, 26}, {2, 16, 840, 1, 101, 3, 4, 2, 1}} {
			signed := algorithm.Over((algorithm.Identifier{OID: digest}).Hash(), der)
			if name, err := a.Verify(pub, signed, make([]byte, 256)); err == nil {
				t.Errorf("%s verifies zeros", name)
			}
		}
		a.ReadsOAEP()
		c := &x509.Certificate{RawSubjectPublicKeyInfo: ber.Nest(ber.Sequence, der, []byte{3, 2, 0, 0})}
		if err := a.AllowedBy(c); err != nil {
			t.Errorf("what it is certified for: %v", err)
		}
		algorithm.PublicKey(c)
	})
}

// FuzzUnwrap looks for a wrapped key that comes back other than it went.
func FuzzUnwrap(f *testing.F) {
	scheme, err := algorithm.AgreementFor(ecdh.P256(), 32)
	if err != nil {
		f.Fatal(err)
	}
	secret := make([]byte, 32)
	good, err := scheme.Wrap(secret, nil, make([]byte, 32))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, []byte(nil))
	f.Add(good[:24], []byte("material"))
	f.Add(make([]byte, 40), []byte{})
	f.Fuzz(func(t *testing.T, wrapped, ukm []byte) {
		key, err := scheme.Unwrap(secret, ukm, wrapped)
		if err != nil {
			return
		}
		if again, err := scheme.Wrap(secret, ukm, key); err != nil || string(again) != string(wrapped) {
			t.Errorf("%x became %x, %v", wrapped, again, err)
		}
	})
}
