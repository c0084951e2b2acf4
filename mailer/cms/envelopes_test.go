package cms_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"countersign/mailer/cms"
	"countersign/mailer/cms/algorithm"
	"countersign/mailer/cms/ber"
	"countersign/mailer/cms/recipient"
)

// This file builds encrypted messages by hand, with the standard library's ciphers alone.

var (
	oidAuthEnveloped = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 23}
	oidAES256GCM     = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 46}
	oidChaCha        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 18}
	oidOAEP          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 7}
	oidKEM           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 13, 3}
	oidMLKEM768      = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, 2}

	contentKey = sha([]byte("content key"))
)

// parcel is an encrypted message made by hand.
type parcel struct {
	recipients [][]byte
	cipher     asn1.ObjectIdentifier // nil: AES-256-CBC
	nonce      []byte
	attrs      [][]byte // authenticated; nil: none
	content    []byte
	change     func(ciphertext, tag []byte) // after all else
	originator []byte                       // before the recipients
	unsafe     []byte                       // attributes that nothing protects, at the end
}

func (p parcel) der() source {
	kind, params, ciphertext, after := oidEnveloped, octets(make([]byte, 16)), []byte(nil), []byte(nil)
	block, err := aes.NewCipher(contentKey)
	must(err)
	switch {
	case p.cipher == nil:
		p.cipher = oidAES256CBC
		pad := 16 - len(p.content)%16
		ciphertext = append(bytes.Clone(p.content), bytes.Repeat([]byte{byte(pad)}, pad)...)
		cipher.NewCBCEncrypter(block, make([]byte, 16)).CryptBlocks(ciphertext, ciphertext)
	default:
		kind = oidAuthEnveloped
		aead, err := chacha20poly1305.New(contentKey)
		params = octets(p.nonce)
		if p.cipher.Equal(oidAES256GCM) {
			aead, err = cipher.NewGCMWithNonceSize(block, len(p.nonce))
			params = ber.Nest(ber.Sequence, octets(p.nonce), []byte{2, 1, 16})
		}
		must(err)
		var aad []byte
		if p.attrs != nil {
			aad, after = ber.SortedSet(p.attrs), ber.Nest(ber.Context+1, p.attrs...)
		}
		ciphertext = aead.Seal(nil, p.nonce, p.content, aad)
	}
	tag := ciphertext[len(ciphertext):]
	if kind.Equal(oidAuthEnveloped) {
		ciphertext, tag = ciphertext[:len(ciphertext)-16], bytes.Clone(ciphertext[len(ciphertext)-16:])
	}
	if p.change != nil {
		p.change(ciphertext, tag)
	}
	if len(tag) > 0 {
		after = append(after, octets(tag)...)
	}
	within := append(ber.AppendHeader(nil, ber.Context, false, int64(len(ciphertext))), ciphertext...)
	return ber.Nest(ber.Sequence, oid(kind), ber.Nest(ber.Context, ber.Nest(ber.Sequence, []byte{2, 1, 0}, p.originator,
		ber.Nest(ber.Set, p.recipients...),
		ber.Nest(ber.Sequence, oid(oidData), ber.Nest(ber.Sequence, oid(p.cipher), params), within), after, p.unsafe)))
}

// to is a RecipientInfo that honestly gives the content key.
func to(p person) []byte {
	list, err := recipient.Write(certificates(p), contentKey, recipient.Options{Rand: rand.Reader})
	must(err)
	return list[0]
}

// transport is a KeyTransRecipientInfo made by hand; id is nil for issuer and serial number.
func transport(p person, id, method, encrypted []byte) []byte {
	if id == nil {
		id = ber.Nest(ber.Sequence, p.cert.RawIssuer, append([]byte{2, byte(len(p.cert.SerialNumber.Bytes()))}, p.cert.SerialNumber.Bytes()...))
		if b := p.cert.SerialNumber.Bytes(); b[0]&0x80 != 0 {
			id = ber.Nest(ber.Sequence, p.cert.RawIssuer, append([]byte{2, byte(len(b) + 1), 0}, b...))
		}
	}
	return ber.Nest(ber.Sequence, []byte{2, 1, 0}, id, method, octets(encrypted))
}

