package smime_test

import (
	"bytes"
	"compress/zlib"
	"crypto"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"countersign/mailer/cms"
	"countersign/mailer/message"
	"countersign/mailer/smime"
)

// TestForms opens messages in every form that is in use.
func TestForms(t *testing.T) {
	alice, bob, eve := people()["alice"], people()["bob"], people()["eve"]
	inside := textPart("hello")
	der := func(e string) string { // the CMS object in an entity
		p, err := message.Parse(message.Bytes(e), message.Limits{})
		must(err)
		return read(t, opener{p})
	}
	signedDER, envDER := der(opaque(alice, inside)), envelope(inside, bob)
	for _, c := range []struct{ name, entity, layers, text string }{
		{"plain", inside, "", "hello"},
		{"multipart/signed", clearSigned(alice, inside), "signed(valid)", "hello"},
		{"opaque", opaque(alice, inside), "signed(valid)", "hello"},
		{"enveloped", encrypted(inside, bob), "encrypted", "hello"},
		{"several recipients", encrypted(inside, alice, eve, bob), "encrypted", "hello"},
		{"signed, then encrypted", encrypted(clearSigned(alice, inside), bob), "encrypted signed(valid)", "hello"},
		{"signed opaque, then encrypted", encrypted(opaque(alice, inside), bob), "encrypted signed(valid)", "hello"},
		{"encrypted, then signed", clearSigned(alice, encrypted(inside, bob)), "signed(valid) encrypted", "hello"},
		{"wrapped three times", clearSigned(eve, encrypted(clearSigned(alice, inside), bob)), "signed(valid) encrypted signed(valid)", "hello"},
		{"encrypted twice", encrypted(encrypted(inside, bob), bob), "encrypted encrypted", "hello"},
		{"signed twice", clearSigned(eve, clearSigned(alice, inside)), "signed(valid) signed(valid)", "hello"},
		{"old names", entity("application/x-pkcs7-mime; name=smime.p7m", envDER), "encrypted", "hello"},
		{"old signature name", strings.ReplaceAll(clearSigned(alice, inside), "application/pkcs7-signature", "application/x-pkcs7-signature"), "signed(valid)", "hello"},
		{"octets by name", entity(`application/octet-stream; name="SMIME.P7M"`, envDER), "encrypted", "hello"},
		{"octets by file name", crlf("Content-Type: application/octet-stream\nContent-Disposition: attachment; filename=smime.p7m\nContent-Transfer-Encoding: base64\n\n") + wrapped([]byte(signedDER)), "signed(valid)", "hello"},
		{"signature as octets", strings.ReplaceAll(clearSigned(alice, inside), "application/pkcs7-signature; name", "application/octet-stream; name"), "signed(valid)", "hello"},
		{"no protocol", strings.ReplaceAll(clearSigned(alice, inside), `protocol="application/pkcs7-signature"; `, ""), "signed(valid)", "hello"},
		{"strange micalg", strings.ReplaceAll(clearSigned(alice, inside), "sha-256", "x-none"), "signed(valid)", "hello"},
		{"wrong smime-type", entity("application/pkcs7-mime; smime-type=signed-data", envDER), "encrypted", "hello"},
		{"opaque under the signature's name", entity("application/pkcs7-signature", signedDER), "signed(valid)", "hello"},
		{"no encoding said", crlf("Content-Type: application/pkcs7-mime; name=smime.p7m\n\n") + wrapped([]byte(envDER)), "encrypted", "hello"},
		{"binary", "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\nContent-Transfer-Encoding: binary\r\n\r\n" + envDER, "encrypted", "hello"},
		{"long lines", crlf("Content-Type: application/pkcs7-mime\nContent-Transfer-Encoding: base64\n\n") + base64.StdEncoding.EncodeToString([]byte(envDER)), "encrypted", "hello"},
		{"compressed", entity("application/pkcs7-mime; smime-type=compressed-data", compress(inside)), "compressed", "hello"},
		{"compressed, then signed", clearSigned(alice, entity("application/pkcs7-mime", compress(inside))), "signed(valid) compressed", "hello"},
		{"signed, compressed, encrypted", encrypted(entity("application/pkcs7-mime", compress(clearSigned(alice, inside))), bob), "encrypted compressed signed(valid)", "hello"},
		{"no MIME inside", encrypted("just some words\r\n", bob), "encrypted", "just some words\n"},
		{"empty inside", encrypted("", bob), "encrypted", ""},
		{"a file that has only the name", crlf("Content-Type: application/octet-stream; name=notes.p7m\n\nhello"), "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := open(t, message.Bytes(outer("alice@clinic.example", c.entity)), bob.opens())
			if o.Problem != nil || layers(o) != c.layers || shown(t, o) != c.text {
				t.Errorf("%s %q, want %s %q; %v", layers(o), shown(t, o), c.layers, c.text, o.Problem)
			}
			if o.Outer.Get("Subject") != "outside" || o.Header.Get("Subject") != "outside" || len(o.Protected) > 0 {
				t.Error("the header is not protected, and shown so", o.Protected)
			}
			if (o.ContentKey != nil) != strings.Contains(c.layers, "encrypted") {
				t.Error("content key")
			}
		})
	}
}

