package cms_test

import (
	"bytes"
	"errors"
	"testing"

	"countersign/mailer/cms"
)

// FuzzReadSigned demands that a message which is read can be opened, gives the
// same content each time, and is signed only by keys that signed that content.
func FuzzReadSigned(f *testing.F) {
	p, content := people()["ed25519"], text(40)
	f.Add(opaque(f, content, 40, cms.SignOptions{}, p), []byte(nil))
	f.Add(opaque(f, content, -1, cms.SignOptions{}, p), []byte(nil))
	f.Add(detached(f, content, cms.SignOptions{EncryptionCertificate: p.cert}, p), content)
	f.Add(letter{content: content, certs: certificates(p)}.der(), content)
	f.Fuzz(func(t *testing.T, der, content []byte) {
		var apart cms.Source
		if len(content) > 0 {
			apart = source(content)
		}
		s, err := cms.ReadSigned(source(der), apart)
		if err != nil {
			return
		}
		got, err := read(s)
		if errors.Is(err, cms.ErrNoContent) && s.Detached && apart == nil {
			return
		}
		if again, err2 := read(s); err != nil || err2 != nil || !bytes.Equal(got, again) {
			t.Fatalf("read, but not opened: %v, %v", err, err2)
		}
		for _, si := range s.Signers {
			if si.Err == nil && (si.Certificate == nil || len(si.Digest) == 0) {
				t.Errorf("signed by nobody: %+v", si)
			}
			if si.Err == nil && si.Certificate.Equal(p.cert) && !bytes.Equal(got, text(40)) {
				t.Errorf("forged: %q", got)
			}
		}
	})
}

// FuzzReadEnveloped demands that a message which is read can be opened and gives the
// same each time, be it content or an error.
func FuzzReadEnveloped(f *testing.F) {
	p, content := people()["rsa"], text(40)
	var keys []cms.ContentKey
	for _, cipher := range ciphers {
		for _, size := range []int64{40, -1} {
			der := enveloped(f, content, cms.EncryptOptions{Cipher: cipher, Size: size, Rand: fixed()}, p)
			keys = append(keys, readEnveloped(f, der, p).ContentKey)
			f.Add(der, byte(len(keys)-1))
		}
	}
	f.Fuzz(func(t *testing.T, der []byte, key byte) {
		e, err := cms.ReadEnveloped(source(der), cms.ReadOptions{ContentKey: keys[int(key)%len(keys)]})
		if err != nil {
			return
		}
		got, err := read(e)
		again, err2 := read(e)
		if !bytes.Equal(got, again) || (err == nil) != (err2 == nil) {
			t.Errorf("%q, %v; then %q, %v", got, err, again, err2)
		}
		if e.Authenticated && (err != nil || !bytes.Equal(got, content)) {
			t.Errorf("authentic, but %q, %v", got, err)
		}
	})
}

// FuzzReadCompressed demands the same of compressed messages, and that none grows beyond its limit.
func FuzzReadCompressed(f *testing.F) {
	f.Add([]byte(compressed(deflate(text(200)), oidZlib)))
	f.Add([]byte(compressed(deflate(make([]byte, 5000)), oidZlib)))
	f.Fuzz(func(t *testing.T, der []byte) {
		m, err := cms.ReadCompressed(source(der), 4000)
		if err != nil {
			return
		}
		got, err := read(m)
		again, err2 := read(m)
		if len(got) > 4000 || !bytes.Equal(got, again) || (err == nil) != (err2 == nil) {
			t.Errorf("%d octets, %v; then %d, %v", len(got), err, len(again), err2)
		}
	})
}
