package cms_test

import (
	"bytes"
	"crypto/ecdsa"
	"errors"
	"slices"
	"testing"

	"countersign/mailer/cms"
	"countersign/mailer/cms/ber"
)

// indefinite writes a value of DER anew with indefinite lengths, and octet strings in
// pieces of n octets, those that are enclosed in primitive values left alone. Values whose
// bytes are signed, within one of the sets kept, stay as they are.
func indefinite(der []byte, n int, kept func(der []byte) bool) []byte {
	head, body := der[0], ber.Contents(der)
	var out []byte
	switch {
	case kept(der):
		return der
	case head&ber.Constructed != 0:
		out = append(out, head, 0x80)
		for _, part := range values(body) {
			out = append(out, indefinite(part, n, kept)...)
		}
	case head == byte(ber.OctetString) && len(body) > 64, head == byte(ber.Context) && len(body) > 0:
		out = append(out, head|ber.Constructed, 0x80)
		for piece := range slices.Chunk(body, n) {
			out = append(append(out, ber.AppendHeader(nil, ber.OctetString, false, int64(len(piece)))...), piece...)
		}
	default:
		return der
	}
	return append(out, 0, 0)
}

// longer writes a value of DER anew with every length longer than it need be.
func longer(der []byte, kept func(der []byte) bool) []byte {
	head, body := der[0], ber.Contents(der)
	if kept(der) {
		return der
	}
	if head&ber.Constructed != 0 {
		var parts [][]byte
		for _, part := range values(body) {
			parts = append(parts, longer(part, kept))
		}
		body = slices.Concat(parts...)
	}
	n := len(body)
	return append([]byte{head, 0x84, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, body...)
}

// values are those that follow one another in a body.
func values(body []byte) (all [][]byte) {
	for len(body) > 0 {
		n := int(body[1])
		at := 2
		if n&0x80 != 0 {
			at += n & 0x7f
			n = 0
			for _, b := range body[2:at] {
				n = n<<8 | int(b)
			}
		}
		all, body = append(all, body[:at+n]), body[at+n:]
	}
	return all
}

// Whoever writes a message anew in another encoding of the same changes nothing about it.
func TestReencoded(t *testing.T) {
	rsa, ec, content := people()["rsa"], people()["p256"], text(1000)
	isCertificate := func(der []byte) bool { return bytes.Equal(der, rsa.cert.Raw) || bytes.Equal(der, ec.cert.Raw) }
	for name, der := range map[string][]byte{
		"signed": opaque(t, content, 1000, cms.SignOptions{EncryptionCertificate: ec.cert}, rsa),
		"CBC":    enveloped(t, content, cms.EncryptOptions{Size: 1000}, rsa, ec),
		"GCM":    enveloped(t, content, cms.EncryptOptions{Size: 1000, Cipher: cms.AES256GCM}, ec, rsa),
		"ChaCha": parcel{recipients: [][]byte{to(ec)}, cipher: oidChaCha, nonce: make([]byte, 12), attrs: [][]byte{attr(oidOther, octets(nil))}, content: content}.der(),
	} {
		for form, again := range map[string][]byte{
			"as it is": der,
			"1":        indefinite(der, 1, isCertificate),
			"7":        indefinite(der, 7, isCertificate),
			"100":      indefinite(der, 100, isCertificate),
			"longer":   longer(der, isCertificate),
		} {
			if name == "signed" {
				s := readSigned(t, again, nil)
				if len(s.Signers) != 1 || s.Signers[0].Err != nil || !bytes.Equal(readAll(t, s), content) {
					t.Errorf("%s, %s: %+v", name, form, s.Signers)
				}
				continue
			}
			e := readEnveloped(t, again, ec)
			if !bytes.Equal(readAll(t, e), content) {
				t.Errorf("%s, %s: other content", name, form)
			}
		}
	}
}

// Whichever octet of an authenticated message is changed, and however, its content is what it
// was or there is none.
func TestEveryOctetOfAuthenticated(t *testing.T) {
	p, content := people()["x25519"], text(40)
	keys := []cms.Key{p.opener()}
	for name, der := range map[string][]byte{
		"GCM":                    enveloped(t, content, cms.EncryptOptions{Size: 40, Cipher: cms.AES128GCM}, p),
		"GCM in segments":        enveloped(t, content, cms.EncryptOptions{Size: -1, Cipher: cms.AES256GCM}, p),
		"derived":                enveloped(t, content, cms.EncryptOptions{Size: 40, Cipher: cms.AES256GCM, Derive: true}, p),
		"ChaCha20":               enveloped(t, content, cms.EncryptOptions{Size: 40, Cipher: cms.ChaCha20Poly1305}, p),
		"GCM with attributes":    parcel{recipients: [][]byte{to(p)}, cipher: oidAES256GCM, nonce: make([]byte, 20), attrs: [][]byte{attr(oidOther, octets(nil))}, content: content}.der(),
		"ChaCha with attributes": parcel{recipients: [][]byte{to(p)}, cipher: oidChaCha, nonce: make([]byte, 12), attrs: [][]byte{attr(oidOther, octets(nil))}, content: content}.der(),
	} {
		try := func(what string, at int, changed []byte) {
			e, err := cms.ReadEnveloped(source(changed), cms.ReadOptions{Keys: keys})
			if err != nil {
				if e != nil && e.ContentKey != nil {
					t.Errorf("%s, %s %d: a key beside %v", name, what, at, err)
				}
				return
			}
			got, err := read(e)
			if e.Authenticated && (err != nil || !bytes.Equal(got, content)) {
				t.Errorf("%s, %s %d: authentic, but %q, %v", name, what, at, got, err)
			}
			if !e.Authenticated && bytes.Equal(got, content) {
				t.Errorf("%s, %s %d: no longer authentic", name, what, at)
			}
		}
		for at := range der {
			for _, change := range []byte{1, 0x20, 0x80, 0xff} {
				changed := bytes.Clone(der)
				changed[at] ^= change
				try("octet", at, changed)
			}
			try("without octet", at, slices.Delete(bytes.Clone(der), at, at+1))
			try("a zero before octet", at, slices.Insert(bytes.Clone(der), at, 0))
			if _, err := cms.ReadEnveloped(source(der[:at]), cms.ReadOptions{Keys: keys}); !errors.Is(err, cms.ErrMalformed) {
				t.Errorf("%s: the first %d octets: %v", name, at, err)
			}
		}
	}
}

// The same of a signature without attributes, and of one apart from its content.
func TestEveryOctetOfSigned(t *testing.T) {
	p, content := people()["p256"], text(60)
	bare := crafted{who: p, signatureAlg: alg(oidECDSASHA256)}.info(content)
	for name, der := range map[string][]byte{
		"without attributes": letter{content: content, certs: certificates(p), infos: [][]byte{bare}}.der(),
		"apart":              detached(t, content, cms.SignOptions{}, p),
	} {
		var apart cms.Source
		if name == "apart" {
			apart = source(content)
		}
		try := func(what string, at int, changed []byte) {
			s, err := cms.ReadSigned(source(changed), apart)
			if err != nil {
				return
			}
			for _, si := range s.Signers {
				if si.Err != nil {
					continue
				}
				if got, err := read(s); err != nil || !bytes.Equal(got, content) || !p.key.Public().(*ecdsa.PublicKey).Equal(si.Certificate.PublicKey) {
					t.Errorf("%s, %s %d: signed: %q, %v", name, what, at, got, err)
				}
			}
		}
		for at := range der {
			for _, change := range []byte{1, 0x20, 0x80} {
				changed := bytes.Clone(der)
				changed[at] ^= change
				try("octet", at, changed)
			}
			try("without octet", at, slices.Delete(bytes.Clone(der), at, at+1))
			if s, err := cms.ReadSigned(source(der[:at]), apart); err == nil {
				t.Errorf("%s: the first %d octets: %+v", name, at, s.Signers)
			}
		}
	}
}
