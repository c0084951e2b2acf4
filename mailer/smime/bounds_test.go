package smime_test

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/smime"
)

// counted is a message that counts what is read of it.
type counted struct {
	message.Bytes
	read *int64
}

func (c counted) Open() (io.ReadCloser, error) {
	r, err := c.Bytes.Open()
	return io.NopCloser(struct{ io.Reader }{io.TeeReader(r, counter{c.read})}), err
}

type counter struct{ n *int64 }

func (c counter) Write(p []byte) (int, error) {
	*c.n += int64(len(p))
	return len(p), nil
}

// crowd is SignedData with n copies of a certificate in it, and of nothing else.
func crowd(n int) string {
	tlv := func(class, tag int, content ...[]byte) []byte {
		der, err := asn1.Marshal(asn1.RawValue{Class: class, Tag: tag, IsCompound: true, Bytes: bytes.Join(content, nil)})
		must(err)
		return der
	}
	oid := func(last int) []byte {
		der, err := asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, last})
		must(err)
		return der
	}
	certificates := bytes.Repeat(people()["eve"].sign.Raw, n)
	return string(tlv(0, 16, oid(2), tlv(2, 0, tlv(0, 16, []byte{2, 1, 1}, tlv(0, 17), tlv(0, 16, oid(1)), tlv(2, 0, certificates), tlv(0, 17)))))
}

// TestBounds: what is made to cost much is refused by name, or costs little. All that is
// allocated on the way counts, also what was freed since, and stays below 64 MB.
func TestBounds(t *testing.T) {
	alice, bob, eve := people()["alice"], people()["bob"], people()["eve"]
	signed := func(inside string) string { return clearSigned(alice, inside) }
	deep := func(n int, layer func(string) string) string {
		e := textPart("x")
		for range n {
			e = layer(e)
		}
		return e
	}
	everyone := make([]*person, 300)
	for i := range everyone {
		everyone[i] = eve
	}
	compressed := func(e string) string { return entity("application/pkcs7-mime", compress(e)) }
	fill := func(s string, n int) string { return strings.Repeat(s, n/len(s)) }
	for name, c := range map[string]struct {
		entity  string
		problem error // nil: it is described
		passes  int64 // how often as much as there is may be read
	}{
		"10,000 parts":                   {multipart("mixed", "m", strings.Split(fill("\r\n,", 30_000), ",")...), message.ErrLimit, 4},
		"10,000 parts, signed":           {signed(multipart("mixed", "m", strings.Split(fill("\r\n,", 30_000), ",")...)), message.ErrLimit, 8},
		"10,000 parts, encrypted":        {encrypted(multipart("mixed", "m", strings.Split(fill("\r\n,", 30_000), ",")...), bob), message.ErrLimit, 8},
		"10,000 fields":                  {encrypted(fill("X: y\r\n", 66_000)+textPart("x"), bob), message.ErrLimit, 8},
		"10,000 parameters":              {"Content-Type: multipart/signed" + fill("; a=b", 60_000) + "\r\n\r\n", message.ErrLimit, 4},
		"3 MiB of header":                {encrypted("Subject: "+fill("x", 3<<20)+"\r\n\r\n", bob), message.ErrLimit, 8},
		"a micalg without end":           {strings.Replace(signed(textPart("x")), "sha-256", `"`+fill("sha-256,", 1<<20)+`"`, 1), nil, 6},
		"a protocol without end":         {strings.Replace(signed(textPart("x")), "micalg", "x="+fill("x", 1<<20)+"; micalg", 1), nil, 6},
		"20 signatures, each inside":     {deep(20, signed), smime.ErrLimit, 12},
		"20 opaque ones":                 {deep(20, func(e string) string { return opaque(alice, e) }), smime.ErrLimit, 20},
		"20 envelopes":                   {deep(20, func(e string) string { return encrypted(e, bob) }), smime.ErrLimit, 12},
		"20 compressions":                {deep(20, compressed), smime.ErrLimit, 12},
		"50 multiparts around":           {deep(50, func(e string) string { return multipart("mixed", fmt.Sprint("m.", len(e), "."), e) }), nil, 4},
		"40 MiB out of 40 KiB":           {compressed(head("Content-Type: application/x") + fill("x", 40<<20)), nil, 12},
		"2,000 certificates":             {opaqueOf(crowd(2000)), cms.ErrTooManyCertificates, 8},
		"300 recipients":                 {encrypted(textPart("x"), everyone...), smime.ErrNoKey, 8},
		"10 MiB that is no CMS":          {entity("application/pkcs7-mime", fill("x", 10<<20)), smime.ErrDamaged, 4},
		"10 MiB of base64 in base64":     {entity("application/pkcs7-mime", wrapped([]byte(wrapped([]byte(fill("x", 5<<20)))))), smime.ErrDamaged, 4},
		"10 MiB of a PEM line":           {head("Content-Type: application/pkcs7-mime") + "-----BEGIN " + fill("x", 10<<20), smime.ErrDamaged, 4},
		"10 MiB of hyphens":              {head("Content-Type: application/pkcs7-mime") + fill("-----\r\n", 10<<20), smime.ErrDamaged, 4},
		"10 MiB in place of a signature": {multipart(`signed; protocol="application/pkcs7-signature"`, "s", textPart("x"), signaturePart(fill("x", 10<<20))), nil, 6},
		"a CMS that is all beginnings":   {entity("application/pkcs7-mime", "\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02\xa0\x80"+fill("\x30\x80", 1<<20)), smime.ErrDamaged, 8},
		"10,000 fields, protected":       {signed(fill("X: y\r\n", 50_000) + textPartWith("; hp=clear", "x")), nil, 8},
	} {
		t.Run(name, func(t *testing.T) {
			raw := []byte(outer("alice@clinic.example", c.entity))
			var read int64
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			o, err := smime.Open(counted{raw, &read}, bob.opens(), smime.Options{})
			runtime.ReadMemStats(&after)
			if err != nil || !errors.Is(o.Problem, c.problem) {
				t.Fatalf("%v, %v; want %v", err, o.Problem, c.problem)
			}
			if (o.Payload == nil) != (c.problem != nil) {
				t.Error("a payload and a problem")
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 64_000_000 {
				t.Errorf("%d bytes were allocated for %d", n, len(raw))
			}
			if read > c.passes*int64(len(raw)) {
				t.Errorf("%d bytes were read of %d: %.1f times", read, len(raw), float64(read)/float64(len(raw)))
			}
		})
	}
}