func v15(p person, key []byte) []byte {
	//lint:ignore SA1019 RFC 8551, section 2.3: other programs still send it
	b, err := rsa.EncryptPKCS1v15(rand.Reader, p.key.Public().(*rsa.PublicKey), key)
	must(err)
	return b
}

// Every RecipientInfo that names one of our keys is tried, however often, until one fits.
func TestEveryRecipientIsTried(t *testing.T) {
	a, ec, content := people()["rsa"], unidentified(), text(1000)
	gone := errors.New("the card was removed")
	garbage := transport(a, nil, alg(oidRSA), fixedBytes(256))
	malformed := transport(a, nil, ber.Nest(ber.Sequence, oid(oidOAEP), []byte{0x30, 2, 5, 0}), v15(a, contentKey))
	unknown := transport(a, nil, alg(oidOther), fixedBytes(256))
	kem := ber.Nest(ber.Context+4, oid(oidKEM), ber.Nest(ber.Sequence, []byte{2, 1, 0}, transportID(a), alg(oidMLKEM768), octets(nil)))
	password := ber.Nest(ber.Context+3, []byte{2, 1, 0})
	shared := ber.Nest(ber.Context+2, []byte{2, 1, 4})
	byKey := transport(a, append([]byte{0x80, byte(len(a.cert.SubjectKeyId))}, a.cert.SubjectKeyId...), alg(oidRSA), v15(a, contentKey))
	bySubject := agreed(ec, ber.Nest(ber.Context, octets(keyID(ec))), algorithm.Identifier{
		OID: asn1.ObjectIdentifier{1, 3, 132, 1, 11, 1}, Params: alg(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 45}),
	}, nil)
	working := []cms.Key{a.opener(), ec.opener()}
	removed := []cms.Key{{Certificate: a.cert, Decrypter: &token{err: gone}}, ec.opener()}
	for _, c := range []struct {
		name       string
		recipients [][]byte
		keys       []cms.Key
		want       error
		says       string
	}{
		{"one", [][]byte{to(a)}, working, nil, ""},
		{"garbage, then good", [][]byte{garbage, to(a)}, working, nil, ""},
		{"good, then garbage", [][]byte{to(a), garbage}, working, nil, ""},
		{"every kind, then good", [][]byte{password, shared, kem, malformed, unknown, garbage, {5, 0}, to(a)}, working, nil, ""},
		{"refused 20 times, then good", append(slices.Repeat([][]byte{malformed}, 20), to(a)), working, nil, ""},
		{"by key identifier", [][]byte{byKey}, working, nil, ""},
		{"by the usual key identifier, expired", [][]byte{bySubject}, working, nil, ""},
		{"a key that fails, then another", [][]byte{to(a), to(ec)}, removed, nil, ""},
		{"a key that cannot agree", [][]byte{to(ec)}, []cms.Key{{Certificate: ec.cert, Exchanger: failing{ec.opener().Exchanger, gone}}}, cms.ErrKey, "removed"},
		{"a key that fails", [][]byte{to(a)}, removed, cms.ErrKey, "removed"},
		{"a key that fails, and one that is not ours", [][]byte{to(a), to(people()["rsa2"])}, removed, gone, "removed"},
		{"a key that fails beside what is refused", [][]byte{malformed, to(a), kem}, removed, cms.ErrKey, "removed"},
		{"malformed OAEP is not the older way", [][]byte{malformed}, working, cms.ErrMalformed, "OAEP"},
		{"an unknown way", [][]byte{unknown}, working, cms.ErrUnsupported, oidOther.String()},
		{"a key encapsulated for us", [][]byte{kem}, working, cms.ErrUnsupported, "ML-KEM-768"},
		{"a key encapsulated for another", [][]byte{kem}, working[1:], cms.ErrNoKey, ""},
		{"a password", [][]byte{password}, working, cms.ErrNoKey, "a password"},
		{"a shared key", [][]byte{shared}, working, cms.ErrNoKey, "a shared key"},
		{"nonsense", [][]byte{{5, 0}}, working, cms.ErrNoKey, "unreadable"},
		{"somebody else", [][]byte{to(people()["rsa2"])}, working, cms.ErrNoKey, ""},
		{"nobody", nil, working, cms.ErrNoKey, ""},
	} {
		for _, cipher := range []asn1.ObjectIdentifier{nil, oidAES256GCM} {
			e, err := cms.ReadEnveloped(parcel{recipients: c.recipients, cipher: cipher, nonce: make([]byte, 12), content: content}.der(),
				cms.ReadOptions{Keys: c.keys, Rand: fixed()})
			if !isError(err, c.want) || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s, %v: %v, want %v", c.name, cipher, err, c.want)
			}
			if err == nil && !bytes.Equal(readAll(t, e), content) {
				t.Errorf("%s, %v: other content", c.name, cipher)
			}
			if errors.Is(err, cms.ErrNoKey) && errors.Is(err, cms.ErrKey) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
}

