package trust

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authorities whose keys are certified for RSA-PSS alone, one of them for SHA-384 alone
// (RFC 4055, section 3.3), as OpenSSL makes them: their certificates and lists count.
func TestAuthorityOfPSSAlone(t *testing.T) {
	read := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join("testdata", "pss", name))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		return block.Bytes
	}
	cert := func(name string) *x509.Certificate {
		c, err := x509.ParseCertificate(read(name))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, which := range []string{"any", "sha384"} {
		ca, leaf := cert(which+".pem"), cert(which+"-leaf.pem")
		if ca.PublicKey != nil {
			t.Fatal("the standard library reads such keys now")
		}
		list, err := ParseCRL(read(which + ".crl"))
		if err != nil {
			t.Fatal(err)
		}
		q := Question{Certificate: leaf, Address: "ada@harbour.example", Usage: Sign, Anchors: []Anchor{{Certificate: ca}},
			Evidence: Evidence{CRLs: []*CRL{list}}, At: leaf.NotBefore.Add(time.Hour)}
		if v := Check(q); !v.Good() || v.Checked[0].By != NeedCRL {
			t.Errorf("%s: %s, %s", which, v.Status, v.Reason)
		}
		broken := *leaf
		broken.Signature = append([]byte{leaf.Signature[0] ^ 1}, leaf.Signature[1:]...)
		if q.Certificate = &broken; Check(q).Status != Untrusted {
			t.Errorf("%s: a signature that does not fit counts", which)
		}
		other := cert(map[string]string{"any": "sha384.pem", "sha384": "any.pem"}[which])
		other.RawSubject = leaf.RawIssuer
		q.Certificate, q.Anchors = leaf, []Anchor{{Certificate: other}}
		if v := Check(q); v.Status != Untrusted {
			t.Errorf("%s: under another authority's key: %s", which, v.Status)
		}
	}
}
