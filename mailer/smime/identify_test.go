package smime_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"countersign/mailer/message"
	"countersign/mailer/smime"
)

// head is a header of fields that say how to read what follows.
func head(lines ...string) string { return crlf(strings.Join(lines, "\n") + "\n\n") }

// Test8551_3_10_Identifying: by the media type, or by the end of either name.
func Test8551_3_10_Identifying(t *testing.T) {
	alice, bob := people()["alice"], people()["bob"]
	inside := textPart("hello")
	env, signed := envelope(inside, bob), cmsOf(opaque(alice, inside))
	b64 := "Content-Transfer-Encoding: base64"
	for _, c := range []struct{ name, entity, layers string }{
		{"application/pkcs7-mime", head("Content-Type: application/pkcs7-mime", b64) + wrapped([]byte(env)), "encrypted"},
		{"application/x-pkcs7-mime", head("Content-Type: application/x-pkcs7-mime", b64) + wrapped([]byte(env)), "encrypted"},
		{"upper case", head("CONTENT-TYPE: APPLICATION/PKCS7-MIME; SMIME-TYPE=ENVELOPED-DATA", "content-transfer-ENCODING: BASE64") + wrapped([]byte(env)), "encrypted"},
		{"comments", head("Content-Type: (a) application/pkcs7-mime (b (c)); (d) smime-type (e) = (f) enveloped-data", b64+" (g)") + wrapped([]byte(env)), "encrypted"},
		{"quoted parameters", head(`Content-Type: application/pkcs7-mime; smime-type="enveloped-data"; name="smime.p7m"`, b64) + wrapped([]byte(env)), "encrypted"},
		{"folded", head("Content-Type:\n application/pkcs7-mime;\n\tsmime-type=enveloped-data;\n name=smime.p7m", b64) + wrapped([]byte(env)), "encrypted"},
		{"continued parameters", head("Content-Type: application/pkcs7-mime; smime-type*0=enveloped; smime-type*1=-data", b64) + wrapped([]byte(env)), "encrypted"},
		{"smime-type missing", head("Content-Type: application/pkcs7-mime; name=smime.p7m", b64) + wrapped([]byte(signed)), "signed(valid)"},
		{"smime-type of another", head("Content-Type: application/pkcs7-mime; smime-type=enveloped-data", b64) + wrapped([]byte(signed)), "signed(valid)"},
		{"smime-type unknown", head("Content-Type: application/pkcs7-mime; smime-type=x-other", b64) + wrapped([]byte(env)), "encrypted"},
		{"opaque under the signature's type", head("Content-Type: application/x-pkcs7-signature; name=smime.p7s", b64) + wrapped([]byte(signed)), "signed(valid)"},
		{"octets named .p7m", head("Content-Type: application/octet-stream; name=SMIME.P7M", b64) + wrapped([]byte(env)), "encrypted"},
		{"octets whose file is .p7m", head("Content-Type: application/octet-stream", `Content-Disposition: attachment; filename="letter.p7m"`, b64) + wrapped([]byte(env)), "encrypted"},
		{"octets of two names", head("Content-Type: application/octet-stream; name=smime.p7m", `Content-Disposition: attachment; filename=letter.dat`, b64) + wrapped([]byte(env)), "encrypted"},
		{"octets named .p7s", head("Content-Type: application/octet-stream; name=smime.p7s", b64) + wrapped([]byte(signed)), "signed(valid)"},
		{"octets named .p7z", head("Content-Type: application/octet-stream; name=smime.p7z", b64) + wrapped([]byte(compress(inside))), "compressed"},
		{"octets named .p7c, with a message", head("Content-Type: application/octet-stream; name=smime.p7c", b64) + wrapped([]byte(signed)), "signed(valid)"},
		{"octets without a name", head("Content-Type: application/octet-stream", b64) + wrapped([]byte(env)), ""},
		{"another type with the name", head("Content-Type: application/pdf; name=smime.p7m", b64) + wrapped([]byte(env)), ""},
		{"octets with the name that are none", head("Content-Type: application/octet-stream; name=smime.p7m", b64) + wrapped([]byte("a file")), ""},
		{"text with the name", head("Content-Type: text/plain; name=smime.p7m", b64) + wrapped([]byte(env)), ""},

		{"encoding not said", head("Content-Type: application/pkcs7-mime") + wrapped([]byte(env)), "encrypted"},
		{"encoding quoted", head("Content-Type: application/pkcs7-mime", `Content-Transfer-Encoding: "base64"`) + wrapped([]byte(env)), "encrypted"},
		{"encoding wrongly quoted-printable", head("Content-Type: application/pkcs7-mime", "Content-Transfer-Encoding: quoted-printable") + wrapped([]byte(env)), "encrypted"},
		{"binary", head("Content-Type: application/pkcs7-mime", "Content-Transfer-Encoding: binary") + env, "encrypted"},
		{"base64 in one line", head("Content-Type: application/pkcs7-mime", b64) + base64.StdEncoding.EncodeToString([]byte(env)), "encrypted"},
		{"base64 in lines of 61", head("Content-Type: application/pkcs7-mime", b64) + lines(base64.StdEncoding.EncodeToString([]byte(env)), 61, "\r\n"), "encrypted"},
		{"base64 with LF", head("Content-Type: application/pkcs7-mime", b64) + lines(base64.StdEncoding.EncodeToString([]byte(env)), 64, "\n"), "encrypted"},
		{"base64 with blanks", head("Content-Type: application/pkcs7-mime", b64) + lines(base64.StdEncoding.EncodeToString([]byte(env)), 7, " \t\r\n \r\n"), "encrypted"},
		{"base64 without padding", head("Content-Type: application/pkcs7-mime", b64) + base64.RawStdEncoding.EncodeToString([]byte(env)), "encrypted"},
		{"PEM", head("Content-Type: application/pkcs7-mime", b64) + "-----BEGIN PKCS7-----\r\n" + wrapped([]byte(env)) + "-----END PKCS7-----\r\n", "encrypted"},
		{"PEM, not said to be base64", head("Content-Type: application/x-pkcs7-mime") + "-----BEGIN CMS-----\n" + wrapped([]byte(signed)) + "-----END CMS-----\n", "signed(valid)"},
		{"PEM in octets", head("Content-Type: application/octet-stream; name=smime.p7m") + "-----BEGIN PKCS7-----\r\n" + wrapped([]byte(env)) + "-----END PKCS7-----\r\n", "encrypted"},
		{"PEM without an end", head("Content-Type: application/pkcs7-mime", b64) + "-----BEGIN PKCS7-----\r\n" + wrapped([]byte(env)), "encrypted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := open(t, message.Bytes(outer("alice@clinic.example", c.entity)), bob.opens())
			if o.Problem != nil || layers(o) != c.layers || c.layers != "" && shown(t, o) != "hello" {
				t.Errorf("%q %q, want %q; %v", layers(o), shown(t, o), c.layers, o.Problem)
			}
		})
	}
}