// TestPaddingByChance: a key under which the padding fits is not yet the right one.
func TestPaddingByChance(t *testing.T) {
	a := people()["rsa"]
	for name, content := range map[string][]byte{
		"text": []byte("Content-Type: text/plain\r\n\r\nThe right one."),
		"CMS":  ber.Nest(ber.Sequence, oid(oidEnveloped), make([]byte, 100)),
		"none": {},
	} {
		p := parcel{content: content}
		var last []byte
		p.change = func(ciphertext, _ []byte) { last = bytes.Clone(ciphertext[max(0, len(ciphertext)-32):]) }
		p.der()
		chance := bytes.Clone(contentKey)
		for end := make([]byte, 16); end[15] != 1; chance[0]++ {
			if chance[0] == 255 {
				chance[1]++
			}
			block, err := aes.NewCipher(chance)
			must(err)
			block.Decrypt(end, last[len(last)-16:])
			if len(last) == 32 {
				end[15] ^= last[15]
			}
		}
		chance[0]--
		wrong, right := transport(a, nil, alg(oidRSA), v15(a, chance)), to(a)
		for _, c := range []struct {
			recipients [][]byte
			want       []byte
		}{{[][]byte{wrong, right}, content}, {[][]byte{right, wrong}, content}, {[][]byte{wrong, wrong, right, wrong}, content}} {
			p.recipients = c.recipients
			e, err := cms.ReadEnveloped(p.der(), cms.ReadOptions{Keys: []cms.Key{a.opener()}})
			if err != nil || !bytes.Equal(readAll(t, e), c.want) {
				t.Errorf("%s, %d recipients: %v", name, len(c.recipients), err)
			}
		}
		p.recipients = [][]byte{wrong, wrong} // where nothing is likely, what fits is taken
		if e, err := cms.ReadEnveloped(p.der(), cms.ReadOptions{Keys: []cms.Key{a.opener()}}); err != nil || !bytes.Equal(e.ContentKey, chance) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// failing is a key on a token that was removed.
type failing struct {
	ecdh.KeyExchanger
	err error
}

func (f failing) ECDH(*ecdh.PublicKey) ([]byte, error) { return nil, f.err }

func fixedBytes(n int) []byte {
	b := make([]byte, n)
	_, err := fixed().Read(b[1:])
	must(err)
	return b
}

// transportID names p by issuer and serial number.
func transportID(p person) []byte {
	der := transport(p, nil, nil, nil)
	return der[len(ber.AppendHeader(nil, ber.Sequence, true, int64(len(ber.Contents(der)))))+3 : len(der)-2]
}

// agreed is a KeyAgreeRecipientInfo made by hand, from an ephemeral key.
func agreed(p person, id []byte, scheme algorithm.Identifier, ukm []byte) []byte {
	theirs := p.opener().Exchanger
	ephemeral, err := theirs.Curve().GenerateKey(rand.Reader)
	must(err)
	secret, err := ephemeral.ECDH(theirs.PublicKey())
	must(err)
	agreement, err := scheme.Agreement()
	must(err)
	wrapped, err := agreement.Wrap(secret, ukm, contentKey)
	must(err)
	spki, err := x509.MarshalPKIXPublicKey(ephemeral.PublicKey())
	must(err)
	var material []byte
	if ukm != nil {
		material = ber.Nest(ber.Context+1, octets(ukm))
	}
	return ber.Nest(ber.Context+1, []byte{2, 1, 3}, ber.Nest(ber.Context, ber.Nest(ber.Context+1, ber.Contents(spki))), material,
		ber.Nest(ber.Sequence, oid(scheme.OID), scheme.Params), ber.Nest(ber.Sequence, ber.Nest(ber.Sequence, id, octets(wrapped))))
}

// Every key derivation and key wrap, on a curve of NIST and on Curve25519.
func TestEveryAgreement(t *testing.T) {
	content := text(100)
	seen := 0
	for name, scheme := range map[string]asn1.ObjectIdentifier{
		"ECDH SHA-1": {1, 3, 133, 16, 840, 63, 0, 2}, "ECDH SHA-224": {1, 3, 132, 1, 11, 0}, "ECDH SHA-256": {1, 3, 132, 1, 11, 1},
		"ECDH SHA-384": {1, 3, 132, 1, 11, 2}, "ECDH SHA-512": {1, 3, 132, 1, 11, 3},
		"ECDH SHA-1 ": {1, 3, 133, 16, 840, 63, 0, 3}, "ECDH SHA-224 ": {1, 3, 132, 1, 14, 0}, "ECDH SHA-256 ": {1, 3, 132, 1, 14, 1},
		"ECDH SHA-384 ": {1, 3, 132, 1, 14, 2}, "ECDH SHA-512 ": {1, 3, 132, 1, 14, 3}, "ECDH SHA-256  ": {1, 2, 840, 113549, 1, 9, 16, 3, 19},
		"ECDH SHA-384  ": {1, 2, 840, 113549, 1, 9, 16, 3, 20}, "ECDH SHA-512  ": {1, 2, 840, 113549, 1, 9, 16, 3, 21},
	} {
		for _, wrap := range []int{5, 25, 45} {
			for _, ukm := range [][]byte{nil, {}, []byte("material")} {
				for _, who := range []string{"p256", "p384", "p521", "x25519"} {
					p := people()[who]
					a := algorithm.Identifier{OID: scheme, Params: alg(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, wrap})}
					der := parcel{recipients: [][]byte{agreed(p, transportID(p), a, ukm)}, content: content}.der()
					e := readEnveloped(t, der, p)
					if !bytes.Equal(readAll(t, e), content) || e.KeyCipher != strings.TrimSpace(name) {
						t.Errorf("%s, wrap %d, %s: %+v", name, wrap, who, e)
					}
					seen++
				}
			}
		}
	}
	if seen != 13*3*3*4 {
		t.Errorf("%d", seen)
	}
	p := people()["p256"]
	for says, a := range map[string]algorithm.Identifier{
		"ECMQV":                         {OID: asn1.ObjectIdentifier{1, 3, 132, 1, 15, 1}, Params: alg(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 5})},
		"Diffie-Hellman":                {OID: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 5}},
		"RC2 key wrap":                  {OID: asn1.ObjectIdentifier{1, 3, 132, 1, 11, 1}, Params: alg(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 7})},
		"AES-256 key wrap with padding": {OID: asn1.ObjectIdentifier{1, 3, 132, 1, 11, 1}, Params: alg(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 48})},
	} {
		usual := algorithm.Identifier{OID: asn1.ObjectIdentifier{1, 3, 132, 1, 11, 1}, Params: alg(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 5})}
		info := agreed(p, transportID(p), usual, nil)
		whole := ber.Nest(ber.Sequence, oid(usual.OID), usual.Params)
		at := bytes.Index(info, whole)
		rest := append(bytes.Clone(ber.Contents(info)[:at-len(info)+len(ber.Contents(info))]), ber.Nest(ber.Sequence, oid(a.OID), a.Params)...)
		info = ber.Nest(ber.Context+1, rest, info[at+len(whole):])
		_, err := cms.ReadEnveloped(parcel{recipients: [][]byte{info}}.der(), cms.ReadOptions{Keys: []cms.Key{p.opener()}})
		if !errors.Is(err, cms.ErrUnsupported) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}

