package cms_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"countersign/mailer/cms"
	"countersign/mailer/cms/ber"
)

var ciphers = []cms.Cipher{cms.AES256CBC, cms.AES192CBC, cms.AES128CBC, cms.AES256GCM, cms.AES192GCM, cms.AES128GCM, cms.ChaCha20Poly1305}

func TestEnvelopedRoundTrip(t *testing.T) {
	for _, cipher := range ciphers {
		for _, n := range sizes {
			for _, size := range []int64{int64(n), -1} {
				t.Run(fmt.Sprint(cipher, n, "/", size), func(t *testing.T) {
					a, b, content := people()["rsa"], people()["rsa2"], text(n)
					der := enveloped(t, content, cms.EncryptOptions{Cipher: cipher, Size: size}, a, b, a)
					e := readEnveloped(t, der, b)
					if e.Cipher != cipher.String() || e.KeyCipher != "RSA PKCS#1 v1.5" || e.Weak || e.Authenticated == strings.HasSuffix(e.Cipher, "CBC") || len(e.Recipients) != 2 || !e.Matched.Equal(b.cert) {
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
}

func TestRecipients(t *testing.T) {
	content := text(1000)
	var all []person
	for who, usual := range map[string]string{
		"rsa": "RSA PKCS#1 v1.5", "p256": "ECDH SHA-256", "p384": "ECDH SHA-384", "p521": "ECDH SHA-512", "x25519": "ECDH SHA-256",
	} {
		for _, cipher := range ciphers {
			for _, o := range []cms.EncryptOptions{{Cipher: cipher, Size: -1}, {Cipher: cipher, Size: 1000, OAEP: true, Derive: true}} {
				p := people()[who]
				e := readEnveloped(t, enveloped(t, content, o, p), p)
				want := usual
				if o.OAEP && who == "rsa" {
					want = "RSA-OAEP SHA-256"
				}
				if got := readAll(t, e); !bytes.Equal(got, content) || e.KeyCipher != want || strings.HasSuffix(e.Cipher, "HKDF") != o.Derive {
					t.Errorf("%s, %v: %d octets, %+v", who, cipher, len(got), e)
				}
			}
		}
		all = append(all, people()[who])
	}
	der := enveloped(t, content, cms.EncryptOptions{Size: -1}, all...)
	for _, p := range all {
		if e := readEnveloped(t, der, p); len(e.Recipients) != 5 || !bytes.Equal(readAll(t, e), content) {
			t.Errorf("%v among all: %+v", p.cert.Subject, e)
		}
	}
}

// A key agreed upon is wrapped with a check of its own, which may be told: it is no padding.
func TestDamagedAgreement(t *testing.T) {
	p := people()["p256"]
	der := enveloped(t, text(100), cms.EncryptOptions{Size: 100}, p)
	serial := bytes.LastIndex(der, p.cert.SerialNumber.Bytes())
	for _, at := range []int{8, 20, 40} { // behind the serial number stands the wrapped key
		changed := bytes.Clone(der)
		changed[serial+len(p.cert.SerialNumber.Bytes())+at] ^= 1
		if _, err := cms.ReadEnveloped(source(changed), cms.ReadOptions{Keys: []cms.Key{p.opener()}}); !errors.Is(err, cms.ErrIntegrity) {
			t.Errorf("octet %d: %v", at, err)
		}
	}
	point := bytes.Index(der, []byte{0x03, 0x42, 0x00, 0x04}) // the ephemeral key
	der[point+20] ^= 1
	if _, err := cms.ReadEnveloped(source(der), cms.ReadOptions{Keys: []cms.Key{p.opener()}}); !errors.Is(err, cms.ErrMalformed) {
		t.Errorf("a point off the curve: %v", err)
	}
}

func readEnveloped(t testing.TB, der []byte, who ...person) *cms.Enveloped {
	t.Helper()
	var keys []cms.Key
	for _, p := range who {
		keys = append(keys, p.opener())
	}
	e, err := cms.ReadEnveloped(source(der), cms.ReadOptions{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Whatever is wrong with encrypted content is told at its end, in one way.
func TestDamagedContent(t *testing.T) {
	rsa, content := people()["rsa"], text(200_000)
	for _, size := range []int64{int64(len(content)), -1} {
		der := enveloped(t, content, cms.EncryptOptions{Size: size, Rand: fixed()}, rsa)
		end := len(der)
		if size < 0 {
			end -= 12 // end-of-contents octets
		}
		for _, at := range []int{end - 1, end - 16, end - 17, end - 32} {
			changed := bytes.Clone(der)
			changed[at] ^= 0x55
			e := readEnveloped(t, changed, rsa)
			got, err := read(e)
			if !errors.Is(err, cms.ErrIntegrity) && at != end-32 {
				t.Errorf("octet %d from the end: %v", end-at, err)
			}
			if len(got) > len(content) {
				t.Errorf("octet %d from the end: %d octets", end-at, len(got))
			}
		}
	}
}

// An authenticated content that was changed is not even begun.
func TestDamagedSealedContent(t *testing.T) {
	rsa, content := people()["rsa"], text(200_000)
	for _, size := range []int64{int64(len(content)), -1} {
		der := enveloped(t, content, cms.EncryptOptions{Size: size, Cipher: cms.AES256GCM}, rsa)
		end := len(der)
		if size < 0 {
			end -= 6 // end-of-contents octets
		}
		for _, at := range []int{end - 1, end - 16, end - 40, end - 100_000} {
			changed := bytes.Clone(der)
			changed[at] ^= 1
			e, err := cms.ReadEnveloped(source(changed), cms.ReadOptions{Keys: []cms.Key{rsa.opener()}})
			if !errors.Is(err, cms.ErrIntegrity) || e == nil || e.ContentKey != nil {
				t.Errorf("octet %d from the end: %v", end-at, err)
			}
		}
	}
}

// Of a message that was cut off nobody reads a part and takes it for the whole.
func TestCutOff(t *testing.T) {
	p, content := people()["rsa"], text(70_000)
	for name, der := range map[string][]byte{
		"sealed DER":    enveloped(t, content, cms.EncryptOptions{Size: int64(len(content)), Cipher: cms.AES128GCM}, p),
		"sealed BER":    enveloped(t, content, cms.EncryptOptions{Size: -1, Cipher: cms.AES256GCM}, p),
		"encrypted DER": enveloped(t, content, cms.EncryptOptions{Size: int64(len(content))}, p),
		"encrypted BER": enveloped(t, content, cms.EncryptOptions{Size: -1}, p),
		"signed DER":    opaque(t, content, int64(len(content)), cms.SignOptions{}, p),
		"signed BER":    opaque(t, content, -1, cms.SignOptions{}, p),
		"detached":      detached(t, content, cms.SignOptions{}, p),
	} {
		for n := range der {
			if n > 500 && n < len(der)-40 && n%1009 != 0 {
				continue
			}
			err := open(source(der[:n]), source(content), p)
			if !errors.Is(err, cms.ErrMalformed) {
				t.Fatalf("%s: the first %d octets of %d: %v", name, n, len(der), err)
			}
		}
	}
}

// open reads a message of any kind to its end.
func open(src, content cms.Source, p person) error {
	kind, err := cms.ReadKind(src)
	if err != nil {
		return err
	}
	if kind != cms.KindSigned {
		e, err := cms.ReadEnveloped(src, cms.ReadOptions{Keys: []cms.Key{p.opener()}})
		if err == nil {
			_, err = read(e)
		}
		return err
	}
	s, err := cms.ReadSigned(src, nil)
	if err != nil {
		return err
	}
	if s.Detached {
		if s, err = cms.ReadSigned(src, content); err != nil {
			return err
		}
	}
	_, err = read(s)
	return err
}

func TestNoKey(t *testing.T) {
	a, b := people()["rsa"], people()["rsa2"]
	der := source(enveloped(t, text(100), cms.EncryptOptions{Size: 100}, a))
	for name, keys := range map[string][]cms.Key{"none": nil, "another": {b.opener()}, "no key in it": {{Certificate: a.cert}}} {
		e, err := cms.ReadEnveloped(der, cms.ReadOptions{Keys: keys})
		if !errors.Is(err, cms.ErrNoKey) || e == nil {
			t.Fatalf("%s: %v, %v", name, e, err)
		}
		if len(e.Recipients) != 1 || e.Cipher != "AES-256-CBC" || e.Matched != nil || e.Recipients[0].Serial.Cmp(a.cert.SerialNumber) != 0 {
			t.Errorf("%s: %+v", name, e)
		}
		if _, err := e.Open(); !errors.Is(err, cms.ErrNoKey) {
			t.Errorf("%s: opened: %v", name, err)
		}
	}
}

func TestContentKey(t *testing.T) {
	a, content := people()["rsa"], text(100_000)
	der := source(enveloped(t, content, cms.EncryptOptions{Size: -1}, a))
	key := readEnveloped(t, der, a).ContentKey
	e, err := cms.ReadEnveloped(der, cms.ReadOptions{ContentKey: key})
	if err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, e); !bytes.Equal(got, content) || e.Matched != nil || e.KeyCipher != "" {
		t.Errorf("%d octets; %+v", len(got), e)
	}
	if _, err := cms.ReadEnveloped(der, cms.ReadOptions{ContentKey: key[1:]}); !errors.Is(err, cms.ErrNoKey) {
		t.Errorf("with half a key: %v", err)
	}
	text, err := key.MarshalText()
	must(err)
	for _, s := range []string{fmt.Sprint(key), fmt.Sprintf("%x %v %+v %#v %s %q %d", key, key, key, key, key, key, key), fmt.Sprintf("%+v", *e), string(text)} {
		if bytes.Contains([]byte(s), fmt.Appendf(nil, "%x", []byte(key))) || !bytes.Contains([]byte(s), []byte("[secret]")) {
			t.Errorf("printed as %q", s)
		}
	}
}

// token is a key that cannot be had, only used.
type token struct {
	crypto.Decrypter
	err  error
	n    int
	used int
}

func (k *token) Decrypt(rand io.Reader, msg []byte, o crypto.DecrypterOpts) ([]byte, error) {
	k.used++
	if k.err != nil || k.n > 0 {
		return make([]byte, k.n), k.err
	}
	return k.Decrypter.Decrypt(rand, msg, o)
}

func TestTokens(t *testing.T) {
	a, content := people()["rsa"], text(1000)
	der := source(enveloped(t, content, cms.EncryptOptions{Size: -1, Rand: fixed()}, a))
	gone := errors.New("the card was removed")
	for _, c := range []struct {
		name       string
		token      token
		read, open error
	}{
		{"good", token{}, nil, nil},
		{"gone", token{err: gone}, gone, nil},
		{"that tells of bad padding", token{err: rsa.ErrDecryption}, nil, cms.ErrIntegrity},
		{"that gives back something short", token{n: 5}, nil, cms.ErrIntegrity},
		{"that gives back something long", token{n: 256}, nil, cms.ErrIntegrity},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.token.Decrypter = a.opener().Decrypter
			o := cms.ReadOptions{Keys: []cms.Key{{Certificate: a.cert, Decrypter: &c.token}}, Rand: fixed()}
			e, err := cms.ReadEnveloped(der, o)
			if !isError(err, c.read) {
				t.Fatalf("read: %v, want %v", err, c.read)
			}
			if err == nil && !isError(second(read(e)), c.open) {
				t.Errorf("opened: %v, want %v", second(read(e)), c.open)
			}
			if c.token.used != 1 {
				t.Errorf("asked %d times", c.token.used)
			}
		})
	}
}

func second[T any](_ T, err error) error { return err }

// Where an envelope names us twice, the way that works is found.
func TestEveryKeyIsTried(t *testing.T) {
	a, b, content := people()["rsa"], people()["rsa2"], text(1000)
	wrong := cms.Key{Certificate: a.cert, Decrypter: b.opener().Decrypter}
	gone := cms.Key{Certificate: a.cert, Decrypter: &token{err: errors.New("the card was removed")}}
	der := source(enveloped(t, content, cms.EncryptOptions{Size: -1}, a, b))
	for name, keys := range map[string][]cms.Key{
		"in order":     {a.opener(), b.opener()},
		"removed card": {gone, b.opener()},
	} {
		e, err := cms.ReadEnveloped(der, cms.ReadOptions{Keys: keys})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !bytes.Equal(readAll(t, e), content) {
			t.Errorf("%s: other content", name)
		}
	}
	opened := 0
	for range 20 { // the wrong key's random content key seems to fit once in 256 times
		e, err := cms.ReadEnveloped(der, cms.ReadOptions{Keys: []cms.Key{wrong, b.opener()}})
		if err == nil && second(read(e)) == nil && e.Matched.Equal(b.cert) {
			opened++
		}
	}
	if opened < 15 {
		t.Errorf("the right key was found %d times in 20", opened)
	}
	busy := &token{Decrypter: b.opener().Decrypter}
	many := slices.Repeat([]cms.Key{{Certificate: a.cert, Decrypter: busy}}, 100)
	if _, err := cms.ReadEnveloped(der, cms.ReadOptions{Keys: many}); err != nil || busy.used > 8 {
		t.Errorf("the token was asked %d times: %v", busy.used, err)
	}
}

// Whoever opens says which key is to be tried first: a card must not be asked for what
// another key opens, wherever in the list a sender puts it.
func TestKeysInTheirOrder(t *testing.T) {
	a, b := people()["rsa"], people()["rsa2"]
	der := source(enveloped(t, text(1000), cms.EncryptOptions{Size: -1}, a, b))
	for name, p := range map[string][2]person{"one": {a, b}, "the other": {b, a}} {
		onCard, inSoftware := p[0], p[1]
		card := &token{Decrypter: onCard.opener().Decrypter}
		keys := []cms.Key{inSoftware.opener(), {Certificate: onCard.cert, Decrypter: card}}
		if e, err := cms.ReadEnveloped(der, cms.ReadOptions{Keys: keys}); err != nil || !e.Matched.Equal(inSoftware.cert) || card.used != 0 {
			t.Errorf("%s: %v, the card was used %d times", name, err, card.used)
		}
	}
}

func TestEnvelopedLimits(t *testing.T) {
	build := func(recipients [][]byte, cipher []byte) source {
		return ber.Nest(ber.Sequence, oid(oidEnveloped), ber.Nest(ber.Context, ber.Nest(ber.Sequence,
			[]byte{2, 1, 0}, ber.Nest(ber.Set, recipients...),
			ber.Nest(ber.Sequence, oid(oidData), cipher, []byte{0x80, 0}))))
	}
	good := ber.Nest(ber.Sequence, oid(oidAES256CBC), octets(make([]byte, 16)))
	for _, c := range []struct {
		name string
		src  source
		want error
	}{
		{"recipients", build(slices.Repeat([][]byte{octets(nil)}, 1001), good), cms.ErrTooManyRecipients},
		{"octets", build([][]byte{octets(make([]byte, 1<<20))}, good), cms.ErrTooLarge},
		{"a cipher nobody knows", build(nil, alg(oidOther)), cms.ErrUnsupported},
		{"no initialisation vector", build(nil, alg(oidAES256CBC)), cms.ErrMalformed},
		{"half a one", build(nil, ber.Nest(ber.Sequence, oid(oidAES256CBC), octets(make([]byte, 15)))), cms.ErrMalformed},
		{"no cipher", build(nil, octets(nil)), cms.ErrMalformed},
		{"recipients that are none", build([][]byte{octets(nil), alg(oidOther), ber.Nest(ber.Context + 9)}, good), cms.ErrNoKey},
	} {
		if _, err := cms.ReadEnveloped(c.src, cms.ReadOptions{}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	_, err := cms.ReadEnveloped(source(detached(t, nil, cms.SignOptions{}, people()["rsa"])), cms.ReadOptions{})
	if !errors.Is(err, cms.ErrMalformed) {
		t.Errorf("a signature as an envelope: %v", err)
	}
}

func TestEncryptingRefuses(t *testing.T) {
	var out bytes.Buffer
	if _, err := cms.NewEnveloped(&out, nil, cms.EncryptOptions{}); err == nil {
		t.Error("encrypted to nobody")
	}
	if _, err := cms.NewEnveloped(&out, certificates(people()["rsa"], people()["rsa1024"]), cms.EncryptOptions{}); !errors.Is(err, cms.ErrWeak) {
		t.Errorf("to a short key: %v", err)
	}
	if _, err := cms.NewEnveloped(&out, certificates(people()["ed25519"]), cms.EncryptOptions{}); !errors.Is(err, cms.ErrUnsupported) {
		t.Errorf("to a signing key: %v", err)
	}
	if out.Len() > 0 {
		t.Error("wrote all the same")
	}
}

// A length announced is kept, or there is no message.
func TestAnnouncedSize(t *testing.T) {
	p := people()["rsa"]
	for name, begin := range map[string]func(io.Writer) (io.WriteCloser, error){
		"encrypting": func(w io.Writer) (io.WriteCloser, error) {
			return cms.NewEnveloped(w, certificates(p), cms.EncryptOptions{Size: 10})
		},
		"signing": func(w io.Writer) (io.WriteCloser, error) {
			return cms.NewSigned(w, 10, []cms.Signer{p.signer()}, cms.SignOptions{})
		},
	} {
		w, err := begin(io.Discard)
		must(err)
		if _, err := w.Write(make([]byte, 11)); err == nil {
			t.Errorf("%s: more was taken", name)
		}
		if w, err = begin(io.Discard); err == nil {
			w.Write(make([]byte, 9))
			err = w.Close()
		}
		if err == nil {
			t.Errorf("%s: less was taken", name)
		}
		if w, err = begin(io.Discard); err == nil {
			w.Write(make([]byte, 10))
			err = w.Close()
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := w.Write(nil); err == nil {
			t.Errorf("%s: written to after its end", name)
		}
	}
}
