package cms_test

import (
	"bytes"
	"fmt"
	"testing"

	"countersign/mailer/cms"
)

func TestEnvelopedRoundTrip(t *testing.T) {
	for _, n := range sizes {
		for _, size := range []int64{int64(n), -1} {
			t.Run(fmt.Sprint(n, "/", size), func(t *testing.T) {
				a, b, content := people()["rsa"], people()["rsa2"], text(n)
				der := enveloped(t, content, cms.EncryptOptions{Size: size}, a, b, a)
				e, err := cms.ReadEnveloped(source(der), cms.ReadOptions{Keys: []cms.Key{b.opener()}})
				if err != nil {
					t.Fatal(err)
				}
				if e.Cipher != "AES-256-CBC" || e.KeyCipher != "RSA PKCS#1 v1.5" || e.Authenticated || e.Weak || len(e.Recipients) != 2 {
					t.Errorf("%+v", e)
				}
				for range 2 {
					if got := readAll(t, e); !bytes.Equal(got, content) {
						t.Errorf("%d octets came back of %d", len(got), n)
					}
				}
			})
		}
	}
}