// Nonces of any length, and attributes that are authenticated with the content.
func TestAuthenticatedForms(t *testing.T) {
	p := people()["p256"]
	long := text(200_000)
	typ, other := attr(oidContentType, oid(oidData)), attr(oidContentType, oid(oidOther))
	more := attr(oidOther, octets([]byte("attributes")))
	for _, c := range []struct {
		name   string
		parcel parcel
		want   error
	}{
		{"a nonce of 1 octet", parcel{cipher: oidAES256GCM, nonce: []byte{1}, content: long}, nil},
		{"a nonce of 16", parcel{cipher: oidAES256GCM, nonce: make([]byte, 16), content: long}, nil},
		{"a nonce of 100", parcel{cipher: oidAES256GCM, nonce: make([]byte, 100), content: long, attrs: [][]byte{more, typ}}, nil},
		{"a nonce of 1025", parcel{cipher: oidAES256GCM, nonce: make([]byte, 1025), content: long}, cms.ErrUnsupported},
		{"attributes with GCM", parcel{cipher: oidAES256GCM, nonce: make([]byte, 12), attrs: [][]byte{more, typ}, content: long}, nil},
		{"attributes with ChaCha20", parcel{cipher: oidChaCha, nonce: make([]byte, 12), attrs: [][]byte{typ, more}, content: long}, nil},
		{"attributes of nothing with ChaCha20", parcel{cipher: oidChaCha, nonce: make([]byte, 12), attrs: [][]byte{}}, nil},
		{"another content type", parcel{cipher: oidChaCha, nonce: make([]byte, 12), attrs: [][]byte{other}, content: long}, cms.ErrAttributes},
		{"two of another kind", parcel{cipher: oidAES256GCM, nonce: make([]byte, 12), attrs: [][]byte{more, more}, content: long}, cms.ErrAttributes},
		{"two content types", parcel{cipher: oidAES256GCM, nonce: make([]byte, 12), attrs: [][]byte{typ, typ}, content: long}, cms.ErrAttributes},
		{"a damaged tag", parcel{cipher: oidChaCha, nonce: make([]byte, 12), attrs: [][]byte{typ}, content: long, change: func(_, tag []byte) { tag[3] ^= 1 }}, cms.ErrIntegrity},
		{"damaged content", parcel{cipher: oidChaCha, nonce: make([]byte, 12), attrs: [][]byte{typ}, content: long, change: func(c, _ []byte) { c[70_000] ^= 1 }}, cms.ErrIntegrity},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.parcel.recipients = [][]byte{to(p)}
			der := c.parcel.der()
			e, err := cms.ReadEnveloped(der, cms.ReadOptions{Keys: []cms.Key{p.opener()}})
			if !isError(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if err != nil {
				return
			}
			if !bytes.Equal(readAll(t, e), c.parcel.content) || !e.Authenticated {
				t.Error("other content")
			}
			for _, a := range c.parcel.attrs {
				changed := bytes.Clone(der)
				changed[bytes.LastIndex(der, a)+len(a)-1] ^= 1
				if e, err := cms.ReadEnveloped(source(changed), cms.ReadOptions{ContentKey: contentKey}); err == nil || e != nil && e.ContentKey != nil {
					t.Errorf("a changed attribute: %v", err)
				}
			}
		})
	}
}