// lines breaks s after every n characters.
func lines(s string, n int, end string) string {
	var b strings.Builder
	for ; len(s) > n; s = s[n:] {
		b.WriteString(s[:n] + end)
	}
	return b.String() + s + end
}

// Test8551_3_5_3_MultipartSigned: what it must be made of, and what is let pass.
func Test8551_3_5_3_MultipartSigned(t *testing.T) {
	alice := people()["alice"]
	inside := textPart("hello")
	der := signature(alice, inside)
	signed := func(params string, parts ...string) string {
		return strings.Replace(multipart("signed", "s", parts...), "multipart/signed;", "multipart/signed; "+params, 1)
	}
	both := []string{inside, signaturePart(der)}
	protocol := `protocol="application/pkcs7-signature"; micalg=sha-256;`
	for _, c := range []struct {
		name, entity, layers string
	}{
		{"as it should be", signed(protocol, both...), "signed(valid)"},
		{"protocol not quoted", signed("protocol=application/pkcs7-signature;", both...), "signed(valid)"},
		{"protocol in upper case", signed(`PROTOCOL="APPLICATION/PKCS7-SIGNATURE";`, both...), "signed(valid)"},
		{"x- protocol", signed(`protocol="application/x-pkcs7-signature";`, both...), "signed(valid)"},
		{"no protocol", signed("", both...), "signed(valid)"},
		{"protocol of the other type", signed(`protocol="application/pkcs7-mime";`, both...), "signed(valid)"},
		{"protocol of OpenPGP", signed(`protocol="application/pgp-signature";`, both...), ""},
		{"protocol unknown", signed(`protocol="application/x-sig";`, both...), ""},
		{"no micalg", signed(`protocol="application/pkcs7-signature";`, both...), "signed(valid)"},
		{"micalg of another", signed(`protocol="application/pkcs7-signature"; micalg=sha-512;`, both...), "signed(valid)"},
		{"micalg unknown", signed(`protocol="application/pkcs7-signature"; micalg="md9, x";`, both...), "signed(valid)"},
		{"several", signed(`protocol="application/pkcs7-signature"; micalg="sha-1,sha-256";`, both...), "signed(valid)"},
		{"signature as octets", signed(protocol, inside, entity("application/octet-stream; name=smime.p7s", der)), "signed(valid)"},
		{"signature as a file", signed(protocol, inside, head("Content-Type: application/octet-stream", "Content-Disposition: attachment; filename=x.P7S", "Content-Transfer-Encoding: base64")+wrapped([]byte(der))), "signed(valid)"},
		{"signature in PEM", signed(protocol, inside, head("Content-Type: application/pkcs7-signature")+"-----BEGIN PKCS7-----\r\n"+wrapped([]byte(der))+"-----END PKCS7-----"), "signed(valid)"},
		{"signature as text", signed(protocol, inside, entity("text/plain", der)), "signed(error)"},
		{"signature is no CMS", signed(protocol, inside, signaturePart("hello")), "signed(error)"},
		{"three parts", signed(protocol, inside, signaturePart(der), textPart("more")), "signed(error)"},
		{"signature first", signed(protocol, signaturePart(der), inside), "signed(error)"},
		{"two signatures", signed(protocol, inside, signaturePart(der), signaturePart(der)), "signed(error)"},
		{"no signature", signed(protocol, inside), "signed(error)"},
		{"nothing", signed(protocol), "signed(error)"},
		{"no closing delimiter", strings.TrimSuffix(signed(protocol, both...), "--\r\n"), "signed(error)"},
		{"no end", strings.TrimSuffix(signed(protocol, both...), "\r\n--s--\r\n"), "signed(valid)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := open(t, message.Bytes(outer("alice@clinic.example", c.entity)), nil)
			if o.Problem != nil || layers(o) != c.layers {
				t.Errorf("%q, want %q; %v", layers(o), c.layers, o.Problem)
			}
			if strings.HasSuffix(c.layers, "(error)") && (signedBy(o) != "" || o.Layers[0].Err == nil) {
				t.Error("it counts as signed")
			}
		})
	}
}