// TestLineBreaksOnTheWay: a message kept with LF verifies in its canonical form, and what is
// shown is what was signed. A changed one doesn't.
func TestLineBreaksOnTheWay(t *testing.T) {
	raw := outer("alice@clinic.example", clearSigned(people()["alice"], textPart("one\ntwo\n")))
	o := open(t, message.Bytes(strings.ReplaceAll(raw, "\r\n", "\n")), nil)
	if layers(o) != "signed(valid)" || read(t, o.Payload.Entity()) != textPart("one\ntwo\n") {
		t.Errorf("%s, %q", layers(o), read(t, o.Payload.Entity()))
	}
	changed := strings.ReplaceAll(strings.ReplaceAll(raw, "\r\n", "\n"), "two", "2")
	if o := open(t, message.Bytes(changed), nil); layers(o) != "signed(invalid)" {
		t.Error(layers(o))
	}
}

// TestHeaderProtection reads headers by RFC 9788 and by RFC 8551.
func TestHeaderProtection(t *testing.T) {
	alice, bob := people()["alice"], people()["bob"]
	fields := crlf("From: Alice <alice@clinic.example>\nSubject: inside\nX-Note: a\n")
	hp := func(v string) string { return fields + textPartWith("; hp="+v, "hello") }
	wrapper := crlf("Content-Type: message/rfc822\n\n")
	for _, c := range []struct {
		name, entity, subject string
		protected             string
		confidential          string
	}{
		{"none", encrypted(clearSigned(alice, textPart("hello")), bob), "outside", "", ""},
		{"cipher", encrypted(clearSigned(alice, crlf("HP-Outer: Subject: outside\nHP-Outer: From: Alice <alice@clinic.example>\n")+hp("cipher")), bob), "inside", "From Subject X-Note", "Subject X-Note"},
		{"clear", clearSigned(alice, hp(`"clear"`)), "inside", "From Subject X-Note", ""},
		{"encrypted only", encrypted(hp("cipher"), bob), "inside", "From Subject X-Note", "From Subject X-Note"},
		{"unknown value", clearSigned(alice, hp("soft")), "outside", "", ""},
		{"no layer", hp("clear"), "outside", "", ""},
		{"deeper than the payload", clearSigned(alice, multipart("mixed", "m", hp("cipher"))), "outside", "", ""},
		{"wrapped", clearSigned(alice, wrapper+fields+textPart("hello")), "inside", "From Subject X-Note", ""},
		{"wrapped, encrypted", encrypted(opaque(alice, wrapper+fields+textPart("hello")), bob), "inside", "From Subject X-Note", "From Subject X-Note"},
		{"wrapped and marked", clearSigned(alice, wrapper+hp("clear")), "outside", "", ""},
		{"wrapped S/MIME", clearSigned(alice, wrapper+fields+clearSigned(alice, textPart("x"))), "outside", "", ""},
		{"a forwarded message beside text", clearSigned(alice, multipart("mixed", "m", textPart("see below"), wrapper+fields+textPart("hello"))), "outside", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := c.entity
			raw := outer("alice@clinic.example", e)
			if c.name == "no layer" {
				raw = crlf("Subject: outside\n") + textPartWith("; hp=clear", "hello")
			}
			o := open(t, message.Bytes(raw), bob.opens())
			if got := o.Header.Get("Subject"); got != c.subject || o.Problem != nil {
				t.Errorf("Subject %q, want %q; %v", got, c.subject, o.Problem)
			}
			if got := strings.Join(o.Protected, " "); got != c.protected {
				t.Errorf("protected %q, want %q", got, c.protected)
			}
			if got := strings.Join(o.Confidential, " "); got != c.confidential {
				t.Errorf("confidential %q, want %q", got, c.confidential)
			}
			if o.Header.Has("HP-Outer") || o.Header.Has("Content-Type") && len(o.Protected) > 0 {
				t.Error("fields of the structure are shown", o.Header.Fields)
			}
			if c.protected != "" && o.Header.Has("To") {
				t.Error("an unprotected field was mixed in")
			}
		})
	}
}