// What nothing protects is passed over, and no more.
func TestUnprotected(t *testing.T) {
	p, content := people()["p256"], text(1000)
	originator := ber.Nest(ber.Context, ber.Nest(ber.Context, p.cert.Raw), ber.Nest(ber.Context+1, alg(oidOther)))
	attributes := [][]byte{attr(oidContentType, oid(oidOther)), attr(oidContentType, oid(oidOther)), octets(nil)}
	for name, c := range map[string]parcel{
		"CBC": {unsafe: ber.Nest(ber.Context+1, attributes...)},
		"GCM": {cipher: oidAES256GCM, nonce: make([]byte, 12), unsafe: ber.Nest(ber.Context+2, attributes...)},
	} {
		c.recipients, c.originator, c.content = [][]byte{to(p)}, originator, content
		if e := readEnveloped(t, c.der(), p); !bytes.Equal(readAll(t, e), content) {
			t.Errorf("%s: other content", name)
		}
		if c.cipher == nil {
			continue
		}
		c.unsafe = ber.Nest(ber.Context+1, attributes...) // as if they had been authenticated
		if _, err := cms.ReadEnveloped(c.der(), cms.ReadOptions{Keys: []cms.Key{p.opener()}}); err != nil {
			t.Errorf("%s: attributes behind the tag: %v", name, err)
		}
	}
}