// Test8551_3_1_1_SignedBytes: what is signed is what stands between the delimiters, to
// the last byte; line ends are CRLF where they were not (section 3.1.1).
func Test8551_3_1_1_SignedBytes(t *testing.T) {
	alice := people()["alice"]
	for name, inside := range map[string]string{
		"trailing blanks":             head("Content-Type: text/plain") + "hello \t\r\nyou  \r\n",
		"empty lines at the end":      head("Content-Type: text/plain") + "hello\r\n\r\n\r\n",
		"no line end":                 head("Content-Type: text/plain") + "hello",
		"nothing":                     head("Content-Type: text/plain"),
		"no header":                   "\r\nhello",
		"8bit":                        head("Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit") + "Grüße\r\n",
		"binary":                      head("Content-Type: application/x", "Content-Transfer-Encoding: binary") + "a\x00b\xff\r\r\nc",
		"CR alone":                    head("Content-Type: text/plain") + "a\rb\r\n",
		"hyphens":                     head("Content-Type: text/plain") + "--\r\n--si\r\n---sig\r\n--sigx\r\n",
		"folded header":               head("Content-Type: text/plain;\n\tcharset=us-ascii", "X-A:   b  ") + "hello",
		"base64 in odd lines":         head("Content-Type: a/b", "Content-Transfer-Encoding: base64") + "aGVs\r\nbG8\r\n=\r\n",
		"From at the start":           head("Content-Type: text/plain") + "From here\r\n",
		"a multipart with preamble":   "Content-Type: multipart/mixed; boundary=x\r\n\r\nbefore\r\n--x\r\n\r\nin \r\n--x--\r\nafter\r\n",
		"lines of more than 64 KiB":   head("Content-Type: text/plain") + strings.Repeat("x", 200<<10) + "\r\n",
		"a delimiter never closed":    "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nin",
		"a boundary with the other's": "Content-Type: multipart/mixed; boundary=sigs\r\n\r\n--sigs\r\n\r\nin\r\n--sigs--\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			raw := outer("alice@clinic.example", clearSigned(alice, inside))
			o := open(t, message.Bytes(raw), nil)
			if o.Problem != nil || layers(o) != "signed(valid)" || read(t, o.Payload.Entity()) != inside {
				t.Fatalf("%s; %v", layers(o), o.Problem)
			}
			if at := strings.Index(raw, inside) + len(inside); at > 0 {
				o := open(t, message.Bytes(raw[:at]+" "+raw[at:]), nil)
				if layers(o) == "signed(valid)" {
					t.Error("a blank before the delimiter changes nothing")
				}
			}
			if o := open(t, message.Bytes(strings.ReplaceAll(raw, "\r\n", "\n")), nil); strings.Contains(inside, "\r\r") == (layers(o) == "signed(valid)") {
				t.Error("with LF alone:", layers(o))
			}
		})
	}
}

// Test8551_3_7_MultipleOperations: layers in any order, up to five, compressed once.
func Test8551_3_7_MultipleOperations(t *testing.T) {
	alice, bob := people()["alice"], people()["bob"]
	inside := textPart("hello")
	compressed := func(e string) string {
		return entity("application/pkcs7-mime; smime-type=compressed-data", compress(e))
	}
	o := open(t, message.Bytes(outer("a@x.example", encrypted(compressed(clearSigned(alice, inside)), bob))), bob.opens())
	if o.Problem != nil || layers(o) != "encrypted compressed signed(valid)" {
		t.Error(layers(o), o.Problem)
	}
	o = open(t, message.Bytes(outer("a@x.example", compressed(compressed(inside)))), nil)
	if !errors.Is(o.Problem, smime.ErrLimit) || o.Payload != nil {
		t.Errorf("compressed twice: %v", o.Problem)
	}
}