func textPartWith(params, s string) string {
	return strings.Replace(textPart(s), "; charset=utf-8", "; charset=utf-8"+params, 1)
}

// TestProblems: each thing that can stand in the way has its own error.
func TestProblems(t *testing.T) {
	alice, bob := people()["alice"], people()["bob"]
	signed := clearSigned(alice, textPart("hello"))
	deep := textPart("hello")
	for range 9 {
		deep = clearSigned(alice, deep)
	}
	env := envelope(strings.Repeat("hello ", 100_000), bob)
	for _, c := range []struct {
		name, entity string
		problem      error
		layers       string
	}{
		{"another's", encrypted(textPart("hello"), alice), smime.ErrNoKey, "encrypted(error)"},
		{"another's, signed outside", clearSigned(alice, encrypted(textPart("hello"), alice)), smime.ErrNoKey, "signed(valid) encrypted(error)"},
		{"no CMS", entity("application/pkcs7-mime; smime-type=enveloped-data", "hello"), smime.ErrDamaged, "encrypted(error)"},
		{"no CMS, says signed", entity("application/pkcs7-mime; smime-type=signed-data", "hello"), smime.ErrDamaged, "signed(error)"},
		{"empty", entity("application/pkcs7-mime", ""), smime.ErrDamaged, "encrypted(error)"},
		{"cut short", entity("application/pkcs7-mime", env[:len(env)/2]), smime.ErrDamaged, "encrypted(error)"},
		{"last block changed", entity("application/pkcs7-mime", env[:len(env)-1]+string(env[len(env)-1]^1)), smime.ErrDamaged, "encrypted(error)"},
		{"signature alone", entity("application/pkcs7-mime; smime-type=signed-data", signature(alice, "x")), smime.ErrNoContent, "signed(error)"},
		{"layers without end", deep, smime.ErrLimit, strings.TrimSuffix(strings.Repeat("signed(valid) ", 4)+"signed(error)", " ")},
		{"compressed", entity("application/pkcs7-mime; smime-type=compressed-data", compressed), smime.ErrUnsupported, "compressed(error)"},
		{"too many parts", multipart("mixed", "m", slices.Repeat([]string{"\r\n"}, 1001)...), smime.ErrLimit, ""},
		{"too many parts, signed", clearSigned(alice, multipart("mixed", "m", slices.Repeat([]string{"\r\n"}, 1001)...)), smime.ErrLimit, "signed(error)"},
		{"signature damaged", strings.Replace(signed, "MII", "AII", 1), nil, "signed(error)"},
		{"signature empty", clearSignedWith(textPart("hello"), ""), nil, "signed(error)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := open(t, message.Bytes(outer("alice@clinic.example", c.entity)), bob.opens())
			if !errors.Is(o.Problem, c.problem) || layers(o) != c.layers {
				t.Errorf("%s: %v, want %s: %v", layers(o), o.Problem, c.layers, c.problem)
			}
			if (o.Payload == nil) != (c.problem != nil) {
				t.Error("a payload and a problem exclude each other")
			}
			if o.Outer.Get("Subject") != "outside" || o.Root == nil {
				t.Error("the outer header is shown in any case")
			}
			if o.Problem != nil && o.ContentKey != nil && !strings.Contains(layers(o), "encrypted ") {
				t.Error("the content key of an envelope that was not opened is given out")
			}
		})
	}
}

