package cms_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"testing"
	"time"

	"countersign/mailer/cms"
)

// Whichever octet of a part of a signed message is changed, the error says which part it was.
func TestTamperedSigned(t *testing.T) {
	p, content := people()["rsa"], text(300)
	at := time.Date(2026, 3, 3, 9, 12, 0, 0, time.UTC)
	der := opaque(t, content, 300, cms.SignOptions{Time: at}, p)
	length := len(der)
	for _, c := range []struct {
		name string
		part []byte
		want []error
	}{
		{"content", content, []error{cms.ErrDigest}},
		{"digest", sha(content), []error{cms.ErrSignature}},
		{"signing time", []byte("260303091200Z"), []error{cms.ErrSignature}},
		{"certificate's digest", sha(p.cert.Raw), []error{cms.ErrSignature}},
		{"signature", der[length-256:], []error{cms.ErrSignature}},
		{"certified key", p.cert.PublicKey.(*rsa.PublicKey).N.Bytes()[1:], []error{cms.ErrSignature}},
		{"name of the signer's issuer", p.cert.RawIssuer[len(p.cert.RawIssuer)-3:], []error{cms.ErrNoCertificate}},
		{"signature's header", der[length-260 : length-256], []error{cms.ErrMalformed}},
		{"first header", der[:4], []error{cms.ErrMalformed}},
		{"message type", oid(oidSigned), []error{cms.ErrMalformed, cms.ErrUnsupported}},
	} {
		from := bytes.LastIndex(der, c.part)
		if from < 0 {
			t.Fatalf("%s: not found", c.name)
		}
		for i := range c.part {
			changed := bytes.Clone(der)
			changed[from+i] ^= 0x41
			s, err := cms.ReadSigned(source(changed), nil)
			if err == nil {
				err = s.Signers[0].Err
			}
			named := false
			for _, want := range c.want {
				named = named || errors.Is(err, want)
			}
			if !named {
				t.Errorf("%s, octet %d of %d: %v, want %v", c.name, i, len(c.part), err, c.want)
			}
		}
	}
}

// Whichever bit of a signed message is changed (every fifth is tried), either nobody signed it any more or what
// they signed is what they signed.
func TestEveryBitOfSigned(t *testing.T) {
	p, content := people()["p256"], text(60)
	for form, der := range map[string][]byte{
		"segments": opaque(t, content, -1, cms.SignOptions{}, p),
		"whole":    opaque(t, content, 60, cms.SignOptions{}, p),
	} {
		for bit := 0; bit < 8*len(der); bit += 5 {
			changed := bytes.Clone(der)
			changed[bit/8] ^= 1 << (bit % 8)
			s, err := cms.ReadSigned(source(changed), nil)
			if err != nil || len(s.Signers) == 0 || s.Signers[0].Err != nil {
				continue
			}
			if got, err := read(s); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%s, bit %d: signed by %v: %q, %v", form, bit, s.Signers[0].Certificate.Subject, got, err)
			}
			if !p.cert.PublicKey.(*ecdsa.PublicKey).Equal(s.Signers[0].Certificate.PublicKey) {
				t.Errorf("%s, bit %d: another key", form, bit)
			}
		}
	}
}

// Whichever bit of an encrypted message is changed, it can be read to the end or not, and nothing worse.
func TestEveryBitOfEnveloped(t *testing.T) {
	p, content := people()["rsa"], text(60)
	key := readEnveloped(t, enveloped(t, content, cms.EncryptOptions{Size: 60, Rand: fixed()}, p), p).ContentKey
	for _, size := range []int64{60, -1} {
		der := enveloped(t, content, cms.EncryptOptions{Size: size, Rand: fixed()}, p)
		for bit := range 8 * len(der) {
			changed := bytes.Clone(der)
			changed[bit/8] ^= 1 << (bit % 8)
			e, err := cms.ReadEnveloped(source(changed), cms.ReadOptions{ContentKey: key})
			if err != nil {
				continue
			}
			got, err := read(e)
			if len(got) > len(content)+16 || err != nil && !errors.Is(err, cms.ErrIntegrity) && !errors.Is(err, cms.ErrMalformed) {
				t.Errorf("bit %d: %d octets, %v", bit, len(got), err)
			}
		}
	}
}
