package cms_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"io"
	"testing"

	"countersign/mailer/cms"
)

// The benchmarks work on what a letter with an attachment of 25 MiB amounts to.
const benchSize = 36 << 20

func BenchmarkSign(b *testing.B) {
	p, content := people()["rsa"], text(benchSize)
	b.SetBytes(benchSize)
	for b.Loop() {
		d, err := cms.NewDetached([]cms.Signer{p.signer()}, cms.SignOptions{})
		must(err)
		d.Write(content)
		_, err = d.Finish()
		must(err)
	}
}

func BenchmarkVerify(b *testing.B) {
	p, content := people()["rsa"], text(benchSize)
	der := detached(b, content, cms.SignOptions{}, p)
	b.SetBytes(benchSize)
	for b.Loop() {
		readSigned(b, der, source(content))
	}
}

func BenchmarkEncrypt(b *testing.B) {
	p, content := people()["rsa"], text(benchSize)
	for _, cipher := range []cms.Cipher{cms.AES256CBC, cms.AES256GCM} {
		b.Run(cipher.String(), func(b *testing.B) {
			b.SetBytes(benchSize)
			for b.Loop() {
				w, err := cms.NewEnveloped(io.Discard, certificates(p), cms.EncryptOptions{Cipher: cipher, Size: benchSize})
				must(err)
				_, err = w.Write(content)
				must(err)
				must(w.Close())
			}
		})
	}
}

func BenchmarkDecrypt(b *testing.B) {
	p := people()["rsa"]
	for _, cipher := range []cms.Cipher{cms.AES256CBC, cms.AES256GCM} {
		for form, size := range map[string]int64{"DER": benchSize, "BER": -1} {
			b.Run(cipher.String()+"/"+form, func(b *testing.B) {
				der := enveloped(b, text(benchSize), cms.EncryptOptions{Cipher: cipher, Size: size}, p)
				b.SetBytes(benchSize)
				for b.Loop() {
					f, err := readEnveloped(b, der, p).Open()
					must(err)
					_, err = io.CopyBuffer(io.Discard, f, make([]byte, 64<<10))
					must(err)
				}
			})
		}
	}
}

// BenchmarkSmall is a letter of 1 KB, signed, encrypted, decrypted and verified. The key operations are
// most of it.
func BenchmarkSmall(b *testing.B) {
	p, content := people()["rsa"], text(1000)
	for b.Loop() {
		der := enveloped(b, detached(b, content, cms.SignOptions{}, p), cms.EncryptOptions{Size: -1}, p)
		readSigned(b, readAll(b, readEnveloped(b, der, p)), source(content))
	}
}

// BenchmarkKeys is what of BenchmarkSmall are the operations of the keys themselves.
func BenchmarkKeys(b *testing.B) {
	key := people()["rsa"].key.(*rsa.PrivateKey)
	digest := sha([]byte("content"))
	for b.Loop() {
		signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest)
		must(err)
		must(rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest, signature))
		encrypted, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &key.PublicKey, digest, nil)
		must(err)
		_, err = rsa.DecryptOAEP(sha256.New(), nil, key, encrypted, nil)
		must(err)
	}
}