// Ciphers that are not read are named.
func TestNamedCiphers(t *testing.T) {
	p := people()["p256"]
	for name, id := range map[string]asn1.ObjectIdentifier{
		"RC2":          {1, 2, 840, 113549, 3, 2},
		"RC4":          {1, 2, 840, 113549, 3, 4},
		"AES-CCM":      {2, 16, 840, 1, 101, 3, 4, 1, 47},
		"Camellia-128": {1, 2, 392, 200011, 61, 1, 1, 1, 2},
	} {
		kind := oidEnveloped
		if name == "AES-CCM" {
			kind = oidAuthEnveloped
		}
		der := ber.Nest(ber.Sequence, oid(kind), ber.Nest(ber.Context, ber.Nest(ber.Sequence, []byte{2, 1, 0}, ber.Nest(ber.Set, to(p)),
			ber.Nest(ber.Sequence, oid(oidData), alg(id), []byte{0x80, 0}))))
		e, err := cms.ReadEnveloped(source(der), cms.ReadOptions{Keys: []cms.Key{p.opener()}})
		if !errors.Is(err, cms.ErrUnsupported) || e == nil || !strings.Contains(err.Error(), name) || errors.Is(err, cms.ErrObsolete) != strings.HasPrefix(name, "RC") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Where content is damaged, what else is refused does not hide it.
func TestDamagedBesideRefused(t *testing.T) {
	a := people()["rsa"]
	for _, recipients := range [][][]byte{
		{to(a)}, {to(a), transport(a, nil, alg(oidOther), nil)}, {transport(a, nil, alg(oidOther), nil), to(a)},
	} {
		der := parcel{recipients: recipients, content: text(1000), change: func(c, _ []byte) { c[len(c)-17] ^= 0x55 }}.der()
		e, err := cms.ReadEnveloped(der, cms.ReadOptions{Keys: []cms.Key{a.opener()}})
		if err != nil || !errors.Is(second(read(e)), cms.ErrIntegrity) {
			t.Errorf("%d recipients: %v", len(recipients), err)
		}
	}
}
