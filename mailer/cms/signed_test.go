package cms_test

import (
	"bytes"
	"crypto"
	"fmt"
	"slices"
	"testing"
	"time"

	"countersign/mailer/cms"
)

func TestSignedRoundTrip(t *testing.T) {
	at := time.Date(2026, 3, 3, 9, 12, 0, 0, time.UTC)
	for _, who := range []string{"rsa", "p256", "p384", "p521", "ed25519"} {
		for _, hash := range []crypto.Hash{0, crypto.SHA384, crypto.SHA512} {
			for _, n := range []int{0, 1, 64<<10 - 1, 64 << 10, 200_000} {
				t.Run(fmt.Sprint(who, hash, n), func(t *testing.T) {
					p, enc, content := people()[who], people()["rsa2"], text(n)
					o := cms.SignOptions{Hash: hash, Time: at, EncryptionCertificate: enc.cert, Capabilities: ciphers[:4], Derives: n > 0, OAEP: n > 1}
					for form, s := range map[string]*cms.Signed{
						"detached": readSigned(t, detached(t, content, o, p), source(content)),
						"DER":      readSigned(t, opaque(t, content, int64(n), o, p), nil),
						"BER":      readSigned(t, opaque(t, content, -1, o, p), nil),
					} {
						if len(s.Signers) != 1 || s.Detached != (form == "detached") || len(s.Certificates) != 2 {
							t.Fatalf("%s: %+v", form, s)
						}
						si := s.Signers[0]
						if si.Err != nil || !si.Time.Equal(at) || !si.Certificate.Equal(p.cert) || !si.EncryptionCertificate.Equal(enc.cert) || !slices.Equal(si.Capabilities, ciphers[:4]) || si.Derives != (n > 0) || si.OAEP != (n > 1) {
							t.Errorf("%s: signer %+v", form, si)
						}
						if got := readAll(t, s); !bytes.Equal(got, content) {
							t.Errorf("%s: %d octets came back of %d", form, len(got), n)
						}
					}
				})
			}
		}
	}
}

func readSigned(t testing.TB, der []byte, content cms.Source) *cms.Signed {
	t.Helper()
	s, err := cms.ReadSigned(source(der), content)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
