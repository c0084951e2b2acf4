package smime_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/message/transfer"
	"countersign/mailer/smime"
)

// day is when the letters of these tests are written, in a zone east of Greenwich.
var day = time.Date(2026, 3, 3, 10, 12, 45, 0, time.FixedZone("", 3600))

// person is somebody with a certificate to sign (P-256) and one to encrypt (RSA).
type person struct {
	addr            string
	sign, encrypt   *x509.Certificate
	signKey         crypto.Signer
	decrypter       crypto.Decrypter
	signDER, encDER []byte // PKCS #8
}

// people makes the persons of the tests once. Their keys are the same in every
// process, so that a fuzzing worker can open what another one sealed.
var people = sync.OnceValue(func() map[string]*person {
	all := map[string]*person{}
	for i, name := range []string{"alice", "bob", "eve"} {
		p := &person{addr: name + "@clinic.example"}
		random := mathrand.NewChaCha8([32]byte{byte(i)})
		ec, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), some(random, 32))
		must(err)
		enc := &rsa.PrivateKey{Primes: []*big.Int{prime(random), prime(random)}}
		enc.E, enc.N = 65537, new(big.Int).Mul(enc.Primes[0], enc.Primes[1])
		one := big.NewInt(1)
		phi := new(big.Int).Mul(new(big.Int).Sub(enc.Primes[0], one), new(big.Int).Sub(enc.Primes[1], one))
		enc.D = new(big.Int).ModInverse(big.NewInt(65537), phi)
		must(enc.Validate())
		enc.Precompute()
		p.signKey, p.decrypter = ec, enc
		p.sign = certify(p.addr, int64(10*i+1), ec, x509.KeyUsageDigitalSignature)
		p.encrypt = certify(p.addr, int64(10*i+2), enc, x509.KeyUsageKeyEncipherment)
		p.signDER, err = x509.MarshalPKCS8PrivateKey(ec)
		must(err)
		p.encDER, err = x509.MarshalPKCS8PrivateKey(enc)
		must(err)
		all[name] = p
	}
	return all
})

func some(random *mathrand.ChaCha8, n int) []byte {
	b := make([]byte, n)
	_, err := random.Read(b)
	must(err)
	return b
}

func prime(random *mathrand.ChaCha8) *big.Int {
	for {
		b := some(random, 128)
		b[0] |= 0xc0
		b[127] |= 1
		if p := new(big.Int).SetBytes(b); p.ProbablyPrime(0) {
			return p
		}
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func certify(addr string, serial int64, key crypto.Signer, usage x509.KeyUsage) *x509.Certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: addr}, EmailAddresses: []string{addr},
		NotBefore: day.Add(-time.Hour), NotAfter: day.AddDate(10, 0, 0), KeyUsage: usage,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(err)
	cert, err := x509.ParseCertificate(der)
	must(err)
	return cert
}

func (p *person) keys() smime.Keys {
	return smime.Keys{Signer: cms.Signer{Key: p.signKey, Certificate: p.sign}, Encryption: p.encrypt}
}

func (p *person) opens() []cms.Key {
	return []cms.Key{{Certificate: p.encrypt, Decrypter: p.decrypter}}
}

// letter is one with everything that a letter can have.
func letter() smime.Letter {
	return smime.Letter{
		From:    message.Address{Name: "Dr Alice Ä. Andersson", Addr: "alice@clinic.example"},
		To:      []message.Address{{Name: "Bob Baker", Addr: "bob@clinic.example"}, {Name: "Zoë", Addr: "Zoe@Clinic.example"}},
		Cc:      []message.Address{{Name: "Records Office", Addr: "records@clinic.example"}},
		Subject: "Befund von Frau Müller", Date: day, MessageID: "<1.abc@clinic.example>",
		InReplyTo: "<0.abc@clinic.example>", References: []string{"<00.abc@clinic.example>", "<0.abc@clinic.example>"},
		AutoSubmitted: "auto-generated",
		Text:          "Dear Bob,\n\nFrom now on: Grüße.\n",
		Attachments: []smime.Attachment{
			{Name: "Müller.pdf", Type: "application/pdf", Content: message.Bytes("%PDF-1.7\r\n\x00\xff")},
			{Name: "scan.png", Type: "image/png", Inline: true, Content: message.Bytes(bytes.Repeat([]byte{1, 2, 3}, 1000))},
		},
	}
}

