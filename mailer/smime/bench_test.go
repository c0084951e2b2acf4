package smime_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"io"
	"testing"

	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/smime"
)

// BenchmarkSmall sets a letter of 1 KiB beside the operation of a key that it needs.
func BenchmarkSmall(b *testing.B) {
	p := *people()["alice"]
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	cert := certify(p.addr, 77, key, x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment)
	l := letter()
	l.Attachments = []smime.Attachment{{Name: "a", Content: message.Bytes(make([]byte, 1024))}}
	k := smime.Keys{Signer: cms.Signer{Key: key, Certificate: cert}, Encryption: cert}
	b.Run("key", func(b *testing.B) {
		for b.Loop() {
			_, err := key.Sign(rand.Reader, make([]byte, 32), crypto.SHA256)
			must(err)
		}
	})
	b.Run("seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			must(smime.Seal(io.Discard, l, k, []*x509.Certificate{cert}, nil))
		}
	})
	var buf bytes.Buffer
	must(smime.Seal(&buf, l, k, []*x509.Certificate{cert}, nil))
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			o, err := smime.Open(message.Bytes(buf.Bytes()), []cms.Key{{Certificate: cert, Decrypter: key}}, smime.Options{})
			must(err)
			r, err := o.Payload.Parts[1].Open()
			must(err)
			_, err = io.Copy(io.Discard, r)
			must(err)
		}
	})
}