// compress makes CompressedData (RFC 3274).
func compress(content string) string {
	var deflated bytes.Buffer
	w := zlib.NewWriter(&deflated)
	_, err := io.WriteString(w, content)
	must(err)
	must(w.Close())
	type info struct {
		Type    asn1.ObjectIdentifier
		Content []byte `asn1:"explicit,tag:0"`
	}
	type data struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Info      info
	}
	pkcs9 := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16}
	der, err := asn1.Marshal(struct {
		Type asn1.ObjectIdentifier
		Data data `asn1:"explicit,tag:0"`
	}{append(pkcs9[:7:7], 1, 9), data{0, pkix.AlgorithmIdentifier{Algorithm: append(pkcs9[:7:7], 3, 8)},
		info{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}, deflated.Bytes()}}})
	must(err)
	return string(der)
}

// compressed begins as CompressedData does (RFC 3274).
const compressed = "\x30\x1b\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x09\xa0\x0c\x30\x0a\x02\x01\x00\x30\x05\x06\x03\x2a\x03\x04"

// locked is a key on a token that is locked.
type locked struct{ public crypto.PublicKey }

var errLocked = errors.New("the card is locked")

func (l locked) Public() crypto.PublicKey { return l.public }
func (locked) Decrypt(io.Reader, []byte, crypto.DecrypterOpts) ([]byte, error) {
	return nil, errLocked
}

func TestKeyThatCannotBeUsed(t *testing.T) {
	bob := people()["bob"]
	raw := seal(t, letter(), people()["alice"], bob)
	o := open(t, raw, []cms.Key{{Certificate: bob.encrypt, Decrypter: locked{bob.encrypt.PublicKey}}})
	if !errors.Is(o.Problem, smime.ErrKey) || !errors.Is(o.Problem, errLocked) || layers(o) != "encrypted(error)" {
		t.Errorf("%s, %v", layers(o), o.Problem)
	}
}

// failingSource gives the first bytes of a message and then an error of the disk.
type failingSource struct {
	raw []byte
	err error
}

func (f failingSource) Open() (io.ReadCloser, error) {
	return io.NopCloser(io.MultiReader(bytes.NewReader(f.raw), errReader{f.err})), nil
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

func TestErrorsOfTheDiskAreNotOfTheMessage(t *testing.T) {
	raw := seal(t, letter(), people()["alice"], people()["bob"])
	broken := errors.New("the disk is gone")
	for _, n := range []int{0, 100, 1000, len(raw) - 10} {
		_, err := smime.Open(failingSource{raw[:n], broken}, people()["bob"].opens(), smime.Options{})
		if !errors.Is(err, broken) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

// TestLarge opens a message larger than what is kept in memory, and takes its parts
// in any order and more than once.
func TestLarge(t *testing.T) {
	bob := people()["bob"]
	l := letter()
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	l.Attachments = append(l.Attachments, smime.Attachment{Name: "large.bin", Type: "application/octet-stream", Content: message.Bytes(large)})
	o := open(t, seal(t, l, people()["alice"], bob), bob.opens())
	if o.Problem != nil || layers(o) != "encrypted signed(valid)" {
		t.Fatal(o.Problem, layers(o))
	}
	for range 2 {
		if got := read(t, opener{o.Payload.Parts[3]}); got != string(large) {
			t.Errorf("%d bytes came back", len(got))
		}
		if got := shown(t, o); got != l.Text {
			t.Errorf("%q", got)
		}
	}
}