func seal(t testing.TB, l smime.Letter, from *person, to ...*person) message.Bytes {
	t.Helper()
	var certs []*x509.Certificate
	for _, p := range to {
		certs = append(certs, p.encrypt)
	}
	var b bytes.Buffer
	if err := smime.Seal(&b, l, from.keys(), certs, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(t testing.TB, src message.Source, keys []cms.Key) *smime.Opened {
	t.Helper()
	o, err := smime.Open(src, keys, smime.Options{Identify: true})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func read(t testing.TB, src message.Source) string {
	t.Helper()
	r, err := src.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// layers draws a message's layers on one line: "encrypted signed(valid)".
func layers(o *smime.Opened) string {
	var all []string
	for _, l := range o.Layers {
		s := string(l.Kind)
		if l.Err != nil {
			s += "(error)"
		} else if l.Signed != nil {
			var each []string
			for _, i := range l.Signed.Signers {
				if i.Err == nil {
					each = append(each, "valid")
				} else {
					each = append(each, "invalid")
				}
			}
			s += "(" + strings.Join(each, ",") + ")"
		}
		all = append(all, s)
	}
	return strings.Join(all, " ")
}

// shown is the text that a face would show: of the first text part of the payload.
func shown(t testing.TB, o *smime.Opened) string {
	t.Helper()
	found := ""
	if o.Payload == nil {
		return "(" + fmt.Sprint(o.Problem) + ")"
	}
	err := o.Payload.Walk(func(p *message.Part) error {
		if found == "" && strings.HasPrefix(p.Type, "text/") {
			s, err := p.Text(1 << 20)
			found = s
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Pieces for messages of other people's making. crlf keeps lines that have it.
func crlf(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
}

// outer is a header for an entity.
func outer(from, entity string) string {
	return crlf("From: "+from+"\nTo: bob@clinic.example\nSubject: outside\nDate: Tue, 3 Mar 2026 09:12:45 +0000\nMIME-Version: 1.0\n") + entity
}

func entity(kind, content string) string {
	return crlf("Content-Type: "+kind+"\nContent-Transfer-Encoding: base64\n\n") + wrapped([]byte(content))
}

func wrapped(b []byte) string {
	var out bytes.Buffer
	w := transfer.NewBase64Writer(&out)
	_, err := w.Write(b)
	must(err)
	must(w.Close())
	return out.String()
}

func textPart(s string) string { return crlf("Content-Type: text/plain; charset=utf-8\n\n" + s) }

func multipart(kind, boundary string, parts ...string) string {
	s := "Content-Type: multipart/" + kind + "; boundary=\"" + boundary + "\"\r\n\r\n"
	for _, p := range parts {
		s += "--" + boundary + "\r\n" + p + "\r\n"
	}
	return s + "--" + boundary + "--\r\n"
}

// signature is a detached signature of content, in DER.
func signature(p *person, content string) string {
	d, err := cms.NewDetached([]cms.Signer{{Key: p.signKey, Certificate: p.sign}}, cms.SignOptions{Time: day})
	must(err)
	_, err = io.WriteString(d, content)
	must(err)
	der, err := d.Finish()
	must(err)
	return string(der)
}

func signaturePart(der string) string {
	return entity("application/pkcs7-signature; name=smime.p7s", der)
}

// clearSigned is a multipart/signed of content by p.
func clearSigned(p *person, content string) string {
	return clearSignedWith(content, signature(p, content))
}

func clearSignedWith(content, der string) string {
	return multipart(`signed; protocol="application/pkcs7-signature"; micalg=sha-256`, fmt.Sprint("sig", len(content)), content, signaturePart(der))
}

// opaque encloses content in a signature by p.
func opaque(p *person, content string) string {
	var b bytes.Buffer
	w, err := cms.NewSigned(&b, int64(len(content)), []cms.Signer{{Key: p.signKey, Certificate: p.sign}}, cms.SignOptions{Time: day})
	must(err)
	_, err = io.WriteString(w, content)
	must(err)
	must(w.Close())
	return entity("application/pkcs7-mime; smime-type=signed-data; name=smime.p7m", b.String())
}

func envelope(content string, to ...*person) string {
	var b bytes.Buffer
	var certs []*x509.Certificate
	for _, p := range to {
		certs = append(certs, p.encrypt)
	}
	w, err := cms.NewEnveloped(&b, certs, cms.EncryptOptions{Size: int64(len(content))})
	must(err)
	_, err = io.WriteString(w, content)
	must(err)
	must(w.Close())
	return b.String()
}

func encrypted(content string, to ...*person) string {
	return entity("application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m", envelope(content, to...))
}

func parsePKCS8(der []byte) (crypto.Signer, error) {
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	s, ok := k.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%T does not sign", k)
	}
	return s, nil
}

// rfc9216Person has the keys of RFC 9216, sections 4 to 8: .1 and .2 sign, .3 and .4 encrypt.
func rfc9216Person(t testing.TB, dir, section, name string, key func(string) crypto.Signer) *person {
	t.Helper()
	certificate := func(file string) *x509.Certificate {
		block, _ := pem.Decode(readFile(t, filepath.Join(dir, file)))
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	p := &person{
		addr:    name + "@smime.example",
		sign:    certificate(section + ".1-" + name + "-s-signature-verification-end-entity-certificate.pem"),
		encrypt: certificate(section + ".3-" + name + "-s-encryption-end-entity-certificate.pem"),
		signKey: key(section + ".2-" + name + "-s-signing-private-key-material.pem"),
	}
	if p.encrypt.PublicKeyAlgorithm == x509.RSA {
		p.decrypter = key(section + ".4-" + name + "-s-decryption-private-key-material.pem").(crypto.Decrypter)
	}
	return p
}
